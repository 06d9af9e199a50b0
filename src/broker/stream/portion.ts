import type { Batch } from "../../engine/engine.ts";
import { HeadWriter } from "./heads.ts";
import type { CacheBlock, TailCache } from "./tail-cache.ts";

/** What of one partition becomes one batch of its log. Reused. */
export class Portion {
  readonly heads = new HeadWriter();
  bodyBytes = 0;
  /** The first batch begins a run. */
  beginsRun = false;
  /** Offset behind the last batch; -1 when it holds none. */
  endOffset = -1;
  baseOffset = -1;
  appendedMs = 0;
  /** Bytes, timestamps and so on of the batches are added to the index when the portion gets its place. */
  maxTimestampMs = -1;
  maxTimestampOffset = -1;
  /** Once this is durable the log may be cut here; -1: no cut. */
  trimPosition = -1;
  /** Called when it is durable. */
  onCommitted: (() => void) | null = null;
  /** Called when it never will be. */
  onLost: (() => void) | null = null;
  /** Called when it gets its place in the log. */
  onPlaced: ((position: number) => void) | null = null;
  private bodies: Uint8Array[] = [];
  private readonly blocks: CacheBlock[] = [];
  private rangeBytes: Uint8Array | null = null;
  private rangeStart = 0;
  private rangeEnd = 0;

  get empty(): boolean {
    return this.heads.count === 0;
  }

  /** Adds the batch that `cache.put` has just pinned. */
  add(cache: TailCache, length: number): void {
    const { bytes, at, block } = cache;
    this.blocks.push(block);
    if (bytes === this.rangeBytes && at === this.rangeEnd) this.rangeEnd += length;
    else {
      this.sealRange();
      this.rangeBytes = bytes;
      this.rangeStart = at;
      this.rangeEnd = at + length;
    }
    this.bodyBytes += length;
  }

  /** Adds bytes that stay as they are until the commit. */
  addOwned(bytes: Uint8Array): void {
    this.sealRange();
    this.bodies.push(bytes);
    this.bodyBytes += bytes.length;
  }

  batch(durability: "fsync" | "os"): Batch {
    this.sealRange();
    return {
      bodies: this.bodies,
      bodyBytes: this.bodyBytes,
      heads: this.heads.taken(),
      count: this.heads.count,
      durability,
    };
  }

  /** Lets go of memory after the commit, or when there will be none. */
  release(cache: TailCache): void {
    for (const block of this.blocks) cache.unpin(block);
    this.blocks.length = 0;
    this.bodies = [];
    this.rangeBytes = null;
    this.heads.clear();
    this.bodyBytes = 0;
    this.beginsRun = false;
    this.endOffset = -1;
    this.baseOffset = -1;
    this.maxTimestampMs = -1;
    this.maxTimestampOffset = -1;
    this.trimPosition = -1;
    this.onCommitted = null;
    this.onLost = null;
    this.onPlaced = null;
  }

  private sealRange(): void {
    if (this.rangeBytes === null) return;
    this.bodies.push(this.rangeBytes.subarray(this.rangeStart, this.rangeEnd));
    this.rangeBytes = null;
  }
}
