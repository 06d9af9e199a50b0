import type { Incoming } from "../../broker/index.ts";
import { asBuffer, ORIGIN_MQTT, readU32 } from "../../message/record.ts";
import { stringOf, type Table } from "../../message/values.ts";
import { readU16, varintBytes, writeU16, writeVarint } from "./codec/packet.ts";
import { MqttError, REASON } from "./reasons.ts";

/**
 * Native bytes of a message that came in by MQTT. Properties and payload stand as they were sent, so that
 * they go to a subscriber with one copy; a publisher before MQTT 5 has no properties (length 0).
 *
 *     +-------+-----------------+---------------+-------------------------+----------------+---------+
 *     | flags | client id       | topic         | property length, 1 to 4 | properties     | payload |
 *     | u8    | u16 length, ... | u16 length... | bytes of 7 bits         |                |         |
 *     +-------+-----------------+---------------+-------------------------+----------------+---------+
 *               only with FLAG_PUBLISHER
 *
 * What is said to one connection only, the topic alias, is left out.
 */
export const FLAGS_QOS = 0x03;
/** Published with RETAIN. */
export const FLAG_RETAIN = 0x04;
/** The properties have a message expiry interval. */
export const FLAG_EXPIRY = 0x08;
/** Published by a client that does not want its own messages on some subscription: its id follows. */
export const FLAG_PUBLISHER = 0x10;

const EMPTY: Uint8Array = new Uint8Array(0);

/** A stored message taken apart, in place. One instance is reused. */
export class Content {
  bytes: Uint8Array = EMPTY;
  qos = 0;
  retain = false;
  hasExpiry = false;
  /** Client id, -1 when there is none. */
  publisherAt = -1;
  publisherBytes = 0;
  topicAt = 0;
  topicBytes = 0;
  propertiesAt = 0;
  propertyBytes = 0;
  payloadAt = 0;
  payloadBytes = 0;

  /** Native bytes in [start, end). */
  locate(bytes: Uint8Array, start: number, end: number): void {
    const flags = bytes[start] as number;
    let at = start + 1;
    this.bytes = bytes;
    this.qos = flags & FLAGS_QOS;
    this.retain = (flags & FLAG_RETAIN) !== 0;
    this.hasExpiry = (flags & FLAG_EXPIRY) !== 0;
    this.publisherAt = -1;
    if ((flags & FLAG_PUBLISHER) !== 0) {
      this.publisherBytes = readU16(bytes, at);
      this.publisherAt = at + 2;
      at += 2 + this.publisherBytes;
    }
    this.topicBytes = readU16(bytes, at);
    this.topicAt = at + 2;
    at += 2 + this.topicBytes;
    let octet = bytes[at++] as number;
    let length = octet & 127;
    for (let shift = 7; octet > 127; shift += 7) {
      octet = bytes[at++] as number;
      length |= (octet & 127) << shift;
    }
    this.propertiesAt = at;
    this.propertyBytes = length;
    this.payloadAt = at + length;
    this.payloadBytes = end - this.payloadAt;
  }

  topic(): string {
    return asBuffer(this.bytes).toString("utf8", this.topicAt, this.topicAt + this.topicBytes);
  }

  /** The publisher's client id is `id`. */
  isFrom(id: Uint8Array): boolean {
    if (this.publisherAt < 0 || this.publisherBytes !== id.length) return false;
    for (let i = 0; i < id.length; i++) if (this.bytes[this.publisherAt + i] !== id[i]) return false;
    return true;
  }
}

export interface NativeParts {
  readonly qos: number;
  readonly retain: boolean;
  readonly publisher: Uint8Array | null;
  readonly topic: Uint8Array;
  /** Without their length. */
  readonly properties: Uint8Array;
  readonly hasExpiry: boolean;
  readonly payload: Uint8Array;
}

/** Native bytes put together; where they are not made in place. */
export function nativeBytes(parts: NativeParts): Uint8Array {
  const { publisher, topic, properties, payload } = parts;
  const headBytes = 1 + (publisher === null ? 0 : 2 + publisher.length) + 2 + topic.length;
  const bytes = Buffer.allocUnsafe(
    headBytes + varintBytes(properties.length) + properties.length + payload.length,
  );
  bytes[0] =
    parts.qos |
    (parts.retain ? FLAG_RETAIN : 0) |
    (parts.hasExpiry ? FLAG_EXPIRY : 0) |
    (publisher === null ? 0 : FLAG_PUBLISHER);
  let at = 1;
  if (publisher !== null) at = putBinary(bytes, at, publisher);
  at = putBinary(bytes, at, topic);
  at = writeVarint(bytes, at, properties.length);
  bytes.set(properties, at);
  bytes.set(payload, at + properties.length);
  return bytes;
}

