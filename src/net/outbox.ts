import { type Arena, DISCARD_OFFSET, LARGE_CHUNK_BYTES, SMALL_CHUNK_BYTES } from "../base/arena.ts";
import type { Flush, Turn } from "../base/turn.ts";
import type { ByteSink, Receipt } from "./byte-stream.ts";

/** Output in memory of the arena, which it is the receipt for when it is written alone. */
class Chunk implements Receipt {
  readonly offset: number;
  readonly size: number;
  used = 0;
  private readonly outbox: Outbox;

  constructor(outbox: Outbox, offset: number, size: number) {
    this.outbox = outbox;
    this.offset = offset;
    this.size = size;
  }

  done(): void {
    this.outbox.release(this);
  }
}

/** Up to here a loop is faster than an object that stands for the bytes. */
const LOOP_BYTES_MAX = 64;

/** What is written alone: sinks leave the array to its owner. */
const ONE: Uint8Array[] = [];

export interface OutboxEvents {
  /** Output has fallen under a quarter of the high-water mark after `full` was true. */
  drained(): void;
  /** Something is handed to the socket. */
  wrote(): void;
  /** The arena has no memory left for this output: the connection cannot go on. Called once. */
  exhausted(): void;
}

/**
 * Output of one connection: encoded straight into pooled arena memory and written once per turn.
 * Holds no memory while there is nothing to send.
 */
export class Outbox implements Flush {
  scheduled = false;
  /** The arena's bytes: encode at the offset that `reserve` returned. */
  readonly bytes: Uint8Array;
  /** Bytes encoded or handed to the kernel's queue and not yet taken by it. */
  pendingBytes = 0;
  private readonly arena: Arena;
  private readonly turn: Turn;
  private readonly sink: ByteSink;
  private readonly events: OutboxEvents;
  private current: Chunk | null = null;
  private queue: Chunk[] = [];
  private closed = false;
  private aboveHighWater = false;
  readonly highWaterBytes: number;

  constructor(arena: Arena, turn: Turn, sink: ByteSink, highWaterBytes: number, events: OutboxEvents) {
    this.arena = arena;
    this.bytes = arena.bytes;
    this.turn = turn;
    this.sink = sink;
    this.highWaterBytes = highWaterBytes;
    this.events = events;
  }

  /** True when the peer does not read fast enough, or never will: give it nothing that can wait. */
  get full(): boolean {
    const { pendingBytes } = this;
    if (pendingBytes < SMALL_CHUNK_BYTES) return false;
    if (pendingBytes < this.highWaterBytes && !this.arena.outputPressed) return false;
    this.aboveHighWater = true;
    return true;
  }

  /** Bytes that one answer may have now: less while many peers do not read, none while they hold half of the memory. */
  get allowanceBytes(): number {
    if (!this.arena.outputPressed) return this.highWaterBytes;
    return this.arena.outputScarce ? 0 : LARGE_CHUNK_BYTES;
  }

  /**
   * Offset of `count` contiguous writable bytes; follow with `advance`. count <= LARGE_CHUNK_BYTES.
   * Never throws: without memory the bytes go where nobody reads them, and the connection ends.
   */
  reserve(count: number): number {
    const chunk = this.current;
    if (chunk !== null && chunk.size - chunk.used >= count) return chunk.offset + chunk.used;
    return this.nextChunk(count);
  }

  advance(count: number): void {
    if (this.current === null) return;
    this.current.used += count;
    this.pendingBytes += count;
    if (!this.scheduled) this.turn.last(this);
  }

  /** Copies `length` bytes from anywhere; fastest when `source` is the arena itself. */
  copy(source: Uint8Array, offset: number, length: number): void {
    let [at, left] = [offset, length];
    while (left > 0 && !this.exhausted) {
      const chunk = this.current;
      const room = chunk === null ? 0 : chunk.size - chunk.used;
      if (room === 0) {
        this.nextChunk(Math.min(left, LARGE_CHUNK_BYTES));
        continue;
      }
      const part = Math.min(left, room);
      const target = this.reserve(part);
      if (source === this.bytes) this.bytes.copyWithin(target, at, at + part);
      else if (part > LOOP_BYTES_MAX) this.bytes.set(source.subarray(at, at + part), target);
      else for (let i = 0; i < part; i++) this.bytes[target + i] = source[at + i] as number;
      this.advance(part);
      at += part;
      left -= part;
    }
  }

  /** Writes all that was encoded, in one system call where possible. */
  run(): number {
    if (this.queue.length === 0) return this.runOne();
    this.seal();
    const chunks = this.queue;
    this.queue = [];
    if (this.closed || this.sink.destroyed) {
      for (const chunk of chunks) this.release(chunk);
      return 0;
    }
    this.events.wrote();
    let count = 0;
    const all: Uint8Array[] = [];
    for (const chunk of chunks) {
      all.push(this.bytesOf(chunk));
      count += chunk.used;
    }
    const release = (): void => {
      for (const chunk of chunks) this.release(chunk);
    };
    this.sink.write(all, { done: release });
    return count;
  }

  /** Flushes now and forgets what is written afterwards. */
  close(): void {
    // Nobody is to be told of room from in here.
    this.aboveHighWater = false;
    this.run();
    this.closed = true;
  }

  /** For the receipts of what was written. */
  release({ offset, size, used }: Chunk): void {
    this.pendingBytes -= used;
    if (size === SMALL_CHUNK_BYTES) this.arena.freeSmallChunk(offset);
    else if (size === LARGE_CHUNK_BYTES) this.arena.freeLargeChunk(offset);
    const low = this.arena.outputPressed ? 0 : this.highWaterBytes / 4;
    if (this.aboveHighWater && this.pendingBytes <= low) {
      this.aboveHighWater = false;
      if (!this.closed) this.events.drained();
    }
  }

  /** The usual case: what a turn has for one client fits in one chunk. */
  private runOne(): number {
    const chunk = this.current;
    if (chunk === null) return 0;
    this.current = null;
    const { used } = chunk;
    if (used === 0 || this.closed || this.sink.destroyed) {
      this.release(chunk);
      return 0;
    }
    this.events.wrote();
    ONE[0] = this.bytesOf(chunk);
    this.sink.write(ONE, chunk);
    return used;
  }

  private bytesOf({ offset, used }: Chunk): Uint8Array {
    return this.arena.buffer.subarray(offset, offset + used);
  }

  private get exhausted(): boolean {
    return this.pendingBytes === Number.POSITIVE_INFINITY;
  }

  private seal(): void {
    const chunk = this.current;
    if (chunk === null) return;
    this.current = null;
    if (chunk.used > 0) this.queue.push(chunk);
    else this.release(chunk);
  }

  private nextChunk(count: number): number {
    // A first small chunk keeps thousands of connections that get a few confirms cheap.
    const small = this.current === null && this.queue.length === 0 && count <= SMALL_CHUNK_BYTES;
    if (this.exhausted) return DISCARD_OFFSET;
    this.seal();
    const offset = small ? this.arena.allocateSmall() : this.arena.allocateLarge();
    if (offset < 0) {
      // From here on it is full for good: no consumer is given anything, and nothing drains.
      this.pendingBytes = Number.POSITIVE_INFINITY;
      this.events.exhausted();
      return DISCARD_OFFSET;
    }
    this.current = new Chunk(this, offset, small ? SMALL_CHUNK_BYTES : LARGE_CHUNK_BYTES);
    return offset;
  }
}
