/**
 * The compressions of record batches. The broker passes compressed batches on as they are; it looks
 * inside only where a reader needs records: cleaning by key, readers of other protocols, old clients.
 */
import { gunzipSync, gzipSync } from "node:zlib";
import { Decompress } from "fzstd";
import { CompressionError } from "./compression-error.ts";
import { decompressLz4 } from "./lz4.ts";
import { decompressSnappy } from "./snappy.ts";

export const COMPRESSION_NONE = 0;
export const COMPRESSION_GZIP = 1;
export const COMPRESSION_SNAPPY = 2;
export const COMPRESSION_LZ4 = 3;
export const COMPRESSION_ZSTD = 4;

/** A batch of a few bytes can claim to be as large as it likes. */
export const DECOMPRESSED_BYTES_MAX = 128 << 20;

/** @throws CompressionError when the bytes are damaged, of an unknown codec, or too many */
export function decompress(codec: number, bytes: Uint8Array): Uint8Array {
  try {
    switch (codec) {
      case COMPRESSION_NONE:
        return bytes;
      case COMPRESSION_GZIP:
        return gunzipSync(bytes, { maxOutputLength: DECOMPRESSED_BYTES_MAX });
      case COMPRESSION_SNAPPY:
        return decompressSnappy(bytes, DECOMPRESSED_BYTES_MAX);
      case COMPRESSION_LZ4:
        return decompressLz4(bytes, DECOMPRESSED_BYTES_MAX);
      case COMPRESSION_ZSTD:
        return decompressZstd(bytes);
    }
  } catch (error) {
    if (error instanceof CompressionError) throw error;
    throw new CompressionError(`compressed records cannot be read: ${(error as Error).message}`);
  }
  throw new CompressionError(`compression ${codec} is unknown`);
}

/** @throws CompressionError for anything but none and gzip: nothing here writes the others */
export function compress(codec: number, bytes: Uint8Array): Uint8Array {
  if (codec === COMPRESSION_NONE) return bytes;
  if (codec === COMPRESSION_GZIP) return gzipSync(bytes);
  throw new CompressionError(`nothing here writes compression ${codec}`);
}

/** A frame need not say how much comes out of it: it is counted as it comes. */
function decompressZstd(bytes: Uint8Array): Uint8Array {
  if (zstdWindowBytes(bytes) > ZSTD_WINDOW_BYTES_MAX) {
    throw new CompressionError("a zstd frame asks for too large a window");
  }
  const parts: Uint8Array[] = [];
  let total = 0;
  const stream = new Decompress((part) => {
    total += part.length;
    if (total > DECOMPRESSED_BYTES_MAX)
      throw new CompressionError(`more than ${DECOMPRESSED_BYTES_MAX} bytes of records are too many`);
    parts.push(part);
  });
  stream.push(bytes, true);
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts, total);
}

/** What a decoder should at least allow (RFC 8878, 3.1.1.1.2), and what compression levels up to 19 use at most. */
const ZSTD_WINDOW_BYTES_MAX = 8 << 20;

/** How much memory a frame asks for besides its content; 0 for one that is decoded in place. */
function zstdWindowBytes(bytes: Uint8Array): number {
  const [descriptor, window] = [bytes[4] ?? 0, bytes[5] ?? 0];
  if ((descriptor & 0x20) !== 0) return 0;
  const base = 2 ** (10 + (window >> 3));
  return base + (base / 8) * (window & 7);
}
