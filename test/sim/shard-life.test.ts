/**
 * Shards that live, die in the middle of a disk operation and live on, several times over, with
 * every discipline, dead letters, retries, delays, purges, deletions, and the cleaner at work.
 *   SIM_SEEDS, SIM_FIRST_SEED   how many, and which
 */
import { expect, test } from "vitest";
import { ManualClock } from "../../src/base/clock.ts";
import type { QueueOptions } from "../../src/broker/types.ts";
import type { Durability } from "../../src/engine/engine.ts";
import { SimDisk, seededRandom } from "../../src/engine/file/sim-disk.ts";
import { message, numberOf, openWorld, takeAll, turns, type World } from "./world.ts";

const SEEDS = Number(process.env.SIM_SEEDS ?? 60);
const FIRST_SEED = Number(process.env.SIM_FIRST_SEED ?? 1);
const LIVES = 4;

const QUEUES: QueueOptions[] = [
  {},
  { discipline: "lifo" },
  { priorityMax: 3 },
  { deadLetterExchange: "to:4" },
  {},
  { retry: { attempts: 2, initialMs: 10, multiplier: 1, ceilingMs: 10, jitter: 0 } },
  {},
  {},
  {},
];
const PARKING_LOT = 6;
const DELETED = 7;
const DELAYED = 8;
/** Where a message may be that was published to this queue. */
const PLACES: Record<number, number[]> = { 0: [0], 1: [1], 2: [2], 3: [3, 4], 5: [5, 6], 7: [7], 8: [8] };
const TARGETS = [0, 1, 2, 3, 5, 7];

/** maybe: settled, purged or transient: it may be gone. */
type State = "sent" | "confirmed" | "maybe";

/** What was promised, by the queue published to and the message's number. */
type Promises = Map<number, Map<number, State>>;

interface Held {
  readonly from: number;
  readonly at: number;
  readonly tag: number;
  readonly number: number;
}

class Life {
  dead = false;
  readonly purges: { queue: number; numbers: number[] }[] = [];
  private readonly held: Held[] = [];
  private readonly getting = new Map<number, number>();
  private readonly ledger;

  private readonly world: World;
  private readonly promises: Promises;
  private readonly random: () => number;
  private readonly clock: ManualClock;
  private readonly next: () => number;
  private readonly state: { deleted: boolean };

  constructor(
    world: World,
    promises: Promises,
    random: () => number,
    clock: ManualClock,
    next: () => number,
    state: { deleted: boolean },
  ) {
    this.world = world;
    this.promises = promises;
    this.random = random;
    this.clock = clock;
    this.next = next;
    this.state = state;
    this.ledger = world.shard.openLedger(() => {});
  }

  step(): void {
    const action = this.pick(100);
    if (action < 40) this.publish();
    else if (action < 45) this.delay();
    else if (action < 70) this.get();
    else if (action < 90) this.settle();
    else if (action < 92) this.purge();
    else if (action < 93) this.delete();
    else if (action < 97) this.clock.advance(15);
    else this.clock.advance(1100);
  }

  private pick(n: number): number {
    return Math.floor(this.random() * n);
  }

  private publish(): void {
    const n = this.next();
    let targets = this.pick(4) === 0 ? TARGETS.filter(() => this.pick(2) === 0) : [this.choose(TARGETS)];
    if (this.state.deleted) targets = targets.filter((t) => t !== DELETED);
    if (targets.length === 0) return;
    const persistent = this.pick(6) > 0;
    const size = this.pick(20) === 0 ? 70_000 + this.pick(60_000) : this.pick(2500);
    for (const t of targets) this.promises.get(t)?.set(n, persistent ? "sent" : "maybe");
    this.world.shard.publisher.publish(
      targets.map((t) => this.world.queues[t] as World["queues"][0]),
      message(n, size, persistent, n % 4),
      null,
      -1,
    );
    this.confirmLater(targets, n);
  }

  private delay(): void {
    const n = this.next();
    this.promises.get(DELAYED)?.set(n, "sent");
    this.world.shard.delays.add(
      "/",
      `to:${DELAYED}`,
      message(n, this.pick(500), true, 0, `to:${DELAYED}`),
      null,
      -1,
      this.pick(3000),
    );
    this.confirmLater([DELAYED], n);
  }

  private confirmLater(targets: number[], n: number): void {
    this.world.shard.store.journal.waitFor({
      committed: () => {
        if (this.dead) return;
        for (const t of targets) {
          if (this.promises.get(t)?.get(n) === "sent") this.promises.get(t)?.set(n, "confirmed");
        }
      },
    });
  }

  private get(): void {
    const from = Number(this.choose(Object.keys(PLACES)));
    const at = this.choose(PLACES[from] as number[]);
    if (at === DELETED && this.state.deleted) return;
    this.getting.set(at, (this.getting.get(at) ?? 0) + 1);
    this.world.queues[at]?.get(false, this.ledger, (delivery) => {
      this.getting.set(at, (this.getting.get(at) ?? 0) - 1);
      if (delivery !== null) this.held.push({ from, at, tag: delivery.tag, number: numberOf(delivery) });
    });
  }

  private settle(): void {
    const [taken] = this.held.splice(this.pick(this.held.length), 1);
    if (taken === undefined) return;
    const how = this.pick(4);
    if (how === 0) this.ledger.reject(taken.tag, false, true);
    else if (how === 1) {
      // From these two it goes on to another place; from all others to nowhere.
      if (taken.at !== 3 && taken.at !== 5) this.promises.get(taken.from)?.set(taken.number, "maybe");
      this.ledger.reject(taken.tag, false, false);
    } else {
      this.promises.get(taken.from)?.set(taken.number, "maybe");
      this.ledger.accept(taken.tag, false);
    }
  }

