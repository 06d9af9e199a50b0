import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Task, Turn } from "../../base/turn.ts";
import { RecordView } from "../../message/record.ts";
import { messageOfRecord } from "../../message/stream-record.ts";
import type { CommitWaiter } from "../types.ts";
import type { Partition } from "./partition.ts";
import type { Stream } from "./stream.ts";
import { CURSOR_END, CURSOR_RECORD, StreamCursor } from "./stream-cursor.ts";
import type { OffsetWaiter } from "./types.ts";

/** Records one feed passes on before others have their turn. */
const RECORDS_MAX = 256;
/** Between two notes of the place: so much is passed on again after a crash. */
const SAVE_MS = 200;
/** How long to wait when there is no room for messages. */
const PRESSED_MS = 50;

export interface FeedContext {
  readonly turn: Turn;
  readonly clock: Clock;
  readonly logger: Logger;
  /** There is no room for messages now. */
  readonly pressed: boolean;
  /** Publishes a message to an exchange; it is the feed's only during the call. */
  publish(namespace: string, exchange: string, message: RecordView, key: string, from: Stream): void;
  /** `waiter` hears when all that was published so far is durable. */
  whenCommitted(waiter: CommitWaiter): void;
  /** Writes down where the feed is: offsets by partition. */
  save(feed: StreamFeed, offsets: readonly number[]): void;
}

/**
 * Passes what is decided in a stream on to an exchange, as if it were published there. Its place is
 * noted when what it passed on is durable, so that a crash makes it pass on something twice but nothing
 * never.
 */
export class StreamFeed implements Task, OffsetWaiter, CommitWaiter {
  scheduled = false;
  readonly namespace: string;
  readonly exchange: string;
  readonly stream: Stream;
  private readonly context: FeedContext;
  private readonly cursors: StreamCursor[] = [];
  private readonly waiting = new Set<StreamCursor>();
  private readonly message = new RecordView();
  private readonly grown = (): void => this.wake();
  private turnOf = 0;
  private over = false;
  private timer: Timer | null = null;
  private savedMs = Number.NEGATIVE_INFINITY;
  /** Passed on, by partition, as of the commit that is awaited. */
  private passed: readonly number[] = [];
  private awaiting = false;

  /** `offsets`: where it was, by partition; a partition that is not there begins at its beginning. */
  constructor(
    context: FeedContext,
    namespace: string,
    exchange: string,
    stream: Stream,
    offsets: readonly number[],
  ) {
    this.context = context;
    this.namespace = namespace;
    this.exchange = exchange;
    this.stream = stream;
    for (const partition of stream.partitions) this.follow(partition, offsets[partition.index]);
    stream.growthListeners.add(this.grown);
    this.wake();
  }

  stop(): void {
    this.over = true;
    this.timer?.cancel();
    this.stream.growthListeners.delete(this.grown);
    for (const { partition } of this.waiting) partition.cancelWait(this);
  }

  run(): void {
    if (this.over) return;
    if (this.context.pressed) {
      this.timer ??= this.context.clock.setTimer(PRESSED_MS, () => {
        this.timer = null;
        this.wake();
      });
      return;
    }
    try {
      if (this.pass()) this.wake();
    } catch (error) {
      const { exchange, stream } = this;
      this.context.logger.error({ exchange, stream: stream.name, err: error }, "a stream cannot be read on");
      this.stop();
    }
  }

  reached(partition: Partition): void {
    for (const cursor of this.waiting) if (cursor.partition === partition) this.waiting.delete(cursor);
    this.wake();
  }

  committed(_batch: number, lost: boolean): void {
    this.awaiting = false;
    if (this.over) return;
    if (lost) {
      // What another stream did not keep is passed on again after the restart that this needs.
      this.context.logger.error({ exchange: this.exchange }, "a stream that is fed has failed: feeding ends");
      this.stop();
      return;
    }
    const nowMs = this.context.clock.monotonic();
    if (this.waiting.size < this.cursors.length && nowMs - this.savedMs < SAVE_MS) return;
    this.savedMs = nowMs;
    this.context.save(this, this.passed);
  }

  private follow(partition: Partition, offset: number | undefined): void {
    const cursor = new StreamCursor(partition, offset ?? partition.startOffset, () => this.wake());
    this.cursors.push(cursor);
  }

  private wake(): void {
    if (!this.over && !this.scheduled) this.context.turn.soon(this);
  }

  /** Passes on what there is; true when there may be more. */
  private pass(): boolean {
    // The stream may have grown.
    for (let index = this.cursors.length; index < this.stream.partitions.length; index++) {
      this.follow(this.stream.partitions[index] as Partition, undefined);
    }
    let count = 0;
    for (let idle = 0; idle < this.cursors.length && count < RECORDS_MAX; this.turnOf++) {
      const cursor = this.cursors[this.turnOf % this.cursors.length] as StreamCursor;
      const before = count;
      while (count < RECORDS_MAX && !this.waiting.has(cursor)) {
        const found = cursor.advance();
        if (found === CURSOR_END) {
          this.waiting.add(cursor);
          cursor.partition.wait(cursor.next, "stable", this);
        }
        if (found !== CURSOR_RECORD) break;
        this.publish(cursor);
        count++;
      }
      idle = count === before ? idle + 1 : 0;
    }
    this.note();
    return count === RECORDS_MAX;
  }

  private publish(cursor: StreamCursor): void {
    const record = cursor.current();
    const { message, stream } = this;
    message.bytes = messageOfRecord(record, stream.name);
    message.offset = 0;
    message.length = message.bytes.length;
    const plain = message.exchange() === "" && message.routingKey() === stream.name;
    // What was not routed before is routed by its key.
    const key = plain && record.key !== null ? Buffer.from(record.key).toString() : message.routingKey();
    this.context.publish(this.namespace, this.exchange, message, key, stream);
  }

  private note(): void {
    if (this.awaiting) return;
    const offsets = this.cursors.map(({ next }) => next);
    if (offsets.every((offset, index) => offset === this.passed[index])) return;
    this.passed = offsets;
    this.awaiting = true;
    this.context.whenCommitted(this);
  }
}
