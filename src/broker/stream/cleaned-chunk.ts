import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_TRANSACTIONAL,
  ATTRIBUTES_AT,
  BASE_OFFSET_AT,
  BASE_SEQUENCE_AT,
  LAST_OFFSET_DELTA_AT,
  MAX_TIMESTAMP_AT,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  readI16,
  readI32,
  readI64,
} from "../../message/record-batch.ts";
import { FLAG_CLEANED, FLAG_CONTROL, FLAG_TRANSACTIONAL, RecordsHead } from "./heads.ts";

const FIRST_BYTES = 64 * 1024;

/** Batches that will take the place of others, and their heads. */
export class CleanedChunk {
  readonly from: number;
  readonly heads: RecordsHead[] = [];
  /** Offsets of markers that went: that they took something back must be forgotten with them. */
  readonly markersGone: number[] = [];
  bytes = 0;
  private buffer: Uint8Array = Buffer.allocUnsafeSlow(FIRST_BYTES);
  private readonly appendedMs: number;

  constructor(from: number, appendedMs: number) {
    this.from = from;
    this.appendedMs = appendedMs;
  }

  get body(): Uint8Array {
    return this.buffer.subarray(0, this.bytes);
  }

  add(source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (this.bytes + length > this.buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.bytes + length, this.buffer.length * 2));
      larger.set(this.body);
      this.buffer = larger;
    }
    this.buffer.set(source.subarray(start, end), this.bytes);
    this.bytes += length;
    const head = new RecordsHead();
    const attributes = readI16(source, start + ATTRIBUTES_AT);
    head.flags = FLAG_CLEANED;
    if ((attributes & ATTRIBUTE_TRANSACTIONAL) !== 0) head.flags |= FLAG_TRANSACTIONAL;
    if ((attributes & ATTRIBUTE_CONTROL) !== 0) head.flags |= FLAG_CONTROL;
    head.length = length;
    head.baseOffset = readI64(source, start + BASE_OFFSET_AT);
    head.lastOffsetDelta = readI32(source, start + LAST_OFFSET_DELTA_AT);
    head.maxTimestampMs = readI64(source, start + MAX_TIMESTAMP_AT);
    head.producerId = readI64(source, start + PRODUCER_ID_AT);
    head.producerEpoch = readI16(source, start + PRODUCER_EPOCH_AT);
    head.baseSequence = readI32(source, start + BASE_SEQUENCE_AT);
    head.appendedMs = this.appendedMs;
    this.heads.push(head);
  }
}
