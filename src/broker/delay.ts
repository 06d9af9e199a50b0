import type { Clock, Timer } from "../base/clock.ts";
import { TimeHeap } from "../base/heap.ts";
import type { RecordReaders } from "../message/reader.ts";
import { type Annotations, encodeRouting, RecordView } from "../message/record.ts";
import type { QueueFinder } from "./dead-letter.ts";
import type { Holders, MessageHolder } from "./holders.ts";
import type { Publisher } from "./publisher.ts";
import type { Counters } from "./stats.ts";
import { ENQUEUE_HAS_EXPIRY, enqueueHead } from "./store/heads.ts";
import type { MessageStore, RecordSource } from "./store/message-store.ts";
import { PUBLISH_DONE, PUBLISH_PENDING } from "./types.ts";

/** The delay room's place among queue ids; queues count from 1. */
export const DELAY_HOLDER_ID = 0;

/** Messages fired per turn. */
const FIRES_PER_TURN = 1000;

/** What a delayed message must remember beside itself; kept among its annotations. */
interface DelayedAnnotations extends Annotations {
  readonly delayed: {
    readonly namespace: string;
    /** The exchange that delays it: where it came to, not always where it was published. */
    readonly exchange: string;
    readonly expirationMs: number;
    readonly delayMs: number;
  };
}

/**
 * Messages that wait for their time before they are routed: one heap over all of them, and one
 * timer. In the log they belong to a holder of their own, so they survive and are settled like any other.
 */
export class DelayRoom implements MessageHolder {
  readonly id = DELAY_HOLDER_ID;
  readonly logged = true;
  private readonly store: MessageStore;
  private readonly holders: Holders;
  private readonly publisher: Publisher;
  private readonly finder: QueueFinder;
  private readonly readers: RecordReaders;
  private readonly clock: Clock;
  private readonly counters: Counters;
  private readonly dueAt = new Map<number, number>();
  private readonly byId = new Map<number, number>();
  private readonly heap = new TimeHeap<number>();
  private timer: Timer | null = null;
  private timerDueMs = Number.POSITIVE_INFINITY;
  /** Their time has come, in order of it; fired one after the other, as they are in memory. */
  private firing: number[] = [];
  private loading = false;
  private readonly durableWaits: boolean;
  private readonly head = enqueueHead(ENQUEUE_HAS_EXPIRY, [DELAY_HOLDER_ID]);

  constructor(parts: {
    store: MessageStore;
    holders: Holders;
    publisher: Publisher;
    finder: QueueFinder;
    readers: RecordReaders;
    clock: Clock;
    counters: Counters;
    synced: boolean;
  }) {
    this.store = parts.store;
    this.holders = parts.holders;
    this.publisher = parts.publisher;
    this.finder = parts.finder;
    this.readers = parts.readers;
    this.clock = parts.clock;
    this.counters = parts.counters;
    this.durableWaits = parts.synced;
  }

  get count(): number {
    return this.dueAt.size;
  }

  /** Keeps a message until its delay is over; then `exchange` routes it. Returns PUBLISH_*. */
  add(
    namespace: string,
    exchange: string,
    source: RecordSource,
    old: Annotations | null,
    expirationMs: number,
    delayMs: number,
  ): number {
    this.counters.delayed++;
    const annotations: DelayedAnnotations = {
      ...old,
      delayed: { namespace, exchange, expirationMs, delayMs },
    };
    const slot = this.store.put(source, Buffer.from(JSON.stringify(annotations)), source.persistent);
    this.holders.one(slot, this);
    const dueAt = this.clock.now() + delayMs;
    this.enter(slot, dueAt);
    if (!source.persistent) return PUBLISH_DONE;
    const { table, journal } = this.store;
    const { head } = this;
    head.priority = source.priority;
    head.length = table.length(slot);
    head.bodyBytes = source.bodyBytes;
    head.id = table.id(slot);
    head.expiresAt = dueAt;
    journal.heads.enqueue(head, journal.bodyOffset(table.position(slot)));
    journal.commit(this.durableWaits);
    return PUBLISH_PENDING;
  }

  /** Replay. */
  restore(slot: number, dueAt: number): void {
    this.remember(slot, dueAt);
  }

  /** Replay is over: what is due may go. Before, it could have been settled in what was still to be read. */
  restored(): void {
    this.arm();
  }

