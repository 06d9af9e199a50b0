import { LARGE_CHUNK_BYTES } from "../../base/arena.ts";
import { copyBytes } from "../../base/copy-bytes.ts";
import { writeU32 } from "../../message/record.ts";
import type { Outbox } from "../../net/outbox.ts";
import { LEVEL_5, varintBytes, writeU16, writeVarint } from "./codec/packet.ts";
import type { Grant } from "./filters.ts";
import type { Link } from "./link.ts";
import { type Content, expiryAt } from "./message.ts";

const PUBLISH_FIRST = 0x30;
const ALIAS_SLOTS = 64;
const EXPIRY_NONE = -1;

/** How one message goes to one client. */
export interface Manner {
  qos: number;
  dup: boolean;
  retain: boolean;
  /** 0 with QoS 0. */
  packetId: number;
  ids: Grant["ids"];
  /** Wall-clock ms; 0 = never. */
  expiresAt: number;
}

/** Writes PUBLISH packets of one connection straight into its outbox. */
export class Outbound {
  private readonly link: Link;
  private readonly outbox: Outbox;
  private readonly v5: boolean;
  private readonly packetBytesMax: number;
  /** Topic of each alias that the client knows, by alias - 1. */
  private aliases: (Uint8Array | undefined)[] | null = null;
  private readonly aliasCount: number;

  constructor(link: Link) {
    this.link = link;
    this.outbox = link.outbox;
    this.v5 = link.level === LEVEL_5;
    this.packetBytesMax = link.packetBytesMax;
    this.aliasCount = Math.min(link.topicAliasMax, ALIAS_SLOTS);
  }

  /** False: the packet is larger than the client takes, and counts as sent [MQTT-3.1.2-25]. */
  write(content: Content, manner: Manner): boolean {
    const { traffic } = this.link;
    traffic.publishesSent++;
    traffic.bytesSent += content.payloadBytes;
    return this.v5 ? this.writeV5(content, manner) : this.writePlain(content, manner);
  }

  private writePlain(content: Content, manner: Manner): boolean {
    const { topicBytes, payloadBytes } = content;
    const headBytes = 2 + topicBytes + (manner.qos > 0 ? 2 : 0);
    const remaining = headBytes + payloadBytes;
    const total = 1 + varintBytes(remaining) + remaining;
    if (total > this.packetBytesMax) return false;
    const whole = total <= LARGE_CHUNK_BYTES;
    const bytes = whole ? this.outbox.bytes : Buffer.allocUnsafe(total - payloadBytes);
    const at = this.head(
      bytes,
      whole ? this.outbox.reserve(total) : 0,
      content,
      manner,
      topicBytes,
      remaining,
    );
    this.body(bytes, at, content, content.payloadAt, payloadBytes, total);
    return true;
  }

  private writeV5(content: Content, manner: Manner): boolean {
    const { ids } = manner;
    const aliasSlot = this.aliasCount > 0 ? this.slotOf(content) : -1;
    const known = aliasSlot >= 0 && this.knows(aliasSlot, content);
    const topicBytes = known ? 0 : content.topicBytes;
    let extra = aliasSlot >= 0 ? 3 : 0;
    for (let i = 0; i < ids.length; i++) extra += 1 + varintBytes(ids[i] as number);
    const seconds = manner.expiresAt === 0 ? EXPIRY_NONE : this.secondsLeft(manner.expiresAt);
    const addsExpiry = seconds !== EXPIRY_NONE && !content.hasExpiry;
    if (addsExpiry) extra += 5;
    const propertyBytes = extra + content.propertyBytes;
    const copied = content.propertyBytes + content.payloadBytes;
    const remaining = 2 + topicBytes + (manner.qos > 0 ? 2 : 0) + varintBytes(propertyBytes) + extra + copied;
    const total = 1 + varintBytes(remaining) + remaining;
    if (total > this.packetBytesMax) return false;
    const whole = total <= LARGE_CHUNK_BYTES;
    const bytes = whole ? this.outbox.bytes : Buffer.allocUnsafe(total - copied);
    let at = this.head(bytes, whole ? this.outbox.reserve(total) : 0, content, manner, topicBytes, remaining);
    at = writeVarint(bytes, at, propertyBytes);
    if (aliasSlot >= 0) {
      bytes[at] = 0x23;
      writeU16(bytes, at + 1, aliasSlot + 1);
      at += 3;
      if (!known) this.learn(aliasSlot, content);
    }
    for (let i = 0; i < ids.length; i++) {
      bytes[at] = 0x0b;
      at = writeVarint(bytes, at + 1, ids[i] as number);
    }
    if (addsExpiry) {
      bytes[at] = 0x02;
      writeU32(bytes, at + 1, seconds);
      at += 5;
    }
    const patched = seconds !== EXPIRY_NONE && content.hasExpiry;
    if (patched && !whole) this.patchSource(content, seconds);
    this.body(bytes, at, content, content.propertiesAt, copied, total);
    if (patched && whole) this.patch(at, content.propertyBytes, seconds);
    return true;
  }

