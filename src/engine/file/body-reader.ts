/** Bodies without what lies between them. */
import { BATCH_HEADER_BYTES, readBatchHeader } from "./batch-format.ts";

/**
 * `bytes[0, end)` is a stretch of a log that begins with the header of the batch whose bodies have
 * log position `position`. Moves the bodies in it together to the front, and returns how many bytes
 * they are; -1 when there is no such header.
 */
export function joinBodies(bytes: Uint8Array, end: number, logId: number, position: number): number {
  let filled = 0;
  let at = 0;
  let here = position;
  for (;;) {
    const header = readBatchHeader(bytes.subarray(at, end), logId, here);
    if (header === null) return at === 0 ? -1 : filled;
    const body = at + BATCH_HEADER_BYTES;
    const count = Math.min(header.bodyBytes, end - body);
    bytes.copyWithin(filled, body, body + count);
    filled += count;
    const step = BATCH_HEADER_BYTES + header.bodyBytes + header.headBytes;
    at += step;
    here += step;
    if (at + BATCH_HEADER_BYTES > end) return filled;
  }
}
