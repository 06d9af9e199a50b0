// A queue of the namespace as a topic of one partition that can be written to, and not read: so that a
// service answers clients of other protocols, who wait at a queue, by a topic called as the request says.
import { BrokerError } from "../../base/errors.ts";
import {
  type AppendRefusal,
  type AppendResult,
  type CommitWaiter,
  type Incoming,
  PUBLISH_PENDING,
  PUBLISH_REFUSED,
  type Route,
  SEQUENCE_DUPLICATE,
  SEQUENCE_FENCED,
  SEQUENCE_GAP,
  type StreamHandle,
} from "../../broker/index.ts";
import { CompressionError } from "../../message/compression-error.ts";
import { encodeRouting, ORIGIN_KAFKA } from "../../message/record.ts";
import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_TRANSACTIONAL,
  ATTRIBUTES_AT,
  BASE_SEQUENCE_AT,
  batchIntact,
  COUNT_AT,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  readI16,
  readI32,
  readI64,
} from "../../message/record-batch.ts";
import { MalformedRecords, RecordCursor } from "../../message/record-cursor.ts";
import {
  encodeRecord,
  recordHeaders,
  recordProperty,
  type StreamRecord,
} from "../../message/stream-record.ts";
import type { Table } from "../../message/values.ts";
import type { Peer } from "./api.ts";
import { CODES, codeOf } from "./errors.ts";
import { findPartition } from "./partitions.ts";
import { type QueueSequence, queueSequencesOf } from "./queue-sequences.ts";

/** What produce needs of a partition. */
export interface Appendable {
  readonly stream: Pick<StreamHandle, "deleted" | "attributes">;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly committedOffset: number;
  append(bytes: Uint8Array, start: number, end: number): AppendResult;
  wait(offset: number, isolation: "committed", waiter: { reached(): void }): void;
}

/** Where this user's records for the topic go, or the error code with which they are refused. */
export function findWritable(peer: Peer, topic: string, index: number): Appendable | number {
  const found = findPartition(peer, "write", topic, index);
  if (found !== CODES.UNKNOWN_TOPIC_OR_PARTITION || index !== 0) return found;
  const route = queueRoute(peer, topic);
  return typeof route === "number" ? route : new QueueTopic(peer, topic, route);
}

/** How a queue that is no stream is reached, or why it is not. */
export function queueRoute({ session }: Peer, name: string): Route | number {
  if (session.streams.find(name) !== null) return CODES.UNKNOWN_TOPIC_OR_PARTITION;
  try {
    const route = session.route("", name);
    const exists = route.queues.length > 0 || route.redirect !== undefined;
    return exists ? route : CODES.UNKNOWN_TOPIC_OR_PARTITION;
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return codeOf(error);
  }
}

const EXPIRATION = /^\d{1,12}$/;
const cursor = new RecordCursor();

/** A record on its way into a queue. */
class RecordMessage implements Incoming {
  readonly origin = ORIGIN_KAFKA;
  readonly bytes: Uint8Array;
  readonly routingStart = 0;
  readonly routingEnd: number;
  readonly nativeStart: number;
  readonly nativeEnd: number;
  readonly bodyBytes: number;
  readonly persistent = true;
  readonly priority: number;
  readonly expirationMs: number;
  readonly delayMs = 0;
  readonly copies = null;
  readonly blindCopies = null;
  private readonly record: StreamRecord;

  constructor(record: StreamRecord, routing: Uint8Array) {
    const value = record.value ?? new Uint8Array(0);
    this.record = record;
    this.bytes = Buffer.concat([routing, encodeRecord(record), value]);
    this.routingEnd = routing.length;
    this.nativeStart = routing.length;
    this.nativeEnd = this.bytes.length;
    this.bodyBytes = value.length;
    this.priority = Math.min(255, this.number("priority") ?? 0);
    this.expirationMs = this.number("expiration") ?? -1;
  }

  private number(name: string): number | null {
    const value = this.record.headers.find(([header]) => header === name)?.[1];
    const text = value === undefined || value === null ? "" : Buffer.from(value).toString("latin1");
    return EXPIRATION.test(text) ? Number(text) : null;
  }

  headers(): Table | null {
    return recordHeaders(this.record);
  }

  property(name: string): string | null {
    return recordProperty(this.record, name);
  }
}

/** Of a batch from an idempotent producer. */
interface Claim {
  readonly sequence: QueueSequence;
  readonly epoch: number;
  readonly baseSequence: number;
}

/** For one request. */
class QueueTopic implements Appendable, CommitWaiter {
  readonly stream = { deleted: false, attributes: {} };
  readonly startOffset = 0;
  /** Offsets are not told: there are none to be read from. */
  readonly endOffset = 0;
  committedOffset = -1;
  private readonly peer: Peer;
  private readonly name: string;
  private readonly route: Route;
  private claim: Claim | null = null;
  private batch = -1;
  private waiter: { reached(): void } | null = null;

  constructor(peer: Peer, name: string, route: Route) {
    this.peer = peer;
    this.name = name;
    this.route = route;
  }

