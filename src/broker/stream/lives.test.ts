/** Partitions through many lives and deaths, by kill and by power loss, in the middle of any disk operation. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { openFileEngine } from "../../engine/file/file-engine.ts";
import { type Random, SimDisk, seededRandom } from "../../engine/file/sim-disk.ts";
import type { Partition } from "./partition.ts";
import { append, batchOf, committed, createStream, openWorld, readAll } from "./testing.ts";
import type { StreamConfig } from "./types.ts";

const RUNS = Number(process.env.POLYMQ_CRASH_RUNS ?? 60);
const LIVES = 6;
const KEYS = 5;
const PRODUCERS = [1, 2, 3];
const HOUR_MS = 3_600_000;

interface Transaction {
  readonly producerId: number;
  marker: number;
  commit: boolean;
}

interface Entry {
  readonly key: string;
  /** null: tombstone. */
  readonly value: string | null;
  readonly marker: boolean;
  readonly transaction: Transaction | null;
  readonly producerId: number;
  readonly sequence: number;
}

/** What was appended, by offset, and what of it was promised. */
class Model {
  entries: Entry[] = [];
  promised = 0;
  trimmed = 0;
  serial = 0;
  readonly open = new Map<number, Transaction>();
  readonly compacts: boolean;

  constructor(compacts: boolean) {
    this.compacts = compacts;
  }

  /** What came after `end` is gone, and with it the ends of transactions that lay there. */
  cut(end: number): void {
    this.entries.length = end;
    this.open.clear();
    for (const { transaction } of this.entries) {
      if (transaction === null || (transaction.marker >= 0 && transaction.marker < end)) continue;
      transaction.marker = -1;
      this.open.set(transaction.producerId, transaction);
    }
    this.promised = end;
  }

  nextSequence(producerId: number): number {
    const last = this.entries.findLast((entry) => entry.producerId === producerId && !entry.marker);
    return last === undefined ? 0 : last.sequence + 1;
  }

  aborted({ transaction }: Entry): boolean {
    return transaction !== null && transaction.marker >= 0 && !transaction.commit;
  }

  /** Whether cleaning may have taken the record at `offset` away. */
  removable(offset: number): boolean {
    const entry = this.entries[offset] as Entry;
    if (offset < this.trimmed) return true;
    if (!this.compacts) return false;
    if (entry.marker || entry.value === null || this.aborted(entry)) return true;
    return this.entries
      .slice(offset + 1)
      .some((later) => !later.marker && later.key === entry.key && !this.aborted(later));
  }
}

async function verify(partition: Partition, model: Model, label: string): Promise<void> {
  // Commits go on while it reads: what they add may be seen, and need not be.
  const end = partition.committedOffset;
  const stableEnd = partition.stableOffset;
  const found = await readAll(partition);
  const there = new Set(found.map(({ offset }) => offset));
  let last = -1;
  for (const { offset, key, value } of found) {
    const entry = model.entries[offset] as Entry;
    expect(offset, label).toBeGreaterThan(last);
    expect([key, value], `${label}, offset ${offset}`).toEqual(
      entry.marker ? [key, "(marker)"] : [entry.key, entry.value],
    );
    last = offset;
  }
  for (let offset = partition.startOffset; offset < end; offset++) {
    if (!there.has(offset))
      expect(model.removable(offset), `${label}, offset ${offset} is missing`).toBe(true);
  }
  await verifyStable(partition, model, there, stableEnd, label);
}

/** Nothing of an open or aborted transaction, and all the rest that is there. */
async function verifyStable(
  partition: Partition,
  model: Model,
  there: Set<number>,
  end: number,
  label: string,
): Promise<void> {
  const expected: number[] = [];
  for (let offset = partition.startOffset; offset < end; offset++) {
    const entry = model.entries[offset] as Entry;
    expect(entry.transaction?.marker, `${label}: ${offset} is not decided`).not.toBe(-1);
    if (there.has(offset) && !entry.marker && !model.aborted(entry)) expected.push(offset);
  }
  const found = await readAll(partition, partition.startOffset, "stable");
  const offsets = found.map(({ offset }) => offset).filter((offset) => offset < end);
  expect(offsets, `${label}, stable`).toEqual(expected);
}

/** What a start found against what was promised; from here on exactly that is there. */
async function settle(partition: Partition, model: Model, label: string): Promise<void> {
  expect(partition.endOffset, label).toBeGreaterThanOrEqual(model.promised);
  expect(partition.endOffset, label).toBeLessThanOrEqual(model.entries.length);
  expect(partition.committedOffset, label).toBe(partition.endOffset);
  model.cut(partition.endOffset);
  await verify(partition, model, label);
  for (const producerId of PRODUCERS) {
    const offset = model.entries.findLastIndex((entry) => entry.producerId === producerId && !entry.marker);
    const entry = model.entries[offset];
    if (entry === undefined || entry.transaction !== null) continue;
    const batch = batchOf([entry], { producerId, producerEpoch: 0, baseSequence: entry.sequence });
    const result = partition.append(batch, 0, batch.length);
    expect([result.duplicate, result.baseOffset], `${label}, producer ${producerId}`).toEqual([true, offset]);
  }
  // The coordinator of transactions remembers, and goes on.
  for (const producerId of model.open.keys()) partition.beginTransaction(producerId, 0);
}

