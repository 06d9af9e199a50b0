/**
 * LZ4 frames (lz4_Frame_format.md of lz4/lz4). Checksums are stepped over: a batch has one of its
 * own, and old producers got the header's wrong (KAFKA-3160).
 */
import { CompressionError } from "./compression-error.ts";
import { copyBack } from "./snappy.ts";

const MAGIC = 0x184d2204;
const BLOCK_BYTES_MAX = [0, 0, 0, 0, 64 << 10, 256 << 10, 1 << 20, 4 << 20];
const UNCOMPRESSED = 0x80000000;

/** @throws CompressionError */
export function decompressLz4(bytes: Uint8Array, bytesMax: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 7 || view.getUint32(0, true) !== MAGIC) throw new CompressionError("no lz4 frame");
  const flags = bytes[4] as number;
  const blockMax = BLOCK_BYTES_MAX[((bytes[5] as number) >> 4) & 7] as number;
  if (flags >> 6 !== 1 || blockMax === 0) throw new CompressionError("an lz4 frame of another version");
  let at = 6 + ((flags & 0x08) !== 0 ? 8 : 0) + ((flags & 0x01) !== 0 ? 4 : 0) + 1;
  let target: Uint8Array = Buffer.allocUnsafe(Math.min(bytesMax, Math.max(64 << 10, bytes.length * 3)));
  let filled = 0;
  for (;;) {
    if (at + 4 > bytes.length) throw new CompressionError("an lz4 frame ends too early");
    const word = view.getUint32(at, true);
    at += 4;
    if (word === 0) return target.subarray(0, filled);
    const length = word & ~UNCOMPRESSED;
    if (at + length > bytes.length || length > blockMax)
      throw new CompressionError("an lz4 block goes over its end");
    if (filled + blockMax > target.length) target = grown(target, filled, blockMax, bytesMax);
    if ((word & UNCOMPRESSED) !== 0) {
      target.set(bytes.subarray(at, at + length), filled);
      filled += length;
    } else filled = expandBlock(bytes, at, at + length, target, filled);
    at += length + ((flags & 0x10) !== 0 ? 4 : 0);
  }
}

function grown(target: Uint8Array, filled: number, more: number, bytesMax: number): Uint8Array {
  if (filled + more > bytesMax + (4 << 20))
    throw new CompressionError(`more than ${bytesMax} bytes of records are too many`);
  const larger = Buffer.allocUnsafe(Math.max(filled + more, target.length * 2));
  larger.set(target.subarray(0, filled));
  return larger;
}

function expandBlock(
  bytes: Uint8Array,
  from: number,
  end: number,
  target: Uint8Array,
  start: number,
): number {
  let at = from;
  let filled = start;
  while (at < end) {
    const token = bytes[at++] as number;
    let literals = token >> 4;
    if (literals === 15) {
      let byte = 255;
      while (byte === 255 && at < end) {
        byte = bytes[at++] as number;
        literals += byte;
      }
    }
    if (at + literals > end || filled + literals > target.length) throw overrun();
    target.set(bytes.subarray(at, at + literals), filled);
    at += literals;
    filled += literals;
    if (at === end) return filled;
    if (at + 2 > end) throw overrun();
    const distance = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
    at += 2;
    let length = (token & 15) + 4;
    if (length === 19) {
      let byte = 255;
      while (byte === 255 && at < end) {
        byte = bytes[at++] as number;
        length += byte;
      }
    }
    if (distance === 0 || distance > filled || filled + length > target.length) throw overrun();
    copyBack(target, filled, distance, length);
    filled += length;
  }
  return filled;
}

function overrun(): CompressionError {
  return new CompressionError("an lz4 block goes over its end");
}
