import type { Clock } from "../base/clock.ts";
import type { RecordReaders } from "../message/reader.ts";
import {
  type Annotations,
  type Death,
  type DeathReason,
  encodeRouting,
  RecordView,
} from "../message/record.ts";
import type { Table } from "../message/values.ts";
import type { Publisher, PublishTarget } from "./publisher.ts";
import type { Queue } from "./queue.ts";
import type { Counters } from "./stats.ts";
import type { MessageStore, RecordSource } from "./store/message-store.ts";

/** How the data plane finds queues. Implemented over the topology. */
export interface QueueFinder {
  /** Queues that a message published to `exchange` with these keys reaches; empty when there is no such exchange. */
  find(
    namespace: string,
    exchange: string,
    keys: readonly string[],
    message: FoundMessage,
  ): readonly PublishTarget[];
  /** The namespace's parking lot, made when first needed. */
  parkingLot(namespace: string): Queue;
}

export interface FoundMessage {
  headers(): Table | null;
  property(name: string): string | null;
}

function hasTarget(queue: Queue): boolean {
  return queue.declaration.options.deadLetterExchange !== undefined;
}

/** Messages that are read back from disk together. */
const READ_TOGETHER_MAX = 1024;

/** A message that a queue gave up and that must be read back first. */
interface Waiting {
  readonly queue: Queue;
  readonly slot: number;
  readonly reason: DeathReason;
}

/** Where messages go that a queue gives up. */
export class DeadLetters {
  private readonly store: MessageStore;
  private readonly publisher: Publisher;
  private readonly finder: QueueFinder;
  private readonly readers: RecordReaders;
  private readonly clock: Clock;
  private readonly counters: Counters;
  /** In the order in which they were given up; everything queues up behind one that is read. */
  private waiting: Waiting[] = [];
  private loading = false;
  private holds = 0;
  /** Work that must be one batch is under way. */
  private atOnce = false;

  constructor(
    store: MessageStore,
    publisher: Publisher,
    finder: QueueFinder,
    readers: RecordReaders,
    clock: Clock,
    counters: Counters,
  ) {
    this.store = store;
    this.publisher = publisher;
    this.finder = finder;
    this.readers = readers;
    this.clock = clock;
    this.counters = counters;
  }

  /** The message leaves `queue`; its new place and its settlement are one batch. */
  discard(queue: Queue, slot: number, reason: DeathReason): void {
    if (!hasTarget(queue) && reason !== "delivery_limit" && !this.exhausted(queue, reason)) {
      this.counters.dropped[reason]++;
      queue.settle(slot);
      return;
    }
    const inTurn = this.holds === 0 && (!this.loading || this.atOnce);
    if (inTurn && this.store.resident(slot)) {
      this.leave(queue, slot, reason);
      return;
    }
    queue.transit.add(slot);
    this.waiting.push({ queue, slot, reason });
    if (inTurn && !this.loading) this.leaveWaiting();
  }

  /** What is given up from here on waits until `release`. */
  hold(): void {
    this.holds++;
  }

  release(): void {
    this.holds--;
    if (this.holds === 0 && this.waiting.length > 0 && !this.loading) this.leaveWaiting();
  }

  /** What `work` gives up leaves in the batch that is gathering, as far as it is in memory. */
  together(work: () => void): void {
    this.atOnce = true;
    try {
      work();
    } finally {
      this.atOnce = false;
    }
  }

  private leave(queue: Queue, slot: number, reason: DeathReason): void {
    if (!queue.deleted) this.move(queue, slot, reason, hasTarget(queue));
    queue.settle(slot);
  }

  private leaveWaiting(): void {
    let done = 0;
    this.loading = true;
    for (; done < this.waiting.length; done++) {
      const { queue, slot, reason } = this.waiting[done] as Waiting;
      if (!this.store.resident(slot)) break;
      queue.transit.delete(slot);
      this.leave(queue, slot, reason);
    }
    this.waiting = this.waiting.slice(done);
    this.loading = this.waiting.length > 0;
    if (!this.loading) return;
    const { queue, slot } = this.waiting[0] as Waiting;
    const slots = this.waiting.slice(0, READ_TOGETHER_MAX).map((next) => next.slot);
    this.store.load(
      slots.filter((other) => !this.store.resident(other)),
      (readable) => {
        if (!readable) {
          this.waiting.shift();
          queue.transit.delete(slot);
          queue.setAside(slot);
        }
        this.leaveWaiting();
      },
    );
  }

  /** A full queue refused a message that is not stored yet. */
  refused(queue: Queue, source: RecordSource, annotations: Uint8Array | null): void {
    const slot = this.store.put(source, annotations, false);
    this.move(queue, slot, "maxlen", true);
    this.store.free(slot);
  }