  restoredSettle(id: number): number {
    const slot = this.byId.get(id) ?? -1;
    if (slot >= 0) this.leave(slot);
    return slot;
  }

  restoredFind(id: number): number {
    return this.byId.get(id) ?? -1;
  }

  dueOf(slot: number): number {
    return this.dueAt.get(slot) ?? 0;
  }

  holds(slot: number): boolean {
    return this.dueAt.has(slot);
  }

  attemptOf(): null {
    return null;
  }

  committed(): void {}

  stop(): void {
    this.timer?.cancel();
  }

  private enter(slot: number, dueAt: number): void {
    this.remember(slot, dueAt);
    this.arm();
  }

  private remember(slot: number, dueAt: number): void {
    this.dueAt.set(slot, dueAt);
    this.byId.set(this.store.table.id(slot), slot);
    this.heap.push(dueAt, slot);
  }

  private leave(slot: number): void {
    this.dueAt.delete(slot);
    this.byId.delete(this.store.table.id(slot));
  }

  private arm(): void {
    if (this.firing.length > 0 || this.loading) return;
    const next = this.heap.earliest;
    if (next >= this.timerDueMs || next === Number.POSITIVE_INFINITY) return;
    this.timer?.cancel();
    this.timerDueMs = next;
    this.timer = this.clock.setTimer(Math.max(0, next - this.clock.now()), () => this.fireDue());
  }

  private fireDue(): void {
    this.timer = null;
    this.timerDueMs = Number.POSITIVE_INFINITY;
    const now = this.clock.now();
    const due: number[] = [];
    while (this.heap.earliest <= now && due.length < FIRES_PER_TURN) {
      const dueAt = this.heap.earliest;
      const slot = this.heap.pop() as number;
      if (this.dueAt.get(slot) === dueAt) due.push(slot);
    }
    const { table } = this.store;
    due.sort((a, b) => this.dueOf(a) - this.dueOf(b) || table.id(a) - table.id(b));
    this.firing = due;
    this.fireNext();
  }

  private fireNext(): void {
    const { firing, store } = this;
    for (let i = 0; i < firing.length; i++) {
      const slot = firing[i] as number;
      if (store.resident(slot)) {
        this.fire(slot);
        continue;
      }
      this.firing = firing.slice(i + 1);
      this.loading = true;
      const ahead = this.firing.filter((other) => !store.resident(other));
      store.load([slot, ...ahead], (readable) => {
        this.loading = false;
        if (readable) this.firing.unshift(slot);
        else this.setAside(slot);
        this.fireNext();
      });
      return;
    }
    this.firing = [];
    this.arm();
  }

  /** It cannot be read back from disk. */
  private setAside(slot: number): void {
    this.counters.dropped.corrupt++;
    this.leave(slot);
    this.store.free(slot);
  }

  /** Routes a message whose time has come; that and its leaving here are one batch. */
  private fire(slot: number): void {
    const record = new RecordView();
    this.store.view(slot, record);
    const { delayed, ...rest } = record.annotations() as DelayedAnnotations;
    const annotations: Annotations = { ...rest, delayServedMs: delayed.delayMs };
    const reader = this.readers.get(record.origin);
    const keys = [record.routingKey(), ...(rest.copies ?? []), ...(rest.blindCopies ?? [])];
    const queues = this.finder.find(delayed.namespace, delayed.exchange, keys, {
      headers: () => reader?.headers(record) ?? null,
      property: (name) => reader?.property(record, name) ?? null,
    });
    const routing = encodeRouting(record.exchange(), record.routingKey());
    const bytes = Buffer.concat([routing, record.bytes.subarray(record.nativeOffset, record.end)]);
    const source: RecordSource = {
      origin: record.origin,
      bytes,
      routingStart: 0,
      routingEnd: routing.length,
      nativeStart: routing.length,
      nativeEnd: bytes.length,
      bodyBytes: record.bodyBytes,
      persistent: record.persistent,
      priority: this.store.table.priority(slot),
    };
    this.publisher.store(queues, source, Buffer.from(JSON.stringify(annotations)), delayed.expirationMs);
    if (record.persistent) {
      this.store.journal.heads.settle(this.id, this.store.table.id(slot));
      this.store.journal.commit(false);
    }
    this.leave(slot);
    this.store.free(slot);
  }
}
