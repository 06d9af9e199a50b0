/** Whether the records of a batch can be read: by those who would store it for others. */
import { BATCH_OVERHEAD_BYTES, COUNT_AT, readI32 } from "./record-batch.ts";

/** Where the varint that was read last ends. */
let varintEnd = 0;

/**
 * True when the uncompressed batch at [start, end) is made of as many records as it says, one behind the other up to its
 * end, with offsets that count from 0 and with fields that fill each. Readers give up on a batch that is not.
 */
export function recordsFit(bytes: Uint8Array, start: number, end: number): boolean {
  const count = readI32(bytes, start + COUNT_AT);
  let at = start + BATCH_OVERHEAD_BYTES;
  for (let index = 0; index < count; index++) {
    const length = varint(bytes, at);
    const recordEnd = varintEnd + length;
    if (length <= 0 || recordEnd > end) return false;
    // Behind the attributes.
    at = afterVarlong(bytes, varintEnd + 1);
    if (varint(bytes, at) !== index) return false;
    const keyBytes = varint(bytes, varintEnd);
    // -1 is null.
    at = keyBytes > 0 ? varintEnd + keyBytes : varintEnd;
    if (at > recordEnd) return false;
    const valueBytes = varint(bytes, at);
    at = valueBytes > 0 ? varintEnd + valueBytes : varintEnd;
    if (at > recordEnd) return false;
    const headers = varint(bytes, at);
    at = headers === 0 ? varintEnd : afterHeaders(bytes, varintEnd, headers, recordEnd);
    if (at !== recordEnd) return false;
  }
  return at === end;
}

/** -1: they do not fit. */
function afterHeaders(bytes: Uint8Array, start: number, count: number, recordEnd: number): number {
  if (count < 0) return -1;
  let at = start;
  for (let index = 0; index < count; index++) {
    const nameBytes = varint(bytes, at);
    at = varintEnd + nameBytes;
    if (nameBytes < 0 || at > recordEnd) return -1;
    const valueBytes = varint(bytes, at);
    at = valueBytes > 0 ? varintEnd + valueBytes : varintEnd;
    if (at > recordEnd) return -1;
  }
  return at;
}

/** Of 32 bits; what it reads behind the end fits nowhere. */
function varint(bytes: Uint8Array, start: number): number {
  let byte = bytes[start] as number;
  varintEnd = start + 1;
  // Most of them are one byte.
  if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
  let value = byte & 0x7f;
  for (let shift = 7; byte >= 0x80; shift += 7) {
    if (shift > 28) {
      // Not a null: one that never ends.
      varintEnd = Number.POSITIVE_INFINITY;
      return -1;
    }
    byte = bytes[varintEnd++] as number;
    value |= (byte & 0x7f) << shift;
  }
  return (value >>> 1) ^ -(value & 1);
}

function afterVarlong(bytes: Uint8Array, start: number): number {
  let at = start;
  for (let left = 10; left > 0; left--) if ((bytes[at++] as number) < 0x80) return at;
  return Number.POSITIVE_INFINITY;
}
