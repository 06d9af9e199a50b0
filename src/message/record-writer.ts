/** Builds record batches; the format is drawn in record-batch.ts and record-cursor.ts. */
import { compress } from "./compression.ts";
import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_TRANSACTIONAL,
  ATTRIBUTES_AT,
  BASE_OFFSET_AT,
  BASE_SEQUENCE_AT,
  BASE_TIMESTAMP_AT,
  BATCH_LEAD_BYTES,
  BATCH_MAGIC,
  BATCH_OVERHEAD_BYTES,
  COMPRESSION_MASK,
  COUNT_AT,
  LAST_OFFSET_DELTA_AT,
  LEADER_EPOCH_AT,
  LENGTH_AT,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  readI16,
  sealBatch,
  writeI16,
  writeI32,
  writeI64,
} from "./record-batch.ts";
import type { RecordHeader } from "./record-cursor.ts";

const NO_HEADERS: readonly RecordHeader[] = [];
const FIRST_BYTES = 4096;

/** Batch fields that do not follow from the records. */
export interface BatchFields {
  attributes: number;
  producerId: number;
  producerEpoch: number;
  baseSequence: number;
}

const PLAIN: BatchFields = { attributes: 0, producerId: -1, producerEpoch: -1, baseSequence: -1 };

/** Reused from batch to batch. The batch is `bytes[0, end)` after `finish`, until the next `begin`. */
export class RecordWriter {
  bytes: Uint8Array;
  private at = BATCH_OVERHEAD_BYTES;
  private records = 0;
  private baseOffset = 0;
  private lastOffset = 0;
  private baseTimestampMs = 0;
  private maxTimestampMs = 0;
  private givenBaseTimestamp = false;

  constructor(bytes: Uint8Array = Buffer.allocUnsafe(FIRST_BYTES)) {
    this.bytes = bytes;
  }

  get count(): number {
    return this.records;
  }

  /** Bytes of the batch so far. */
  get length(): number {
    return this.at;
  }

  /** `baseTimestampMs`: when that is not the first record's. */
  begin(baseOffset = 0, baseTimestampMs?: number): void {
    this.at = BATCH_OVERHEAD_BYTES;
    this.records = 0;
    this.givenBaseTimestamp = baseTimestampMs !== undefined;
    this.baseTimestampMs = baseTimestampMs ?? 0;
    this.baseOffset = baseOffset;
    this.lastOffset = baseOffset - 1;
  }

