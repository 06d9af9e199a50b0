/**
 * The records in a batch (record-batch.ts), one after the other:
 *
 *   length varint | attributes i8 (0) | timestamp delta varlong | offset delta varint
 *   | key length varint (-1: null), key | value length varint (-1: null), value
 *   | number of headers varint, each: name length varint, name, value length varint (-1: null), value
 *
 * Varints are zigzag-coded, seven bits a byte, low bits first.
 */
import { decompress } from "./compression.ts";
import {
  ATTRIBUTE_APPEND_TIME,
  ATTRIBUTES_AT,
  BASE_OFFSET_AT,
  BASE_TIMESTAMP_AT,
  BATCH_OVERHEAD_BYTES,
  COMPRESSION_MASK,
  COUNT_AT,
  MAX_TIMESTAMP_AT,
  readI16,
  readI32,
  readI64,
} from "./record-batch.ts";

/** A batch whose records cannot be read: lengths that do not fit, a compression that is broken or unknown. */
export class MalformedRecords extends Error {
  override readonly name = "MalformedRecords";
}

export interface RecordHeader {
  readonly name: string;
  readonly value: Uint8Array | null;
}

/** Goes through the records of a batch. Reused; everything it says is about the current record. */
export class RecordCursor {
  /** Where the current record's key, value and headers lie: the batch's own bytes unless it was compressed. */
  bytes: Uint8Array = new Uint8Array(0);
  offset = 0;
  timestampMs = 0;
  /** -1: null. */
  keyStart = -1;
  keyEnd = -1;
  /** -1: null. */
  valueStart = -1;
  valueEnd = -1;
  headerCount = 0;
  /** Key, value and headers with their lengths: [fieldsStart, recordEnd), the same wherever a record is put. */
  fieldsStart = 0;
  recordEnd = 0;
  private headersAt = 0;
  private at = 0;
  private end = 0;
  private left = 0;
  private baseOffset = 0;
  private baseTimestampMs = 0;
  /** >= 0: every record has this timestamp. */
  private appendTimeMs = -1;

  /** Opens the whole batch at [start, end). @throws MalformedRecords */
  open(bytes: Uint8Array, start: number, end: number): void {
    const attributes = readI16(bytes, start + ATTRIBUTES_AT);
    const codec = attributes & COMPRESSION_MASK;
    this.baseOffset = readI64(bytes, start + BASE_OFFSET_AT);
    this.baseTimestampMs = readI64(bytes, start + BASE_TIMESTAMP_AT);
    this.appendTimeMs =
      (attributes & ATTRIBUTE_APPEND_TIME) === 0 ? -1 : readI64(bytes, start + MAX_TIMESTAMP_AT);
    this.left = readI32(bytes, start + COUNT_AT);
    if (codec === 0) {
      this.bytes = bytes;
      this.at = start + BATCH_OVERHEAD_BYTES;
      this.end = end;
      return;
    }
    this.bytes = decompress(codec, bytes.subarray(start + BATCH_OVERHEAD_BYTES, end));
    this.at = 0;
    this.end = this.bytes.length;
  }

  /** Goes to the next record; false behind the last. @throws MalformedRecords */
  next(): boolean {
    if (this.left <= 0) return false;
    this.left--;
    const length = this.varint();
    this.recordEnd = this.at + length;
    if (length < 0 || this.recordEnd > this.end) throw new MalformedRecords("a record goes over its batch");
    this.at++;
    const timestampDelta = this.varlong();
    this.timestampMs = this.appendTimeMs >= 0 ? this.appendTimeMs : this.baseTimestampMs + timestampDelta;
    this.offset = this.baseOffset + this.varint();
    this.fieldsStart = this.at;
    const keyBytes = this.varint();
    this.keyStart = keyBytes < 0 ? -1 : this.at;
    this.keyEnd = keyBytes < 0 ? -1 : this.skip(keyBytes);
    const valueBytes = this.varint();
    this.valueStart = valueBytes < 0 ? -1 : this.at;
    this.valueEnd = valueBytes < 0 ? -1 : this.skip(valueBytes);
    this.headerCount = this.varint();
    this.headersAt = this.at;
    if (this.at > this.recordEnd || this.headerCount < 0) {
      throw new MalformedRecords("a record's fields go over its end");
    }
    this.at = this.recordEnd;
    return true;
  }

  key(): Uint8Array | null {
    return this.keyStart < 0 ? null : this.bytes.subarray(this.keyStart, this.keyEnd);
  }

  value(): Uint8Array | null {
    return this.valueStart < 0 ? null : this.bytes.subarray(this.valueStart, this.valueEnd);
  }

  /** In order, duplicates kept; values are views. @throws MalformedRecords */
  headers(): RecordHeader[] {
    const found: RecordHeader[] = [];
    const resume = this.at;
    this.at = this.headersAt;
    for (let index = 0; index < this.headerCount; index++) {
      const nameBytes = this.varint();
      const nameAt = this.at;
      this.skip(nameBytes);
      const valueBytes = this.varint();
      const valueAt = this.at;
      const valueEnd = valueBytes < 0 ? -1 : this.skip(valueBytes);
      if (nameBytes < 0 || this.at > this.recordEnd) {
        throw new MalformedRecords("a record's headers go over its end");
      }
      const { buffer, byteOffset } = this.bytes;
      found.push({
        name: Buffer.from(buffer, byteOffset + nameAt, nameBytes).toString("utf8"),
        value: valueEnd < 0 ? null : this.bytes.subarray(valueAt, valueEnd),
      });
    }
    this.at = resume;
    return found;
  }

  private skip(count: number): number {
    this.at += count;
    if (this.at > this.recordEnd) throw new MalformedRecords("a record's fields go over its end");
    return this.at;
  }

  private varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.at >= this.end) throw new MalformedRecords("a batch ends within a record");
      const byte = this.bytes[this.at++] as number;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
    }
    throw new MalformedRecords("a number in a record is longer than it may be");
  }

  private varlong(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      if (this.at >= this.end) throw new MalformedRecords("a batch ends within a record");
      const byte = this.bytes[this.at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      scale *= 128;
    }
    throw new MalformedRecords("a number in a record is longer than it may be");
  }
}
