// Spoilt MQTT conversations, without sockets: as many as it takes. The broker makes no fault of its own, says nothing
// that is no MQTT, and a healthy client beside it works on.
//   FUZZ_COUNT, FUZZ_SEED, FUZZ_FROM   how many inputs, which, and the first of them
import { parser } from "mqtt-packet";
import { afterAll, expect, test } from "vitest";
import { openDirectMqtt } from "../support/mqtt-direct.ts";
import { residentBytes } from "../support/polymq-process.ts";
import { mqttInput } from "./mqtt-inputs.ts";

const count = Number(process.env.FUZZ_COUNT ?? 10_000);
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000_000);
const from = Number(process.env.FUZZ_FROM ?? 0);
const PARALLEL = 32;
const CANARY_EVERY = 500;

const direct = await openDirectMqtt();
await direct.broker.access.ready;
afterAll(() => direct.close());

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

async function offer(index: number): Promise<void> {
  const { chunks, version } = mqttInput(seed, index);
  const spoken = parser({ protocolVersion: version ?? 5 });
  let wrong: Error | null = null;
  spoken.on("error", (error: Error) => {
    wrong = error;
  });
  const connection = direct.connect((bytes) => {
    if (version !== null) spoken.parse(bytes);
  });
  for (const chunk of chunks) await connection.write(chunk);
  await turn();
  connection.close();
  if (wrong !== null) throw new Error(`the broker said what is no MQTT: ${(wrong as Error).message}`);
  if (direct.faults.length > 0) throw direct.faults[0];
}

/** Publishes and waits to receive it. */
async function sing(song: string): Promise<void> {
  const heard: Buffer[] = [];
  const connection = direct.connect((bytes) => heard.push(bytes));
  const str = (text: string) => Buffer.concat([Buffer.of(0, text.length), Buffer.from(text)]);
  const packet = (first: number, ...parts: Buffer[]) => {
    const body = Buffer.concat(parts);
    return Buffer.concat([Buffer.of(first, body.length), body]);
  };
  await connection.write(packet(0x10, str("MQTT"), Buffer.of(4, 2, 0, 0), str(song)));
  await connection.write(packet(0x82, Buffer.of(0, 1), str("canary/+"), Buffer.of(1)));
  await connection.write(packet(0x32, str("canary/x"), Buffer.of(0, 9), Buffer.from(song)));
  while (!connection.ended && !Buffer.concat(heard).includes(song)) await turn();
  expect(connection.ended).toBe(false);
  connection.close();
}

test(
  `${count} inputs, seed ${seed}`,
  async () => {
    console.log(`fuzz: FUZZ_SEED=${seed} FUZZ_COUNT=${count}`);
    let next = from;
    const worker = async () => {
      for (let index = next++; index < from + count; index = next++) {
        await offer(index).catch((error) => {
          throw new Error(`input ${index} of seed ${seed}: ${error.message ?? JSON.stringify(error)}`, {
            cause: error,
          });
        });
        if (index % CANARY_EVERY === 0) await sing(`song ${index}`);
        if (index % 100_000 === 99_999) {
          console.log(`fuzz: ${index + 1} inputs, ${residentBytes("self") >> 20} MiB`);
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
    expect(direct.faults).toEqual([]);
    await sing("the last song");
  },
  Math.max(120_000, count * 10),
);
