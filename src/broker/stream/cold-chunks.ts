import type { ReadBuffers } from "./read-buffers.ts";
import type { Run, Runs } from "./runs.ts";
import type { StreamSlice } from "./types.ts";

/** Each holds a buffer of 1.3 MiB: readers beyond that many read what they ask for, and nothing ahead. */
const CHUNKS_MAX = 12;
/** A reader that is away for so long has no claim to its chunk when another needs one. */
const CLAIM_MS = 1000;
/** And loses it anyway after so long. */
const IDLE_MS = 10_000;

/** What one read of the disk brought: batches of a run, and perhaps others between them. */
export class Chunk {
  /** Whose it is: a partition has one of these. */
  readonly runs: Runs;
  readonly run: Run;
  readonly buffer: Uint8Array;
  readonly filled: number;
  /** Whatever the run has from here on ... */
  readonly from: number;
  /** ... to here is in it. */
  to: number;
  /** Where the last reader stopped, so that the next one need not begin at the front. */
  resumeOffset: number;
  resumeAt = 0;
  usedMs = 0;
  pins = 0;
  gone = false;
  /** Some reader has come to its end. */
  finished = false;

  constructor(runs: Runs, run: Run, from: number, buffer: Uint8Array, filled: number) {
    this.runs = runs;
    this.run = run;
    this.from = from;
    this.to = from;
    this.resumeOffset = from;
    this.buffer = buffer;
    this.filled = filled;
  }
}

/**
 * Chunks that readers of cold logs are going through, of all partitions: so that one read of the disk serves
 * many small ones, within bounded memory.
 */
export class ColdChunks {
  private readonly buffers: ReadBuffers;
  private readonly nowMs: () => number;
  private readonly chunks: Chunk[] = [];

  /** `nowMs`: a monotonic clock. */
  constructor(buffers: ReadBuffers, nowMs: () => number) {
    this.buffers = buffers;
    this.nowMs = nowMs;
  }

  /** The one that holds `offset`, or ends there. */
  find(runs: Runs, offset: number): Chunk | null {
    let ended: Chunk | null = null;
    for (const chunk of this.chunks) {
      if (chunk.runs !== runs || offset < chunk.from) continue;
      if (offset < chunk.to) return chunk;
      if (offset === chunk.to) ended = chunk;
    }
    return ended;
  }

  /** Makes room for one more. False: all are in use. */
  admit(): boolean {
    if (this.chunks.length < CHUNKS_MAX) return true;
    const claimedMs = this.nowMs() - CLAIM_MS;
    const spare = this.chunks.find((chunk) => chunk.finished || chunk.usedMs < claimedMs);
    if (spare === undefined) return false;
    this.evict(spare);
    return true;
  }

  keep(chunk: Chunk): void {
    this.chunks.push(chunk);
  }

  /** The slice's bytes lie in the chunk, which stays until the slice is released. */
  lend(chunk: Chunk, slice: StreamSlice): void {
    chunk.pins++;
    chunk.usedMs = this.nowMs();
    chunk.finished = slice.nextOffset >= chunk.to;
    slice.release = () => {
      slice.release = () => {};
      chunk.pins--;
      if (chunk.gone && chunk.pins === 0) this.buffers.give(chunk.buffer);
    };
  }

  /** What lies in the log is not what it was. */
  forget(runs: Runs): void {
    for (const chunk of this.chunks.filter((other) => other.runs === runs)) this.evict(chunk);
  }

  /** Gives memory back that nobody has used for a while. */
  sweep(): void {
    const idleMs = this.nowMs() - IDLE_MS;
    for (const chunk of this.chunks.filter(({ usedMs }) => usedMs < idleMs)) this.evict(chunk);
  }

  private evict(chunk: Chunk): void {
    this.chunks.splice(this.chunks.indexOf(chunk), 1);
    chunk.gone = true;
    if (chunk.pins === 0) this.buffers.give(chunk.buffer);
  }
}
