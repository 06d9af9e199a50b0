import type { RecordView } from "./record.ts";
import type { Table } from "./values.ts";

/** What the broker may ask of a stored message: implemented once by each protocol for its own bytes. */
export interface RecordReader {
  headers(record: RecordView): Table | null;
  /** "message_id" | "correlation_id" | "timestamp" | "expiration" as text, or null. */
  property(record: RecordView, name: string): string | null;
}

/** Reader by origin number. */
export type RecordReaders = ReadonlyMap<number, RecordReader>;
