import type { Ledger, SettleTarget } from "./ledger.ts";
import type { ConsumeOptions, ConsumerSink } from "./types.ts";

/** A queue, as a consumer sees it. */
export interface ConsumedQueue extends SettleTarget {
  readonly name: string;
  removeConsumer(consumer: Consumer): void;
}

/** A subscription to a queue. */
export class Consumer {
  readonly tag: string;
  readonly queue: ConsumedQueue;
  readonly ledger: Ledger;
  readonly sink: ConsumerSink;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  readonly priority: number;
  readonly prefetch: number;
  /** Deliveries of this consumer that wait to be settled. */
  unsettled = 0;
  cancelled = false;

  constructor(queue: ConsumedQueue, ledger: Ledger, sink: ConsumerSink, options: ConsumeOptions) {
    this.queue = queue;
    this.ledger = ledger;
    this.sink = sink;
    this.tag = options.tag;
    this.noAck = options.noAck;
    this.exclusive = options.exclusive;
    this.priority = options.priority;
    this.prefetch = options.prefetch;
  }

  get queueName(): string {
    return this.queue.name;
  }

  /** Can take a message now. */
  get ready(): boolean {
    if (this.cancelled || !this.sink.writable) return false;
    if (this.noAck) return true;
    if (this.prefetch !== 0 && this.unsettled >= this.prefetch) return false;
    const { prefetchMax } = this.ledger;
    return prefetchMax === 0 || this.ledger.unsettled - this.ledger.gotten < prefetchMax;
  }

  /** The sink is writable again. */
  resume(): void {
    this.queue.wake();
  }

  /** No deliveries after this; what is unsettled stays in the ledger. */
  cancel(): void {
    if (this.cancelled) return;
    this.cancelled = true;
    this.ledger.dropConsumer(this);
    this.queue.removeConsumer(this);
  }

  /** The queue is going away. */
  cancelledByQueue(): void {
    if (this.cancelled) return;
    this.cancelled = true;
    this.ledger.dropConsumer(this);
    this.sink.cancelled();
  }
}
