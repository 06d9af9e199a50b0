/** What may be appended. The checks that need nothing but the batch and the stream's settings. */
import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_TRANSACTIONAL,
  ATTRIBUTES_AT,
  BASE_SEQUENCE_AT,
  BASE_TIMESTAMP_AT,
  BATCH_MAGIC,
  BATCH_OVERHEAD_BYTES,
  batchBytes,
  batchIntact,
  COMPRESSION_MASK,
  COUNT_AT,
  LAST_OFFSET_DELTA_AT,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  readI16,
  readI32,
  readI64,
} from "../../message/record-batch.ts";
import type { RecordCursor } from "../../message/record-cursor.ts";
import { recordsFit } from "../../message/record-walk.ts";
import type { MutableAppendResult } from "./context.ts";
import type { StreamConfig } from "./types.ts";

const COMPRESSION_MAX = 4;

/** Refuses in `result`, or returns true. */
export function checkBatch(
  bytes: Uint8Array,
  start: number,
  end: number,
  config: StreamConfig,
  nowMs: number,
  cursor: RecordCursor,
  result: MutableAppendResult,
): boolean {
  const length = end - start;
  if (length < BATCH_OVERHEAD_BYTES || batchBytes(bytes, start) !== length) {
    result.refuse("corrupt", `${length} bytes are not one whole record batch`);
  } else if (bytes[start + MAGIC_AT] !== BATCH_MAGIC) {
    result.refuse("invalid-record", `record format ${bytes[start + MAGIC_AT]} is not appended as it is`);
  } else if (length > config.batchBytesMax) {
    result.refuse(
      "too-large",
      `a batch of ${length} bytes is larger than the ${config.batchBytesMax} that the stream takes`,
    );
  } else if (!batchIntact(bytes, start, end)) {
    result.refuse("corrupt", "the batch fails its checksum");
  } else {
    checkFields(bytes, start, result);
    if (result.refusal === null && config.timestamps === "create")
      checkTimestamps(bytes, start, config, nowMs, result);
    if (result.refusal === null) checkRecords(bytes, start, end, result);
    if (result.refusal === null && config.cleanup !== "delete") checkKeys(bytes, start, end, cursor, result);
  }
  return result.refusal === null;
}

function checkFields(bytes: Uint8Array, start: number, result: MutableAppendResult): void {
  const attributes = readI16(bytes, start + ATTRIBUTES_AT);
  const count = readI32(bytes, start + COUNT_AT);
  const producerId = readI64(bytes, start + PRODUCER_ID_AT);
  if ((attributes & ATTRIBUTE_CONTROL) !== 0) {
    result.refuse("invalid-record", "only the broker writes control batches");
  } else if ((attributes & COMPRESSION_MASK) > COMPRESSION_MAX) {
    result.refuse("invalid-record", `compression ${attributes & COMPRESSION_MASK} is unknown`);
  } else if (count <= 0 || readI32(bytes, start + LAST_OFFSET_DELTA_AT) !== count - 1) {
    result.refuse("invalid-record", "the number of records does not fit the last offset");
  } else if (producerId < 0) {
    if ((attributes & ATTRIBUTE_TRANSACTIONAL) !== 0) {
      result.refuse("invalid-record", "a transactional batch without a producer id");
    }
  } else if (readI16(bytes, start + PRODUCER_EPOCH_AT) < 0 || readI32(bytes, start + BASE_SEQUENCE_AT) < 0) {
    result.refuse("invalid-record", "a producer id without an epoch or a sequence");
  }
}

function checkTimestamps(
  bytes: Uint8Array,
  start: number,
  config: StreamConfig,
  nowMs: number,
  result: MutableAppendResult,
): void {
  const oldest = readI64(bytes, start + BASE_TIMESTAMP_AT);
  const newest = readI64(bytes, start + MAX_TIMESTAMP_AT);
  // -1: none.
  const early =
    config.timestampBeforeMaxMs >= 0 && oldest >= 0 && oldest < nowMs - config.timestampBeforeMaxMs;
  const late = config.timestampAfterMaxMs >= 0 && newest > nowMs + config.timestampAfterMaxMs;
  if (early || late) {
    result.refuse(
      "timestamp-out-of-range",
      `timestamp ${early ? oldest : newest} is too far from the broker's ${nowMs}`,
    );
  }
}

/** One batch that cannot be read would stop all readers of its partition. What is compressed is taken as it is. */
function checkRecords(bytes: Uint8Array, start: number, end: number, result: MutableAppendResult): void {
  if ((readI16(bytes, start + ATTRIBUTES_AT) & COMPRESSION_MASK) !== 0) return;
  if (!recordsFit(bytes, start, end)) result.refuse("invalid-record", "the records do not fit their batch");
}

function checkKeys(
  bytes: Uint8Array,
  start: number,
  end: number,
  cursor: RecordCursor,
  result: MutableAppendResult,
): void {
  try {
    cursor.open(bytes, start, end);
    while (cursor.next()) {
      if (cursor.keyStart >= 0) continue;
      result.refuse("invalid-record", "a stream that is compacted takes no record without a key");
      return;
    }
  } catch (error) {
    result.refuse("invalid-record", (error as Error).message);
  }
}
