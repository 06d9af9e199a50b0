import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { openFileEngine } from "../../engine/file/file-engine.ts";
import { SimDisk } from "../../engine/file/sim-disk.ts";
import {
  ATTRIBUTES_AT,
  BATCH_LEAD_BYTES,
  BATCH_OVERHEAD_BYTES,
  LENGTH_AT,
  readI16,
  sealBatch,
  writeI16,
  writeI32,
} from "../../message/record-batch.ts";
import type { Partition } from "./partition.ts";
import { append, batchOf, committed, createStream, openWorld, readAll, type World } from "./testing.ts";
import type { StreamConfig } from "./types.ts";

const HOUR_MS = 3_600_000;

let open: World | null = null;

afterEach(async () => {
  await open?.streams.close();
  await open?.engine.close();
  open = null;
});

async function world(disk = new SimDisk(), clock = new ManualClock()): Promise<World> {
  const engine = await openFileEngine({ directory: "/data", disk, clock: new ManualClock() });
  open = await openWorld(engine, { clock });
  return open;
}

/** The clock does not move by itself, so nothing is cleaned but where a test says so. */
async function compacted(overrides: Partial<StreamConfig> = {}): Promise<[World, Partition]> {
  const w = await world();
  const stream = createStream(w, "s", 1, { cleanup: "compact", segmentBytes: 1, ...overrides });
  return [w, stream.partitions[0] as Partition];
}

async function write(partition: Partition, ...records: (readonly [string, string | null])[]): Promise<void> {
  append(
    partition,
    records.map(([key, value]) => ({ key, value })),
  );
  await committed(partition);
}

async function shown(
  partition: Partition,
  isolation: "committed" | "stable" = "committed",
): Promise<string[]> {
  return (await readAll(partition, 0, isolation)).map(
    ({ offset, key, value }) => `${offset} ${key}=${value}`,
  );
}

