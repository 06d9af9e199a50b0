import { expect, test } from "vitest";
import { openFileEngine } from "../../engine/file/file-engine.ts";
import { SimDisk } from "../../engine/file/sim-disk.ts";
import { append, batchOf, committed, createStream, openWorld, valuesOf } from "./testing.ts";
import { isKept, type PartitionHandle } from "./types.ts";

test("a sync that fails is told to whoever waits, and ends that partition alone", async () => {
  // Without O_DSYNC: a write, and then a sync of its own.
  const disk = new SimDisk(undefined, false);
  const engine = await openFileEngine({ directory: "/data", disk });
  const world = await openWorld(engine);
  const partition = createStream(world, "broken").partitions[0] as PartitionHandle;
  const healthy = createStream(world, "healthy").partitions[0] as PartitionHandle;
  append(partition, ["kept"]);
  await committed(partition);

  const offset = append(partition, ["lost"]);
  const told: [string, boolean][] = [];
  const waiter = (name: string) => ({ reached: () => told.push([name, isKept(partition, offset)]) });
  partition.wait(offset, "committed", waiter("publisher"));
  partition.wait(1, "stable", waiter("reader"));
  let times = 1;
  disk.fault = ({ name, path }) =>
    name === "datasync" && path.includes("/logs/") && times-- > 0 ? "EIO" : null;
  await expect.poll(() => told.length).toBe(2);
  expect(told).toEqual([
    ["publisher", false],
    ["reader", false],
  ]);
  // A reader may wait on: for nothing, but without being told over and over.
  partition.wait(1, "stable", waiter("again"));
  expect(told.length).toBe(2);
  expect(await valuesOf(partition)).toEqual(["kept"]);
  const batch = batchOf(["too late"]);
  expect(partition.append(batch, 0, batch.length).refusal).toBe("storage");
  expect(() => partition.endTransaction(1, 0, true, 0)).toThrow();

  // What it leaves behind of its batches does not get into those of others.
  append(healthy, ["a"]);
  await committed(healthy);
  append(healthy, ["b", "c"]);
  await committed(healthy);
  expect(await valuesOf(healthy)).toEqual(["a", "b", "c"]);
  append(healthy, ["last"]);
  await expect(world.streams.close()).rejects.toThrow("stable storage");
  expect(healthy.committedOffset).toBe(4);
  await engine.close();
});