  /** Appends a record with the next offset, or with `offset`, which must be higher than the last one's. */
  add(
    timestampMs: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] = NO_HEADERS,
    offset = this.lastOffset + 1,
  ): void {
    let headersBytes = varintBytes(headers.length);
    for (let index = 0; index < headers.length; index++)
      headersBytes += headerBytes(headers[index] as RecordHeader);
    this.open(timestampMs, offset, fieldBytes(key) + fieldBytes(value) + headersBytes);
    this.field(key);
    this.field(value);
    this.varint(headers.length);
    for (let index = 0; index < headers.length; index++) this.header(headers[index] as RecordHeader);
  }

  /** Appends a record whose key, value and headers are `bytes[start, end)`, as they stand in another batch. */
  addFields(timestampMs: number, offset: number, bytes: Uint8Array, start: number, end: number): void {
    this.open(timestampMs, offset, end - start);
    this.bytes.set(bytes.subarray(start, end), this.at);
    this.at += end - start;
  }

  /** Writes the batch's header and returns its length. `lastOffset`: when that is beyond the last record's. */
  finish(fields: BatchFields = PLAIN, lastOffset = this.lastOffset): number {
    const { bytes } = this;
    writeI64(bytes, BASE_OFFSET_AT, this.baseOffset);
    writeI32(bytes, LENGTH_AT, this.at - BATCH_LEAD_BYTES);
    writeI32(bytes, LEADER_EPOCH_AT, 0);
    bytes[MAGIC_AT] = BATCH_MAGIC;
    writeI16(bytes, ATTRIBUTES_AT, fields.attributes);
    writeI32(bytes, LAST_OFFSET_DELTA_AT, lastOffset - this.baseOffset);
    writeI64(bytes, BASE_TIMESTAMP_AT, this.baseTimestampMs);
    writeI64(bytes, MAX_TIMESTAMP_AT, this.maxTimestampMs);
    writeI64(bytes, PRODUCER_ID_AT, fields.producerId);
    writeI16(bytes, PRODUCER_EPOCH_AT, fields.producerEpoch);
    writeI32(bytes, BASE_SEQUENCE_AT, fields.baseSequence);
    writeI32(bytes, COUNT_AT, this.records);
    sealBatch(bytes, 0, this.at);
    return this.at;
  }

  /** Compresses the records of the finished batch, as its attributes say. Returns its new length. */
  pack(): number {
    const codec = readI16(this.bytes, ATTRIBUTES_AT) & COMPRESSION_MASK;
    const packed = compress(codec, this.bytes.subarray(BATCH_OVERHEAD_BYTES, this.at));
    const length = BATCH_OVERHEAD_BYTES + packed.length;
    this.grow(length);
    this.bytes.set(packed, BATCH_OVERHEAD_BYTES);
    writeI32(this.bytes, LENGTH_AT, length - BATCH_LEAD_BYTES);
    sealBatch(this.bytes, 0, length);
    return length;
  }

  /** Writes what stands before a record's fields. */
  private open(timestampMs: number, offset: number, fieldsBytes: number): void {
    if (this.records === 0) {
      if (!this.givenBaseTimestamp) this.baseTimestampMs = timestampMs;
      this.maxTimestampMs = timestampMs;
    } else if (timestampMs > this.maxTimestampMs) this.maxTimestampMs = timestampMs;
    const timestampDelta = timestampMs - this.baseTimestampMs;
    const offsetDelta = offset - this.baseOffset;
    const length = 1 + varlongBytes(timestampDelta) + varintBytes(offsetDelta) + fieldsBytes;
    this.grow(this.at + length + 5);
    this.varint(length);
    this.bytes[this.at++] = 0;
    this.varlong(timestampDelta);
    this.varint(offsetDelta);
    this.records++;
    this.lastOffset = offset;
  }

  /** Makes room for a batch of `length` bytes. */
  grow(length: number): void {
    if (length <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(length, this.bytes.length * 2));
    larger.set(this.bytes.subarray(0, this.at));
    this.bytes = larger;
  }

  private field(value: Uint8Array | null): void {
    if (value === null) {
      this.varint(-1);
      return;
    }
    this.varint(value.length);
    this.bytes.set(value, this.at);
    this.at += value.length;
  }

  private header({ name, value }: RecordHeader): void {
    const nameBytes = Buffer.byteLength(name);
    this.varint(nameBytes);
    const { buffer, byteOffset, length } = this.bytes;
    Buffer.from(buffer, byteOffset, length).write(name, this.at, nameBytes, "utf8");
    this.at += nameBytes;
    this.field(value);
  }

  private varint(value: number): void {
    let rest = ((value << 1) ^ (value >> 31)) >>> 0;
    while (rest > 127) {
      this.bytes[this.at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    this.bytes[this.at++] = rest;
  }

  private varlong(value: number): void {
    let rest = value < 0 ? -value * 2 - 1 : value * 2;
    while (rest > 127) {
      this.bytes[this.at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.at++] = rest;
  }
}

function varintBytes(value: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  let count = 1;
  for (; rest > 127; rest >>>= 7) count++;
  return count;
}

function varlongBytes(value: number): number {
  let rest = value < 0 ? -value * 2 - 1 : value * 2;
  let count = 1;
  for (; rest > 127; rest = Math.floor(rest / 128)) count++;
  return count;
}

function fieldBytes(value: Uint8Array | null): number {
  return value === null ? 1 : varintBytes(value.length) + value.length;
}

function headerBytes({ name, value }: RecordHeader): number {
  const nameBytes = Buffer.byteLength(name);
  return varintBytes(nameBytes) + nameBytes + fieldBytes(value);
}

/** How a control record says what became of its producer's transaction (KIP-98). */
const CONTROL_ABORT = 0;
const CONTROL_COMMIT = 1;

/** A batch of one control record that ends a transaction; it is `writer.bytes[0, result)`. */
export function writeMarker(
  writer: RecordWriter,
  timestampMs: number,
  producerId: number,
  producerEpoch: number,
  commit: boolean,
  coordinatorEpoch: number,
): number {
  const key = new Uint8Array(4);
  key[3] = commit ? CONTROL_COMMIT : CONTROL_ABORT;
  const value = new Uint8Array(6);
  writeI32(value, 2, coordinatorEpoch);
  writer.begin();
  writer.add(timestampMs, key, value);
  const attributes = ATTRIBUTE_TRANSACTIONAL | ATTRIBUTE_CONTROL;
  return writer.finish({ attributes, producerId, producerEpoch, baseSequence: -1 });
}
