import { expect, it } from "vitest";
import { Arena, BLOCK_BYTES, LARGE_CHUNK_BYTES } from "../base/arena.ts";
import { Turn } from "../base/turn.ts";
import type { Receipt } from "./byte-stream.ts";
import { Outbox } from "./outbox.ts";

class FakeSocket {
  destroyed = false;
  readonly written: Buffer[] = [];
  write(parts: readonly Uint8Array[], receipt: Receipt): void {
    this.written.push(Buffer.concat(parts));
    receipt.done();
  }
}

function open(arena: Arena) {
  const socket = new FakeSocket();
  const events: string[] = [];
  const outbox = new Outbox(arena, new Turn(), socket, 1024 * 1024, {
    drained: () => events.push("drained"),
    wrote: () => events.push("wrote"),
    exhausted: () => {
      events.push("exhausted");
      socket.destroyed = true;
    },
  });
  return { outbox, socket, events };
}

function useUp(arena: Arena): number[] {
  const blocks: number[] = [];
  for (let block = arena.allocateBlock(); block >= 0; block = arena.allocateBlock()) blocks.push(block);
  return blocks;
}

it("writes what was encoded and copied, in order", () => {
  const { outbox, socket } = open(new Arena(4 * BLOCK_BYTES));
  outbox.bytes[outbox.reserve(1)] = 1;
  outbox.advance(1);
  outbox.copy(new Uint8Array(LARGE_CHUNK_BYTES + 5).fill(2), 0, LARGE_CHUNK_BYTES + 5);
  outbox.copy(Uint8Array.of(3), 0, 1);
  outbox.run();
  const all = Buffer.concat(socket.written);
  expect([all[0], all[1], all.at(-2), all.at(-1), all.length]).toEqual([1, 2, 2, 3, LARGE_CHUNK_BYTES + 7]);
  expect(outbox.pendingBytes).toBe(0);
});

it("without memory ends its own connection, throws nothing, and touches nobody's bytes", () => {
  const arena = new Arena(8 * BLOCK_BYTES);
  const other = open(arena);
  other.outbox.copy(Buffer.from("kept"), 0, 4);
  const blocks = useUp(arena);
  for (const block of blocks) arena.bytes.fill(7, block, block + BLOCK_BYTES);

  // The small chunks of the block that the other one opened are still to be had; a large one is not.
  const starved = open(arena);
  for (let i = 0; i < 3; i++) {
    const at = starved.outbox.reserve(LARGE_CHUNK_BYTES);
    starved.outbox.bytes.fill(9, at, at + LARGE_CHUNK_BYTES);
    starved.outbox.advance(LARGE_CHUNK_BYTES);
    starved.outbox.copy(new Uint8Array(100_000), 0, 100_000);
    expect(starved.outbox.full).toBe(true);
  }
  starved.outbox.run();
  starved.outbox.close();
  expect(starved.events).toEqual(["exhausted"]);
  expect(starved.socket.written).toEqual([]);

  for (const block of blocks) {
    expect(arena.bytes.subarray(block, block + BLOCK_BYTES).every((byte) => byte === 7)).toBe(true);
  }
  other.outbox.run();
  expect(Buffer.concat(other.socket.written).toString()).toBe("kept");
  expect(other.events).toEqual(["wrote"]);
});

it("gives back what it had when memory runs out halfway", () => {
  const arena = new Arena(4 * BLOCK_BYTES);
  const blocks = useUp(arena);
  arena.freeBlock(blocks[0] as number);
  const { outbox, events } = open(arena);
  outbox.copy(new Uint8Array(2 * BLOCK_BYTES), 0, 2 * BLOCK_BYTES);
  expect(events).toEqual(["exhausted"]);
  outbox.run();
  outbox.close();
  const chunks = Array.from({ length: BLOCK_BYTES / LARGE_CHUNK_BYTES }, () => arena.allocateLarge());
  expect(new Set(chunks).size).toBe(chunks.length);
  expect(chunks.every((chunk) => chunk >= (blocks[0] as number))).toBe(true);
});
