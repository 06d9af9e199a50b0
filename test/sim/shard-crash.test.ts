/** A shard on a disk that dies at a random moment: what was confirmed is there afterwards, once and in order. */
import { expect, test } from "vitest";
import { Arena } from "../../src/base/arena.ts";
import { ManualClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { Turn } from "../../src/base/turn.ts";
import type { Queue } from "../../src/broker/queue.ts";
import { Shard } from "../../src/broker/shard.ts";
import type { Delivery, QueueOptions } from "../../src/broker/types.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { openFileEngine } from "../../src/engine/file/file-engine.ts";
import { SimDisk, seededRandom } from "../../src/engine/file/sim-disk.ts";

const SEEDS = Number(process.env.SIM_SEEDS ?? 60);
const FIRST_SEED = Number(process.env.SIM_FIRST_SEED ?? 1);

const QUEUE_OPTIONS: QueueOptions[] = [
  {},
  { priorityMax: 3 },
  { retry: { attempts: 50, initialMs: 10, multiplier: 1, ceilingMs: 10, jitter: 0 } },
];

interface World {
  engine: Engine;
  shard: Shard;
  queues: Queue[];
}

async function open(disk: SimDisk, clock: ManualClock, random: () => number): Promise<World> {
  const engine = await openFileEngine({ directory: "/data", disk, clock, segmentBytes: 16 * 1024 });
  const shard: Shard = new Shard({
    log: await engine.openLog("shard-0"),
    arena: new Arena(16 * 1024 * 1024),
    turn: new Turn(),
    clock,
    logger: silentLogger,
    finder: { find: () => [], parkingLot: (): Queue => queues[0] as Queue },
    readers: new Map(),
    durability: "fsync",
    consumerTimeoutMs: null,
    quorumDeliveryLimit: -1,
    blocksMax: 2,
    random,
    onCorruption: (error) => {
      throw error;
    },
  });
  const queues: Queue[] = QUEUE_OPTIONS.map((options, i) => {
    const declaration = {
      name: `q${i}`,
      durable: true,
      exclusive: false,
      autoDelete: false,
      options,
      arguments: new Map(),
    };
    return shard.createQueue(i + 1, "/", declaration, null, { unused() {} });
  });
  await shard.recover();
  return { engine, shard, queues };
}

/** What each queue must hold: message number -> state. */
type Expected = Map<number, "sent" | "confirmed" | "settled">;

function publish(world: World, targets: number[], number: number, priority: number, size: number): void {
  const bytes = Buffer.alloc(4 + size, number & 0xff);
  bytes.writeUInt16BE(0, 0);
  const native = Buffer.alloc(4 + size, number & 0xff);
  native.writeUInt32BE(number, 0);
  const all = Buffer.concat([Buffer.from([0, 0]), native]);
  world.shard.publisher.publish(
    targets.map((t) => world.queues[t] as Queue),
    {
      origin: 0,
      bytes: all,
      routingStart: 0,
      routingEnd: 2,
      nativeStart: 2,
      nativeEnd: all.length,
      bodyBytes: native.length,
      persistent: true,
      priority,
    },
    null,
    -1,
  );
}

function numberOf(delivery: Delivery): number {
  const { bytes, nativeOffset } = delivery.record;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readUInt32BE(nativeOffset);
}

function drain(queue: Queue, world: World): Promise<{ number: number; priority: number }[]> {
  const ledger = world.shard.openLedger(() => {});
  const seen: { number: number; priority: number }[] = [];
  return new Promise((resolve) => {
    const step = (): void => {
      queue.get(false, ledger, (delivery) => {
        if (delivery === null) {
          resolve(seen);
          return;
        }
        const number = numberOf(delivery);
        seen.push({ number, priority: number % 4 });
        setImmediate(step);
      });
    };
    step();
  });
}

async function life(seed: number, killAfter: number, powerLoss: boolean): Promise<void> {
  const random = seededRandom(seed);
  const pick = (n: number): number => Math.floor(random() * n);
  const clock = new ManualClock();
  const disk = new SimDisk(seededRandom(seed + 1));
  const world = await open(disk, clock, random);
  disk.killAt = disk.operations + killAfter;
  let dead = false;
  void disk.killed.then(() => {
    dead = true;
  });
  const expected: Expected[] = QUEUE_OPTIONS.map(() => new Map());
  const ledger = world.shard.openLedger(() => {});
  let number = 0;
  const held: { queue: number; tag: number; number: number }[] = [];
  for (let step = 0; step < 400 && !dead; step++) {
    const action = pick(10);
    if (action < 5) {
      const n = ++number;
      const targets = pick(4) === 0 ? [0, 1, 2] : [pick(3)];
      for (const t of targets) expected[t]?.set(n, "sent");
      publish(world, targets, n, n % 4, pick(8) === 0 ? 70_000 : pick(3000));
      world.shard.store.journal.waitFor({
        committed: () => {
          if (dead) return;
          for (const t of targets) if (expected[t]?.get(n) === "sent") expected[t]?.set(n, "confirmed");
        },
      });
    } else if (action < 7) {
      const t = pick(3);
      world.queues[t]?.get(false, ledger, (delivery) => {
        if (delivery !== null) held.push({ queue: t, tag: delivery.tag, number: numberOf(delivery) });
      });
    } else if (action < 9 && held.length > 0) {
      const [taken] = held.splice(pick(held.length), 1);
      if (taken !== undefined) settle(taken, pick(3));
    } else if (pick(3) === 0) clock.advance(15);
    if (pick(2) === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  function settle(taken: { queue: number; tag: number; number: number }, how: number): void {
    if (how < 2) {
      expected[taken.queue]?.set(taken.number, "settled");
      ledger.accept(taken.tag, false);
    } else ledger.reject(taken.tag, false, true);
  }
  if (!dead) disk.killAt = disk.operations + 1;
  const after = powerLoss ? disk.afterPowerLoss(seededRandom(seed + 2)) : disk.afterKill();
  const reborn = await open(after, clock, random);
  clock.advance("1h");
  for (const [t, queue] of reborn.queues.entries())
    check(await drain(queue, reborn), expected[t] as Expected, t);
  await reborn.shard.close();
  await reborn.engine.close();
}

function check(found: { number: number; priority: number }[], expected: Expected, queue: number): void {
  const numbers = found.map((f) => f.number);
  expect(new Set(numbers).size, `queue ${queue}: no message twice`).toBe(numbers.length);
  for (const n of numbers) expect(expected.has(n), `queue ${queue}: message ${n} was published`).toBe(true);
  for (const [n, state] of expected) {
    if (state === "confirmed") expect(numbers, `queue ${queue}: confirmed message ${n} is kept`).toContain(n);
  }
  const sorted = [...found].sort(
    (a, b) => (queue === 1 ? b.priority - a.priority : 0) || a.number - b.number,
  );
  expect(numbers, `queue ${queue}: order`).toEqual(sorted.map((f) => f.number));
}

test("what was confirmed survives a kill at any moment, and a power failure", async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    try {
      await life(seed, 3 + ((seed * 7919) % 160), seed % 2 === 0);
    } catch (error) {
      throw new Error(`seed ${seed} (SIM_FIRST_SEED=${seed} SIM_SEEDS=1): ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}, 300_000);
