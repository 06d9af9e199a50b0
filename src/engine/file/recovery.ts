/**
 * Rebuilding what a log holds after any kind of end. The rules, explained in docs/storage.md:
 *
 * 1. Every batch says up to which position the log was on stable storage when it was written. The
 *    greatest such position among the newest whole batches is D: before D nothing may be missing.
 * 2. Batches are read in order until the chain breaks, at P. P < D is corruption. P >= D is a torn
 *    tail: bytes that a crash took before anybody could rely on them; the log is cut there.
 * 3. Bodies are checked too wherever they may not have been on stable storage (the segments that
 *    reach beyond D); elsewhere whoever reads a body checks it.
 */

import type { Logger } from "../../base/logger.ts";
import { CorruptionError, type RecoveredBatch } from "../engine.ts";
import { KIND_RECORDS, KIND_SEAL, logIdOf, SEGMENT_HEADER_BYTES } from "./batch-format.ts";
import type { Disk } from "./disk.ts";
import type { HandleCache } from "./handle-cache.ts";
import type { LogTail } from "./log-writer.ts";
import type { Segment } from "./segment.ts";
import { type ScanOptions, type SegmentScan, scanSegment, searchBatches } from "./segment-scan.ts";

/** Segments that are read at once. */
const SCANS_AHEAD_MAX = 4;
/** The visitor gets this much before others get their turn: some milliseconds of its work. */
const TURN_BYTES_MAX = 128 * 1024;
/** What a batch costs in that count besides its heads. */
const BATCH_COST_BYTES = 128;

export interface RecoveryContext {
  readonly disk: Disk;
  readonly handles: HandleCache;
  readonly logger: Logger;
  readonly logName: string;
  readonly directory: string;
  readonly epoch: number;
}

interface Cut {
  readonly index: number;
  readonly offset: number;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

class Recovery {
  private readonly context: RecoveryContext;
  private readonly segments: Segment[];
  private readonly visit: (batch: RecoveredBatch) => void;
  /** Scans made while looking for D, used again on the way forward. */
  private readonly scanned = new Map<number, Promise<SegmentScan>>();
  private durable = 0;
  /** The log ends in a seal and nothing is behind it: all of it is on stable storage. */
  private orderly = false;
  private sequence = -1;
  private turnBytes = 0;

  constructor(context: RecoveryContext, segments: Segment[], visit: (batch: RecoveredBatch) => void) {
    this.context = context;
    this.segments = segments;
    this.visit = visit;
  }

  async run(): Promise<LogTail> {
    await this.findDurable();
    const cut = await this.deliver();
    await this.secure(cut);
    const segments = this.segments.slice(0, cut.index + 1);
    return { segments, offset: cut.offset, sequence: this.sequence + 1 };
  }

  private options(index: number, verifyBodies: boolean): ScanOptions {
    const segment = this.segments[index];
    const limit =
      index + 1 < this.segments.length ? this.segments[index + 1].base - segment.base : segment.fileBytes;
    const { disk, epoch, logName } = this.context;
    return { disk, epoch, logId: logIdOf(logName), verifyBodies, limit: Math.min(limit, segment.fileBytes) };
  }

  private scan(index: number): Promise<SegmentScan> {
    const known = this.scanned.get(index);
    if (known !== undefined) return known;
    const segment = this.segments[index];
    const next = this.segments[index + 1];
    const options = this.options(index, next === undefined || next.base > this.durable);
    const scan = this.context.handles.use(segment.path, "read", (handle) =>
      scanSegment(segment, handle, options),
    );
    // A failure is met when its turn comes; until then it must not count as unhandled.
    scan.catch(() => {});
    this.scanned.set(index, scan);
    return scan;
  }