  // A retry policy promises that nothing is dropped when its attempts are used up.
  private exhausted(queue: Queue, reason: DeathReason): boolean {
    return reason === "rejected" && queue.declaration.options.retry !== undefined;
  }

  private move(queue: Queue, slot: number, reason: DeathReason, hasTarget: boolean): void {
    const record = new RecordView();
    this.store.view(slot, record);
    const source: RecordSource = {
      origin: record.origin,
      bytes: record.bytes,
      routingStart: 0,
      routingEnd: 0,
      nativeStart: record.nativeOffset,
      nativeEnd: record.end,
      bodyBytes: record.bodyBytes,
      persistent: record.persistent,
      priority: this.store.table.priority(slot),
    };
    const routing = { exchange: record.exchange(), key: record.routingKey() };
    this.send(queue, source, routing, record.annotations(), record, reason, hasTarget);
  }

  private send(
    queue: Queue,
    source: RecordSource,
    routing: { exchange: string; key: string },
    old: Annotations | null,
    record: RecordView,
    reason: DeathReason,
    hasTarget: boolean,
  ): void {
    const { deadLetterExchange, deadLetterRoutingKey } = queue.declaration.options;
    const reader = this.readers.get(source.origin);
    const expiration =
      old?.expirationRemoved === true ? null : (reader?.property(record, "expiration") ?? null);
    const keys = [routing.key, ...(old?.copies ?? []), ...(old?.blindCopies ?? [])];
    const visible = [routing.key, ...(old?.copies ?? [])];
    const annotations = this.died(queue.name, reason, routing.exchange, visible, expiration, old);
    const nextKeys = deadLetterRoutingKey === undefined ? keys : [deadLetterRoutingKey];
    let targets: readonly PublishTarget[];
    if (hasTarget) {
      targets = this.finder
        .find(queue.namespace, deadLetterExchange as string, nextKeys, {
          headers: () => reader?.headers(record) ?? null,
          property: (name) => reader?.property(record, name) ?? null,
        })
        .filter((target) => this.admissible(target, old, annotations, reason));
      this.counters.deadLettered++;
    } else {
      targets = [this.finder.parkingLot(queue.namespace)];
      this.counters.parked++;
    }
    if (targets.length === 0) return;
    this.put(
      source,
      hasTarget ? (deadLetterExchange as string) : "",
      hasTarget ? (nextKeys[0] ?? "") : (targets[0] as PublishTarget).name,
      {
        ...annotations,
        ...(deadLetterRoutingKey === undefined ? {} : { copies: [], blindCopies: [], copiesRemoved: true }),
      },
      targets,
    );
  }

  private put(
    source: RecordSource,
    exchange: string,
    key: string,
    annotations: Annotations,
    targets: readonly PublishTarget[],
  ): void {
    // Routing and native bytes lie in different buffers now; the store copies from one.
    const routing = encodeRouting(exchange, key);
    const native = source.bytes.subarray(source.nativeStart, source.nativeEnd);
    const bytes = Buffer.concat([routing, native]);
    const moved: RecordSource = {
      ...source,
      bytes,
      routingStart: 0,
      routingEnd: routing.length,
      nativeStart: routing.length,
      nativeEnd: bytes.length,
    };
    this.publisher.store(targets, moved, Buffer.from(JSON.stringify(annotations)), -1);
  }

  /** A message that comes back to a queue by itself, without anybody having rejected it, goes round for ever: it ends. */
  private admissible(
    target: PublishTarget,
    old: Annotations | null,
    now: Annotations,
    reason: DeathReason,
  ): boolean {
    if (reason === "rejected") return true;
    const deaths = now.deaths ?? [];
    const seen = deaths.findIndex((death) => death.queue === target.name);
    if (seen < 0 || old === undefined) return true;
    if (deaths.some((death) => death.reason === "rejected")) return true;
    this.counters.dropped.cycle++;
    return false;
  }

  private died(
    queue: string,
    reason: DeathReason,
    exchange: string,
    routingKeys: readonly string[],
    expiration: string | null,
    old: Annotations | null,
  ): Annotations {
    const earlier = (old?.deaths ?? []).find((death) => death.queue === queue && death.reason === reason);
    const others = (old?.deaths ?? []).filter((death) => death !== earlier);
    const death: Death =
      earlier === undefined
        ? {
            queue,
            reason,
            count: 1,
            firstTime: Math.floor(this.clock.now() / 1000),
            exchange,
            routingKeys,
            ...(expiration === null ? {} : { originalExpiration: expiration }),
          }
        : { ...earlier, count: earlier.count + 1 };
    return {
      ...old,
      deaths: [death, ...others],
      firstDeath: old?.firstDeath ?? { queue, reason, exchange },
      lastDeath: { queue, reason, exchange },
      ...(expiration === null ? {} : { expirationRemoved: true }),
    };
  }
}
