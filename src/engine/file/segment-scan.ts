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

  /** Bytes `[offset, offset + length)` if they are at hand. Valid until `load`. */
  peek(offset: number, length: number): Uint8Array | null {
    const from = offset - this.start;
    if (from < 0 || from + length > this.length) return null;
    return this.buffer.subarray(from, from + length);
  }

  /** The same, fewer at the limit, reading `ahead` bytes when it must read. Valid until the next call. */
  async load(offset: number, length: number, ahead: number): Promise<Uint8Array> {
    const wanted = Math.min(length, Math.max(0, this.limit - offset));
    const atHand = this.peek(offset, wanted);
    if (atHand !== null) return atHand;
    const size = Math.min(Math.max(wanted, ahead), Math.max(0, this.limit - offset));
    if (this.buffer.length < size) this.buffer = new Uint8Array(size);
    this.length = await this.disk.read(this.handle, this.buffer.subarray(0, size), offset);
    this.start = offset;
    return this.buffer.subarray(0, Math.min(wanted, this.length));
  }
}

async function bodiesMatch(window: FileWindow, offset: number, header: BatchHeader): Promise<boolean> {
  let sum = 0;
  for (let done = 0; done < header.bodyBytes; ) {
    const part = await window.load(
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

const BODIES_FAULT = "bodies fail their checksum";
const HEADS_FAULT = "header and heads fail their checksum";

function headerAt(raw: Uint8Array, base: number, offset: number, options: ScanOptions): BatchHeader | string {
  const header = readBatchHeader(raw, options.logId, base + offset + BATCH_HEADER_BYTES);
  if (header === null) return "there is no batch header";
  if (header.epoch > options.epoch) return `the batch claims epoch ${header.epoch}, which has not been`;
  const end = offset + BATCH_HEADER_BYTES + header.bodyBytes + header.headBytes;
  return end > options.limit ? "the batch reaches over the end of the segment" : header;
}

/** Reads one batch that lies in the window as a whole, without a turn of the event loop; null when it does not. */
function batchAtHand(
  window: FileWindow,
  base: number,
  offset: number,
  options: ScanOptions,
): ScannedBatch | string | null {
  const raw = window.peek(offset, BATCH_HEADER_BYTES);
  if (raw === null) return null;
  const header = headerAt(raw, base, offset, options);
  if (typeof header === "string") return header;
  const bodyOffset = offset + BATCH_HEADER_BYTES;
  const heads = window.peek(bodyOffset + header.bodyBytes, header.headBytes);
  if (heads === null) return null;
  if (options.verifyBodies) {
    const bodies = window.peek(bodyOffset, header.bodyBytes);
    if (bodies === null) return null;
    if (crc32c(bodies) !== header.bodiesCrc) return BODIES_FAULT;
  }
  return headsMatch(raw, heads) ? { header, heads: heads.slice() } : HEADS_FAULT;
}

/** Reads one batch at `offset`; a string says why there is none. */
async function readBatch(
  window: FileWindow,
  base: number,
  offset: number,
  options: ScanOptions,
): Promise<ScannedBatch | string> {
  const raw = (await window.load(offset, BATCH_HEADER_BYTES, WINDOW_BYTES)).slice();
  const header = headerAt(raw, base, offset, options);
  if (typeof header === "string") return header;
  const bodyOffset = offset + BATCH_HEADER_BYTES;
  if (options.verifyBodies && !(await bodiesMatch(window, bodyOffset, header))) return BODIES_FAULT;
  const jumps = header.bodyBytes >= JUMP_BYTES_MIN;
  // One read brings the heads and the next batch's header.
  const ahead = jumps ? header.headBytes + BATCH_HEADER_BYTES : WINDOW_BYTES;
  const heads = (await window.load(bodyOffset + header.bodyBytes, header.headBytes, ahead)).slice();
  if (heads.length < header.headBytes) return "the heads are incomplete";
  return headsMatch(raw, heads) ? { header, heads } : HEADS_FAULT;
}

/** Reads the chain of batches from the segment's beginning until it ends or breaks. */
export async function scanSegment(
  segment: Segment,
  handle: number,
  options: ScanOptions,
): Promise<SegmentScan> {
  const window = new FileWindow(options.disk, handle, options.limit);
  const batches: ScannedBatch[] = [];
  const lead = await window.load(0, SEGMENT_HEADER_BYTES, options.verifyBodies ? WINDOW_BYTES : 4096);
  const fault = segmentHeaderFault(lead, options.logId, segment.base);
  if (fault !== null) return { batches, endOffset: 0, fault };
  let offset = SEGMENT_HEADER_BYTES;
  let previous: BatchHeader | null = null;
  while (offset < options.limit) {
    const found: ScannedBatch | string =
      batchAtHand(window, segment.base, offset, options) ??
      (await readBatch(window, segment.base, offset, options));
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
    const part = await window.load(at, WINDOW_BYTES, WINDOW_BYTES);
    if (part.length < BATCH_HEADER_BYTES) break;
    const index = Buffer.from(part.buffer, part.byteOffset, part.length).indexOf(BATCH_MAGIC_BYTES);
    if (index < 0) {
      at += part.length - BATCH_MAGIC_BYTES.length + 1;
      continue;
    }
    at += index;
    const found = await readBatch(window, segment.base, at, { ...options, verifyBodies: false });
    if (typeof found === "string") at++;
    else {
      durable = Math.max(durable, found.header.durablePosition);
      at += BATCH_HEADER_BYTES + found.header.bodyBytes + found.header.headBytes;
    }
  }
  return durable;
}