  /** [MQTT-3.3.2-6]: what is left of the interval. */
  private secondsLeft(expiresAt: number): number {
    return Math.max(0, Math.ceil((expiresAt - this.link.now()) / 1000));
  }

  private patch(at: number, length: number, seconds: number): void {
    const { bytes } = this.outbox;
    const value = expiryAt(bytes, at, at + length);
    if (value >= 0) writeU32(bytes, value, seconds);
  }

  /** A message in pieces is changed before it is copied: the next subscriber puts its own number there. */
  private patchSource(content: Content, seconds: number): void {
    content.bytes = copyBytes(content.bytes, content.propertiesAt, content.payloadAt + content.payloadBytes);
    content.payloadAt -= content.propertiesAt;
    content.propertiesAt = 0;
    const value = expiryAt(content.bytes, 0, content.payloadAt);
    if (value >= 0) writeU32(content.bytes, value, seconds);
  }

  /** Everything before the properties, or the payload. */
  private head(
    bytes: Uint8Array,
    start: number,
    content: Content,
    manner: Manner,
    topicBytes: number,
    remaining: number,
  ): number {
    bytes[start] = PUBLISH_FIRST | (manner.qos << 1) | (manner.dup ? 8 : 0) | (manner.retain ? 1 : 0);
    let at = writeVarint(bytes, start + 1, remaining);
    writeU16(bytes, at, topicBytes);
    at += 2;
    const source = content.bytes;
    const from = content.topicAt;
    for (let i = 0; i < topicBytes; i++) bytes[at + i] = source[from + i] as number;
    at += topicBytes;
    if (manner.qos === 0) return at;
    writeU16(bytes, at, manner.packetId);
    return at + 2;
  }

  /** Behind the head, which ends at `at` of `bytes`: the outbox's own memory, or that of a head that is sent by itself. */
  private body(
    bytes: Uint8Array,
    at: number,
    content: Content,
    from: number,
    length: number,
    total: number,
  ): void {
    const { outbox } = this;
    if (bytes !== outbox.bytes) {
      outbox.copy(bytes, 0, bytes.length);
      outbox.copy(content.bytes, from, length);
      return;
    }
    if (content.bytes === bytes) bytes.copyWithin(at, from, from + length);
    else bytes.set(content.bytes.subarray(from, from + length), at);
    outbox.advance(total);
  }

  /** A topic's own place among the aliases: one that meets another topic there takes the place over. */
  private slotOf(content: Content): number {
    let hash = content.topicBytes;
    const end = content.topicAt + content.topicBytes;
    for (let i = Math.max(content.topicAt, end - 12); i < end; i++) {
      hash = (Math.imul(hash, 31) + (content.bytes[i] as number)) | 0;
    }
    return ((hash ^ (hash >>> 8)) >>> 0) % this.aliasCount;
  }

  private knows(slot: number, content: Content): boolean {
    const topic = this.aliases?.[slot];
    if (topic === undefined || topic.length !== content.topicBytes) return false;
    for (let i = topic.length - 1; i >= 0; i--)
      if (topic[i] !== content.bytes[content.topicAt + i]) return false;
    return true;
  }

  private learn(slot: number, content: Content): void {
    this.aliases ??= [];
    this.aliases[slot] = copyBytes(content.bytes, content.topicAt, content.topicAt + content.topicBytes);
  }
}
