import { copyBytes } from "../../base/copy-bytes.ts";
import { ShortList } from "../../base/short-list.ts";
import { PUBLISH_PENDING, PUBLISH_UNROUTED } from "../../broker/index.ts";
import { readU32 } from "../../message/record.ts";
import { Assembly, tooLarge } from "./assembly.ts";
import type { Channel } from "./channel.ts";
import {
  CLASS_BASIC,
  CONTENT_HEAD_BYTES,
  FRAME_BODY,
  FRAME_END,
  FRAME_HEAD_BYTES,
  FRAME_HEADER,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
  readU16,
  writeFrameHead,
} from "./codec/frame.ts";
import { HEADER_FLAGS_OFFSET } from "./codec/properties.ts";
import { MalformedError } from "./codec/reader.ts";
import { Writer } from "./codec/writer.ts";
import { rebuildNative, sendContent } from "./content.ts";
import { locateContent } from "./content-location.ts";
import { AmqpError } from "./errors.ts";
import type { Link } from "./link.ts";
import { IncomingMessage } from "./message.ts";
import type { HeaderChange } from "./rebuild.ts";
import { RouteCache } from "./routes.ts";

/** More bytes are needed, and may wait in the socket's buffer. */
export const NOT_WHOLE = -1;
/** Not the plain sequence of three frames: take them one at a time. */
export const FRAME_BY_FRAME = -2;

export const REPLY_TO_NAME = "amq.rabbitmq.reply-to";
const BASIC_RETURN = 0x003c0032;
const NO_ROUTE = 312;
const METHOD_ARGUMENTS_AT = FRAME_HEAD_BYTES + 4;
const BLIND_COPY: ReadonlySet<string> = new Set(["BCC"]);
const method = new Writer();

/** What publishing of one connection shares: made at its first basic.publish. */
export class Publisher {
  readonly incoming = new IncomingMessage();
  /** Bytes handed over in this chunk that are not durable yet. */
  pendingBytes = 0;
  /** Channels with confirms to see to at the end of the chunk. */
  readonly touched = new ShortList<Channel>();
  /** Something was published in this chunk. */
  published = false;
  /** Where the message ends that was looked at last, also when it was refused. */
  consumedTo = 0;
  private readonly link: Link;
  readonly routes: RouteCache;
  private readonly remainderBytesMax: number;
  private readonly messageBytesMax: number;
  private readonly frameBytesMax: number;

  constructor(link: Link, remainderBytesMax: number) {
    this.link = link;
    this.routes = new RouteCache(link.session);
    this.remainderBytesMax = remainderBytesMax;
    this.frameBytesMax = link.bodyPartBytesMax + FRAME_OVERHEAD_BYTES;
    this.messageBytesMax = link.context.limits.messageBytesMax;
  }

  /**
   * Takes a message whose method frame [at, headerAt) is whole, if header and body follow in one
   * frame each. Returns the offset behind it, NOT_WHOLE or FRAME_BY_FRAME. Everything is read in
   * place; what is wrong in any way goes frame by frame, where the errors are.
   */
  take(channel: Channel, bytes: Uint8Array, at: number, headerAt: number, end: number): number {
    if (end > headerAt && bytes[headerAt] !== FRAME_HEADER) return FRAME_BY_FRAME;
    const payloadAt = headerAt + FRAME_HEAD_BYTES;
    if (end < payloadAt + CONTENT_HEAD_BYTES) return this.wait(payloadAt + CONTENT_HEAD_BYTES - at);
    if (readU16(bytes, headerAt + 1) !== channel.number) return FRAME_BY_FRAME;
    const headerBytes = readU32(bytes, headerAt + 3);
    const headerEnd = payloadAt + headerBytes;
    const bodyBytes = readU32(bytes, payloadAt + 8);
    if (headerBytes > this.frameBytesMax || bodyBytes > this.frameBytesMax) return FRAME_BY_FRAME;
    let messageEnd = headerEnd + 1;
    if (bodyBytes > 0) {
      if (end >= messageEnd + FRAME_HEAD_BYTES) {
        const same = bytes[messageEnd] === FRAME_BODY && readU16(bytes, messageEnd + 1) === channel.number;
        if (!same || readU32(bytes, messageEnd + 3) !== bodyBytes) return FRAME_BY_FRAME;
      }
      messageEnd += FRAME_OVERHEAD_BYTES + bodyBytes;
    }
    if (messageEnd > end) return this.wait(messageEnd - at);
    if (bytes[headerEnd] !== FRAME_END || bytes[messageEnd - 1] !== FRAME_END) return FRAME_BY_FRAME;
    // Class and weight (which is always 0), then the upper half of the body's size.
    if (readU32(bytes, payloadAt) !== CLASS_BASIC << 16 || readU32(bytes, payloadAt + 4) !== 0)
      return FRAME_BY_FRAME;
    const exchangeAt = at + METHOD_ARGUMENTS_AT + 2;
    const keyAt = exchangeAt + 1 + (bytes[exchangeAt] as number);
    const bitsAt = keyAt + 1 + (bytes[keyAt] as number);
    if (bitsAt + 2 !== headerAt) return FRAME_BY_FRAME;
    this.consumedTo = messageEnd;
    const incoming = this.incoming;
    incoming.routingStart = exchangeAt;
    incoming.routingEnd = bitsAt;
    incoming.nativeStart = headerAt - 1;
    incoming.nativeEnd = messageEnd;
    incoming.bodyBytes = bodyBytes;
    this.scan(bytes, payloadAt + HEADER_FLAGS_OFFSET, headerEnd);
    this.submit(channel, bytes[bitsAt] as number);
    return messageEnd;
  }

