import type { RecordView } from "../message/record.ts";
import type { Table } from "../message/values.ts";

/** What a queue is declared with, in neutral terms. Absent = not set. */
export interface QueueOptions {
  readonly type?: "classic" | "quorum" | "stream";
  readonly discipline?: "fifo" | "lifo";
  /** Levels 0..n; absent = no priorities. */
  readonly priorityMax?: number;
  readonly messageTtlMs?: number;
  /** Delete the queue when unused for so long. */
  readonly expiresMs?: number;
  readonly deadLetterExchange?: string;
  readonly deadLetterRoutingKey?: string;
  readonly lengthMax?: number;
  readonly lengthBytesMax?: number;
  readonly overflow?: "drop-head" | "reject-publish" | "reject-publish-dlx";
  readonly singleActiveConsumer?: boolean;
  /** Unsuccessful deliveries before dead letter or parking; -1 or absent = unlimited. */
  readonly deliveryLimit?: number;
  readonly retry?: RetryPolicy;
  readonly consumerTimeoutMs?: number;
  readonly durability?: "fsync" | "os" | "memory";
  /**
   * Never logged, and never waits for long: a message that comes while there is no consumer is dropped
   * (counted as "offline"), and so is one that comes while `lengthMax` are waiting (counted as "slow").
   */
  readonly volatile?: boolean;
  /** Streams only: how long records are kept, how large a run of them gets, and into how many partitions they go. */
  readonly ageMaxMs?: number;
  readonly segmentBytesMax?: number;
  readonly partitions?: number;
  /**
   * A message that is not persistent is dropped when it comes while there is no consumer (counted as "offline"), or
   * while so many bytes are ready (counted as "slow").
   */
  readonly transientBytesMax?: number;
}

/** A failed message waits in place and comes back; after `attempts` it goes to the dead-letter target or the parking lot. */
export interface RetryPolicy {
  readonly attempts: number;
  readonly initialMs: number;
  readonly multiplier: number;
  readonly ceilingMs: number;
  /** 0..1: share of the wait that is random. */
  readonly jitter: number;
}

export interface QueueDeclaration {
  readonly name: string;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly options: QueueOptions;
  /** As the client sent them, for equivalence texts and listings. */
  readonly arguments: Table;
}

export interface ExchangeDeclaration {
  readonly name: string;
  readonly type: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: Table;
}

/** Who a session belongs to: exclusive queues live and die with this object's identity. */
export interface Owner {
  readonly connectionName: string;
  /** Where it comes from, for rules that ask for that; absent: not known. */
  readonly address?: string;
}

// --- publishing -------------------------------------------------------------------------------

/** What publish made of a message: one of the first three, plus a flag. */
export const PUBLISH_DONE = 0;
/** Will be durable with the batch that is gathering: `Session.whenCommitted`. */
export const PUBLISH_PENDING = 1;
/** A queue refused it (overflow): a confirming publisher gets a negative acknowledgement. */
export const PUBLISH_REFUSED = 2;
/** No queue took it. Flag, added to PUBLISH_DONE. */
export const PUBLISH_UNROUTED = 4;
/** A stream is among what it went to, whose storage may still refuse it. Flag, added to PUBLISH_PENDING. */
export const PUBLISH_APART = 8;

/**
 * A message on its way in; the wire layer keeps one and fills it anew for each publish. `bytes`
 * is only read during the call.
 */
export interface Incoming {
  origin: number;
  bytes: Uint8Array;
  /**
   * [u8 length, exchange][u8 length, routing key] at [routingStart, routingEnd). A key of 255 bytes or more
   * has the length 255 there: it goes on to the end. At most 65,535 bytes of key.
   */
  routingStart: number;
  routingEnd: number;
  /** Set: routing lies in here, not in `bytes`. */
  routing?: Uint8Array | null;
  nativeStart: number;
  nativeEnd: number;
  bodyBytes: number;
  persistent: boolean;
  /** 0 when absent. */
  priority: number;
  /** Per-message TTL; -1 when absent. */
  expirationMs: number;
  /** Header x-delay or the like; 0 when absent. Acts only at delaying exchanges. */
  delayMs: number;
  /**
   * Kept as the last message of its routing key, in the same batch, besides going where it is routed; one
   * without a body ends what was kept. Kept durably whatever `persistent` says. Absent = false.
   */
  retain?: boolean;
  /** Extra routing keys (carbon copies), or null. */
  copies: readonly string[] | null;
  blindCopies: readonly string[] | null;
  /** Decoded on demand: headers and hash exchanges. Valid during the call. */
  headers(): Table | null;
  /** "message_id" | "correlation_id" | "timestamp" as text, or null. */
  property(name: string): string | null;
}

