/**
 * The bytes of the rounds' journal. All numbers are little-endian. A file is a chain of rounds, each
 * at a multiple of 512; it is written from its beginning again and again, and the generation tells a
 * chain from what is left of earlier ones.
 *
 *   round: header (64 bytes), table (tableBytes), data (dataBytes)
 *    0  u32  magic "PMQJ"
 *    4  u32  format version (1)
 *    8  u32  zero
 *   12  u32  generation: rises by one whenever a file is begun
 *   16  u32  round: from 0 on in each generation
 *   20  u32  number of entries
 *   24  u32  tableBytes
 *   28  u32  generation up to which everything is in the logs' own files
 *   32  u64  dataBytes
 *   40  u32  how many rounds the generation before has
 *   44  u64  random number of the engine's life: bytes that somebody sent cannot be taken for a round
 *   52  zeros
 *   60  u32  CRC32C of bytes 0..59 followed by the table
 *
 *   entry of the table: what lies in the data, in the same order
 *    0  u32  bytes of data
 *    4  u16  kind: 0 batches, 1 forget what earlier rounds hold of this log
 *    6  u16  bytes of the log's name
 *    8  u64  base of the segment
 *   16  u64  offset in the segment's file
 *   24  the log's name
 *
 * Data has no sum of its own: it is batches, which have theirs, and a segment's header now and then.
 */
import { crc32c } from "../../base/crc32c.ts";
import {
  BATCH_HEADER_BYTES,
  headsMatch,
  logIdOf,
  readBatchHeader,
  SEGMENT_HEADER_BYTES,
  segmentHeaderFault,
} from "./batch-format.ts";

export const ROUND_ALIGNMENT = 512;
const ROUND_HEADER_BYTES = 64;
const ENTRY_HEADER_BYTES = 24;
const MAGIC = 0x4a514d50;
const VERSION = 1;
const SUMMED_BYTES = 60;
const KIND_BATCHES = 0;
const KIND_FORGET = 1;

/** Where bytes belong; null for `base`: everything that earlier rounds hold of the log is to be forgotten. */
export interface JournalPlace {
  readonly name: string;
  readonly base: number | null;
  readonly offset: number;
  readonly bytes: number;
}

export interface RoundHeader {
  readonly life: number;
  readonly generation: number;
  readonly round: number;
  readonly released: number;
  readonly roundsBefore: number;
}

export interface JournalRound extends RoundHeader {
  readonly entries: readonly { readonly place: JournalPlace; readonly data: Uint8Array }[];
  /** Offset behind the round, where the next one would begin. */
  readonly end: number;
}

function putU64(target: Buffer, at: number, value: number): void {
  target.writeUInt32LE(value % 0x1_0000_0000, at);
  target.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
}

function getU64(source: Buffer, at: number): number {
  return source.readUInt32LE(at) + source.readUInt32LE(at + 4) * 0x1_0000_0000;
}

/** Header and table of a round. */
export function encodeRound(header: RoundHeader, places: readonly JournalPlace[]): Buffer {
  let tableBytes = 0;
  let dataBytes = 0;
  for (const { name, bytes } of places) {
    tableBytes += ENTRY_HEADER_BYTES + Buffer.byteLength(name);
    dataBytes += bytes;
  }
  const lead = Buffer.alloc(ROUND_HEADER_BYTES + tableBytes);
  lead.writeUInt32LE(MAGIC, 0);
  lead.writeUInt32LE(VERSION, 4);
  lead.writeUInt32LE(header.generation, 12);
  lead.writeUInt32LE(header.round, 16);
  lead.writeUInt32LE(places.length, 20);
  lead.writeUInt32LE(tableBytes, 24);
  lead.writeUInt32LE(header.released, 28);
  putU64(lead, 32, dataBytes);
  lead.writeUInt32LE(header.roundsBefore, 40);
  putU64(lead, 44, header.life);
  let at = ROUND_HEADER_BYTES;
  for (const { name, base, offset, bytes } of places) {
    const nameBytes = lead.write(name, at + ENTRY_HEADER_BYTES);
    lead.writeUInt32LE(bytes, at);
    lead.writeUInt16LE(base === null ? KIND_FORGET : KIND_BATCHES, at + 4);
    lead.writeUInt16LE(nameBytes, at + 6);
    putU64(lead, at + 8, base ?? 0);
    putU64(lead, at + 16, offset);
    at += ENTRY_HEADER_BYTES + nameBytes;
  }
  lead.writeUInt32LE(crc32c(lead, ROUND_HEADER_BYTES, at, crc32c(lead, 0, SUMMED_BYTES)), SUMMED_BYTES);
  return lead;
}

/** The round that begins at `offset`, or null when none does. Its data may be torn, or end early; its table is whole. */
export function decodeRound(file: Buffer, offset: number): JournalRound | null {
  const table = offset + ROUND_HEADER_BYTES;
  if (table > file.length || file.readUInt32LE(offset) !== MAGIC) return null;
  const dataStart = table + file.readUInt32LE(offset + 24);
  if (dataStart > file.length) return null;
  const sum = crc32c(file, table, dataStart, crc32c(file, offset, offset + SUMMED_BYTES));
  if (sum !== file.readUInt32LE(offset + SUMMED_BYTES)) return null;
  if (file.readUInt32LE(offset + 4) !== VERSION) {
    throw new Error(`format version ${file.readUInt32LE(offset + 4)} of the journal is unknown`);
  }
  const entries: { place: JournalPlace; data: Uint8Array }[] = [];
  let data = dataStart;
  for (let at = table; at < dataStart; ) {
    const bytes = file.readUInt32LE(at);
    const nameEnd = at + ENTRY_HEADER_BYTES + file.readUInt16LE(at + 6);
    const place = {
      name: file.toString("utf8", at + ENTRY_HEADER_BYTES, nameEnd),
      base: file.readUInt16LE(at + 4) === KIND_FORGET ? null : getU64(file, at + 8),
      offset: getU64(file, at + 16),
      bytes,
    };
    entries.push({ place, data: file.subarray(data, data + bytes) });
    data += bytes;
    at = nameEnd;
  }
  return {
    generation: file.readUInt32LE(offset + 12),
    round: file.readUInt32LE(offset + 16),
    released: file.readUInt32LE(offset + 28),
    roundsBefore: file.readUInt32LE(offset + 40),
    life: getU64(file, offset + 44),
    entries,
    end: alignRound(dataStart + getU64(file, offset + 32)),
  };
}

export function alignRound(offset: number): number {
  return Math.ceil(offset / ROUND_ALIGNMENT) * ROUND_ALIGNMENT;
}

/** Whether `data` is what an entry for `place` says: whole batches, each in its place. */
export function isWhole(place: JournalPlace, data: Uint8Array): boolean {
  if (place.base === null) return true;
  if (data.length !== place.bytes) return false;
  const logId = logIdOf(place.name);
  let at = 0;
  if (place.offset === 0) {
    if (segmentHeaderFault(data, logId, place.base) !== null) return false;
    at = SEGMENT_HEADER_BYTES;
  }
  while (at < data.length) {
    const bodies = at + BATCH_HEADER_BYTES;
    const raw = data.subarray(at, bodies);
    const header = readBatchHeader(raw, logId, place.base + place.offset + bodies);
    if (header === null) return false;
    const heads = bodies + header.bodyBytes;
    at = heads + header.headBytes;
    if (at > data.length || crc32c(data, bodies, heads) !== header.bodiesCrc) return false;
    if (!headsMatch(raw, data.subarray(heads, at))) return false;
  }
  return true;
}