  private wait(needed: number): number {
    return needed <= this.remainderBytesMax ? NOT_WHOLE : FRAME_BY_FRAME;
  }

  /** A basic.publish whose content does not follow in one piece: arguments in [at, end). */
  begin(channel: Channel, bytes: Uint8Array, at: number, end: number): void {
    const exchangeAt = at + 2;
    const keyAt = exchangeAt + 1 + (bytes[exchangeAt] as number);
    const bitsAt = keyAt + 1 + (bytes[keyAt] as number);
    if (!(bitsAt + 1 === end)) throw new MalformedError("malformed basic.publish");
    const bits = bytes[bitsAt] as number;
    if ((bits & 2) !== 0) throw new AmqpError("NOT_IMPLEMENTED", "immediate=true");
    channel.assembly = new Assembly(bytes, exchangeAt, bitsAt, (bits & 1) !== 0);
  }

  /** A header or body frame for the message that `channel` is assembling. */
  proceed(channel: Channel, type: number, bytes: Uint8Array, at: number, end: number): void {
    const assembly = channel.assembly as Assembly;
    if (assembly.bodyBytes < 0) assembly.header(type, bytes, at, end, this.messageBytesMax);
    else assembly.body(type, bytes, at, end);
    if (!assembly.whole) return;
    channel.assembly = null;
    const incoming = this.incoming;
    incoming.routingStart = 0;
    incoming.routingEnd = assembly.routingLength;
    incoming.nativeStart = assembly.routingLength;
    incoming.nativeEnd = assembly.length;
    incoming.bodyBytes = assembly.bodyBytes;
    const headerAt = assembly.headerAt;
    const headerEnd = headerAt + readU32(assembly.buffer, headerAt - 4);
    this.scan(assembly.buffer, headerAt + HEADER_FLAGS_OFFSET, headerEnd);
    this.submit(channel, assembly.mandatory ? 1 : 0);
  }

  /** What is wrong with a message is told only when there is an exchange for it, as RabbitMQ does. */
  private scan(bytes: Uint8Array, flagsAt: number, end: number): void {
    const { incoming } = this;
    try {
      incoming.scan(bytes, flagsAt, end);
    } catch (error) {
      if (error instanceof AmqpError) this.routes.find(bytes, incoming.routingStart, incoming.routingEnd);
      throw error;
    }
  }

