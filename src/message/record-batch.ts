/**
 * Record batches, the unit in which a stream's records are published, stored and fetched. This is
 * the format that Kafka calls message format 2 (KIP-98); it is kept verbatim whoever published.
 * Big-endian.
 *
 *    0  i64  base offset            the broker's to set; not covered by the checksum
 *    8  i32  length of what follows
 *   12  i32  leader epoch           the broker's to set; not covered by the checksum
 *   16  i8   magic (2)
 *   17  u32  CRC32C of everything from byte 21 on
 *   21  i16  attributes: 0-2 compression, 3 timestamps are the broker's, 4 transactional, 5 control,
 *            6 the base timestamp is when tombstones and markers in here may go (KIP-534)
 *   23  i32  last offset delta      offset of the last record, from the base offset
 *   27  i64  base timestamp, ms
 *   35  i64  max timestamp, ms
 *   43  i64  producer id            -1: none
 *   51  i16  producer epoch
 *   53  i32  base sequence
 *   57  i32  number of records
 *   61       records, compressed as a whole if at all (record-cursor.ts draws one)
 */
import { crc32c } from "../base/crc32c.ts";

export const BATCH_OVERHEAD_BYTES = 61;
/** What stands before the part that the length field counts. */
export const BATCH_LEAD_BYTES = 12;
export const BATCH_MAGIC = 2;

export const BASE_OFFSET_AT = 0;
export const LENGTH_AT = 8;
export const LEADER_EPOCH_AT = 12;
export const MAGIC_AT = 16;
export const CRC_AT = 17;
export const ATTRIBUTES_AT = 21;
export const LAST_OFFSET_DELTA_AT = 23;
export const BASE_TIMESTAMP_AT = 27;
export const MAX_TIMESTAMP_AT = 35;
export const PRODUCER_ID_AT = 43;
export const PRODUCER_EPOCH_AT = 51;
export const BASE_SEQUENCE_AT = 53;
export const COUNT_AT = 57;

export const COMPRESSION_MASK = 7;
export const ATTRIBUTE_APPEND_TIME = 8;
export const ATTRIBUTE_TRANSACTIONAL = 16;
export const ATTRIBUTE_CONTROL = 32;
export const ATTRIBUTE_DELETE_HORIZON = 64;

const TWO_32 = 0x1_0000_0000;

export function readI16(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) << 24) >> 16) | (bytes[at + 1] as number);
}

export function readI32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}

/** As a number: exact up to 2^53. */
export function readI64(bytes: Uint8Array, at: number): number {
  return readI32(bytes, at) * TWO_32 + (readI32(bytes, at + 4) >>> 0);
}

export function writeI16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value;
}

export function writeI32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 24;
  bytes[at + 1] = value >> 16;
  bytes[at + 2] = value >> 8;
  bytes[at + 3] = value;
}

export function writeI64(bytes: Uint8Array, at: number, value: number): void {
  writeI32(bytes, at, Math.floor(value / TWO_32));
  writeI32(bytes, at + 4, (value % TWO_32) | 0);
}

/** Length of the whole batch at `at`, as it claims. */
export function batchBytes(bytes: Uint8Array, at: number): number {
  return BATCH_LEAD_BYTES + readI32(bytes, at + LENGTH_AT);
}

/** Offset behind the last record of the batch at `at`. */
export function nextOffsetOf(bytes: Uint8Array, at: number): number {
  return readI64(bytes, at + BASE_OFFSET_AT) + readI32(bytes, at + LAST_OFFSET_DELTA_AT) + 1;
}

/** Whether the checksum of the batch at [start, end) holds. */
export function batchIntact(bytes: Uint8Array, start: number, end: number): boolean {
  return readI32(bytes, start + CRC_AT) === (crc32c(bytes, start + ATTRIBUTES_AT, end) | 0);
}

/** Writes the checksum of the batch at [start, end). */
export function sealBatch(bytes: Uint8Array, start: number, end: number): void {
  writeI32(bytes, start + CRC_AT, crc32c(bytes, start + ATTRIBUTES_AT, end));
}
