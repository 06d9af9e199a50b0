import type { Clock } from "../base/clock.ts";
import { copyBytes } from "../base/copy-bytes.ts";
import { FLAG_RETAINED, RECORD_HEADER_BYTES } from "../message/record.ts";
import type { Holders, MessageHolder } from "./holders.ts";
import type { Queue } from "./queue.ts";
import type { Counters } from "./stats.ts";
import { ENQUEUE_HAS_EXPIRY, ENQUEUE_HAS_TIME, enqueueHead } from "./store/heads.ts";
import type { MessageStore, RecordSource } from "./store/message-store.ts";
import {
  PUBLISH_APART,
  PUBLISH_DONE,
  PUBLISH_PENDING,
  PUBLISH_REFUSED,
  PUBLISH_UNROUTED,
  type QueueDeclaration,
  type StoredMessage,
} from "./types.ts";

/** Where messages go that queues refuse or push out. */
export interface Overflow {
  /** A full queue refused the message, and dead-letters refusals. */
  refused(queue: Queue, source: RecordSource, annotations: Uint8Array | null): void;
  /** What queues push out from here on waits until `release`. */
  hold(): void;
  release(): void;
}

/** What a message can be published to: a queue, or a stream as one. */
export interface PublishTarget extends MessageHolder {
  readonly name: string;
  readonly declaration: QueueDeclaration;
  /** False when it refuses a message with a body of so many bytes. */
  accepts(bodyBytes: number): boolean;
  readonly limited: boolean;
  readonly writeBehind: boolean;
  readonly synced: boolean;
  /** It keeps the message in its own way, durable a little later: the journal is held until then. */
  readonly apart?: boolean;
  offer(slot: number, pending: boolean, transient?: boolean): void;
}

/** The way in: one message, stored once, for any number of queues. */
export class Publisher {
  private readonly messages: MessageStore;
  private readonly holders: Holders;
  private readonly clock: Clock;
  private readonly counters: Counters;
  private readonly overflow: () => Overflow;
  private readonly one: PublishTarget[] = [];
  private readonly head = enqueueHead();

  constructor(
    store: MessageStore,
    holders: Holders,
    clock: Clock,
    counters: Counters,
    overflow: () => Overflow,
  ) {
    this.messages = store;
    this.holders = holders;
    this.clock = clock;
    this.counters = counters;
    this.overflow = overflow;
  }

  /** A client's message: like `store`, and counted as published. */
  publish(
    queues: readonly PublishTarget[],
    source: RecordSource,
    annotations: Uint8Array | null,
    expirationMs: number,
  ): number {
    this.count(source);
    return this.store(queues, source, annotations, expirationMs);
  }

  count(source: RecordSource): void {
    this.counters.published++;
    this.counters.publishedBytes += source.bodyBytes;
  }

  /**
   * Stores a message for `queues`. `expirationMs`: its own TTL, or -1. Returns PUBLISH_*.
   * The array is kept when it has more than one element: it must not change.
   */
  store(
    queues: readonly PublishTarget[],
    source: RecordSource,
    annotations: Uint8Array | null,
    expirationMs: number,
  ): number {
    if (queues.length === 1) {
      const queue = queues[0] as PublishTarget;
      if (queue.accepts(source.bodyBytes)) return this.toOne(queue, source, annotations, expirationMs, 0);
      this.refuse(queue, source, annotations);
      return PUBLISH_REFUSED;
    }
    if (queues.length === 0) {
      this.counters.unroutable++;
      return PUBLISH_DONE | PUBLISH_UNROUTED;
    }
    const { bodyBytes } = source;
    if (queues.some((queue) => !queue.accepts(bodyBytes))) {
      const taking = queues.filter((queue) => queue.accepts(bodyBytes));
      for (const queue of queues) if (!queue.accepts(bodyBytes)) this.refuse(queue, source, annotations);
      if (taking.length > 0) this.toMany(taking, source, annotations, expirationMs);
      return PUBLISH_REFUSED;
    }
    return this.toMany(queues, source, annotations, expirationMs);
  }

