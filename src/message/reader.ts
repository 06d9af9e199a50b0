import type { Pivot } from "./pivot.ts";
import type { RecordView } from "./record.ts";
import type { Table } from "./values.ts";

/** What the broker may ask of a stored message: implemented once by each protocol for its own bytes. */
export interface RecordReader {
  headers(record: RecordView): Table | null;
  /** "message_id" | "correlation_id" | "timestamp" | "expiration" as text, or null. */
  property(record: RecordView, name: string): string | null;
  /** The whole message in neutral terms. Its body lies in the record's bytes. */
  pivot(record: RecordView): Pivot;
}

/** Reader by origin number. */
export type RecordReaders = ReadonlyMap<number, RecordReader>;
