import { type BatchFields, RecordWriter } from "../../src/message/record-writer.ts";
import type { ByteRange } from "../../src/wire/kafka/codec/reader.ts";

export interface BatchRecord {
  readonly key?: string | null;
  readonly value: string | null;
  readonly timestampMs?: number;
}

/** When records are from that do not say: what is older than a topic's retention may be gone at any time. */
export const RECENT_MS = Date.now() - 60_000;

/** A batch as a client sends it. */
export function batchOf(records: readonly BatchRecord[], fields: Partial<BatchFields> = {}): ByteRange {
  const writer = new RecordWriter();
  writer.begin();
  for (const { key = null, value, timestampMs = RECENT_MS } of records)
    writer.add(timestampMs, bytesOf(key), bytesOf(value));
  const end = writer.finish({
    attributes: 0,
    producerId: -1,
    producerEpoch: -1,
    baseSequence: -1,
    ...fields,
  });
  return { bytes: writer.bytes, start: 0, end };
}

function bytesOf(text: string | null): Uint8Array | null {
  return text === null ? null : Buffer.from(text);
}