describe("cleaning by key", () => {
  it("keeps the newest of each key where it was, and leaves the run that grows alone", async () => {
    const [, partition] = await compacted();
    await write(partition, ["a", "1"], ["b", "1"]);
    await write(partition, ["a", "2"], ["c", "1"]);
    await write(partition, ["a", "3"]);
    await write(partition, ["a", "4"]);
    await write(partition, ["a", "5"]);
    await partition.clean();
    expect(await shown(partition)).toEqual(["1 b=1", "3 c=1", "5 a=4", "6 a=5"]);
    expect([partition.startOffset, partition.endOffset]).toEqual([0, 7]);
    expect(await readAll(partition, 4)).toHaveLength(2);
  });

  it("gives the space back, and cleans what was cleaned before along with what is new", async () => {
    const [, partition] = await compacted({ segmentBytes: 10_000 });
    for (let round = 0; round < 4; round++) {
      for (let index = 0; index < 30; index++) {
        await write(partition, [`k${index % 5}`, `${round} ${index} ${"x".repeat(1_000)}`]);
      }
      await partition.clean();
      expect(partition.storedBytes).toBeLessThan(20_000);
    }
    await expect.poll(() => partition.written?.log?.storedBytes).toBeLessThan(100_000);
    const values = new Map((await readAll(partition)).map(({ key, value }) => [key, value?.slice(0, 4)]));
    expect(Object.fromEntries(values)).toEqual({
      k0: "3 25",
      k1: "3 26",
      k2: "3 27",
      k3: "3 28",
      k4: "3 29",
    });
  });

  it("lets a tombstone stay for its time after it was cleaned", async () => {
    const [w, partition] = await compacted({ tombstoneRetentionMs: HOUR_MS });
    await write(partition, ["a", "1"], ["b", "1"]);
    await write(partition, ["a", null]);
    await write(partition, ["z", "1"]);
    await partition.clean();
    expect(await shown(partition)).toEqual(["1 b=1", "2 a=null", "3 z=1"]);
    const [tombstone] = await readAll(partition, 2);
    expect(tombstone?.timestampMs).toBe(Date.UTC(2026, 0, 1));
    (w.clock as ManualClock).jump(HOUR_MS - 1);
    await write(partition, ["z", "2"]);
    await partition.clean();
    expect(await shown(partition)).toEqual(["1 b=1", "2 a=null", "3 z=1", "4 z=2"]);
    (w.clock as ManualClock).jump(2);
    await write(partition, ["z", "3"]);
    await partition.clean();
    expect(await shown(partition)).toEqual(["1 b=1", "4 z=2", "5 z=3"]);
  });

  it("takes out what was aborted, and keeps a marker as long as its records", async () => {
    const [w, partition] = await compacted({ tombstoneRetentionMs: HOUR_MS });
    const fields = (baseSequence: number, producerId = 4) =>
      ({ producerId, producerEpoch: 0, baseSequence, attributes: 0x10 }) as const;
    const batch = async (key: string, value: string, sequence: number): Promise<void> => {
      append(partition, [{ key, value }], fields(sequence));
      await committed(partition);
    };
    partition.beginTransaction(4, 0);
    await batch("a", "committed", 0);
    partition.endTransaction(4, 0, true, 0);
    partition.beginTransaction(4, 0);
    await batch("a", "aborted", 1);
    partition.endTransaction(4, 0, false, 0);
    partition.beginTransaction(4, 0);
    await batch("b", "open", 2);
    await write(partition, ["y", "1"]);
    await partition.clean();
    expect(await shown(partition, "stable")).toEqual(["0 a=committed"]);
    expect(await shown(partition)).toEqual([
      "0 a=committed",
      "1 \0\0\0\u0001=(marker)",
      "3 \0\0\0\0=(marker)",
      "4 b=open",
      "5 y=1",
    ]);
    partition.endTransaction(4, 0, true, 0);
    await write(partition, ["a", "plain"]);
    await write(partition, ["y", "2"]);
    (w.clock as ManualClock).jump(HOUR_MS + 1);
    await partition.clean();
    // The abort has served its time; the first commit has no record left, and stays for a while more.
    expect(await shown(partition)).toEqual([
      "1 \0\0\0\u0001=(marker)",
      "4 b=open",
      "5 y=1",
      "6 \0\0\0\u0001=(marker)",
      "7 a=plain",
      "8 y=2",
    ]);
    expect((await partition.load(0, 10_000, "stable")).aborted).toEqual([]);
    expect(await shown(partition, "stable")).toEqual(["4 b=open", "5 y=1", "7 a=plain", "8 y=2"]);
  });

  it("cleans compressed batches, which stay compressed", async () => {
    const [, partition] = await compacted();
    const plain = Buffer.from(
      batchOf([
        { key: "a", value: "1" },
        { key: "b", value: "1" },
      ]),
    );
    const records = gzipSync(plain.subarray(BATCH_OVERHEAD_BYTES));
    const packed = Buffer.concat([plain.subarray(0, BATCH_OVERHEAD_BYTES), records]);
    writeI16(packed, ATTRIBUTES_AT, 1);
    writeI32(packed, LENGTH_AT, packed.length - BATCH_LEAD_BYTES);
    sealBatch(packed, 0, packed.length);
    expect(partition.append(packed, 0, packed.length).refusal).toBe(null);
    await write(partition, ["a", "2"]);
    await write(partition, ["z", "1"]);
    await partition.clean();
    expect(await shown(partition)).toEqual(["1 b=1", "2 a=2", "3 z=1"]);
    const [first] = (await partition.load(0, 1, "committed")).batches();
    expect(first && readI16(first.bytes, first.start + ATTRIBUTES_AT) & 7).toBe(1);
  });

  it("goes in several passes over more keys than it can remember", async () => {
    const [, partition] = await compacted({ segmentBytes: 5_000 });
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < 200; index++) await write(partition, [`key ${index}`, `${round}`]);
    }
    await write(partition, ["end", "1"]);
    for (let pass = 0; pass < 20; pass++) await partition.clean(40);
    const found = await readAll(partition);
    const twice = found.filter(({ key }, index) => found.findIndex((other) => other.key === key) !== index);
    // Only what the run that grows holds may be there twice.
    expect(twice.length).toBeLessThan(70);
    expect(new Set(found.map(({ key }) => key)).size).toBe(201);
  });

  it("waits until there is enough to clean, and until it is old enough", async () => {
    const clock = new ManualClock();
    const w = await world(new SimDisk(), clock);
    const make = (name: string, overrides: Partial<StreamConfig>): Partition =>
      createStream(w, name, 1, { cleanup: "compact", segmentBytes: 1, ...overrides })
        .partitions[0] as Partition;
    const lazy = make("lazy", { dirtyRatioMin: 0.9 });
    const young = make("young", { compactionLagMinMs: HOUR_MS });
    const late = make("late", { segmentBytes: 1_000_000, compactionLagMaxMs: HOUR_MS });
    const all = [lazy, young, late];
    const twice = async (value: string): Promise<void> => {
      for (const partition of all) {
        const record = { key: "a", value, timestampMs: clock.now() };
        append(partition, [record, { ...record, key: value }]);
        append(partition, [record]);
        await committed(partition);
      }
    };
    const counts = async (): Promise<number[]> =>
      Promise.all(all.map(async (each) => (await readAll(each)).length));
    await twice("1");
    clock.advance(1_000);
    await expect.poll(counts).toEqual([3, 3, 3]);
    await twice("2");
    for (let second = 0; second < 20; second++) {
      clock.advance(1_000);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect((await counts())[1]).toBe(6);
    expect((await counts())[2]).toBe(6);
    clock.jump(HOUR_MS + 1);
    await expect
      .poll(async () => {
        clock.advance(1_000);
        return counts();
      })
      .toEqual([6, 4, 3]);
  });

  it("is found after a restart as it was", async () => {
    const disk = new SimDisk();
    const w = await world(disk);
    const stream = createStream(w, "s", 1, { cleanup: "compact", segmentBytes: 1 });
    const partition = stream.partitions[0] as Partition;
    for (let index = 0; index < 40; index++) await write(partition, [`k${index % 3}`, `${index}`]);
    await partition.clean();
    const before = await shown(partition);
    expect(before).toEqual(["36 k0=36", "37 k1=37", "38 k2=38", "39 k0=39"]);
    await w.streams.close();
    await w.engine.close();
    const again = await world(disk);
    const restored = again.streams.find("/", "s")?.partitions[0] as Partition;
    expect(await shown(restored)).toEqual(before);
    await write(restored, ["k1", "40"]);
    await write(restored, ["k2", "41"]);
    await restored.clean();
    expect(await shown(restored)).toEqual(["38 k2=38", "39 k0=39", "40 k1=40", "41 k2=41"]);
  });
});
