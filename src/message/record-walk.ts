/** Whether the records of a batch can be read: by those who would store it for others. */
import { BATCH_OVERHEAD_BYTES, COUNT_AT, readI32 } from "./record-batch.ts";

let at = 0;

/**
 * True when the uncompressed batch at [start, end) is made of as many records as it says, one behind the other up to its
 * end, with offsets that count from 0 and with fields that fill each. Readers give up on a batch that is not.
 */
export function recordsFit(bytes: Uint8Array, start: number, end: number): boolean {
  const count = readI32(bytes, start + COUNT_AT);
  at = start + BATCH_OVERHEAD_BYTES;
  for (let index = 0; index < count; index++) {
    const length = varint(bytes);
    const recordEnd = at + length;
    if (length <= 0 || recordEnd > end) return false;
    at++;
    skipVarlong(bytes);
    if (varint(bytes) !== index) return false;
    // Key and value: -1 is null.
    for (let field = 0; field < 2; field++) {
      const fieldBytes = varint(bytes);
      if (fieldBytes > 0) at += fieldBytes;
      if (at > recordEnd) return false;
    }
    if (!headersFit(bytes, recordEnd)) return false;
  }
  return at === end;
}

function headersFit(bytes: Uint8Array, recordEnd: number): boolean {
  const count = varint(bytes);
  if (count < 0) return false;
  for (let index = 0; index < count; index++) {
    const nameBytes = varint(bytes);
    if (nameBytes < 0) return false;
    at += nameBytes;
    const valueBytes = varint(bytes);
    if (valueBytes > 0) at += valueBytes;
    if (at > recordEnd) return false;
  }
  return at === recordEnd;
}

/** Of 32 bits; what it reads behind the end fits nowhere. */
function varint(bytes: Uint8Array): number {
  let byte = bytes[at++] as number;
  let value = byte & 0x7f;
  for (let shift = 7; byte >= 0x80; shift += 7) {
    if (shift > 28) return -1;
    byte = bytes[at++] as number;
    value |= (byte & 0x7f) << shift;
  }
  return (value >>> 1) ^ -(value & 1);
}

function skipVarlong(bytes: Uint8Array): void {
  for (let left = 10; left > 0 && (bytes[at++] as number) >= 0x80; left--);
}
