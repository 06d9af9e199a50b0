import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_TRANSACTIONAL,
  ATTRIBUTES_AT,
  batchBytes,
  nextOffsetOf,
  PRODUCER_ID_AT,
  readI16,
  readI64,
} from "../../message/record-batch.ts";
import { RecordCursor } from "../../message/record-cursor.ts";
import type { StreamRecord } from "../../message/stream-record.ts";
import type { Partition } from "./partition.ts";
import { type AbortedTransaction, StreamSlice } from "./types.ts";

const READ_BYTES = 64 * 1024;
const NO_BYTES = new Uint8Array(0);

export const CURSOR_RECORD = 0;
/** There is nothing more yet. */
export const CURSOR_END = 1;
/** What comes next is being read from disk. */
export const CURSOR_LOADING = 2;

const slice = new StreamSlice();

/**
 * Reads a partition record by record, as a reader must who shows what he reads to others: only what is
 * decided, without markers and without what was taken back.
 */
export class StreamCursor {
  /** Offset of the record to read next. */
  next: number;
  readonly partition: Partition;
  /** The record that `advance` has found. */
  readonly record = new RecordCursor();
  /** Batches, copied: what the partition hands out is only lent. */
  private bytes: Uint8Array = NO_BYTES;
  private at = 0;
  private end = 0;
  private nextRead: number;
  private open = false;
  private loading = false;
  private failure: Error | null = null;
  private aborted: AbortedTransaction[] = [];
  /** Producers whose aborted transaction has begun and not ended yet. */
  private readonly aborting = new Set<number>();
  private readonly loaded: () => void;

  /** `loaded` is called when `advance` may be tried again after CURSOR_LOADING. */
  constructor(partition: Partition, offset: number, loaded: () => void) {
    this.partition = partition;
    this.next = offset;
    this.nextRead = offset;
    this.loaded = loaded;
  }

  /** Goes to the next record. Returns CURSOR_*. @throws CorruptionError, MalformedRecords */
  advance(): number {
    for (;;) {
      if (this.open) {
        while (this.record.next()) {
          if (this.record.offset < this.next) continue;
          this.next = this.record.offset + 1;
          return CURSOR_RECORD;
        }
        this.open = false;
      } else if (this.at < this.end) this.openBatch();
      else {
        const found = this.read();
        if (found !== CURSOR_RECORD) return found;
      }
    }
  }

  /** What `advance` has found, in bytes of its own only as long as the cursor stays where it is. */
  current(): StreamRecord {
    const { record } = this;
    return {
      key: record.key(),
      value: record.value(),
      headers: record.headers().map(({ name, value }) => [name, value] as const),
      timestampMs: record.timestampMs,
    };
  }

  private openBatch(): void {
    const { bytes, at } = this;
    const end = at + batchBytes(bytes, at);
    this.at = end;
    const attributes = readI16(bytes, at + ATTRIBUTES_AT);
    const producerId = readI64(bytes, at + PRODUCER_ID_AT);
    const last = nextOffsetOf(bytes, at) - 1;
    while (this.aborted.length > 0 && (this.aborted[0] as AbortedTransaction).firstOffset <= last) {
      this.aborting.add((this.aborted.shift() as AbortedTransaction).producerId);
    }
    if ((attributes & ATTRIBUTE_CONTROL) !== 0) {
      this.aborting.delete(producerId);
      return;
    }
    if ((attributes & ATTRIBUTE_TRANSACTIONAL) !== 0 && this.aborting.has(producerId)) return;
    this.record.open(bytes, at, end);
    this.open = true;
  }

  private read(): number {
    if (this.loading) return CURSOR_LOADING;
    if (this.failure !== null) throw this.failure;
    const { partition } = this;
    if (this.next < this.nextRead) this.next = this.nextRead;
    if (this.next < partition.startOffset) this.next = partition.startOffset;
    if (partition.stableOffset <= this.next) {
      // An idle reader keeps nothing.
      this.bytes = NO_BYTES;
      this.at = this.end = 0;
      return CURSOR_END;
    }
    if (!partition.read(this.next, READ_BYTES, "stable", slice)) {
      this.load();
      return CURSOR_LOADING;
    }
    this.take(slice);
    return CURSOR_RECORD;
  }

  private load(): void {
    this.loading = true;
    this.partition
      .load(this.next, READ_BYTES, "stable")
      .then((found) => {
        this.take(found);
        found.release();
      })
      .catch((error: Error) => {
        // It may have been trimmed meanwhile.
        if (this.next >= this.partition.startOffset) this.failure = error;
      })
      .finally(() => {
        this.loading = false;
        this.loaded();
      });
  }

  private take(found: StreamSlice): void {
    if (this.bytes.length < found.bytes) this.bytes = Buffer.allocUnsafe(Math.max(found.bytes, READ_BYTES));
    this.at = 0;
    this.end = 0;
    for (const { bytes, start, end } of found.pieces) {
      this.bytes.set(bytes.subarray(start, end), this.end);
      this.end += end - start;
    }
    this.nextRead = found.nextOffset;
    this.aborted = [...found.aborted].sort((a, b) => a.firstOffset - b.firstOffset);
  }
}
