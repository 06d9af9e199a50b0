import { copyBytes } from "../../base/copy-bytes.ts";
import type { Consumer, ConsumerSink, Delivery, Ledger } from "../../broker/index.ts";
import { RecordView } from "../../message/record.ts";
import { SEND_PUBREL, writeAck } from "./acks.ts";
import type { Grant } from "./filters.ts";
import type { Link } from "./link.ts";
import type { Content } from "./message.ts";
import { type Manner, Outbound } from "./outbound.ts";
import { PacketIds } from "./packet-ids.ts";
import { REASON } from "./reasons.ts";

/** Reused: a message is written before the next one is looked at. */
const manner: Manner = { qos: 0, dup: false, retain: false, packetId: 0, ids: [], expiresAt: 0 };

/** The queues that a client's messages come from. */
export type Source = "volatile" | "own" | "shared";

/** A message that cannot be sent yet, and nothing behind it. */
interface Held {
  readonly sink: QueueSink;
  readonly delivery: Delivery;
  /** In use by another. */
  readonly packetId: number;
  /** Its identifier is being noted. */
  storing: boolean;
}

/** What goes out to one connected client: its consumers, and QoS 1 and 2 on their way. */
export class Subscriber {
  readonly ledger: Ledger;
  private readonly ids: PacketIds;
  private readonly held: Held[] = [];
  private readonly sinks: QueueSink[] = [];
  private readonly link: Link;
  private readonly outbound: Outbound;

  constructor(link: Link) {
    this.link = link;
    this.outbound = new Outbound(link);
    this.ids = new PacketIds(link.session);
    this.ledger = link.broker.openLedger();
  }

  /** Room in the client's receive window (4.9). */
  get roomy(): boolean {
    const { releasing } = this.link.session;
    return this.held.length === 0 && this.ids.size + releasing.size < this.link.receiveMax;
  }

  /** @throws BrokerError */
  consume(queue: string, source: Source, grant: Grant | null): QueueSink {
    const sink = new QueueSink(this, this.link, source, grant);
    const options = {
      tag: `${this.link.clientId}/${this.sinks.length}`,
      noAck: source === "volatile",
      exclusive: false,
      priority: 0,
      prefetch: 0,
      arguments: new Map(),
    };
    sink.consumer = this.link.broker.consume(queue, options, sink, this.ledger);
    this.sinks.push(sink);
    return sink;
  }

  cancel(sink: QueueSink): void {
    const at = this.sinks.indexOf(sink);
    if (at >= 0) this.sinks.splice(at, 1);
    sink.consumer?.cancel();
    sink.consumer = null;
  }

  resume(): void {
    for (const sink of this.sinks) sink.consumer?.resume();
  }

  /** A message of QoS 0, or one that does not need more. Returns false when it could not be written. */
  sendPlain(content: Content, qosGrant: Grant, retain: boolean, expiresAt: number): void {
    manner.qos = 0;
    manner.dup = false;
    manner.retain = retain;
    manner.packetId = 0;
    manner.ids = qosGrant.ids;
    manner.expiresAt = expiresAt;
    this.outbound.write(content, manner);
  }

  /** A message of QoS 1 or 2 that the ledger has under `delivery.tag`. */
  send(
    sink: QueueSink,
    content: Content,
    delivery: Delivery,
    qos: number,
    grant: Grant,
    retain: boolean,
  ): void {
    const own = sink.source === "own";
    if (own && delivery.redelivered) this.ids.again(delivery.id, this.ledger);
    const { packetId, waits, chosen } = this.ids.choose(delivery.id, own);
    const storing = chosen && own && this.link.session.durable;
    if (waits || storing) {
      this.hold({ sink, delivery: copyOf(delivery), packetId, storing });
      return;
    }
    manner.qos = qos;
    manner.dup = delivery.redelivered || this.wasSent(sink, delivery.id);
    manner.retain = retain;
    manner.packetId = packetId;
    manner.ids = grant.ids;
    manner.expiresAt = delivery.expiresAt;
    if (!this.outbound.write(content, manner)) {
      this.ids.delete(packetId);
      this.ledger.accept(delivery.tag, false);
      return;
    }
    this.ids.sent(packetId, delivery.tag, qos, own);
  }

  private hold(held: Held): void {
    this.held.push(held);
    if (!held.storing) return;
    this.link.session.giveIdentifier(held.delivery.id, held.packetId);
    const committed = (): void => {
      held.storing = false;
      if (this.link.live) this.freed();
    };
    this.link.broker.whenCommitted({ committed });
  }

  /** Messages of a queue are sent in order: one that is not newer than the newest was sent before, perhaps before a crash. */
  private wasSent({ source }: QueueSink, id: number): boolean {
    if (source !== "own") return false;
    const { session } = this.link;
    if (id <= session.sentTo) return true;
    session.sentTo = id;
    this.ids.news();
    return false;
  }

  // --- acknowledgements of the client ------------------------------------------------------------

  puback(packetId: number, reason: number): void {
    const tag = this.ids.tag(packetId, 1);
    if (tag === 0) return;
    this.settle(packetId, tag, reason);
    this.freed();
  }