  append(bytes: Uint8Array, start: number, end: number): AppendResult {
    const attributes = readI16(bytes, start + ATTRIBUTES_AT);
    if (!batchIntact(bytes, start, end)) return refused("corrupt", "the batch fails its checksum");
    if ((attributes & ATTRIBUTE_CONTROL) !== 0)
      return refused("invalid-record", "only the broker writes control batches");
    if ((attributes & ATTRIBUTE_TRANSACTIONAL) !== 0)
      return refused("transaction-state", "a queue takes no part in transactions of streams");
    try {
      const verdict = this.judge(bytes, start);
      if (verdict !== null) return verdict;
      const messages = this.messages(bytes, start, end);
      const bytesMax = this.peer.node.context.limits.messageBytesMax;
      if (messages.some(({ bodyBytes }) => bodyBytes > bytesMax))
        return refused("too-large", `a message has at most ${bytesMax} bytes`);
      return this.publish(messages);
    } catch (error) {
      if (!(error instanceof MalformedRecords) && !(error instanceof CompressionError)) throw error;
      return refused("corrupt", error.message);
    }
  }

  /** Null: the batch is new. */
  private judge(bytes: Uint8Array, start: number): AppendResult | null {
    const producerId = readI64(bytes, start + PRODUCER_ID_AT);
    if (producerId < 0) return null;
    const { peer, name } = this;
    const sequence = queueSequencesOf(peer.node).of(peer, name, producerId);
    const epoch = readI16(bytes, start + PRODUCER_EPOCH_AT);
    const baseSequence = readI32(bytes, start + BASE_SEQUENCE_AT);
    this.claim = { sequence, epoch, baseSequence };
    const count = readI32(bytes, start + COUNT_AT);
    switch (sequence.producers.check(producerId, epoch, baseSequence, count)) {
      case SEQUENCE_FENCED:
        return refused("producer-fenced", `epoch ${epoch} of producer ${producerId} is over`);
      case SEQUENCE_GAP:
        return refused(
          "sequence-out-of-order",
          `sequence ${baseSequence} of producer ${producerId} is not the next`,
        );
      case SEQUENCE_DUPLICATE:
        // Its first copy may not be durable yet: batches are reported in order.
        this.batch = peer.session.whenCommitted(this);
        return { ...TAKEN, duplicate: true };
      default:
        return null;
    }
  }

  private messages(bytes: Uint8Array, start: number, end: number): RecordMessage[] {
    const routing = encodeRouting(this.route.exchange, this.route.routingKey);
    const messages: RecordMessage[] = [];
    cursor.open(bytes, start, end);
    while (cursor.next()) {
      const headers = cursor.headers().map(({ name, value }) => [name, value] as const);
      const { timestampMs } = cursor;
      messages.push(
        new RecordMessage({ key: cursor.key(), value: cursor.value(), headers, timestampMs }, routing),
      );
    }
    if (messages.length === 0 || messages.length !== readI32(bytes, start + COUNT_AT))
      throw new MalformedRecords("a batch without records");
    return messages;
  }

  private publish(messages: readonly RecordMessage[]): AppendResult {
    const { claim } = this;
    const { session } = this.peer;
    let taken = claim?.sequence.taken(claim.epoch, claim.baseSequence, messages.length) ?? 0;
    let pending = taken > 0;
    session.atomically(() => {
      for (; taken < messages.length; taken++) {
        const outcome = session.publish(this.route, messages[taken] as RecordMessage) & 3;
        if (outcome === PUBLISH_REFUSED) break;
        if (outcome === PUBLISH_PENDING) pending = true;
      }
      if (claim !== null) this.remember(claim, messages.length, taken, pending);
    });
    if (taken < messages.length) return refused("storage", "the queue is full");
    if (pending) this.batch = session.whenCommitted(this);
    else this.committedOffset = 0;
    return TAKEN;
  }

  /** `durable`: what was published survives a restart, and so must what is known of it. */
  private remember(
    { sequence, epoch, baseSequence }: Claim,
    count: number,
    taken: number,
    durable: boolean,
  ): void {
    const { node, session } = this.peer;
    sequence.took(epoch, baseSequence, count, taken, node.context.clock.now());
    if (durable) queueSequencesOf(node).note(session, sequence);
  }

  wait(_offset: number, _isolation: "committed", waiter: { reached(): void }): void {
    if (this.committedOffset === 0) waiter.reached();
    else this.waiter = waiter;
  }

  committed(batch: number, lost: boolean): void {
    if (batch < this.batch || this.committedOffset === 0) return;
    if (!lost) this.committedOffset = 0;
    // Sent again, it is to be taken.
    else if (this.claim !== null)
      queueSequencesOf(this.peer.node).forget(this.peer.session, this.claim.sequence);
    this.waiter?.reached();
  }
}

const TAKEN: AppendResult = {
  baseOffset: -1,
  appendTimeMs: -1,
  duplicate: false,
  refusal: null,
  reason: "",
};

function refused(refusal: AppendRefusal, reason: string): AppendResult {
  return { baseOffset: -1, appendTimeMs: -1, duplicate: false, refusal, reason };
}
