// kill -9 at a random moment under load, start again, and see whether every promise was kept.
//   CRASH_ROUNDS, CRASH_SEED   how many rounds, and which moments
//   CRASH_BROKER=rabbitmq      the same against rabbitmq-server, to test the test; without what
//                              RabbitMQ does not promise (atomic fan-out and transactions)
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PolymqProcess } from "../support/polymq-process.ts";
import { startRabbitmq } from "../support/rabbitmq.mjs";
import { randomFrom } from "../support/random.ts";
import { deadLettered, delayed, prioritised } from "./detours.ts";
import { consumed, fanout, plain, transactions, transfer, type Worker } from "./load.ts";

const rounds = Number(process.env.CRASH_ROUNDS ?? 10);
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000_000);
const isRabbitmq = process.env.CRASH_BROKER === "rabbitmq";
const random = randomFrom(seed);

interface Victim {
  readonly url: string;
  start(): Promise<void>;
  kill9(): Promise<void>;
  stop(): Promise<unknown>;
}

async function victim(): Promise<Victim> {
  if (isRabbitmq) return startRabbitmq();
  const dataDir = mkdtempSync(join(tmpdir(), "polymq-crash-"));
  const broker = await PolymqProcess.start({ dataDir });
  const stop = broker.stop.bind(broker);
  return Object.assign(broker, {
    stop: async () => {
      const code = await stop();
      rmSync(dataDir, { recursive: true, force: true });
      return code;
    },
  });
}

async function round(broker: Victim, index: number): Promise<number> {
  const before = broker.url;
  const workers: Worker[] = [
    await plain(before, `crash.plain.${index}`),
    await fanout(before, `crash.fanout.${index}`),
    await consumed(before, `crash.consumed.${index}`),
    await transactions(before, `crash.tx.${index}`),
    await transfer(before, `crash.transfer.${index}`),
    await prioritised(before, `crash.priorities.${index}`),
    await deadLettered(before, `crash.dead-letters.${index}`),
  ];
  // Of a plugin, there.
  if (!isRabbitmq) workers.push(await delayed(before, `crash.delays.${index}`));
  const running = Promise.all(workers.map((worker) => worker.run()));
  // Mostly early, when the first batches are being written; now and then with a backlog.
  const moment = random() ** 2 * 1500;
  await new Promise((resolve) => setTimeout(resolve, moment));
  await broker.kill9();
  await running;
  await broker.start();
  for (const worker of workers) {
    await worker.check(broker.url, !isRabbitmq).catch((error) => {
      throw new Error(
        `seed ${seed}, round ${index}, killed after ${Math.round(moment)} ms: ${error.message}`,
      );
    });
  }
  return workers.reduce((sum, worker) => sum + worker.promised(), 0);
}

test(
  `${rounds} rounds, seed ${seed}`,
  async () => {
    console.log(`crash: CRASH_SEED=${seed} CRASH_ROUNDS=${rounds}`);
    const broker = await victim();
    let promised = 0;
    try {
      for (let index = 1; index <= rounds; index++) {
        promised += await round(broker, index);
        if (index % 10 === 0) console.log(`crash: ${index} rounds, ${promised} promises kept`);
      }
      expect(promised).toBeGreaterThan(rounds * 10);
    } finally {
      const code = await broker.stop();
      if (!isRabbitmq) expect(code).toBe(0);
    }
  },
  60_000 + rounds * 30_000,
);
