// Publishers that each wait for their confirm share rounds, though they come back one after the other.
import { expect, test } from "vitest";
import { ManualClock } from "../../src/base/clock.ts";
import { SimDisk, seededRandom } from "../../src/engine/file/sim-disk.ts";
import { message, openWorld, turns } from "./world.ts";

const PUBLISHERS = 10;
const WAVES = 30;

async function batchesPerWave(publishers: number): Promise<number> {
  const random = seededRandom(3);
  const world = await openWorld({
    disk: new SimDisk(random),
    clock: new ManualClock(),
    random,
    queues: [{}],
  });
  const { store, publisher } = world.shard;
  const batches = new Set<number>();
  let left = publishers * WAVES;
  await new Promise<void>((resolve) => {
    const publish = (passes: number): void => {
      publisher.publish([world.queues[0] as (typeof world.queues)[0]], message(left, 100), null, -1);
      store.journal.waitFor({
        committed: (batch) => {
          batches.add(batch);
          if (--left === 0) resolve();
          // The answer goes out, and the client comes back with its next message.
          else if (left >= publishers) void turns(passes).then(() => publish(passes));
        },
      });
    };
    for (let i = 1; i <= publishers; i++) publish(i);
  });
  await world.close();
  return batches.size / WAVES;
}

test("a wave of publishers is one round and not two", async () => {
  expect(await batchesPerWave(PUBLISHERS)).toBeLessThan(1.5);
});

test("one publisher has a round for each message", async () => {
  expect(await batchesPerWave(1)).toBe(1);
});
