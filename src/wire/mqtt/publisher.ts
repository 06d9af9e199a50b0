import { PUBLISH_APART, PUBLISH_PENDING, PUBLISH_REFUSED, PUBLISH_UNROUTED } from "../../broker/index.ts";
import { SEND_PUBACK, SEND_PUBCOMP, SEND_PUBREC } from "./acks.ts";
import { LEVEL_5 } from "./codec/packet.ts";
import { PublishHead } from "./codec/publish.ts";
import type { Link } from "./link.ts";
import { delayOf, FLAG_EXPIRY, FLAG_RETAIN, IncomingMessage, nativeBytes } from "./message.ts";
import { fromBroker, MqttError, protocolError, REASON } from "./reasons.ts";
import { type Topic, Topics } from "./topics.ts";

const head = new PublishHead();
const PROPERTY_ALIAS_BYTES = 3;

/** What one connection publishes: made at its first PUBLISH. */
export class Publisher {
  readonly topics: Topics;
  /** Bytes handed over in this chunk that are not durable yet. */
  pendingBytes = 0;
  /** Something was published in this chunk. */
  published = false;
  private readonly link: Link;
  private readonly incoming = new IncomingMessage();
  private readonly aliases = new Map<number, Uint8Array>();
  /** QoS 1 and 2 of a publisher that are not acknowledged to the end. */
  private open = 0;

  constructor(link: Link) {
    this.link = link;
    this.topics = new Topics(link.broker);
  }

  /** An acknowledgement went out: the publisher may send one more (4.9). */
  sent(first: number, reason: number): void {
    const ends = first === SEND_PUBACK || first === SEND_PUBCOMP || (first === SEND_PUBREC && reason >= 0x80);
    if (ends && this.open > 0) this.open--;
  }

  /**
   * A whole PUBLISH packet: its first byte at `at`, what follows the length in [bodyAt, end). May write
   * over all of it. @throws MqttError that ends the connection
   */
  take(bytes: Uint8Array, at: number, bodyAt: number, end: number): void {
    const { link } = this;
    const v5 = link.level === LEVEL_5;
    head.read(bytes[at] as number, bytes, bodyAt, end, v5);
    this.published = true;
    link.traffic.publishesReceived++;
    link.traffic.bytesReceived += end - at;
    if (head.qos === 2 && link.session.received.has(head.packetId)) {
      // Sent again because our PUBREC was lost: not to be published twice [MQTT-4.3.3-10].
      link.acks.add(SEND_PUBREC, head.packetId, 0, false);
      return;
    }
    if (head.qos > 0 && v5 && ++this.open > link.settings.receiveMax) {
      throw new MqttError(
        REASON.receiveMaximumExceeded,
        `more than ${link.settings.receiveMax} unacknowledged`,
      );
    }
    let outcome: number;
    try {
      outcome = this.publish(bytes, bodyAt, end);
    } catch (error) {
      this.refuse(fromBroker(error));
      return;
    }
    if ((outcome & 3) === PUBLISH_PENDING) this.pendingBytes += end - at;
    if (head.qos > 0) this.acknowledge(outcome);
  }

  private acknowledge(outcome: number): void {
    const { link } = this;
    let reason: number = REASON.success;
    if ((outcome & 3) === PUBLISH_REFUSED) {
      if (link.level !== LEVEL_5) throw new MqttError(REASON.quotaExceeded, "a queue refused the message");
      reason = REASON.quotaExceeded;
    } else if ((outcome & PUBLISH_UNROUTED) !== 0 && !this.incoming.retain && link.level === LEVEL_5) {
      reason = REASON.noMatchingSubscribers;
    }
    const pending = (outcome & 3) === PUBLISH_PENDING;
    const apart = (outcome & PUBLISH_APART) !== 0;
    if (head.qos === 1) {
      link.acks.add(SEND_PUBACK, head.packetId, reason, pending, apart);
      return;
    }
    if (reason < 0x80) link.session.receive(head.packetId);
    link.acks.add(SEND_PUBREC, head.packetId, reason, pending || link.session.durable, apart);
  }

