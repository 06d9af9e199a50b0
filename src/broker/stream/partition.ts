import { BrokerError } from "../../base/errors.ts";
import { BASE_OFFSET_AT, MAX_TIMESTAMP_AT, readI64 } from "../../message/record-batch.ts";
import { Compaction } from "./compaction.ts";
import type { StreamContext } from "./context.ts";
import { LEADER_EPOCH, PartitionLog, type PartitionLogHost } from "./partition-log.ts";
import { readLog, readTail } from "./partition-reader.ts";
import {
  type AppendResult,
  type Isolation,
  type OffsetWaiter,
  type PartitionHandle,
  type PartitionProducer,
  type StreamConfig,
  type StreamHandle,
  StreamSlice,
} from "./types.ts";

const NOTHING_YET = { timestampMs: -1, offset: -1 };
/** Read at once when looking for a timestamp. */
const SEARCH_BYTES = 256 * 1024;

interface Waiting {
  readonly offset: number;
  readonly isolation: Isolation;
  readonly waiter: OffsetWaiter;
}

/** The stream that a partition belongs to. */
export interface PartitionOwner extends StreamHandle {
  readonly deleted: boolean;
  failed: boolean;
}

/** One partition. Until something is written to it, it is this object and nothing else. */
export class Partition implements PartitionHandle, PartitionLogHost {
  readonly stream: PartitionOwner;
  readonly index: number;
  /** Null until the first append. */
  written: PartitionLog | null = null;
  private readonly context: StreamContext;
  private cleaning: Promise<void> | null = null;
  private waiting: Waiting[] | null = null;

  constructor(context: StreamContext, stream: PartitionOwner, index: number) {
    this.context = context;
    this.stream = stream;
    this.index = index;
  }

  get logName(): string {
    return logNameOf(this.stream.id, this.index);
  }

  get config(): StreamConfig {
    return this.stream.config;
  }

  get epoch(): number {
    return LEADER_EPOCH;
  }

  get startOffset(): number {
    return this.written?.startOffset ?? 0;
  }

  get endOffset(): number {
    return this.written?.endOffset ?? 0;
  }

  get committedOffset(): number {
    return this.written?.committedOffset ?? 0;
  }

  get stableOffset(): number {
    return this.written?.stableOffset ?? 0;
  }

  get storedBytes(): number {
    return this.written?.storedBytes ?? 0;
  }

  get newestTimestamp(): { readonly timestampMs: number; readonly offset: number } {
    let newest = NOTHING_YET;
    for (const { maxTimestampMs, maxTimestampOffset } of this.written?.runs.list ?? []) {
      if (maxTimestampMs > newest.timestampMs)
        newest = { timestampMs: maxTimestampMs, offset: maxTimestampOffset };
    }
    return newest;
  }

  // --- writing --------------------------------------------------------------------------------

  append(bytes: Uint8Array, start: number, end: number): AppendResult {
    if (this.stream.deleted) {
      const { result } = this.context;
      result.clear();
      return result.refuse("storage", "the stream was deleted");
    }
    return this.writing().append(bytes, start, end);
  }

  /** A batch that the broker made itself: of any size, and taken as it is. */
  appendOwn(bytes: Uint8Array, start: number, end: number): AppendResult {
    return this.writing().append(bytes, start, end, true);
  }

  beginTransaction(producerId: number, producerEpoch: number): void {
    this.writing().beginTransaction(producerId, producerEpoch);
  }

  endTransaction(
    producerId: number,
    producerEpoch: number,
    commit: boolean,
    coordinatorEpoch: number,
  ): number {
    return this.writing().endTransaction(producerId, producerEpoch, commit, coordinatorEpoch);
  }

  trim(offset: number): void {
    if (offset < this.startOffset || offset > this.committedOffset) throw outOfRange(this, offset);
    this.written?.trim(offset);
  }

  // --- reading --------------------------------------------------------------------------------

  read(offset: number, bytesMax: number, isolation: Isolation, slice: StreamSlice): boolean {
    this.checkOffset(offset);
    slice.reset(offset);
    const { written } = this;
    const end = this.visibleEnd(isolation);
    if (written === null || offset >= end) return true;
    if (!readTail(this.context, written, offset, end, bytesMax, slice)) return false;
    if (isolation === "stable") slice.aborted = written.transactions.abortedIn(offset, slice.nextOffset);
    return true;
  }

  async load(offset: number, bytesMax: number, isolation: Isolation): Promise<StreamSlice> {
    for (let attempt = 0; ; attempt++) {
      this.checkOffset(offset);
      const { written } = this;
      const end = this.visibleEnd(isolation);
      if (written === null || offset >= end) return emptySlice(offset);
      try {
        const slice = await readLog(this.context, written, offset, end, bytesMax);
        if (isolation === "stable") slice.aborted = written.transactions.abortedIn(offset, slice.nextOffset);
        return slice;
      } catch (error) {
        // What was being read may have been cut off or cleaned away meanwhile: then it is elsewhere now.
        if (attempt > 0 && offset >= this.startOffset) throw error;
        if (attempt > 2) throw error;
      }
    }
  }

