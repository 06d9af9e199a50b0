// Spoilt conversations over real sockets. Whatever comes in: every connection ends, a healthy one
// beside it works on, and memory does not grow.
//   FUZZ_COUNT, FUZZ_SEED   how many inputs, and which
//   FUZZ_FROM               first index, to go straight to a failing input
//   FUZZ_SPAWN=1            a broker process of its own, whose memory can be measured
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { useBroker } from "../support/broker.ts";
import { PolymqProcess, residentBytes } from "../support/polymq-process.ts";
import { RawConnection } from "../support/raw-connection.ts";
import { input } from "./mutate.ts";

const count = Number(process.env.FUZZ_COUNT ?? 3000);
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000_000);
const from = Number(process.env.FUZZ_FROM ?? 0);
const PARALLEL = Number(process.env.FUZZ_PARALLEL ?? 16);
const CANARY_EVERY = 200;
const ENDS_WITHIN_MS = 15_000;
const MAY_GROW_BY = 96 * 1024 * 1024;

interface Target {
  url: string;
  memory(): number;
}

async function target(): Promise<Target> {
  if (!process.env.FUZZ_SPAWN || process.env.AMQP_URL) {
    const broker = await useBroker();
    return { url: broker.url, memory: process.env.AMQP_URL ? () => 0 : () => residentBytes("self") };
  }
  const dataDir = mkdtempSync(join(tmpdir(), "polymq-fuzz-"));
  const broker = await PolymqProcess.start({ dataDir });
  afterAll(async () => {
    await broker.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });
  return { url: broker.url, memory: () => broker.residentBytes() };
}

/** Writes one input, says goodbye, and resolves when the broker has closed the connection. */
function offer(port: number, chunks: Buffer[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port });
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`the broker did not end the connection within ${ENDS_WITHIN_MS} ms`));
    }, ENDS_WITHIN_MS);
    socket.on("error", () => {});
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
    // Answers have to be read, or the broker's end of the socket fills up.
    socket.resume();
  });
}

class Canary {
  private raw: RawConnection;
  private queue: string;
  private sung = 0;

  private constructor(raw: RawConnection, queue: string) {
    this.raw = raw;
    this.queue = queue;
  }
  static async open(url: string): Promise<Canary> {
    const raw = await RawConnection.open(url);
    await raw.openChannel(1);
    const { args } = await raw.call("queue.declare", 1, { exclusive: true });
    await raw.call("basic.consume", 1, { queue: args.queue, noAck: true });
    return new Canary(raw, args.queue);
  }
  /** Publishes and waits to receive it: the broker is alive and this connection undisturbed. */
  async sing(): Promise<void> {
    const song = `song ${++this.sung}`;
    this.raw.publish(1, { routingKey: this.queue }, {}, song);
    expect((await this.raw.expect("basic.deliver", 1)).body?.toString()).toBe(song);
  }
  close(): Promise<void> {
    return this.raw.close();
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
        await offer(port, input(seed, index)).catch((error) => {
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
    await Promise.all([watch, ...[...Array(PARALLEL)].map(worker)]);
    await canary.sing();
    await canary.close();
    const fresh = await Canary.open(broker.url);
    await fresh.sing();
    await fresh.close();
    if (memoryWarm > 0) expect(broker.memory() - memoryWarm).toBeLessThan(MAY_GROW_BY);
  },
  Math.max(120_000, count * 20),
);