/** Called once when a batch that the waiter registered for is committed. */
export interface CommitWaiter {
  /** `lost`: a stream's storage has failed, and what was published with PUBLISH_APART in this batch is not all kept. */
  committed(batch: number, lost: boolean): void;
}

// --- consuming --------------------------------------------------------------------------------

/** A message as it is stored. A reused instance: read it during the call only. */
export interface StoredMessage {
  readonly record: RecordView;
  /** Rises with every message of the broker, is never given out twice, and stays the same across restarts. */
  readonly id: number;
  /** Milliseconds since the epoch after which it must not be delivered (its own time to live); 0 = never. */
  readonly expiresAt: number;
  /** 0 when it has none. */
  readonly priority: number;
}

/** A message on its way out. One reused instance: read it during the call only. */
export interface Delivery extends StoredMessage {
  /** Ledger tag; settle with it. Counts up from 1 per ledger, also for deliveries that need no settling. */
  tag: number;
  redelivered: boolean;
  /** Earlier unsuccessful deliveries. */
  deliveryCount: number;
  /** Name of the queue it comes from. */
  queue: string;
  /** It came by `Session.forward` as a retained message. */
  readonly retained: boolean;
  /** Place in the stream that it comes from; -1: it comes from a queue. */
  readonly streamOffset: number;
  /** Of a stream that has several; else -1. */
  readonly streamPartition: number;
}

// --- retained messages ---------------------------------------------------------------------------

/** A pattern of dotted words. */
export interface TopicPattern {
  readonly pattern: string;
  /** The word that stands for exactly one word. (The one for any number of words is "#".) */
  readonly one: "*" | "+";
  /** A wildcard as the first word does not stand for a word that begins with "$". */
  readonly guarded: boolean;
}

/**
 * Arguments of a binding to a topic exchange: how its pattern is written. The one says which word stands for
 * exactly one word ("*" when absent; "+" leaves "*" a word like any other), the other that it is guarded.
 */
export const PATTERN_ONE_ARGUMENT = "x-pattern-one";
export const PATTERN_GUARDED_ARGUMENT = "x-pattern-guarded";

/** Where retained messages go. */
export interface RetainedSink {
  /** False holds the walk back; call `RetainedWalk.resume` when it can take more. */
  readonly writable: boolean;
  retained(message: StoredMessage): void;
  /** Everything that matches was handed out. Not called after `cancel`. */
  finished(): void;
}

export interface RetainedWalk {
  /** The sink is writable again. */
  resume(): void;
  cancel(): void;
}

// --- notes ---------------------------------------------------------------------------------------

/**
 * Small durable facts under one name, for what a protocol must remember of a client. A change is part of
 * the batch that is gathering: with publishes and settlements of the same turn (`Session.atomically`) it
 * survives, or nothing of it does. It is durable when `Session.whenCommitted` says so. All notes lie in
 * memory. Keys and values are any strings; bytes go well as latin1. Names and keys: at most 65,535 bytes
 * of UTF-8, values 16 MiB.
 */
export interface Notebook {
  readonly name: string;
  readonly size: number;
  get(key: string): string | undefined;
  has(key: string): boolean;
  /** In the order in which the keys were first set. Must not change during the iteration, but for `delete`. */
  entries(): Iterable<readonly [key: string, value: string]>;
  set(key: string, value: string): void;
  /** Nothing happens when there is no such note. */
  delete(key: string): void;
  /** All notes, with one record. */
  clear(): void;
}

