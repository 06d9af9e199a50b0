import type { Task } from "../../base/turn.ts";
import { messageOfRecord, type StreamRecord } from "../../message/stream-record.ts";
import { MutableDelivery } from "../delivery.ts";
import type { Holder, Ledger, SettleTarget } from "../ledger.ts";
import type { ConsumeOptions, ConsumerHandle, ConsumerSink } from "../types.ts";
import type { Partition } from "./partition.ts";
import type { StreamFilter, StreamPlace } from "./place.ts";
import { CURSOR_END, CURSOR_RECORD, StreamCursor } from "./stream-cursor.ts";
import type { StreamQueueContext } from "./stream-queue-context.ts";
import type { OffsetWaiter, StreamHandle } from "./types.ts";

/** Records one consumer is given before others have their turn. */
const PUMP_RECORDS_MAX = 512;
/** Header by which publishers let consumers choose. */
const FILTER_HEADER = "x-stream-filter-value";

/** Where a consumer reads. */
export interface ConsumedStream {
  readonly name: string;
  readonly stream: StreamHandle;
  removeConsumer(consumer: StreamConsumer): void;
}

/**
 * A consumer that reads a stream as if it were a queue. Each has a place of its own; what it settles
 * is credit and nothing else.
 */
export class StreamConsumer implements ConsumerHandle, Holder, SettleTarget, OffsetWaiter, Task {
  scheduled = false;
  unsettled = 0;
  readonly tag: string;
  private readonly context: StreamQueueContext;
  private readonly source: ConsumedStream;
  private readonly options: ConsumeOptions;
  private readonly sink: ConsumerSink;
  private readonly ledger: Ledger;
  private readonly filter: StreamFilter | null;
  private readonly cursors: StreamCursor[] = [];
  /** Cursors that have come to the end, and wait. */
  private readonly waiting = new Set<StreamCursor>();
  private turnOf = 0;
  /** Partitions that it reads, or is about to; all there will be, when it reads but one. */
  private followed = Number.POSITIVE_INFINITY;
  private over = false;
  private readonly delivery = new MutableDelivery();

  constructor(
    context: StreamQueueContext,
    source: ConsumedStream,
    options: ConsumeOptions,
    filter: StreamFilter | null,
    sink: ConsumerSink,
    ledger: Ledger,
  ) {
    this.context = context;
    this.source = source;
    this.options = options;
    this.filter = filter;
    this.sink = sink;
    this.ledger = ledger;
    this.tag = options.tag;
  }

  get queue(): SettleTarget {
    return this;
  }

  get queueName(): string {
    return this.source.name;
  }

  /** Finds its places; deliveries begin when it has them. `all`: of the whole stream, also as it grows. */
  start(partitions: readonly Partition[], from: StreamPlace, all: boolean): void {
    if (all) this.followed = partitions.length;
    for (const partition of partitions) {
      const place = placeIn(partition, from);
      if (typeof place === "number") this.begin(partition, place);
      else {
        place.then(
          (offset) => this.begin(partition, offset),
          (error: unknown) => this.fail(error),
        );
      }
    }
  }

  /** Whatever is in a partition that is new was published since: it is read from its beginning. */
  follow(partitions: readonly Partition[]): void {
    for (; this.followed < partitions.length; this.followed++) {
      const partition = partitions[this.followed] as Partition;
      this.begin(partition, partition.startOffset);
    }
  }

  resume(): void {
    this.wake();
  }

  cancel(): void {
    if (this.over) return;
    this.end();
    this.ledger.dropConsumer(this);
    this.source.removeConsumer(this);
  }

  cancelledByStream(): void {
    if (this.over) return;
    this.cancel();
    this.sink.cancelled();
  }

  wake(): void {
    if (!this.over && !this.scheduled) this.context.turn.soon(this);
  }

