import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_TRANSACTIONAL,
  ATTRIBUTES_AT,
  BASE_OFFSET_AT,
  batchBytes,
  LAST_OFFSET_DELTA_AT,
  PRODUCER_ID_AT,
  readI16,
  readI32,
  readI64,
} from "../../src/message/record-batch.ts";
import { RecordCursor } from "../../src/message/record-cursor.ts";
import type { ByteRange } from "../../src/wire/kafka/codec/reader.ts";

/** As a client reads the answer to a fetch: from `offset` on, without markers, and without what was aborted. */
export function readBatches(
  range: ByteRange | null,
  offset: number,
  abortedTransactions: readonly { readonly producerId: number; readonly firstOffset: number }[],
): { records: { offset: number; value: string }[]; next: number; missing: number } {
  const records: { offset: number; value: string }[] = [];
  const aborted = [...abortedTransactions].sort((a, b) => a.firstOffset - b.firstOffset);
  const aborting = new Set<number>();
  const cursor = new RecordCursor();
  let next = offset;
  let missing = 0;
  if (range === null) return { records, next, missing };
  const { bytes, end } = range;
  for (let at = range.start; at < end; at += batchBytes(bytes, at)) {
    const attributes = readI16(bytes, at + ATTRIBUTES_AT);
    const producerId = readI64(bytes, at + PRODUCER_ID_AT);
    const first = readI64(bytes, at + BASE_OFFSET_AT);
    const last = first + readI32(bytes, at + LAST_OFFSET_DELTA_AT);
    missing += Math.max(0, first - next);
    next = last + 1;
    while (aborted[0] !== undefined && aborted[0].firstOffset <= last) {
      aborting.add((aborted.shift() as { producerId: number }).producerId);
    }
    if ((attributes & ATTRIBUTE_CONTROL) !== 0) {
      aborting.delete(producerId);
      continue;
    }
    if ((attributes & ATTRIBUTE_TRANSACTIONAL) !== 0 && aborting.has(producerId)) continue;
    cursor.open(bytes, at, at + batchBytes(bytes, at));
    while (cursor.next()) {
      if (cursor.offset >= offset) {
        records.push({ offset: cursor.offset, value: Buffer.from(cursor.value() ?? []).toString() });
      }
    }
  }
  return { records, next, missing };
}
