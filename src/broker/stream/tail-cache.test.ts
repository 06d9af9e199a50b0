import { expect, test } from "vitest";
import { Arena, BLOCK_BYTES } from "../../base/arena.ts";
import { ManualClock } from "../../base/clock.ts";
import { Turn } from "../../base/turn.ts";
import { TailCache } from "./tail-cache.ts";

const BATCH = Buffer.alloc(BLOCK_BYTES / 2, "x");

function open(blocksMax: number) {
  const clock = new ManualClock();
  const cache = new TailCache(new Arena(16 << 20), new Turn(), clock, blocksMax * BLOCK_BYTES);
  const put = () => {
    const address = cache.put(BATCH, 0, BATCH.length);
    return { address, block: cache.block };
  };
  /** A block that is full and on the disk. */
  const fill = () => {
    const [first, second] = [put(), put()];
    cache.unpin(first.block);
    cache.unpin(second.block);
    return first.address;
  };
  return { clock, cache, put, fill };
}

test("keeps what is new, as far as the budget goes", () => {
  const { cache, fill } = open(3);
  const addresses = [fill(), fill(), fill(), fill(), fill()];
  expect(addresses.map((address) => cache.holds(address))).toEqual([false, false, true, true, true]);
  fill();
  expect(addresses.map((address) => cache.holds(address))).toEqual([false, false, false, true, true]);
});

test("lets go of what is old when more comes", () => {
  const { clock, cache, fill } = open(8);
  const [old, last] = [fill(), fill()];
  clock.advance("6s");
  expect(cache.holds(old)).toBe(true);
  const fresh = fill();
  // The last one was being filled until now.
  expect([old, last, fresh].map((address) => cache.holds(address))).toEqual([false, true, true]);
  expect(cache.memoryBytes).toBe(2 * BLOCK_BYTES);
});

test("never lets go of what a commit still writes from", () => {
  const { clock, cache, put, fill } = open(1);
  const writing = put();
  fill();
  fill();
  clock.advance("6s");
  fill();
  expect(cache.holds(writing.address)).toBe(true);
  cache.unpin(writing.block);
  expect(cache.holds(writing.address)).toBe(false);
});