  /** The message is the client's: from here on only its identifier is remembered, in the same batch. */
  pubrec(packetId: number, reason: number): void {
    const { session, acks, outbox } = this.link;
    const tag = this.ids.tag(packetId, 2);
    if (tag === 0) {
      const releasing = session.releasing.has(packetId);
      if (reason < 0x80) writeAck(outbox, SEND_PUBREL, packetId, releasing ? 0 : this.notFound());
      return;
    }
    this.settle(packetId, tag, reason);
    if (reason >= 0x80) {
      this.freed();
      return;
    }
    session.release(packetId);
    acks.add(SEND_PUBREL, packetId, 0, session.durable);
  }

  private notFound(): number {
    return this.link.level === 5 ? REASON.packetIdNotFound : 0;
  }

  pubcomp(packetId: number): void {
    if (this.link.session.complete(packetId)) this.freed();
  }

  private settle(packetId: number, tag: number, reason: number): void {
    this.ids.delete(packetId);
    if (!this.ledger.has(tag)) return;
    if (reason >= 0x80) this.ledger.reject(tag, false, false);
    else this.ledger.accept(tag, false);
  }

  /** There is room again: first for what was held. */
  private freed(): void {
    while (this.held.length > 0) {
      const { sink, delivery, packetId, storing } = this.held[0] as Held;
      if (storing || this.ids.used(packetId)) return;
      this.held.shift();
      sink.deliver(delivery);
    }
    this.resume();
  }

  /** Identifiers that the client has not completed [MQTT-4.4.0-1], in the order in which they were sent. */
  resendReleases(): void {
    for (const packetId of this.link.session.releasing) writeAck(this.link.outbox, SEND_PUBREL, packetId, 0);
  }

  close(): void {
    for (const sink of this.sinks) {
      sink.consumer?.cancel();
      sink.consumer = null;
    }
    this.ledger.close();
  }
}

/** One queue of a client, or of a group that it is in. */
export class QueueSink implements ConsumerSink {
  consumer: Consumer | null = null;
  private readonly subscriber: Subscriber;
  private readonly link: Link;
  readonly source: Source;
  /** Of the group's subscription; null for the client's own queues, where all its subscriptions count. */
  grant: Grant | null;

  constructor(subscriber: Subscriber, link: Link, source: Source, grant: Grant | null) {
    this.subscriber = subscriber;
    this.link = link;
    this.source = source;
    this.grant = grant;
  }

  get writable(): boolean {
    if (!this.link.live || this.link.outbox.full) return false;
    return this.source === "volatile" || this.subscriber.roomy;
  }

  deliver(delivery: Delivery): void {
    if (!this.link.live) return;
    const { link, subscriber } = this;
    const content = link.translator.contentOf(delivery);
    if (content === null) {
      this.pass(delivery);
      return;
    }
    const grant = this.grant ?? link.session.filters.match(content);
    if (this.source === "volatile") {
      // What some subscription wants with more comes by the other queue, and once.
      if (grant.qos === 0)
        subscriber.sendPlain(content, grant, content.retain && grant.retainAsPublished, delivery.expiresAt);
      return;
    }
    // Unsubscribed meanwhile: only what the client knows of already is brought to its end [MQTT-3.10.4-3].
    if (grant.qos < 0 && !delivery.redelivered) {
      this.pass(delivery);
      return;
    }
    const qos = grant.qos < 0 ? content.qos : Math.min(content.qos, grant.qos);
    const retain = delivery.retained || (content.retain && grant.retainAsPublished);
    if (delivery.retained) link.retainedArrived();
    if (qos === 0) {
      subscriber.sendPlain(content, grant, retain, delivery.expiresAt);
      this.pass(delivery);
    } else if (qos === 2 && this.source === "shared" && link.session.persistent) this.move(delivery);
    else subscriber.send(this, content, delivery, qos, grant, retain);
  }

  private pass(delivery: Delivery): void {
    if (this.source !== "volatile") this.subscriber.ledger.accept(delivery.tag, false);
  }

  /**
   * A message that was begun to be given to one member with QoS 2 must not go to another [MQTT-4.8.2-5]:
   * it becomes this client's own, in the same batch.
   */
  private move(delivery: Delivery): void {
    const { link, subscriber } = this;
    link.takeOver(delivery);
    subscriber.ledger.accept(delivery.tag, false);
  }

  /** The queue is gone, by somebody else's hand. */
  cancelled(): void {
    this.consumer = null;
  }
}

function copyOf(delivery: Delivery): Delivery {
  const record = new RecordView();
  const { bytes, offset, length } = delivery.record;
  record.bytes = copyBytes(bytes, offset, offset + length);
  record.length = length;
  const { id, expiresAt, priority, tag, redelivered, deliveryCount, queue, retained } = delivery;
  const { streamOffset, streamPartition } = delivery;
  const stored = { record, id, expiresAt, priority };
  return { ...stored, tag, redelivered, deliveryCount, queue, retained, streamOffset, streamPartition };
}
