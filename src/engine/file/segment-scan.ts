/** Reading a segment file's batches in order, and looking for batches behind a damaged place. */
import { crc32c } from "../../base/crc32c.ts";
import {
  BATCH_HEADER_BYTES,
  BATCH_MAGIC_BYTES,
  type BatchHeader,
  headsMatch,
  readBatchHeader,
  SEGMENT_HEADER_BYTES,
  segmentHeaderFault,
} from "./batch-format.ts";
import type { Disk } from "./disk.ts";
import type { Segment } from "./segment.ts";

/** Read ahead by this much while batches are small. */
const WINDOW_BYTES = 1 << 20;
/** From this body size on it is cheaper to jump over bodies than to read them. */
const JUMP_BYTES_MIN = 64 * 1024;

export interface ScannedBatch {
  readonly header: BatchHeader;
  readonly heads: Uint8Array;
}

export interface SegmentScan {
  readonly batches: ScannedBatch[];
  /** File offset behind the last whole batch; 0 when not even the segment header is good. */
  readonly endOffset: number;
  /** What is wrong at `endOffset`, or null when the limit was reached. */
  readonly fault: string | null;
}

/** A window over a file, moved forward by reads. */
class FileWindow {
  private readonly disk: Disk;
  private readonly handle: number;
  private readonly limit: number;
  private buffer = new Uint8Array(0);
  private start = 0;
  private length = 0;

  constructor(disk: Disk, handle: number, limit: number) {
    this.disk = disk;
    this.handle = handle;
    this.limit = limit;
  }

  /** Bytes `[offset, offset + length)`, fewer at the limit. Valid until the next call. Reads `ahead` bytes when it must read. */
  async view(offset: number, length: number, ahead: number): Promise<Uint8Array> {
    const wanted = Math.min(length, Math.max(0, this.limit - offset));
    if (offset < this.start || offset + wanted > this.start + this.length) {
      const size = Math.min(Math.max(wanted, ahead), Math.max(0, this.limit - offset));
      if (this.buffer.length < size) this.buffer = new Uint8Array(size);
      this.length = await this.disk.read(this.handle, this.buffer.subarray(0, size), offset);
      this.start = offset;
    }
    const from = offset - this.start;
    return this.buffer.subarray(from, Math.min(from + wanted, this.length));
  }
}

async function bodiesMatch(window: FileWindow, offset: number, header: BatchHeader): Promise<boolean> {
  let sum = 0;
  for (let done = 0; done < header.bodyBytes; ) {
    const part = await window.view(
      offset + done,
      Math.min(WINDOW_BYTES, header.bodyBytes - done),
      WINDOW_BYTES,
    );
    if (part.length === 0) return false;
    sum = crc32c(part, 0, part.length, sum);
    done += part.length;
  }
  return sum === header.bodiesCrc;
}

export interface ScanOptions {
  readonly disk: Disk;
  readonly logId: number;
  /** Epoch of the running engine: nothing can come from a later one. */
  readonly epoch: number;
  /** Check the bodies too, not the heads alone. */
  readonly verifyBodies: boolean;
  /** Where the segment ends: the next one's base, or the file's end. */
  readonly limit: number;
}

/** Reads one batch at `offset`; a string says why there is none. */
async function readBatch(
  window: FileWindow,
  segment: Segment,
  offset: number,
  options: ScanOptions,
): Promise<ScannedBatch | string> {
  const bodyOffset = offset + BATCH_HEADER_BYTES;
  const raw = await window.view(offset, BATCH_HEADER_BYTES, WINDOW_BYTES);
  const header = readBatchHeader(raw, options.logId, segment.base + bodyOffset);
  if (header === null) return "there is no batch header";
  if (header.epoch > options.epoch) return `the batch claims epoch ${header.epoch}, which has not been`;
  const headsOffset = bodyOffset + header.bodyBytes;
  if (headsOffset + header.headBytes > options.limit) return "the batch reaches over the end of the segment";
  const rawHeader = raw.slice();
  if (options.verifyBodies && !(await bodiesMatch(window, bodyOffset, header)))
    return "bodies fail their checksum";
  const jumps = header.bodyBytes >= JUMP_BYTES_MIN;
  const ahead = jumps ? header.headBytes + BATCH_HEADER_BYTES : WINDOW_BYTES;
  // One read brings the heads and the next batch's header.
  const found = await window.view(headsOffset, header.headBytes, ahead);
  if (found.length < header.headBytes) return "the heads are incomplete";
  const heads = found.slice();
  return headsMatch(rawHeader, heads) ? { header, heads } : "header and heads fail their checksum";
}

/** Reads the chain of batches from the segment's beginning until it ends or breaks. */
export async function scanSegment(
  segment: Segment,
  handle: number,
  options: ScanOptions,
): Promise<SegmentScan> {
  const window = new FileWindow(options.disk, handle, options.limit);
  const batches: ScannedBatch[] = [];
  const lead = await window.view(0, SEGMENT_HEADER_BYTES, options.verifyBodies ? WINDOW_BYTES : 4096);
  const fault = segmentHeaderFault(lead, options.logId, segment.base);
  if (fault !== null) return { batches, endOffset: 0, fault };
  let offset = SEGMENT_HEADER_BYTES;
  let previous: BatchHeader | null = null;
  while (offset < options.limit) {
    const found: ScannedBatch | string = await readBatch(window, segment, offset, options);
    if (typeof found === "string") return { batches, endOffset: offset, fault: found };
    const { header } = found;
    if (previous !== null && (header.sequence !== previous.sequence + 1 || header.epoch < previous.epoch)) {
      return {
        batches,
        endOffset: offset,
        fault: `batch ${header.sequence} follows batch ${previous.sequence}`,
      };
    }
    batches.push(found);
    previous = header;
    offset += BATCH_HEADER_BYTES + header.bodyBytes + header.headBytes;
  }
  return { batches, endOffset: offset, fault: null };
}

/**
 * Looks for whole batches behind a place where the chain broke. Returns the greatest durable position
 * that any of them names, or -1 when there is none.
 */
export async function searchBatches(
  segment: Segment,
  handle: number,
  fromOffset: number,
  options: ScanOptions,
): Promise<number> {
  const window = new FileWindow(options.disk, handle, options.limit);
  let durable = -1;
  for (let at = fromOffset; at + BATCH_HEADER_BYTES <= options.limit; ) {
    const part = await window.view(at, WINDOW_BYTES, WINDOW_BYTES);
    if (part.length < BATCH_HEADER_BYTES) break;
    const index = Buffer.from(part.buffer, part.byteOffset, part.length).indexOf(BATCH_MAGIC_BYTES);
    if (index < 0) {
      at += part.length - BATCH_MAGIC_BYTES.length + 1;
      continue;
    }
    at += index;
    const found = await readBatch(window, segment, at, { ...options, verifyBodies: false });
    if (typeof found === "string") at++;
    else {
      durable = Math.max(durable, found.header.durablePosition);
      at += BATCH_HEADER_BYTES + found.header.bodyBytes + found.header.headBytes;
    }
  }
  return durable;
}
