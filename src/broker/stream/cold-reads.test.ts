import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Engine, Log, LogOptions } from "../../engine/engine.ts";
import { openFileEngine } from "../../engine/file/file-engine.ts";
import { append, committed, createStream, openWorld, readAll, valuesOf, type World } from "./testing.ts";
import type { PartitionHandle, StreamSlice } from "./types.ts";

let directory: string;
let engine: Engine;
let world: World;
/** Bytes asked for, by read of a log's bodies. */
let reads: number[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "polymq-cold-"));
  engine = await openFileEngine({ directory });
  reads = [];
  const openLog = engine.openLog.bind(engine);
  engine.openLog = async (name: string, options?: LogOptions): Promise<Log> => {
    const log = await openLog(name, options);
    const readBodies = log.readBodies.bind(log);
    log.readBodies = (position, target) => {
      reads.push(target.length);
      return readBodies(position, target);
    };
    return log;
  };
  world = await openWorld(engine, { cacheBytes: 512 * 1024, durability: "os" });
});

afterEach(async () => {
  await world.streams.close();
  await engine.close();
  rmSync(directory, { recursive: true, force: true });
});

const RECORD = "x".repeat(4_000);
const total = () => reads.reduce((sum, bytes) => sum + bytes, 0);

/** `count` batches of 4 KB, of which memory holds the last few. */
async function fill(partition: PartitionHandle, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    append(partition, [`${index} ${RECORD}`]);
    if (index % 10 === 9) await committed(partition);
  }
  await committed(partition);
  // What others write pushes it out.
  const [other] = createStream(world, `pushing ${partition.stream.name} ${partition.index}`).partitions;
  for (let index = 0; index < 200; index++) append(other as PartitionHandle, [RECORD]);
  await committed(other as PartitionHandle);
}

async function sizes(partition: PartitionHandle, bytesMax: number): Promise<number[]> {
  const found: number[] = [];
  for (let at = 0; at < partition.committedOffset; ) {
    const slice = await partition.load(at, bytesMax, "committed");
    found.push(slice.bytes);
    at = slice.nextOffset;
    slice.release();
  }
  return found;
}

describe("reads of a log that is not in memory", () => {
  test("many small ones share what one brings", async () => {
    const partition = createStream(world, "s").partitions[0] as PartitionHandle;
    await fill(partition, 1_000);
    const served = await sizes(partition, 16 * 1024);
    expect(served.length).toBeGreaterThan(200);
    expect(reads.length).toBeLessThan(8);
    expect(total()).toBeLessThan(1.5 * served.reduce((sum, bytes) => sum + bytes, 0));
    expect((await valuesOf(partition, 0, "committed")).length).toBe(1_000);
  });

  test("one batch costs little more than finding it", async () => {
    const partition = createStream(world, "s").partitions[0] as PartitionHandle;
    await fill(partition, 1_000);
    for (const offset of [17, 300, 611]) {
      reads = [];
      const slice = await partition.load(offset, 1, "committed");
      expect([slice.pieces.length, slice.nextOffset]).toEqual([1, offset + 1]);
      slice.release();
      expect(total()).toBeLessThan(160 * 1024);
    }
  });

  test("more readers than there is memory for, and slices that are held", async () => {
    const { partitions } = createStream(world, "s", 20);
    for (const partition of partitions) await fill(partition, 60);
    const held: StreamSlice[] = [];
    for (const partition of partitions) held.push(await partition.load(0, 20_000, "committed"));
    const all = await Promise.all(partitions.map((partition) => readAll(partition, 0, "committed", 9_000)));
    for (const records of all)
      expect(records.map(({ value }) => value)).toEqual(
        Array.from({ length: 60 }, (_, index) => `${index} ${RECORD}`),
      );
    for (const slice of held) {
      const [first] = slice.batches();
      const text = Buffer.from((first as { bytes: Uint8Array }).bytes).toString(
        "latin1",
        first?.start,
        first?.end,
      );
      expect(text).toContain(`0 ${RECORD}`);
      slice.release();
    }
  });

  test("what was cleaned away is not served from what was read ahead", async () => {
    const stream = createStream(world, "s", 1, { cleanup: "compact", segmentBytes: 100_000 });
    const [partition] = stream.partitions;
    for (let index = 0; index < 400; index++)
      append(partition as PartitionHandle, [{ key: `${index % 10}`, value: `${index} ${RECORD}` }]);
    await fill(partition as PartitionHandle, 0);
    await committed(partition as PartitionHandle);
    const before = await readAll(partition as PartitionHandle, 0, "committed", 20_000);
    expect(before.length).toBe(400);
    const first = await (partition as PartitionHandle).load(0, 20_000, "committed");
    first.release();
    await partition?.clean();
    const after = await readAll(partition as PartitionHandle, 0, "committed", 20_000);
    expect(after.length).toBeLessThan(100);
    expect(after.at(-1)).toEqual(before.at(-1));
  });
});