  /** A message that may not be published costs an MQTT 5 client that message; before, there was no way to say so. */
  private refuse(error: MqttError): void {
    const { link } = this;
    if (error.reason === REASON.malformedPacket || error.reason === REASON.protocolError) throw error;
    if (error.reason === REASON.topicAliasInvalid || error.reason === REASON.topicNameInvalid) throw error;
    link.refused(error);
    if (head.qos === 0) return;
    const reason = link.level === LEVEL_5 ? error.reason : 0;
    if (head.qos === 1) link.acks.add(SEND_PUBACK, head.packetId, reason, false);
    else {
      // Without a way to refuse, the exchange goes on as if it had been taken (3.1.1, 3.3.5).
      if (reason === 0) link.session.receive(head.packetId);
      link.acks.add(SEND_PUBREC, head.packetId, reason, reason === 0 && link.session.durable);
    }
  }

  /** Returns PUBLISH_*. */
  private publish(bytes: Uint8Array, bodyAt: number, end: number): number {
    const { incoming, link } = this;
    const topic = this.topic(bytes);
    const bodyBytes = end - head.payloadAt;
    if (bodyBytes > link.limits.messageBytesMax) {
      throw new MqttError(
        REASON.packetTooLarge,
        `payload is larger than ${link.limits.messageBytesMax} bytes`,
      );
    }
    incoming.routing = topic.routing;
    incoming.routingStart = 0;
    incoming.routingEnd = topic.routing.length;
    incoming.bodyBytes = bodyBytes;
    incoming.persistent = head.qos > 0;
    incoming.retain = head.retain && !topic.direct;
    incoming.expirationMs = head.expirySeconds < 0 ? -1 : head.expirySeconds * 1000;
    if (head.alias === 0 && !link.session.filters.marksOwn) this.inPlace(bytes, bodyAt, end);
    else this.assembled(bytes, end, topic);
    // Read only where it can act: on the way of nearly all messages nothing delays.
    incoming.delayMs = topic.route.delaying ? delayOf(incoming) : 0;
    return link.broker.publish(topic.route, incoming);
  }

  /**
   * Native bytes in place of the packet: the topic moves up against what follows it, over the packet
   * id, and the flags go before it. Without properties there is room for their length, 0, since the fixed header
   * has two bytes at least.
   */
  private inPlace(bytes: Uint8Array, bodyAt: number, end: number): void {
    const { incoming } = this;
    const length = head.topicEnd - bodyAt;
    let start = head.restAt - length;
    if (this.link.level !== LEVEL_5) {
      start--;
      if (start !== bodyAt) bytes.copyWithin(start, bodyAt, head.topicEnd);
      bytes[start + length] = 0;
    } else if (start !== bodyAt) bytes.copyWithin(start, bodyAt, head.topicEnd);
    bytes[start - 1] =
      head.qos | (head.retain ? FLAG_RETAIN : 0) | (head.expirySeconds < 0 ? 0 : FLAG_EXPIRY);
    incoming.bytes = bytes;
    incoming.nativeStart = start - 1;
    incoming.nativeEnd = end;
  }

  private assembled(bytes: Uint8Array, end: number, topic: Topic): void {
    const { incoming, link } = this;
    const { marksOwn, publisherId } = link.session.filters;
    const native = nativeBytes({
      qos: head.qos,
      retain: head.retain,
      publisher: marksOwn ? publisherId : null,
      topic: topic.bytes,
      properties: withoutAlias(bytes),
      hasExpiry: head.expirySeconds >= 0,
      payload: bytes.subarray(head.payloadAt, end),
    });
    incoming.bytes = native;
    incoming.nativeStart = 0;
    incoming.nativeEnd = native.length;
  }

  /** By its name, or by the alias that an earlier packet gave it (3.3.2.3.4). */
  private topic(bytes: Uint8Array): Topic {
    const { topicAt, topicEnd, alias } = head;
    if (alias > this.link.settings.topicAliasMax) {
      throw new MqttError(REASON.topicAliasInvalid, `topic alias ${alias} is over the maximum`);
    }
    if (topicEnd > topicAt) {
      const topic = this.topics.find(bytes, topicAt, topicEnd);
      if (alias > 0) this.aliases.set(alias, topic.bytes);
      return topic;
    }
    const known = this.aliases.get(alias);
    if (known === undefined) throw protocolError("no topic name, and no topic alias that stands for one");
    return this.topics.find(known, 0, known.length);
  }
}

function withoutAlias(bytes: Uint8Array): Uint8Array {
  const { propertiesAt, payloadAt, alias, aliasAt } = head;
  const properties = bytes.subarray(propertiesAt, payloadAt);
  if (alias === 0) return properties;
  const at = aliasAt - propertiesAt;
  return Buffer.concat([properties.subarray(0, at), properties.subarray(at + PROPERTY_ALIAS_BYTES)]);
}
