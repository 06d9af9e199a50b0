import { afterEach, expect, it } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { openFileEngine } from "../../engine/file/file-engine.ts";
import { SimDisk } from "../../engine/file/sim-disk.ts";
import type { Partition } from "./partition.ts";
import { append, committed, createStream, openWorld, valuesOf, type World } from "./testing.ts";
import type { StreamConfig } from "./types.ts";

const clock = new ManualClock();
let world: World;

afterEach(async () => {
  await world.streams.close();
  await world.engine.close();
});

async function partitionWith(overrides: Partial<StreamConfig>): Promise<Partition> {
  const engine = await openFileEngine({ directory: "/data", disk: new SimDisk() });
  world = await openWorld(engine, { clock });
  return createStream(world, "s", 1, overrides).partitions[0] as Partition;
}

async function write(partition: Partition, value: string): Promise<void> {
  append(partition, [{ value, timestampMs: clock.now() }]);
  await committed(partition);
}

it("gives up closed runs, and in the end all of them, when their newest record is too old", async () => {
  const partition = await partitionWith({ retentionMs: 60_000, segmentMs: 10_000 });
  for (let index = 0; index < 9; index++) {
    await write(partition, `v${index}`);
    clock.advance(5_000);
  }
  expect(partition.startOffset).toBe(0);
  clock.advance(25_000);
  expect(await valuesOf(partition)).toEqual(["v2", "v3", "v4", "v5", "v6", "v7", "v8"]);
  clock.advance(60_000);
  expect([partition.startOffset, partition.endOffset]).toEqual([9, 9]);
  await write(partition, "next");
  expect(await valuesOf(partition)).toEqual(["next"]);
});

it("keeps at least the bytes that were asked for, by whole runs, and gives back the rest", async () => {
  const partition = await partitionWith({ retentionMs: -1, retentionBytes: 20_000, segmentBytes: 5_000 });
  for (let index = 0; index < 30; index++) await write(partition, "x".repeat(2_000));
  clock.advance(1_000);
  expect(partition.storedBytes).toBeGreaterThanOrEqual(20_000);
  expect(partition.storedBytes).toBeLessThan(26_000);
  await expect.poll(() => partition.written?.log?.storedBytes).toBeLessThan(60_000);
});

it("keeps at least the number of records that was asked for", async () => {
  const partition = await partitionWith({ retentionMs: -1, retentionCount: 10, segmentBytes: 500 });
  for (let index = 0; index < 33; index++) await write(partition, "x".repeat(100));
  clock.advance(1_000);
  const kept = partition.endOffset - partition.startOffset;
  expect(kept).toBeGreaterThanOrEqual(10);
  expect(kept).toBeLessThan(14);
});

it("keeps everything where no bound is set", async () => {
  const partition = await partitionWith({ retentionMs: -1, segmentBytes: 500 });
  for (let index = 0; index < 10; index++) await write(partition, "x".repeat(400));
  // Not a year of sweeps, which would take as long as all other tests here.
  clock.jump(365 * 86_400_000);
  clock.advance("2s");
  expect(partition.startOffset).toBe(0);
});

it("forgets a producer that has written nothing for a day", async () => {
  const partition = await partitionWith({ retentionMs: -1 });
  append(partition, ["a"], { producerId: 1, producerEpoch: 0, baseSequence: 0 });
  await committed(partition);
  clock.advance("23h");
  append(partition, ["b"], { producerId: 2, producerEpoch: 0, baseSequence: 0 });
  clock.advance("2h");
  expect(append(partition, ["c"], { producerId: 1, producerEpoch: 0, baseSequence: 100 })).toBe(2);
  expect(() => append(partition, ["d"], { producerId: 2, producerEpoch: 0, baseSequence: 100 })).toThrow(
    "sequence-out-of-order",
  );
});