  /** From the newest segment back to the first that holds a whole batch. */
  private async findDurable(): Promise<void> {
    for (let index = this.segments.length - 1; index >= 0; index--) {
      const segment = this.segments[index];
      const options = this.options(index, true);
      const [scan, later] = await this.context.handles.use(segment.path, "read", async (handle) => {
        const chain = await scanSegment(segment, handle, options);
        return [chain, await searchBatches(segment, handle, chain.endOffset, options)] as const;
      });
      this.scanned.set(index, Promise.resolve(scan));
      const newest = scan.batches.at(-1)?.header;
      this.durable = Math.max(this.durable, newest?.durablePosition ?? 0, later);
      this.orderly =
        index === this.segments.length - 1 &&
        scan.endOffset === segment.fileBytes &&
        newest?.kind === KIND_SEAL;
      if (newest !== undefined || later >= 0) return;
    }
  }

  /** Visits the chain; returns where it ends. */
  private async deliver(): Promise<Cut> {
    for (let index = 0; ; index++) {
      for (let ahead = index; ahead < Math.min(index + SCANS_AHEAD_MAX, this.segments.length); ahead++)
        this.scan(ahead);
      const scan = await this.scan(index);
      this.scanned.delete(index);
      const first = scan.batches[0]?.header;
      const breaks = first !== undefined && this.sequence >= 0 && first.sequence !== this.sequence + 1;
      if (breaks) {
        const fault = `batch ${first.sequence} follows batch ${this.sequence} of the segment before`;
        return this.cutAt(index, 0, fault);
      }
      for (const { header, heads } of scan.batches) {
        this.sequence = header.sequence;
        if (header.kind === KIND_RECORDS) await this.hand(header.position, header.bodyBytes, heads);
      }
      const last = index === this.segments.length - 1;
      const whole =
        scan.fault === null &&
        scan.endOffset === (this.segments[index + 1]?.base ?? 0) - this.segments[index].base;
      if (last || !whole)
        return this.cutAt(index, scan.endOffset, scan.fault ?? "the segment ends too early");
    }
  }

  private async hand(position: number, bodyBytes: number, heads: Uint8Array): Promise<void> {
    this.visit({ position, bodyBytes, heads });
    this.turnBytes += heads.length + BATCH_COST_BYTES;
    if (this.turnBytes < TURN_BYTES_MAX) return;
    this.turnBytes = 0;
    await nextTurn();
  }

  private cutAt(index: number, endOffset: number, fault: string): Cut {
    const segment = this.segments[index];
    if (segment.base + endOffset < this.durable) {
      throw new CorruptionError(
        `${segment.path} is damaged at byte ${endOffset}: ${fault}, though the log was on stable storage up to byte ${this.durable - segment.base}`,
      );
    }
    return { index, offset: endOffset <= SEGMENT_HEADER_BYTES ? 0 : endOffset };
  }

  /** Takes away what lies behind the cut and brings what is left to stable storage: from now on it counts. */
  private async secure(cut: Cut): Promise<void> {
    const { disk, handles, logger, directory, logName } = this.context;
    const tail = this.segments[cut.index];
    const removed = this.segments.slice(cut.index + 1);
    for (const segment of removed.reverse()) {
      await handles.evict(segment.path);
      await disk.unlink(segment.path);
    }
    if (this.orderly && removed.length === 0) return;
    if (tail.fileBytes > cut.offset) {
      logger.info(
        { log: logName, file: tail.path, offset: cut.offset },
        "cutting the log behind its last whole batch",
      );
      await handles.use(tail.path, "write", (handle) => disk.truncate(handle, cut.offset));
      tail.fileBytes = cut.offset;
    }
    for (let index = 0; index <= cut.index; index++) {
      const end = index < cut.index ? this.segments[index + 1].base : Number.POSITIVE_INFINITY;
      if (end <= this.durable) continue;
      await handles.use(this.segments[index].path, "write", (handle) => disk.datasync(handle));
    }
    await disk.syncDirectory(directory);
  }
}

/**
 * Visits every whole batch of a log, cuts a torn tail off and returns where to go on.
 * `segments` must not be empty and ascend by base.
 * @throws CorruptionError when bytes are gone that were on stable storage
 */
export function recoverLog(
  context: RecoveryContext,
  segments: Segment[],
  visit: (batch: RecoveredBatch) => void,
): Promise<LogTail> {
  return new Recovery(context, segments, visit).run();
}
