/**
 * Notes, retained messages and a queue on a disk that dies at a random moment, life after life: what is there
 * afterwards is exactly what was there at the end of some batch, and of none that is older than the last
 * one that was reported as durable. So nothing is ever half there, and the cleaner brings nothing back.
 */
import { expect, test } from "vitest";
import { ManualClock } from "../../src/base/clock.ts";
import type { Queue } from "../../src/broker/queue.ts";
import type { StoredMessage } from "../../src/broker/types.ts";
import { SimDisk, seededRandom } from "../../src/engine/file/sim-disk.ts";
import { message, numberOf, openWorld, takeAll, turns, type World } from "./world.ts";

const SEEDS = Number(process.env.SIM_SEEDS ?? 40);
const FIRST_SEED = Number(process.env.SIM_FIRST_SEED ?? 1);
const LIVES = 4;

interface Model {
  readonly notes: Map<string, string>;
  readonly retained: Map<string, number>;
  readonly ready: Set<number>;
}

const empty = (): Model => ({ notes: new Map(), retained: new Map(), ready: new Set() });

function snapshot({ notes, retained, ready }: Model): string {
  const sorted = <T>(entries: Iterable<T>): T[] => [...entries].sort();
  return JSON.stringify([sorted(notes), sorted(retained), sorted(ready)]);
}

/** All that a shard knows, in the words of the model. */
async function stateOf({ shard, queues }: World): Promise<Model> {
  const model = empty();
  for (const book of shard.notes.names("/", "book")) {
    for (const [key, value] of shard.notes.notebook("/", book).entries()) {
      model.notes.set(`${book}|${key}`, value);
    }
  }
  await new Promise<void>((resolve) => {
    shard.retained.walk(
      "/",
      { pattern: "#", one: "+", guarded: true },
      {
        writable: true,
        retained: (kept: StoredMessage) => {
          model.retained.set(kept.record.routingKey(), numberOf(kept));
        },
        finished: resolve,
      },
    );
  });
  const ledger = shard.openLedger(() => {});
  for (const number of await takeAll(queues[0] as Queue, ledger)) model.ready.add(number);
  ledger.recover();
  return model;
}

class Life {
  readonly snapshots = new Map<number, string>();
  confirmed = 0;
  private readonly world: World;
  private readonly model: Model;
  private readonly pick: (n: number) => number;
  private readonly next: () => number;
  private readonly held: { tag: number; number: number }[] = [];
  private readonly ledger;

  constructor(world: World, model: Model, pick: (n: number) => number, next: () => number) {
    this.world = world;
    this.model = model;
    this.pick = pick;
    this.next = next;
    this.ledger = world.shard.openLedger(() => {});
    this.snapshots.set(0, snapshot(model));
  }

  /** One turn: what happens in it is one batch. */
  step(): void {
    for (let n = 1 + this.pick(3); n > 0; n--) this.act();
    const { journal } = this.world.shard.store;
    this.snapshots.set(journal.batch, snapshot(this.model));
    // A settlement alone would be left to the operating system.
    journal.commit(true);
    journal.waitFor({
      committed: (batch) => {
        this.confirmed = Math.max(this.confirmed, batch);
      },
    });
  }

  private act(): void {
    const { shard } = this.world;
    const action = this.pick(12);
    if (action < 3) this.note();
    else if (action < 4) {
      const book = `book${this.pick(3)}`;
      shard.notes.notebook("/", book).clear();
      for (const key of [...this.model.notes.keys()])
        if (key.startsWith(`${book}|`)) this.model.notes.delete(key);
    } else if (action < 8) this.retain();
    else if (action < 10) this.publish();
    else this.settle();
  }

  private note(): void {
    const book = `book${this.pick(3)}`;
    const key = `k${this.pick(20)}`;
    const notebook = this.world.shard.notes.notebook("/", book);
    if (this.pick(3) === 0) {
      notebook.delete(key);
      this.model.notes.delete(`${book}|${key}`);
      return;
    }
    const value = `ü${"v".repeat(this.pick(40))}${this.next()}`;
    notebook.set(key, value);
    this.model.notes.set(`${book}|${key}`, value);
  }

  private retain(): void {
    const { shard } = this.world;
    const key = `${this.pick(2) === 0 ? "a" : "b"}.${this.pick(12)}`;
    const number = this.next();
    const remove = this.pick(4) === 0;
    const source = message(
      number,
      this.pick(10) === 0 ? 70_000 : this.pick(800),
      this.pick(2) === 0,
      0,
      "",
      key,
    );
    if (remove) source.bodyBytes = 0;
    shard.retained.put("/", key, source, null, -1);
    if (remove) this.model.retained.delete(key);
    else this.model.retained.set(key, number);
  }

  private publish(): void {
    const number = this.next();
    this.world.shard.publisher.publish(
      [this.world.queues[0] as Queue],
      message(number, this.pick(500)),
      null,
      -1,
    );
    this.model.ready.add(number);
  }

  private settle(): void {
    if (this.held.length < 5) {
      this.world.queues[0]?.get(false, this.ledger, (delivery) => {
        if (delivery !== null) this.held.push({ tag: delivery.tag, number: numberOf(delivery) });
      });
    }
    const taken = this.held.shift();
    if (taken === undefined) return;
    this.ledger.accept(taken.tag, false);
    this.model.ready.delete(taken.number);
  }
}

async function run(seed: number): Promise<number> {
  const random = seededRandom(seed);
  const pick = (n: number): number => Math.floor(random() * n);
  const clock = new ManualClock();
  let disk = new SimDisk(seededRandom(seed + 1));
  let model = empty();
  let numbers = 0;
  let moved = 0;
  const options = {
    clock,
    random,
    queues: [{}],
    space: { regionBytes: 16 * 1024, storedBytesMin: 32 * 1024 },
  };
  for (let n = 0; n < LIVES; n++) {
    const world = await openWorld({ ...options, disk });
    const found = await stateOf(world);
    expect(snapshot(found), `life ${n}: what a second look finds`).toBe(snapshot(model));
    const life = new Life(world, model, pick, () => ++numbers);
    disk.killAt = disk.operations + 10 + pick(250);
    let dead = false;
    void disk.killed.then(() => {
      dead = true;
    });
    for (let step = 0; step < 300 && !dead; step++) {
      life.step();
      if (pick(3) > 0) await turns(1);
      if (pick(4) === 0) clock.advance(1000);
    }
    if (!dead) disk.killAt = disk.operations + 1;
    moved += world.shard.movedMessages;
    disk = pick(2) === 0 ? disk.afterKill() : disk.afterPowerLoss(seededRandom(seed + 2 + n));
    const reborn = await openWorld({ ...options, disk });
    const after = await stateOf(reborn);
    const candidates = [...life.snapshots].filter(([batch]) => batch >= life.confirmed);
    const whole = candidates.map(([, state]) => state);
    expect(whole, `life ${n}: the state of a batch from ${life.confirmed} on`).toContain(snapshot(after));
    expect(reborn.shard.retained.count).toBe(after.retained.size);
    model = after;
    await reborn.close();
  }
  return moved;
}

test("notes, retained messages and queues survive together or not at all", async () => {
  let moved = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    try {
      moved += await run(seed);
    } catch (error) {
      throw new Error(`seed ${seed} (SIM_FIRST_SEED=${seed} SIM_SEEDS=1): ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
  expect(moved, "the cleaner had something to do").toBeGreaterThan(SEEDS);
}, 400_000);