  run(): void {
    if (this.over) return;
    try {
      for (let count = 0; this.ready; count++) {
        if (count === PUMP_RECORDS_MAX) {
          this.wake();
          return;
        }
        const cursor = this.nextRecord();
        if (cursor === null) return;
        this.deliver(cursor);
      }
    } catch (error) {
      this.fail(error);
    }
  }

  reached(partition: Partition): void {
    for (const cursor of this.waiting) if (cursor.partition === partition) this.waiting.delete(cursor);
    this.wake();
  }

  // --- settling: a place is the client's to keep ---------------------------------------------------

  accepted(): void {
    this.context.counters.acknowledged++;
  }

  rejected(): void {}

  returned(): void {}

  timedOut(): void {}

  private get ready(): boolean {
    if (this.over || !this.sink.writable) return false;
    const { prefetch, noAck } = this.options;
    if (noAck) return true;
    if (prefetch !== 0 && this.unsettled >= prefetch) return false;
    return this.ledger.prefetchMax === 0 || this.ledger.unsettled < this.ledger.prefetchMax;
  }

  private begin(partition: Partition, offset: number): void {
    if (this.over) return;
    this.cursors.push(new StreamCursor(partition, offset, () => this.wake()));
    this.wake();
  }

  /** The cursor that has found a record for this consumer, round robin; null when none has. */
  private nextRecord(): StreamCursor | null {
    const { cursors } = this;
    for (let tried = 0; tried < cursors.length; ) {
      const cursor = cursors[this.turnOf % cursors.length] as StreamCursor;
      const found = this.waiting.has(cursor) ? CURSOR_END : cursor.advance();
      if (found === CURSOR_RECORD) {
        if (this.wants(cursor)) {
          this.turnOf++;
          return cursor;
        }
        continue;
      }
      if (found === CURSOR_END && !this.waiting.has(cursor)) {
        this.waiting.add(cursor);
        cursor.partition.wait(cursor.next, "stable", this);
      }
      this.turnOf++;
      tried++;
    }
    return null;
  }

  private wants({ record }: StreamCursor): boolean {
    const { filter } = this;
    if (filter === null) return true;
    const header = record.headers().find(({ name }) => name === FILTER_HEADER);
    if (header === undefined || header.value === null) return filter.unfiltered;
    return filter.values.includes(Buffer.from(header.value).toString());
  }

  private deliver(cursor: StreamCursor): void {
    const { delivery, ledger, options, source } = this;
    const made: StreamRecord = cursor.current();
    const bytes = messageOfRecord(made, source.name);
    delivery.record.bytes = bytes;
    delivery.record.offset = 0;
    delivery.record.length = bytes.length;
    delivery.queue = source.name;
    delivery.streamOffset = cursor.record.offset;
    delivery.streamPartition = source.stream.partitions.length > 1 ? cursor.partition.index : -1;
    this.context.counters.delivered++;
    this.context.counters.streamRecordsRead++;
    delivery.tag = options.noAck ? ledger.passed() : ledger.enter(0, this, -1);
    this.sink.deliver(delivery);
  }

  private end(): void {
    this.over = true;
    for (const { partition } of this.waiting) partition.cancelWait(this);
    this.waiting.clear();
    this.cursors.length = 0;
  }

  /** What cannot be read is not served. */
  private fail(error: unknown): void {
    if (this.over) return;
    this.context.logger.error({ stream: this.source.name, err: error }, "a stream cannot be read on");
    this.cancelledByStream();
  }
}

/** The offset to begin at; a promise where it has to be looked for. */
function placeIn(partition: Partition, from: StreamPlace): number | Promise<number> {
  const { startOffset, stableOffset } = partition;
  switch (from.at) {
    case "first":
      return startOffset;
    case "next":
      return stableOffset;
    case "offset":
      return Math.max(startOffset, from.offset);
    case "last":
      return stableOffset === startOffset ? stableOffset : partition.batchAt(stableOffset - 1);
    case "time":
      return partition.offsetAt(from.timestampMs).then((found) => found?.offset ?? partition.stableOffset);
  }
}
