/**
 * CRC32C (Castagnoli), the checksum of everything that is stored. The native library wins from
 * about half a kilobyte on; below that the call into it costs more than the sum itself.
 */
import { createRequire } from "node:module";

type NativeCrc = (input: Uint8Array, initialState?: number) => number;

const NATIVE_BYTES_MIN = 512;
const POLYNOMIAL_REVERSED = 0x82f63b78;

/** Eight tables of 256 entries: table k advances a byte by k further zero bytes ("slice by 8"). */
function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let index = 0; index < 256; index++) {
    let value = index;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL_REVERSED : value >>> 1;
    tables[index] = value;
  }
  for (let index = 256; index < tables.length; index++) {
    const previous = tables[index - 256];
    tables[index] = (previous >>> 8) ^ tables[previous & 0xff];
  }
  return tables;
}

const TABLES = makeTables();

function loadNative(): NativeCrc | null {
  try {
    const library = createRequire(import.meta.url)("@node-rs/crc32") as { crc32c: NativeCrc };
    // A binary that loads and computes something else would be worse than none.
    return library.crc32c(Buffer.from("123456789")) === 0xe3069283 ? library.crc32c : null;
  } catch {
    return null;
  }
}

const native = loadNative();

/** The same sum without native code; exported for its test and for comparison. */
export function crc32cScalar(bytes: Uint8Array, start = 0, end = bytes.length, seed = 0): number {
  const tables = TABLES;
  let crc = ~seed;
  let at = start;
  for (const stop = end - 7; at < stop; at += 8) {
    crc ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    crc =
      tables[1792 + (crc & 0xff)] ^
      tables[1536 + ((crc >>> 8) & 0xff)] ^
      tables[1280 + ((crc >>> 16) & 0xff)] ^
      tables[1024 + (crc >>> 24)] ^
      tables[768 + bytes[at + 4]] ^
      tables[512 + bytes[at + 5]] ^
      tables[256 + bytes[at + 6]] ^
      tables[bytes[at + 7]];
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ tables[(crc ^ bytes[at]) & 0xff];
  return ~crc >>> 0;
}

/**
 * CRC32C of `bytes[start, end)` as an unsigned 32-bit number. Passing the sum of what came before as
 * `seed` gives the sum of both together.
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, seed = 0): number {
  if (native === null || end - start < NATIVE_BYTES_MIN) return crc32cScalar(bytes, start, end, seed);
  const whole = start === 0 && end === bytes.length;
  return native(whole ? bytes : bytes.subarray(start, end), seed);
}
