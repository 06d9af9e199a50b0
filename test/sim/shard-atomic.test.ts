// What a transaction rejects leaves in the transaction's batch, also when it has to come from the disk.
import { expect, test } from "vitest";
import { ManualClock } from "../../src/base/clock.ts";
import { SimDisk, seededRandom } from "../../src/engine/file/sim-disk.ts";
import { message, openWorld, takeAll, turns, type World } from "./world.ts";

const REJECTED = 20;

/** A queue with a dead-letter target; its messages are delivered, and then dropped from memory. */
async function pagedOut(): Promise<{ world: World; ledger: ReturnType<World["shard"]["openLedger"]> }> {
  const random = seededRandom(7);
  const world = await openWorld({
    disk: new SimDisk(random),
    clock: new ManualClock(),
    random,
    queues: [{ deadLetterExchange: "to:1" }, {}, {}],
    segmentBytes: 8 << 20,
    blocksMax: 8,
  });
  const ledger = world.shard.openLedger(() => {});
  const put = async (queue: number, number: number, size: number): Promise<void> => {
    world.shard.publisher.publish(
      [world.queues[queue] as World["queues"][0]],
      message(number, size),
      null,
      -1,
    );
    await new Promise<void>((resolve) => {
      world.shard.store.journal.waitFor({ committed: () => resolve() });
    });
  };
  for (let n = 1; n <= REJECTED; n++) await put(0, n, 1000);
  expect(await takeAll(world.queues[0] as World["queues"][0], ledger)).toHaveLength(REJECTED);
  for (let n = 100; n < 180; n++) await put(2, n, 60_000);
  const { store } = world.shard;
  expect(ledger.slotsOf(0, true).some((slot) => store.resident(slot))).toBe(false);
  return { world, ledger };
}

test("rejected messages are dead-lettered in the batch that settles them", async () => {
  const { world, ledger } = await pagedOut();
  const { store, deadLetters } = world.shard;
  const target = world.queues[1] as World["queues"][0];
  await new Promise<void>((resolve, reject) => {
    store.holdAll(ledger.slotsOf(0, true), (release) => {
      if (release === null) {
        reject(new Error("memory holds them"));
        return;
      }
      const before = store.journal.batch;
      // Something published meanwhile must not push them out again.
      deadLetters.together(() => {
        for (let n = 200; n < 240; n++)
          world.shard.publisher.publish(
            [world.queues[2] as World["queues"][0]],
            message(n, 60_000),
            null,
            -1,
          );
        ledger.reject(0, true, false);
      });
      expect([target.readyCount, store.journal.batch]).toEqual([REJECTED, before]);
      release();
      resolve();
    });
  });
  await turns(50);
  const numbers = await takeAll(
    target,
    world.shard.openLedger(() => {}),
  );
  expect(numbers).toEqual(Array.from({ length: REJECTED }, (_, i) => i + 1));
  await world.close();
});

test("what memory cannot hold is not begun", async () => {
  const { world, ledger } = await pagedOut();
  const { store } = world.shard;
  const big = await takeAll(world.queues[2] as World["queues"][0], ledger);
  const held = await new Promise((resolve) => store.holdAll(ledger.slotsOf(0, true), resolve));
  expect([big.length, held]).toEqual([80, null]);
  await world.close();
});
