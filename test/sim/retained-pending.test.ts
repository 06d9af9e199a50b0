/** Subscribers who come while retained messages are on their way to the disk. */
import { expect, test } from "vitest";
import { ManualClock } from "../../src/base/clock.ts";
import { SimDisk, seededRandom } from "../../src/engine/file/sim-disk.ts";
import { message, numberOf, openWorld, turns } from "./world.ts";

test("what was published before is seen once it is durable, what is published later is left to come as news", async () => {
  const random = seededRandom(1);
  const disk = new SimDisk(random);
  const world = await openWorld({
    disk,
    clock: new ManualClock(),
    random,
    queues: [{}],
  });
  const { retained } = world.shard;
  const put = (key: string, number: number, more = {}) =>
    retained.put("/", key, { ...message(number, 8, true, 0, "", key), ...more }, null, -1);
  for (const key of ["kept", "replaced", "removed"]) put(key, 1);
  await turns(50);

  const release = disk.stall();
  put("new", 2);
  put("replaced", 3);
  put("removed", 4, { bodyBytes: 0 });
  const seen: [string, number][] = [];
  let finished = 0;
  retained.walk(
    "/",
    { pattern: "#", one: "+", guarded: true },
    {
      writable: true,
      retained: (kept) => seen.push([kept.record.routingKey(), numberOf(kept)]),
      finished: () => finished++,
    },
  );
  put("later", 5);
  await turns(50);
  expect(seen).toEqual([]);
  release();
  await turns(50);

  expect(finished).toBe(1);
  expect(seen.sort()).toEqual([
    ["kept", 1],
    ["new", 2],
    ["replaced", 3],
  ]);
  await world.close();
});