  bytesFrom(offset: number, isolation: Isolation): number {
    const { written } = this;
    const end = this.visibleEnd(isolation);
    if (written === null || offset >= end) return 0;
    let bytes = 0;
    const { list } = written.runs;
    for (let index = written.runs.indexOf(offset); index < list.length; index++) {
      const run = list[index];
      if (run === undefined || run.baseOffset >= end) break;
      const span = run.endOffset - run.baseOffset;
      const part = Math.min(end, run.endOffset) - Math.max(offset, run.baseOffset);
      bytes += span === part ? run.bytes : (run.bytes * part) / span;
    }
    return Math.ceil(bytes);
  }

  wait(offset: number, isolation: Isolation, waiter: OffsetWaiter): void {
    if (this.stream.deleted || this.visibleEnd(isolation) > offset) waiter.reached(this);
    else {
      this.waiting ??= [];
      this.waiting.push({ offset, isolation, waiter });
    }
  }

  cancelWait(waiter: OffsetWaiter): void {
    if (this.waiting === null) return;
    this.waiting = this.waiting.filter((waiting) => waiting.waiter !== waiter);
    if (this.waiting.length === 0) this.waiting = null;
  }

  async offsetAt(
    timestampMs: number,
  ): Promise<{ readonly offset: number; readonly timestampMs: number } | null> {
    const { written } = this;
    if (written === null) return null;
    for (const run of [...written.runs.list]) {
      if (run.maxTimestampMs < timestampMs) continue;
      const end = Math.min(run.endOffset, this.committedOffset);
      for (let at = Math.max(run.offsetBefore(timestampMs), this.startOffset); at < end; ) {
        const slice = new StreamSlice();
        const found = this.read(at, SEARCH_BYTES, "committed", slice)
          ? slice
          : await this.load(at, SEARCH_BYTES, "committed");
        const record = this.firstAtOrAfter(found, at, timestampMs);
        const next = found.nextOffset;
        found.release();
        if (record !== null) return record;
        if (next <= at) break;
        at = next;
      }
    }
    return null;
  }

  /** First offset of the batch that holds `offset`. */
  async batchAt(offset: number): Promise<number> {
    const slice = new StreamSlice();
    const found = this.read(offset, 1, "committed", slice) ? slice : await this.load(offset, 1, "committed");
    const [first] = found.batches();
    const base = first === undefined ? offset : readI64(first.bytes, first.start + BASE_OFFSET_AT);
    found.release();
    return base;
  }

  producers(): PartitionProducer[] {
    const { written } = this;
    if (written === null) return [];
    const open = new Map(written.transactions.state().open);
    return written.producers.list().map((producer) => {
      return { ...producer, transactionStart: open.get(producer.producerId) ?? -1 };
    });
  }

  // --- life -----------------------------------------------------------------------------------

  async recover(): Promise<void> {
    const written = new PartitionLog(this.context, this);
    await written.recover();
    this.written = written;
  }

  /** Cleans by key what can be cleaned now, or waits for the pass that is under way: there is never more than one. */
  clean(keysMax?: number): Promise<void> {
    if (this.written === null) return Promise.resolve();
    this.cleaning ??= new Compaction(this.context, this.written, this.config, keysMax).run().finally(() => {
      this.cleaning = null;
    });
    return this.cleaning;
  }

  /** Those who wait are told: there is more, or there will be nothing more. */
  advanced(): void {
    this.tell(this.stream.deleted);
  }

  storageFailed(): void {
    this.stream.failed = true;
    this.tell(true);
  }

  private tell(all: boolean): void {
    const { waiting } = this;
    if (waiting === null) return;
    let left = 0;
    const due: OffsetWaiter[] = [];
    for (const entry of waiting) {
      if (all || this.visibleEnd(entry.isolation) > entry.offset) due.push(entry.waiter);
      else waiting[left++] = entry;
    }
    waiting.length = left;
    if (left === 0) this.waiting = null;
    for (const waiter of due) waiter.reached(this);
  }

  private writing(): PartitionLog {
    this.written ??= new PartitionLog(this.context, this);
    return this.written;
  }

  private visibleEnd(isolation: Isolation): number {
    return isolation === "stable" ? this.stableOffset : this.committedOffset;
  }

  private checkOffset(offset: number): void {
    if (offset < this.startOffset || offset > this.endOffset) throw outOfRange(this, offset);
  }

  private firstAtOrAfter(slice: StreamSlice, from: number, timestampMs: number) {
    const { cursor } = this.context;
    for (const { bytes, start, end } of slice.batches()) {
      if (readI64(bytes, start + MAX_TIMESTAMP_AT) < timestampMs) continue;
      cursor.open(bytes, start, end);
      while (cursor.next()) {
        if (cursor.offset >= from && cursor.timestampMs >= timestampMs) {
          return { offset: cursor.offset, timestampMs: cursor.timestampMs };
        }
      }
    }
    return null;
  }
}

export function logNameOf(streamId: string, index: number): string {
  return `stream-${streamId}-${index}`;
}

function emptySlice(offset: number): StreamSlice {
  const slice = new StreamSlice();
  slice.reset(offset);
  return slice;
}

function outOfRange({ stream, index, startOffset, endOffset }: PartitionHandle, offset: number): BrokerError {
  return new BrokerError(
    "offset-out-of-range",
    `partition ${index} of stream '${stream.name}' holds offsets ${startOffset} to ${endOffset}, not ${offset}`,
    { kind: "stream", name: stream.name, namespace: stream.namespace, startOffset, endOffset },
  );
}
