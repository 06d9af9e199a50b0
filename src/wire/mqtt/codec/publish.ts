import { readU32 } from "../../../message/record.ts";
import { MqttError, malformed, protocolError, REASON } from "../reasons.ts";
import { readU16 } from "./packet.ts";
import { checkText } from "./reader.ts";

const PLUS = 0x2b;
const HASH = 0x23;

/**
 * Fields of a PUBLISH packet in place (3.3); one instance is reused.
 *
 *     [u16 length, topic] [packet id, if QoS > 0] [MQTT 5: property length, properties] [payload]
 */
export class PublishHead {
  qos = 0;
  dup = false;
  retain = false;
  topicAt = 0;
  topicEnd = 0;
  packetId = 0;
  /** Of the property length (MQTT 5), or of the payload. */
  restAt = 0;
  propertiesAt = 0;
  payloadAt = 0;
  /** Of the property, 0 = none. */
  alias = 0;
  aliasAt = 0;
  /** Seconds; -1 = none. */
  expirySeconds = -1;

  /** @throws MqttError */
  read(first: number, bytes: Uint8Array, at: number, end: number, properties: boolean): void {
    const qos = (first >> 1) & 3;
    this.qos = qos;
    this.dup = (first & 8) !== 0;
    this.retain = (first & 1) !== 0;
    // [MQTT-3.3.1-4], [MQTT-3.3.1-2]
    if (qos === 3) throw malformed("QoS 3");
    if (this.dup && qos === 0) throw malformed("DUP with QoS 0");
    if (end - at < 2) throw malformed("packet is too short");
    this.topicAt = at + 2;
    this.topicEnd = this.topicAt + readU16(bytes, at);
    let next = this.topicEnd;
    if (qos > 0) {
      next += 2;
      if (next > end) throw malformed("packet is too short");
      this.packetId = readU16(bytes, next - 2);
      // [MQTT-2.2.1-3]
      if (this.packetId === 0) throw malformed("packet identifier 0");
    }
    if (next > end) throw malformed("packet is too short");
    this.restAt = next;
    this.alias = 0;
    this.expirySeconds = -1;
    this.propertiesAt = next;
    this.payloadAt = next;
    if (properties) this.readProperties(bytes, next, end);
  }

  private readProperties(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      if (at >= end || shift > 21) throw malformed("property length");
      const octet = bytes[at++] as number;
      length |= (octet & 127) << shift;
      if (octet < 128) break;
    }
    this.propertiesAt = at;
    this.payloadAt = at + length;
    if (this.payloadAt > end) throw malformed("properties are longer than the packet");
    if (length > 0) this.scan(bytes, at, this.payloadAt);
  }

  private scan(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    let seen = 0;
    while (at < end) {
      const id = bytes[at] as number;
      if (id !== 0x26) {
        const bit = id < 32 ? 1 << id : id === 0x23 ? 1 : 0;
        if ((seen & bit) !== 0) throw protocolError(`property ${id} twice`);
        seen |= bit;
      }
      at = this.property(bytes, id, at + 1, end);
      if (at > end) throw malformed("properties are longer than they say");
    }
  }

  /** Returns the offset behind the value at `at`. */
  private property(bytes: Uint8Array, id: number, at: number, end: number): number {
    switch (id) {
      case 0x01:
        if ((bytes[at] as number) > 1) throw protocolError("payload format indicator is neither 0 nor 1");
        return at + 1;
      case 0x02:
        this.expirySeconds = readU32(bytes, at);
        return at + 4;
      case 0x03:
        return textEnd(bytes, at, end);
      case 0x08: {
        const next = textEnd(bytes, at, end);
        // [MQTT-3.3.2-14]
        for (let i = at + 2; i < next; i++) {
          if (bytes[i] === PLUS || bytes[i] === HASH) throw protocolError("response topic with a wildcard");
        }
        return next;
      }
      case 0x09:
        return at + 2 + readU16(bytes, at);
      case 0x23:
        this.alias = readU16(bytes, at);
        this.aliasAt = at - 1;
        // [MQTT-3.3.2-8]
        if (this.alias === 0) throw new MqttError(REASON.topicAliasInvalid, "topic alias 0");
        return at + 2;
      case 0x26:
        return textEnd(bytes, textEnd(bytes, at, end), end);
      case 0x0b:
        // [MQTT-3.3.4-6]
        throw protocolError("subscription identifier from a client");
      default:
        throw malformed(`property ${id} does not belong to PUBLISH`);
    }
  }
}

function textEnd(bytes: Uint8Array, at: number, end: number): number {
  if (at + 2 > end) throw malformed("properties are longer than they say");
  const next = at + 2 + readU16(bytes, at);
  if (next > end) throw malformed("properties are longer than they say");
  checkText(bytes, at + 2, next);
  return next;
}
