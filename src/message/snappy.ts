/**
 * Snappy (format_description.txt of google/snappy), bare or in the framing of snappy-java, which is
 * what Java producers write:
 *
 *   0x82 "SNAPPY" 0 | version i32 | compatible version i32 | { length i32, bare snappy }...   (big-endian)
 */
import { CompressionError } from "./compression-error.ts";

const FRAMING_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]);
const FRAMING_HEADER_BYTES = 16;

/** @throws CompressionError */
export function decompressSnappy(bytes: Uint8Array, bytesMax: number): Uint8Array {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (
    buffer.length < FRAMING_HEADER_BYTES ||
    !buffer.subarray(0, FRAMING_MAGIC.length).equals(FRAMING_MAGIC)
  ) {
    return decompressBare(bytes, bytesMax);
  }
  const parts: Uint8Array[] = [];
  let total = 0;
  for (let at = FRAMING_HEADER_BYTES; at < buffer.length; ) {
    const length = at + 4 <= buffer.length ? buffer.readInt32BE(at) : -1;
    if (length < 0 || at + 4 + length > buffer.length)
      throw new CompressionError("a snappy block goes over its end");
    const part = decompressBare(buffer.subarray(at + 4, at + 4 + length), bytesMax - total);
    total += part.length;
    parts.push(part);
    at += 4 + length;
  }
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
}

function decompressBare(bytes: Uint8Array, bytesMax: number): Uint8Array {
  let at = 0;
  let size = 0;
  for (let scale = 1; ; scale *= 128) {
    if (at >= bytes.length || at === 5) throw new CompressionError("a snappy block has no length");
    const byte = bytes[at++] as number;
    size += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
  }
  if (size > bytesMax) throw new CompressionError(`${size} bytes of records are too many`);
  const target = Buffer.allocUnsafe(size);
  const filled = expand(bytes, at, target);
  if (filled !== size) throw new CompressionError("a snappy block is shorter than it says");
  return target;
}

function expand(bytes: Uint8Array, from: number, target: Uint8Array): number {
  let at = from;
  let filled = 0;
  while (at < bytes.length) {
    const tag = bytes[at++] as number;
    const kind = tag & 3;
    let length = (tag >> 2) + 1;
    if (kind === 0) {
      const extra = length > 60 ? length - 60 : 0;
      if (extra > 0) length = littleEndian(bytes, at, extra) + 1;
      at += extra;
      if (at + length > bytes.length || filled + length > target.length) throw overrun();
      target.set(bytes.subarray(at, at + length), filled);
      at += length;
      filled += length;
      continue;
    }
    let distance: number;
    if (kind === 1) {
      length = ((tag >> 2) & 7) + 4;
      distance = ((tag >> 5) << 8) | littleEndian(bytes, at, 1);
      at += 1;
    } else {
      const width = kind === 2 ? 2 : 4;
      distance = littleEndian(bytes, at, width);
      at += width;
    }
    if (distance === 0 || distance > filled || filled + length > target.length) throw overrun();
    copyBack(target, filled, distance, length);
    filled += length;
  }
  return filled;
}

/** Copies what was written `distance` bytes ago; it may overlap itself, and then repeats. */
export function copyBack(target: Uint8Array, filled: number, distance: number, length: number): void {
  if (distance >= length) target.copyWithin(filled, filled - distance, filled - distance + length);
  else
    for (let index = filled; index < filled + length; index++)
      target[index] = target[index - distance] as number;
}

function littleEndian(bytes: Uint8Array, at: number, width: number): number {
  if (at + width > bytes.length) throw overrun();
  let value = 0;
  for (let index = width - 1; index >= 0; index--) value = value * 256 + (bytes[at + index] as number);
  return value;
}

function overrun(): CompressionError {
  return new CompressionError("a snappy block goes over its end");
}
