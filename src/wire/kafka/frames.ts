import { readU32 } from "../../message/record.ts";
import { MalformedError } from "./codec/reader.ts";

/** Of a frame: its size as a signed 32-bit number, before the bytes it counts. */
const SIZE_BYTES = 4;
/** A frame up to this size is left with the transport until all of it is there. */
export const WAITING_BYTES_MAX = 4096;
/** Memory for a frame is taken at once up to this size; beyond it grows with what comes. */
const TAKEN_AT_ONCE_BYTES_MAX = 2 * 1024 * 1024;
const SMALLEST_CLASS = 14;
const POOLED_BYTES_MAX = 16 * 1024 * 1024;

/** Where whole frames go. */
export interface FrameSink {
  /** [start, end) of `bytes` is a frame without its size; valid during the call only. */
  frame(bytes: Uint8Array, start: number, end: number): void;
  /** False: no more frames now. */
  readonly ready: boolean;
  /** Frames may not be larger; asked anew for each. */
  readonly frameBytesMax: number;
}

/** Memory for frames that come in pieces, shared by all connections and bounded together. */
export class FramePool {
  /** Largest number of bytes that frames in pieces may have between them. */
  readonly bytesMax: number;
  private reservedBytes = 0;
  private pooledBytes = 0;
  /** By the power of two that is their size. */
  private readonly free: Buffer[][] = [];
  private readonly waiting = new Set<() => void>();

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** All of a frame's size, before any of it is read: whoever has that can finish. False: not now. */
  reserve(bytes: number): boolean {
    if (this.reservedBytes > 0 && this.reservedBytes + bytes > this.bytesMax) return false;
    this.reservedBytes += bytes;
    return true;
  }

  unreserve(bytes: number): void {
    this.reservedBytes -= bytes;
    if (this.waiting.size === 0) return;
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const retry of waiting) retry();
  }

  /** `retry` is called once, when there may be room again. */
  wait(retry: () => void): void {
    this.waiting.add(retry);
  }

  cancelWait(retry: () => void): void {
    this.waiting.delete(retry);
  }

  take(bytes: number): Buffer {
    const sizeClass = classOf(bytes);
    const pooled = this.free[sizeClass]?.pop();
    if (pooled === undefined) return Buffer.allocUnsafeSlow(2 ** sizeClass);
    this.pooledBytes -= pooled.length;
    return pooled;
  }

  give(buffer: Buffer): void {
    if (this.pooledBytes + buffer.length > POOLED_BYTES_MAX) return;
    this.pooledBytes += buffer.length;
    const sizeClass = classOf(buffer.length);
    this.free[sizeClass] ??= [];
    this.free[sizeClass].push(buffer);
  }
}

function classOf(bytes: number): number {
  return Math.max(SMALLEST_CLASS, Math.ceil(Math.log2(bytes)));
}

/**
 * Cuts what a connection receives into frames. One that is whole in a chunk is taken where it lies; one
 * that is not is put together in memory of its own, each byte copied once.
 */
export class FrameReader {
  private readonly pool: FramePool;
  private readonly sink: FrameSink;
  private buffer: Buffer | null = null;
  private size = 0;
  private received = 0;
  /** Size of the frame that there is no memory for now, or 0. */
  starved = 0;

  constructor(pool: FramePool, sink: FrameSink) {
    this.pool = pool;
    this.sink = sink;
  }

  /** In the middle of a frame that came in pieces. */
  get unfinished(): boolean {
    return this.buffer !== null;
  }

  /**
   * Takes what it can of [start, end); returns up to where. What is left is the beginning of a small
   * frame, or the sink is not ready, or there is no memory for the next frame now (`starved`).
   * @throws MalformedError for a size that no frame may have
   */
  read(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    this.starved = 0;
    if (this.buffer !== null) {
      at = this.fill(bytes, at, end);
      if (this.received < this.size) return at;
      this.finish();
    }
    const { sink } = this;
    while (sink.ready && end - at >= SIZE_BYTES) {
      const size = readU32(bytes, at) | 0;
      if (size < 0 || size > sink.frameBytesMax) throw new MalformedError(`a frame of ${size} bytes`);
      const next = at + SIZE_BYTES + size;
      if (next <= end) {
        sink.frame(bytes, at + SIZE_BYTES, next);
        at = next;
        continue;
      }
      if (size <= WAITING_BYTES_MAX) return at;
      if (!this.pool.reserve(size)) {
        this.starved = size;
        return at;
      }
      this.size = size;
      this.received = 0;
      this.buffer = this.pool.take(Math.min(size, TAKEN_AT_ONCE_BYTES_MAX));
      return this.fill(bytes, at + SIZE_BYTES, end);
    }
    return at;
  }

  /** Lets go of its memory. */
  close(): void {
    if (this.buffer === null) return;
    this.pool.give(this.buffer);
    this.pool.unreserve(this.size);
    this.buffer = null;
  }

  private fill(bytes: Uint8Array, start: number, end: number): number {
    const part = Math.min(end - start, this.size - this.received);
    const needed = this.received + part;
    let buffer = this.buffer as Buffer;
    if (needed > buffer.length) {
      const grown = this.pool.take(Math.min(this.size, Math.max(needed, buffer.length * 2)));
      buffer.copy(grown, 0, 0, this.received);
      this.pool.give(buffer);
      this.buffer = buffer = grown;
    }
    buffer.set(bytes.subarray(start, start + part), this.received);
    this.received = needed;
    return start + part;
  }

  private finish(): void {
    const buffer = this.buffer as Buffer;
    this.buffer = null;
    try {
      this.sink.frame(buffer, 0, this.size);
    } finally {
      this.pool.give(buffer);
      this.pool.unreserve(this.size);
    }
  }
}