  /** Hands the message in `incoming` to the broker. @throws AmqpError, BrokerError */
  private submit(channel: Channel, bits: number): void {
    const message = this.incoming;
    this.published = true;
    if ((bits & 2) !== 0) throw new AmqpError("NOT_IMPLEMENTED", "immediate=true");
    if (message.bodyBytes > this.messageBytesMax) throw tooLarge(message.bodyBytes, this.messageBytesMax);
    if (message.userIdAt >= 0) this.checkUser(message);
    if (message.blindCopies !== null || message.replyToAt >= 0) this.rewrite(channel);
    const mandatory = (bits & 1) !== 0;
    if (channel.transaction !== null) {
      this.routes.find(message.bytes, message.routingStart, message.routingEnd);
      channel.transaction.publish(message, mandatory);
      return;
    }
    const outcome = this.publish(mandatory, channel);
    if (channel.confirms === null) return;
    channel.confirms.record(outcome);
    if (!channel.touched) {
      channel.touched = true;
      this.touched.push(channel);
    }
  }

  /** Routes and stores `incoming`; an unroutable mandatory message goes back. Returns PUBLISH_*. */
  publish(mandatory: boolean, channel: Channel): number {
    const message = this.incoming;
    const route = this.routes.find(message.bytes, message.routingStart, message.routingEnd);
    const outcome = this.link.session.publish(route, message);
    if ((outcome & 3) === PUBLISH_PENDING) this.pendingBytes += message.nativeEnd - message.nativeStart;
    if (mandatory && (outcome & PUBLISH_UNROUTED) !== 0) this.sendReturn(channel.number);
    return outcome;
  }

  /** Finds out whether [routing] at the start of `bytes` can be published to. @throws BrokerError */
  resolve(bytes: Uint8Array, routingLength: number): void {
    this.routes.find(bytes, 0, routingLength);
  }

  private checkUser(message: IncomingMessage): void {
    const claimed = message.shortstrAt(message.userIdAt);
    const { user, tags } = this.link.principal;
    if (claimed === user || tags.includes("impersonator")) return;
    this.routes.find(message.bytes, message.routingStart, message.routingEnd);
    throw new AmqpError(
      "PRECONDITION_FAILED",
      `user_id property set to '${claimed}' but authenticated user was '${user}'`,
    );
  }

  /** Blind copies are taken out; a reply-to that stands for this channel's reply queue is spelled out. */
  private rewrite(channel: Channel): void {
    const message = this.incoming;
    const blindCopies = message.blindCopies;
    const replyTo = this.replyTo(channel, message);
    if (blindCopies === null && replyTo === null) return;
    const change: HeaderChange = {
      ...(blindCopies === null ? {} : { drop: BLIND_COPY }),
      ...(replyTo === null ? {} : { replyTo }),
    };
    const routing = copyBytes(message.bytes, message.routingStart, message.routingEnd);
    const content = locateContent(message.bytes, message.nativeStart, message.bodyBytes);
    const { bytes, nativeAt } = rebuildNative(routing, content, change);
    message.routingStart = 0;
    message.routingEnd = nativeAt;
    message.nativeStart = nativeAt;
    message.nativeEnd = bytes.length;
    const rebuilt = locateContent(bytes, nativeAt, message.bodyBytes);
    message.scan(bytes, rebuilt.headerAt + HEADER_FLAGS_OFFSET, rebuilt.headerEnd);
    message.blindCopies = blindCopies;
  }

  private replyTo(channel: Channel, message: IncomingMessage): string | null {
    const at = message.replyToAt;
    if (at < 0 || message.bytes[at] !== REPLY_TO_NAME.length) return null;
    if (message.shortstrAt(at) !== REPLY_TO_NAME) return null;
    if (channel.replyConsumer === null) {
      throw new AmqpError("PRECONDITION_FAILED", "fast reply consumer does not exist");
    }
    return channel.replyConsumer.queue;
  }

  private sendReturn(channelNumber: number): void {
    this.link.context.broker.counters.returned++;
    const message = this.incoming;
    method.reset();
    const frameAt = method.room(FRAME_HEAD_BYTES);
    method.long(BASIC_RETURN);
    method.short(NO_ROUTE);
    method.shortstr("NO_ROUTE");
    method.raw(message.bytes, message.routingStart, message.routingEnd);
    writeFrameHead(
      method.buffer,
      frameAt,
      FRAME_METHOD,
      channelNumber,
      method.length - frameAt - FRAME_HEAD_BYTES,
    );
    method.octet(FRAME_END);
    const content = locateContent(message.bytes, message.nativeStart, message.bodyBytes);
    sendContent(this.link.outbox, channelNumber, this.link.bodyPartBytesMax, method, content, null);
  }
}