function putBinary(bytes: Uint8Array, at: number, value: Uint8Array): number {
  writeU16(bytes, at, value.length);
  bytes.set(value, at + 2);
  return at + 2 + value.length;
}

const CORRELATION_DATA = 0x09;
const USER_PROPERTY = 0x26;

/** A message on its way in; one per connection, filled anew for each publish. */
export class IncomingMessage implements Incoming {
  origin = ORIGIN_MQTT;
  bytes: Uint8Array = EMPTY;
  routing: Uint8Array | null = null;
  routingStart = 0;
  routingEnd = 0;
  nativeStart = 0;
  nativeEnd = 0;
  bodyBytes = 0;
  persistent = false;
  readonly priority = 0;
  expirationMs = -1;
  delayMs = 0;
  retain = false;
  readonly copies = null;
  readonly blindCopies = null;

  headers(): Table | null {
    const content = new Content();
    content.locate(this.bytes, this.nativeStart, this.nativeEnd);
    return userProperties(content);
  }

  property(name: string): string | null {
    if (name !== "correlation_id") return null;
    const content = new Content();
    content.locate(this.bytes, this.nativeStart, this.nativeEnd);
    return correlationText(content);
  }
}

/** User properties as headers; of those with one name the last. */
export function userProperties(content: Content): Table | null {
  const table: Table = new Map();
  visitProperties(content, (id, at, bytes) => {
    if (id !== USER_PROPERTY) return;
    const valueAt = at + 2 + readU16(bytes, at);
    table.set(textAt(bytes, at), { type: "string", value: textAt(bytes, valueAt) });
  });
  return table.size === 0 ? null : table;
}

const DELAY_PROPERTY = "x-delay";
const DELAY_MS_MAX = 0xffffffff;

/** What the user property x-delay asks for in ms; 0 without it. @throws MqttError no such delay */
export function delayOf(message: IncomingMessage): number {
  const text = stringOf(message.headers()?.get(DELAY_PROPERTY));
  if (text === undefined) return 0;
  const delayMs = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (delayMs <= DELAY_MS_MAX) return delayMs;
  throw new MqttError(REASON.implementationSpecific, `malformed ${DELAY_PROPERTY}: '${text}'`);
}

export function correlationText(content: Content): string | null {
  let text: string | null = null;
  visitProperties(content, (id, at, bytes) => {
    if (id === CORRELATION_DATA) text = textAt(bytes, at);
  });
  return text;
}

export function textAt(bytes: Uint8Array, at: number): string {
  return asBuffer(bytes).toString("utf8", at + 2, at + 2 + readU16(bytes, at));
}

/** Calls `visit` with the id of each property and the offset of its value. They were checked when they came in. */
export function visitProperties(
  content: Content,
  visit: (id: number, at: number, bytes: Uint8Array) => void,
): void {
  const { bytes } = content;
  let at = content.propertiesAt;
  while (at < content.payloadAt) {
    const id = bytes[at] as number;
    visit(id, at + 1, bytes);
    at = behindProperty(bytes, at);
  }
}

/** Offset behind the PUBLISH property at `at`, or -1 for one that a PUBLISH cannot have. */
export function behindProperty(bytes: Uint8Array, at: number): number {
  switch (bytes[at]) {
    case 0x01: // payload format
      return at + 2;
    case 0x02: // message expiry
      return at + 5;
    case 0x03: // content type
    case 0x08: // response topic
    case CORRELATION_DATA:
      return at + 3 + readU16(bytes, at + 1);
    case 0x23: // topic alias
      return at + 3;
    case USER_PROPERTY: {
      const valueAt = at + 3 + readU16(bytes, at + 1);
      return valueAt + 2 + readU16(bytes, valueAt);
    }
    default:
      return -1;
  }
}

/** Offset of the value of the message expiry interval, or -1. */
export function expiryAt(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at >= 0 && at < end; at = behindProperty(bytes, at))
    if (bytes[at] === 0x02) return at + 1;
  return -1;
}

/** Seconds. */
export function expiryOf(content: Content): number | undefined {
  const at = content.hasExpiry ? expiryAt(content.bytes, content.propertiesAt, content.payloadAt) : -1;
  return at < 0 ? undefined : readU32(content.bytes, at);
}
