// Spoilt MQTT conversations over real sockets. Whatever comes in: every connection ends, what the broker says is MQTT,
// a healthy client beside it works on, and memory does not grow.
//   FUZZ_COUNT, FUZZ_SEED   how many inputs, and which
//   FUZZ_FROM               first index, to go straight to a failing input
//   FUZZ_SPAWN=1            a broker process of its own, whose memory can be measured
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parser } from "mqtt-packet";
import { afterAll, expect, test } from "vitest";
import { startMqtt } from "../support/mqtt.ts";
import { RawMqtt } from "../support/mqtt-raw.ts";
import { PolymqProcess, residentBytes } from "../support/polymq-process.ts";
import { type MqttInput, mqttInput } from "./mqtt-inputs.ts";

const count = Number(process.env.FUZZ_COUNT ?? 1000);
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000_000);
const from = Number(process.env.FUZZ_FROM ?? 0);
const PARALLEL = Number(process.env.FUZZ_PARALLEL ?? 16);
const CANARY_EVERY = 200;
const ENDS_WITHIN_MS = 15_000;
const MAY_GROW_BY = 96 * 1024 * 1024;

interface Target {
  readonly url: string;
  memory(): number;
}

async function target(): Promise<Target> {
  // Sessions that a spoilt CONNECT makes last would otherwise be kept, as they must be.
  if (!process.env.FUZZ_SPAWN) {
    const broker = await startMqtt({ mqttSessionExpiryMax: "1s" });
    afterAll(() => broker.stop());
    return { url: broker.url, memory: () => residentBytes("self") };
  }
  const dataDir = mkdtempSync(join(tmpdir(), "polymq-fuzz-"));
  const broker = await PolymqProcess.start({ dataDir, args: ["--mqtt-session-expiry-max", "1s"] });
  afterAll(async () => {
    await broker.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });
  const url = /mqtt:\/\/[\d.]+:\d+/.exec(broker.output)?.[0] as string;
  return { url, memory: () => broker.residentBytes() };
}

/** Writes one input, and resolves when the broker has closed the connection. */
function offer(port: number, { chunks, version }: MqttInput): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port });
    const spoken = parser({ protocolVersion: version ?? 5 });
    spoken.on("error", (error: Error) =>
      reject(new Error(`the broker said what is no MQTT: ${error.message}`)),
    );
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`the broker did not end the connection within ${ENDS_WITHIN_MS} ms`));
    }, ENDS_WITHIN_MS);
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      if (version !== null) spoken.parse(bytes as Buffer);
    });
    socket.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
    socket.once("connect", async () => {
      for (const chunk of chunks) {
        socket.write(chunk);
        if (chunks.length > 1) await new Promise(setImmediate);
      }
      socket.end();
    });
  });
}

class Canary {
  private readonly raw: RawMqtt;
  private sung = 0;

  private constructor(raw: RawMqtt) {
    this.raw = raw;
  }

  static async open(url: string): Promise<Canary> {
    const raw = await RawMqtt.connect(url);
    await raw.subscribe("canary", 1);
    return new Canary(raw);
  }

  /** Publishes and waits to receive it: the broker is alive and this connection undisturbed. */
  async sing(): Promise<void> {
    const payload = `song ${++this.sung}`;
    this.raw.publish({ topic: "canary", payload, qos: 1, messageId: 1 });
    const heard = await this.raw.next("publish");
    expect(`${heard.payload}`).toBe(payload);
    this.raw.send({ cmd: "puback", messageId: heard.messageId! });
    await this.raw.next("puback");
  }

  close(): void {
    this.raw.close();
  }
}

const broker = await target();

test(
  `${count} inputs, seed ${seed}`,
  async () => {
    console.log(`fuzz: FUZZ_SEED=${seed} FUZZ_COUNT=${count}`);
    const port = Number(new URL(broker.url).port);
    const canary = await Canary.open(broker.url);
    const warm = from + Math.max(500, Math.floor(count / 5));
    let next = from;
    let memoryWarm = 0;
    const worker = async () => {
      for (;;) {
        const index = next++;
        if (index >= from + count) return;
        await offer(port, mqttInput(seed, index)).catch((error) => {
          throw new Error(`input ${index} of seed ${seed}: ${error.message}`);
        });
        if (index === warm) memoryWarm = broker.memory();
        if (index % 50_000 === 49_999) console.log(`fuzz: ${index + 1} inputs, ${broker.memory() >> 20} MiB`);
      }
    };
    const watch = (async () => {
      for (let at = from; at < from + count; at += CANARY_EVERY) {
        while (next < Math.min(at + CANARY_EVERY, from + count))
          await new Promise((resolve) => setTimeout(resolve, 5));
        await canary.sing();
      }
    })();
    await Promise.all([watch, ...Array.from({ length: PARALLEL }, worker)]);
    await canary.sing();
    canary.close();
    const fresh = await Canary.open(broker.url);
    await fresh.sing();
    fresh.close();
    if (memoryWarm > 0) expect(broker.memory() - memoryWarm).toBeLessThan(MAY_GROW_BY);
  },
  Math.max(120_000, count * 20),
);
