// Clients from before Kafka 0.11 write sets of single messages (formats 0 and 1) instead of batches:
//
//   offset i64 | size i32 | crc32 u32 | magic i8 | attributes i8 | [magic 1: timestamp i64]
//   | key length i32 (-1: null), key | value length i32 (-1: null), value
//
// Compressed, the value of one message is a set of messages.
import { crc32 } from "node:zlib";
import { COMPRESSION_GZIP, decompress } from "../../../message/compression.ts";
import { CompressionError } from "../../../message/compression-error.ts";
import { readI32, readI64 } from "../../../message/record-batch.ts";
import { RecordWriter } from "../../../message/record-writer.ts";
import type { ByteRange } from "../codec/reader.ts";
import type { CodeName } from "../errors.ts";

/** Offset and size. */
export const MESSAGE_LEAD_BYTES = 12;
const CRC_BYTES = 4;
const COMPRESSION_MASK = 7;
/** Newer than these formats: their clients cannot have it. */
const ZSTD = 4;
/** CRC, magic, attributes, two lengths. */
const MESSAGE_BYTES_MIN = 14;

/** What is compressed again at most: the rest of the broker stands still meanwhile. */
const PACKED_BYTES_MAX = 16 << 20;

const writer = new RecordWriter();
let wasCompressed = false;

class Refused extends Error {
  readonly code: CodeName;

  constructor(code: CodeName) {
    super(code);
    this.code = code;
  }
}

/**
 * The set as one batch of today's format, valid until the next call, or why it is refused. A message of
 * format 0 has no timestamp: it gets `nowMs`, for without one it could not be found by time, nor forgotten by it.
 */
export function convertUp({ bytes, start, end }: ByteRange, nowMs: number): Uint8Array | CodeName {
  try {
    writer.begin();
    wasCompressed = false;
    addMessages(bytes, start, end, nowMs, true);
    if (writer.count === 0) return "CORRUPT_MESSAGE";
    return writer.bytes.subarray(0, writer.finish());
  } catch (error) {
    if (error instanceof Refused) return error.code;
    if (error instanceof CompressionError) return "CORRUPT_MESSAGE";
    throw error;
  }
}

/**
 * What `convertUp` has made last, compressed as its messages were (by gzip, whatever that was by). Null: they were
 * not, or are too many.
 */
export function packConverted(): Uint8Array | null {
  if (!wasCompressed || writer.length > PACKED_BYTES_MAX) return null;
  writer.finish({ attributes: COMPRESSION_GZIP, producerId: -1, producerEpoch: -1, baseSequence: -1 });
  return writer.bytes.subarray(0, writer.pack());
}

function addMessages(bytes: Uint8Array, start: number, end: number, nowMs: number, outer: boolean): void {
  let at = start;
  while (at < end) {
    if (end - at < MESSAGE_LEAD_BYTES) throw new Refused("CORRUPT_MESSAGE");
    const size = readI32(bytes, at + 8);
    const from = at + MESSAGE_LEAD_BYTES;
    at = from + size;
    if (size < MESSAGE_BYTES_MIN || at > end) throw new Refused("CORRUPT_MESSAGE");
    addMessage(bytes, from, at, nowMs, outer);
  }
}

function addMessage(bytes: Uint8Array, start: number, end: number, nowMs: number, outer: boolean): void {
  const magic = bytes[start + CRC_BYTES]!;
  const codec = bytes[start + CRC_BYTES + 1]! & COMPRESSION_MASK;
  if (magic > 1) throw new Refused("INVALID_RECORD");
  if (readI32(bytes, start) !== (crc32(bytes.subarray(start + CRC_BYTES, end)) | 0))
    throw new Refused("CORRUPT_MESSAGE");
  let at = start + CRC_BYTES + 2;
  let timestampMs = nowMs;
  if (magic === 1) {
    if (end - at < 16) throw new Refused("CORRUPT_MESSAGE");
    const given = readI64(bytes, at);
    if (given >= 0) timestampMs = given;
    at += 8;
  }
  const key = field(bytes, at, end);
  const value = field(bytes, at + 4 + (key?.length ?? 0), end);
  if (codec === 0) writer.add(timestampMs, key, value);
  else if (!outer || value === null) throw new Refused("INVALID_RECORD");
  else if (codec >= ZSTD) throw new Refused("UNSUPPORTED_COMPRESSION_TYPE");
  else {
    wasCompressed = true;
    const inner = decompress(codec, value);
    addMessages(inner, 0, inner.length, nowMs, false);
  }
}

function field(bytes: Uint8Array, at: number, end: number): Uint8Array | null {
  if (end - at < 4) throw new Refused("CORRUPT_MESSAGE");
  const length = readI32(bytes, at);
  if (length < 0) return null;
  if (length > end - at - 4) throw new Refused("CORRUPT_MESSAGE");
  return bytes.subarray(at + 4, at + 4 + length);
}
