/**
 * The bytes of a segment file. All numbers are little-endian; a "position" is a log position, and
 * byte `n` of a segment file has the log position `base + n`, headers included.
 *
 *   segment file "<base, 16 hex digits>.seg"
 *   +----------------+---------+---------+-- ... --+------------------------------------+
 *   | segment header | batch 0 | batch 1 |         | zeros, or bytes of an earlier life |
 *   +----------------+---------+---------+-- ... --+------------------------------------+
 *
 *   segment header, 32 bytes
 *    0  u32  magic "PMQS"
 *    4  u16  format version (1)
 *    6  u16  zero
 *    8  u32  log id: CRC32C of the log's name
 *   12  u32  epoch in which the segment was begun
 *   16  u64  base position
 *   24  u32  zero
 *   28  u32  CRC32C of bytes 0..27
 *
 *   batch: header (64 bytes), bodies (bodyBytes), heads (headBytes). Bodies come before heads, so
 *   that where every body byte will lie is known before the batch is sealed, and heads may name it.
 *    0  u32  magic "PMQB"
 *    4  u8   format version (1)
 *    5  u8   durability that was asked for: 1 os, 2 fsync
 *    6  u8   kind: 0 records, 1 seal (written by an orderly close; holds nothing)
 *    7  u8   zero
 *    8  u32  log id
 *   12  u32  epoch: the engine's start that wrote it
 *   16  u64  sequence: rises by one with every batch of the log, seals included
 *   24  u64  position of the first body byte, = base + offset of this header + 64
 *   32  u64  durable position: everything before it was on stable storage when this was written
 *   40  u64  bodyBytes
 *   48  u32  headBytes
 *   52  u32  count of records in the heads
 *   56  u32  CRC32C of the bodies
 *   60  u32  CRC32C of bytes 0..59 followed by the heads
 *
 * The position makes a batch valid in one place only: bytes of a recycled file's earlier life, or of
 * a tail that was cut, can never be taken for a batch of the present. The durable position tells a
 * torn tail (nothing that was promised is gone) from damage (something is).
 */
import { crc32c } from "../../base/crc32c.ts";

export const SEGMENT_HEADER_BYTES = 32;
export const BATCH_HEADER_BYTES = 64;
export const FORMAT_VERSION = 1;

const SEGMENT_MAGIC = 0x53514d50;
const BATCH_MAGIC = 0x42514d50;
const HEADER_SUMMED_BYTES = 60;

/** How a batch header begins, for searching damaged files. */
export const BATCH_MAGIC_BYTES = Buffer.from("PMQB", "latin1");

export const KIND_RECORDS = 0;
export const KIND_SEAL = 1;

export interface BatchHeader {
  durability: "fsync" | "os";
  kind: number;
  logId: number;
  epoch: number;
  sequence: number;
  position: number;
  durablePosition: number;
  bodyBytes: number;
  headBytes: number;
  count: number;
  bodiesCrc: number;
}

/** The id that ties a segment to its log, so that a recycled file is not read as another log's. */
export function logIdOf(name: string): number {
  return crc32c(Buffer.from(name, "utf8"));
}

function putU64(target: DataView, at: number, value: number): void {
  target.setUint32(at, value % 0x1_0000_0000, true);
  target.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

function getU64(source: DataView, at: number): number {
  return source.getUint32(at, true) + source.getUint32(at + 4, true) * 0x1_0000_0000;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function writeSegmentHeader(target: Uint8Array, logId: number, epoch: number, base: number): void {
  const view = viewOf(target);
  view.setUint32(0, SEGMENT_MAGIC, true);
  view.setUint16(4, FORMAT_VERSION, true);
  view.setUint16(6, 0, true);
  view.setUint32(8, logId, true);
  view.setUint32(12, epoch, true);
  putU64(view, 16, base);
  view.setUint32(24, 0, true);
  view.setUint32(28, crc32c(target, 0, 28), true);
}

/** Why `bytes` is not the header of this log's segment at `base`, or null when it is. */
export function segmentHeaderFault(bytes: Uint8Array, logId: number, base: number): string | null {
  if (bytes.length < SEGMENT_HEADER_BYTES) return "the segment header is incomplete";
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== SEGMENT_MAGIC) return "there is no segment header";
  if (view.getUint32(28, true) !== crc32c(bytes, 0, 28)) return "the segment header fails its checksum";
  if (view.getUint16(4, true) !== FORMAT_VERSION)
    return `segment format version ${view.getUint16(4, true)} is unknown`;
  if (view.getUint32(8, true) !== logId) return "the segment header belongs to another log";
  if (getU64(view, 16) !== base) return `the segment header names another base position, ${getU64(view, 16)}`;
  return null;
}

/** Writes all of a batch header; the bodies' sum must be in `header`, the heads are summed here. */
export function writeBatchHeader(target: Uint8Array, header: BatchHeader, heads: Uint8Array): void {
  const view = viewOf(target);
  view.setUint32(0, BATCH_MAGIC, true);
  view.setUint8(4, FORMAT_VERSION);
  view.setUint8(5, header.durability === "fsync" ? 2 : 1);
  view.setUint8(6, header.kind);
  view.setUint8(7, 0);
  view.setUint32(8, header.logId, true);
  view.setUint32(12, header.epoch, true);
  putU64(view, 16, header.sequence);
  putU64(view, 24, header.position);
  putU64(view, 32, header.durablePosition);
  putU64(view, 40, header.bodyBytes);
  view.setUint32(48, header.headBytes, true);
  view.setUint32(52, header.count, true);
  view.setUint32(56, header.bodiesCrc, true);
  view.setUint32(60, crc32c(heads, 0, heads.length, crc32c(target, 0, HEADER_SUMMED_BYTES)), true);
}

/**
 * Reads a batch header that claims to be at `position` of log `logId`; null when the bytes are not
 * one. Only `headsMatch` says whether the claim is true.
 */
export function readBatchHeader(bytes: Uint8Array, logId: number, position: number): BatchHeader | null {
  if (bytes.length < BATCH_HEADER_BYTES) return null;
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== BATCH_MAGIC || view.getUint8(4) !== FORMAT_VERSION) return null;
  if (view.getUint32(8, true) !== logId || getU64(view, 24) !== position) return null;
  return {
    durability: view.getUint8(5) === 2 ? "fsync" : "os",
    kind: view.getUint8(6),
    logId,
    epoch: view.getUint32(12, true),
    sequence: getU64(view, 16),
    position,
    durablePosition: getU64(view, 32),
    bodyBytes: getU64(view, 40),
    headBytes: view.getUint32(48, true),
    count: view.getUint32(52, true),
    bodiesCrc: view.getUint32(56, true),
  };
}

/** Whether a batch header and its heads are as they were written. */
export function headsMatch(header: Uint8Array, heads: Uint8Array): boolean {
  const sum = crc32c(heads, 0, heads.length, crc32c(header, 0, HEADER_SUMMED_BYTES));
  return viewOf(header).getUint32(60, true) === sum;
}