  /**
   * Puts a stored message, which is in memory, into a queue: a copy of the same bytes under a new id, with
   * what is left of its time to live.
   */
  forward(queue: PublishTarget, message: StoredMessage, retained: boolean): number {
    const { messages, counters } = this;
    const { record } = message;
    const source: RecordSource = {
      origin: record.origin,
      bytes: record.bytes,
      routingStart: record.routingOffset,
      routingEnd: record.nativeOffset,
      nativeStart: record.nativeOffset,
      nativeEnd: record.end,
      bodyBytes: record.bodyBytes,
      persistent: record.persistent,
      priority: message.priority,
    };
    counters.published++;
    counters.publishedBytes += source.bodyBytes;
    if (!queue.accepts(source.bodyBytes)) {
      this.refuse(queue, source, null);
      return PUBLISH_REFUSED;
    }
    const annotationsAt = record.offset + RECORD_HEADER_BYTES;
    const annotations =
      record.annotationsLength === 0 ? null : copyBytes(record.bytes, annotationsAt, record.routingOffset);
    const expirationMs = message.expiresAt === 0 ? -1 : Math.max(0, message.expiresAt - this.clock.now());
    // Room for the copy must not be made by letting go of the original.
    const held = messages.hold(record);
    const flags = retained || record.retained ? FLAG_RETAINED : 0;
    const result = this.toOne(queue, source, annotations, expirationMs, flags);
    messages.letGo(held);
    return result;
  }

  private toOne(
    queue: PublishTarget,
    source: RecordSource,
    annotations: Uint8Array | null,
    expirationMs: number,
    flags: number,
  ): number {
    const logged = source.persistent && queue.logged;
    const slot = this.messages.put(source, annotations, logged, flags);
    this.holders.one(slot, queue);
    const timed = queue.declaration.options.messageTtlMs !== undefined;
    if (timed || expirationMs >= 0) this.setTimes(slot, timed, expirationMs);
    if (!logged) {
      queue.offer(slot, false, !source.persistent);
      return queue.apart === true ? PUBLISH_PENDING | PUBLISH_APART : PUBLISH_DONE;
    }
    this.one[0] = queue;
    this.enter(slot, this.one);
    const pending = !queue.writeBehind;
    queue.offer(slot, pending);
    this.messages.journal.commit(queue.synced);
    return pending ? PUBLISH_PENDING : PUBLISH_DONE;
  }

  private toMany(
    queues: readonly PublishTarget[],
    source: RecordSource,
    annotations: Uint8Array | null,
    expirationMs: number,
  ): number {
    let logged = false;
    let timed = false;
    let synced = false;
    let pending = false;
    let apart = false;
    let limited = false;
    for (const queue of queues) {
      if (queue.limited) limited = true;
      if (queue.apart === true) apart = true;
      if (queue.declaration.options.messageTtlMs !== undefined) timed = true;
      if (!source.persistent || !queue.logged) continue;
      logged = true;
      if (!queue.writeBehind) pending = true;
      if (queue.synced) synced = true;
    }
    const slot = this.messages.put(source, annotations, logged);
    this.holders.many(slot, queues);
    if (timed || expirationMs >= 0) this.setTimes(slot, timed, expirationMs);
    if (logged) this.enter(slot, queues);
    // All have been asked whether they take it: what one pushes out must not fill another meanwhile.
    if (limited) this.overflow().hold();
    for (const queue of queues) {
      queue.offer(slot, logged && queue.logged && !queue.writeBehind, !source.persistent);
    }
    if (limited) this.overflow().release();
    if (logged) this.messages.journal.commit(synced);
    if (apart) return PUBLISH_PENDING | PUBLISH_APART;
    return pending ? PUBLISH_PENDING : PUBLISH_DONE;
  }

  private refuse(queue: PublishTarget, source: RecordSource, annotations: Uint8Array | null): void {
    this.counters.refused++;
    if (queue.declaration.options.overflow === "reject-publish-dlx")
      this.overflow().refused(queue as Queue, source, annotations);
  }

  private setTimes(slot: number, timed: boolean, expirationMs: number): void {
    const now = this.clock.now();
    if (timed) this.messages.table.setEnqueuedAt(slot, now);
    if (expirationMs >= 0) this.messages.table.setExpiresAt(slot, now + expirationMs);
  }

  private enter(slot: number, queues: readonly PublishTarget[]): void {
    const { table, journal } = this.messages;
    const head = this.head;
    let count = 0;
    for (const queue of queues) if (queue.logged) head.queueIds[count++] = queue.id;
    head.queueIds.length = count;
    head.enqueuedAt = table.enqueuedAt(slot);
    head.expiresAt = table.expiresAt(slot);
    head.flags =
      (head.enqueuedAt === 0 ? 0 : ENQUEUE_HAS_TIME) | (head.expiresAt === 0 ? 0 : ENQUEUE_HAS_EXPIRY);
    head.priority = table.priority(slot);
    head.length = table.length(slot);
    head.bodyBytes = table.bodyBytes(slot);
    head.id = table.id(slot);
    journal.heads.enqueue(head, journal.bodyOffset(table.position(slot)));
  }
}