/** Where a consumer's messages go: implemented by the wire layer, one per consumer. */
export interface ConsumerSink {
  /** False holds the consumer back; call `Consumer.resume` when it can take more. */
  readonly writable: boolean;
  deliver(delivery: Delivery): void;
  /** The queue went away, or the broker took the consumer off it. */
  cancelled(): void;
}

/** A subscription, as its protocol sees it. */
export interface ConsumerHandle {
  readonly tag: string;
  readonly queueName: string;
  /** The sink is writable again. */
  resume(): void;
  /** No deliveries after this; what is unsettled stays in the ledger. */
  cancel(): void;
}

/** Deliveries of one channel that wait to be settled, as its protocol sees them. */
export interface LedgerHandle {
  /** Unsettled deliveries over all its consumers at most; 0 = unlimited. */
  prefetchMax: number;
  readonly unsettled: number;
  has(tag: number): boolean;
  /** Done with: the message leaves its queue. `multiple`: this and all earlier; tag 0 with multiple: all.
   *  @throws BrokerError delivery-tag-unknown */
  accept(tag: number, multiple: boolean): void;
  /** Not done. With `requeue` it goes back to its place; without, to the dead-letter target. */
  reject(tag: number, multiple: boolean, requeue: boolean): void;
  /** Requeues everything. */
  recover(): void;
  /** Requeues everything and closes its consumers. */
  close(): void;
}

export interface ConsumeOptions {
  readonly tag: string;
  /** Deliveries are settled as they are sent. */
  readonly noAck: boolean;
  readonly exclusive: boolean;
  /** Higher first; default 0. */
  readonly priority: number;
  /** Unsettled deliveries of this consumer at most; 0 = unlimited. */
  readonly prefetch: number;
  readonly arguments: Table;
}

// --- topology's view of the data plane ---------------------------------------------------------

export interface QueueHandle {
  /** Unique for ever within the data directory; what log records name. */
  readonly id: number;
  readonly namespace: string;
  readonly name: string;
  readonly declaration: QueueDeclaration;
  /** Owner of an exclusive queue, else null. */
  readonly owner: Owner | null;
  readonly readyCount: number;
  readonly unackedCount: number;
  readonly consumerCount: number;
  readonly deleted: boolean;
}

export interface QueueHooks {
  /** The queue deletes itself: auto-delete after its last consumer, or unused for its expiry. */
  unused(queue: QueueHandle): void;
}

/** The shard, as the topology uses it. */
export interface QueueHost {
  /** For a queue that existed before a restart, called before messages are recovered. */
  createQueue(
    id: number,
    namespace: string,
    declaration: QueueDeclaration,
    owner: Owner | null,
    hooks: QueueHooks,
  ): QueueHandle;
  /** Cancels its consumers and drops its messages. Returns how many were ready. */
  deleteQueue(queue: QueueHandle): number;
  /** Drops the ready messages; returns how many. */
  purgeQueue(queue: QueueHandle): number;
  /** A namespace is deleted, and its queues are: so is whatever else was kept for it. */
  forgetNamespace(name: string): void;
  /** Note of use without a consumer (declare, get), for expiry. */
  touchQueue(queue: QueueHandle): void;
}

/**
 * Where messages published to an exchange with a key go. Cached by publishers until `valid` turns
 * false, which the topology does the moment anything that it depends on changes.
 */
export interface Route {
  valid: boolean;
  readonly exchange: string;
  readonly routingKey: string;
  /** Distinct queues, in no particular order. For a dynamic route: empty, ask `destinations` each time. */
  readonly queues: readonly QueueHandle[];
  /** The result depends on the message (headers, hash, random, copies) or has side effects. */
  readonly dynamic: boolean;
  /** A delaying exchange is, or may be, on the way: messages with a positive delay wait there. */
  readonly delaying: boolean;
  /** Set: a message gets this one's exchange and routing key, and goes its way. */
  readonly redirect?: Route;
}

/** What a dynamic route may ask of a message. */
export interface RoutedMessage {
  headers(): Table | null;
  property(name: string): string | null;
}

export interface QueueCounts {
  readonly name: string;
  readonly ready: number;
  readonly consumers: number;
}