function write(partition: Partition, model: Model, random: Random): void {
  const producerId = PRODUCERS[Math.floor(random() * PRODUCERS.length)] as number;
  const transaction = model.open.get(producerId) ?? null;
  for (let count = 1 + Math.floor(random() * 3); count > 0; count--) {
    const sequence = model.nextSequence(producerId);
    const key = `k${Math.floor(random() * KEYS)}`;
    const value = random() < 0.15 ? null : `${model.serial++} ${"x".repeat(random() * 300)}`;
    const fields = {
      producerId,
      producerEpoch: 0,
      baseSequence: sequence,
      attributes: transaction === null ? 0 : 0x10,
    };
    expect(append(partition, [{ key, value }], fields)).toBe(model.entries.length);
    model.entries.push({ key, value, marker: false, transaction, producerId, sequence });
  }
}

function transact(partition: Partition, model: Model, random: Random): void {
  const producerId = PRODUCERS[Math.floor(random() * PRODUCERS.length)] as number;
  const transaction = model.open.get(producerId);
  if (transaction === undefined) {
    partition.beginTransaction(producerId, 0);
    model.open.set(producerId, { producerId, marker: -1, commit: false });
    return;
  }
  transaction.commit = random() < 0.5;
  transaction.marker = partition.endTransaction(producerId, 0, transaction.commit, 0);
  expect(transaction.marker).toBe(model.entries.length);
  model.open.delete(producerId);
  model.entries.push({ key: "", value: null, marker: true, transaction, producerId, sequence: -1 });
}

interface Life {
  over: boolean;
}

/** What went to where small batches of many partitions become durable together. */
let journalWrites = 0;

async function act(
  partition: Partition,
  model: Model,
  random: Random,
  clock: ManualClock,
  life: Life,
): Promise<void> {
  for (let steps = Math.floor(random() * 40); steps >= 0 && !life.over; steps--) {
    const what = random();
    if (what < 0.55) write(partition, model, random);
    else if (what < 0.75) transact(partition, model, random);
    else if (what < 0.9) {
      const end = partition.endOffset;
      await committed(partition);
      if (!life.over) model.promised = Math.max(model.promised, end);
    } else if (what < 0.93) {
      model.trimmed = Math.floor((partition.startOffset + partition.committedOffset) / 2);
      partition.trim(model.trimmed);
    } else if (what < 0.95) clock.jump(HOUR_MS);
    else if (model.compacts) {
      await partition.clean();
      if (!life.over) await verify(partition, model, "after cleaning");
    }
  }
}

/** Rounds in which every partition has a part. */
async function writeTogether(
  pairs: readonly { readonly partition: Partition; readonly model: Model }[],
  random: Random,
  life: Life,
): Promise<void> {
  for (let rounds = Math.floor(random() * 8); rounds >= 0 && !life.over; rounds--) {
    for (const { partition, model } of pairs) write(partition, model, random);
    for (const { partition, model } of pairs) {
      const end = model.entries.length;
      await committed(partition);
      if (!life.over) model.promised = Math.max(model.promised, end);
    }
  }
}

async function live(
  disk: SimDisk,
  models: readonly Model[],
  random: Random,
  config: Partial<StreamConfig>,
  label: string,
): Promise<SimDisk> {
  disk.killAt =
    random() < 0.8
      ? disk.operations + 1 + Math.floor(random() * 120 * models.length)
      : Number.POSITIVE_INFINITY;
  disk.fault = ({ name, path }) => {
    if (name === "write" && path.startsWith("/data/journal/")) journalWrites++;
    return null;
  };
  let failure: unknown = null;
  const life: Life = { over: false };
  const clock = new ManualClock();
  const lived = (async () => {
    const engine = await openFileEngine({ directory: "/data", disk });
    const world = await openWorld(engine, { clock, cacheBytes: 1 });
    const stream = world.streams.find("/", "s") ?? createStream(world, "s", models.length, config);
    await new Promise<void>((resolve) => engine.meta.flush(resolve));
    const pairs = models.map((model, index) => ({ partition: stream.partitions[index] as Partition, model }));
    for (const [index, { partition, model }] of pairs.entries())
      await settle(partition, model, `${label}, partition ${index}`);
    if (pairs.length > 1) await writeTogether(pairs, random, life);
    await Promise.all(pairs.map(({ partition, model }) => act(partition, model, random, clock, life)));
    if (random() < 0.4) {
      await world.streams.close();
      await engine.close();
      if (!life.over) for (const model of models) model.promised = model.entries.length;
    }
  })().catch((error: unknown) => {
    failure = error;
  });
  await Promise.race([lived, disk.killed]);
  life.over = true;
  if (failure !== null) throw failure;
  return random() < 0.5 ? disk.afterPowerLoss(random) : disk.afterKill();
}

describe("a partition through many lives", () => {
  // Of many partitions small batches of a round become durable together.
  for (const [cleanup, partitions] of [
    ["delete", 1],
    ["compact", 1],
    ["delete", 6],
    ["compact", 5],
  ] as const) {
    it(
      `loses nothing that was promised and shows nothing that was taken back (${cleanup}, ${partitions})`,
      async () => {
        journalWrites = 0;
        await fc.assert(
          fc.asyncProperty(fc.nat(), async (seed) => {
            const random = seededRandom(seed);
            const models = Array.from({ length: partitions }, () => new Model(cleanup === "compact"));
            const config = {
              cleanup,
              segmentBytes: partitions > 1 ? 3_000 : 700,
              retentionMs: -1,
              tombstoneRetentionMs: HOUR_MS / 2,
            };
            let disk = new SimDisk(random);
            for (let count = 0; count < LIVES; count++) {
              disk = await live(disk, models, random, config, `seed ${seed}, life ${count}`);
            }
          }),
          { numRuns: Math.ceil(RUNS / partitions) },
        );
        expect(journalWrites > RUNS / 10).toBe(partitions > 1);
      },
      // A run computes for up to half a second, on a processor that may be shared with twenty others.
      120_000 + RUNS * 5_000,
    );
  }
});