  private purge(): void {
    const queue = this.choose([0, 1, 2]);
    if ((this.getting.get(queue) ?? 0) > 0) return;
    const held = new Set(this.held.filter((h) => h.at === queue).map((h) => h.number));
    const promises = this.promises.get(queue) as Map<number, State>;
    const there = [...promises].filter(([n, state]) => state !== "maybe" && !held.has(n));
    const purged = there.filter(([, state]) => state === "confirmed").map(([n]) => n);
    for (const [n] of there) promises.set(n, "maybe");
    this.world.queues[queue]?.purge();
    this.purges.push({ queue, numbers: purged });
  }

  private delete(): void {
    if (this.state.deleted || this.pick(4) > 0) return;
    this.state.deleted = true;
    this.world.shard.deleteQueue(this.world.queues[DELETED] as World["queues"][0]);
  }

  private choose<T>(list: readonly T[]): T {
    return list[this.pick(list.length)] as T;
  }
}

function checkOrder(queue: number, numbers: number[]): void {
  if (queue === 4 || queue === PARKING_LOT || queue === DELAYED) return;
  const sorted = [...numbers].sort((a, b) => {
    if (queue === 1) return b - a;
    return (queue === 2 ? (b % 4) - (a % 4) : 0) || a - b;
  });
  expect(numbers, `queue ${queue}: order`).toEqual(sorted);
}

/** Compares what is there with what was promised, and takes it as the new state of affairs. */
async function checkAll(world: World, promises: Promises, strict: boolean, life: Life | null): Promise<void> {
  const found = new Map<number, number[]>();
  const ledger = world.shard.openLedger(() => {});
  for (const [i, queue] of world.queues.entries()) {
    if (queue === undefined) continue;
    const numbers = await takeAll(queue, ledger);
    found.set(i, numbers);
    checkOrder(i, numbers);
  }
  ledger.close();
  for (const [from, places] of Object.entries(PLACES)) {
    if (!world.queues[Number(from)]) continue;
    const all = places.flatMap((place) => found.get(place) ?? []);
    const there = new Set(all);
    expect(there.size, `from queue ${from}: nothing twice`).toBe(all.length);
    const expected = promises.get(Number(from)) as Map<number, State>;
    for (const n of all) expect(expected.has(n), `from queue ${from}: ${n} was published`).toBe(true);
    for (const [n, state] of expected) {
      if (strict && state === "confirmed")
        expect(there.has(n), `from queue ${from}: ${n} is kept`).toBe(true);
      if (there.has(n)) expected.set(n, "confirmed");
      else expected.delete(n);
    }
  }
  for (const { queue, numbers } of life?.purges ?? []) {
    const left = numbers.filter((n) => found.get(queue)?.includes(n));
    if (strict && left.length > 0) expect(left.length, `queue ${queue}: half a purge`).toBe(numbers.length);
  }
}

async function lives(seed: number): Promise<number> {
  const random = seededRandom(seed);
  const durability = (["fsync", "fsync", "os", "memory"] as Durability[])[seed % 4] as Durability;
  const clock = new ManualClock();
  const promises: Promises = new Map(Object.keys(PLACES).map((from) => [Number(from), new Map()]));
  const state = { deleted: false };
  let number = 0;
  let moved = 0;
  let disk = new SimDisk(seededRandom(seed + 1));
  const open = (): Promise<World> =>
    openWorld({
      disk,
      clock,
      random,
      durability,
      queues: QUEUES.map((options, i) => (i === DELETED && state.deleted ? null : options)),
      parkingLot: PARKING_LOT,
      blocksMax: 2,
      space: { regionBytes: 8 * 1024, storedBytesMin: 32 * 1024 },
    });
  let world = await open();
  for (let count = 0; count < LIVES; count++) {
    disk.killAt = disk.operations + 5 + Math.floor(random() * 300);
    const life = new Life(world, promises, random, clock, () => ++number, state);
    void disk.killed.then(() => {
      life.dead = true;
    });
    for (let step = 0; step < 600 && !life.dead; step++) {
      life.step();
      if (random() < 0.5) await turns(1);
    }
    const orderly = !life.dead && random() < 0.5;
    moved += world.shard.movedMessages;
    const powerLoss = random() < 0.5;
    if (orderly) {
      disk.killAt = Number.POSITIVE_INFINITY;
      await world.close();
    } else {
      if (!life.dead) disk.killAt = disk.operations + 1;
      life.dead = true;
      disk = powerLoss ? disk.afterPowerLoss(seededRandom(seed + count)) : disk.afterKill();
    }
    const strict = orderly || durability === "fsync" || (durability === "os" && !powerLoss);
    world = await open();
    clock.advance("1h");
    for (let i = 0; i < 2000 && world.shard.delays.count > 0; i++) {
      await turns(1);
      clock.advance(1);
    }
    await turns(20);
    await checkAll(world, promises, strict, life);
  }
  await world.close();
  return moved;
}

test(
  `shards live, die and live on: ${SEEDS} seeds from ${FIRST_SEED}`,
  async () => {
    let moved = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      try {
        moved += await lives(seed);
      } catch (error) {
        const again = `SIM_FIRST_SEED=${seed} SIM_SEEDS=1`;
        throw new Error(`${again}: ${(error as Error).message}`, { cause: error });
      }
    }
    if (SEEDS >= 60) expect(moved, "the cleaner was at work").toBeGreaterThan(0);
  },
  120_000 + SEEDS * 10_000,
);
