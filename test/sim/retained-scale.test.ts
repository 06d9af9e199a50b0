/** Many retained messages: what each costs besides its bytes, and how much of a turn a subscriber to all of them takes. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { ManualClock } from "../../src/base/clock.ts";
import type { StoredMessage } from "../../src/broker/types.ts";
import { SimDisk, seededRandom } from "../../src/engine/file/sim-disk.ts";
import { message, openWorld, turns } from "./world.ts";

const TOPICS = 100_000;
/** A row of the table, a node of the tree and its word: measured 84. */
const BYTES_EACH_MAX = 120;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Bytes in typed arrays and in the heap. */
async function memory(): Promise<number> {
  // What a first collection has unlinked, a later one gives back.
  for (let i = 0; i < 5; i++) {
    collectGarbage();
    await turns(2);
  }
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return arrayBuffers + heapUsed;
}

test("a hundred thousand take little memory, and never a turn for themselves", async () => {
  const clock = new ManualClock();
  const disk = new SimDisk(seededRandom(1));
  // Their bodies are on disk, but for two blocks: what is measured is what has to be in memory.
  const options = {
    disk,
    clock,
    random: Math.random,
    queues: [{}],
    segmentBytes: 4 * 1024 * 1024,
    blocksMax: 2,
  };
  const world = await openWorld(options);
  for (let i = 0; i < TOPICS; i++) {
    world.shard.retained.put("/", `site.${i % 100}.device.${i}`, message(i, 8, true, 0, "", `k`), null, -1);
    if (i % 1000 === 999) await turns(2);
  }
  await turns(50);
  expect(world.shard.retained.count).toBe(TOPICS);
  await world.close();

  const before = await memory();
  const reborn = await openWorld(options);
  const grown = (await memory()) - before - 32 * 1024 * 1024;
  expect(reborn.shard.retained.count).toBe(TOPICS);
  expect(grown / TOPICS).toBeLessThan(BYTES_EACH_MAX);

  let got = 0;
  let done = false;
  reborn.shard.retained.walk(
    "/",
    { pattern: "site.#", one: "+", guarded: true },
    {
      writable: true,
      retained: (_kept: StoredMessage) => {
        got++;
      },
      finished: () => {
        done = true;
      },
    },
  );
  let most = 0;
  while (!done) {
    const earlier = got;
    await turns(1);
    most = Math.max(most, got - earlier);
  }
  expect(got).toBe(TOPICS);
  expect(most).toBeLessThanOrEqual(1024);
  await reborn.close();
  // The first shard's memory was counted before: it must not have gone meanwhile.
  expect(world.shard.retained.count).toBe(TOPICS);
}, 300_000);
