import { BrokerError } from "../../base/errors.ts";
import { ShortList } from "../../base/short-list.ts";
import type { CommitWaiter, Principal, Session } from "../../broker/index.ts";
import { readU32 } from "../../message/record.ts";
import type { Table } from "../../message/values.ts";
import type { Outbox } from "../../net/outbox.ts";
import { stepAside } from "../../net/step-aside.ts";
import type { Transport } from "../../net/transport.ts";
import type { ProtocolContext } from "../protocol.ts";
import { Channel } from "./channel.ts";
import {
  BASIC_ACK,
  BASIC_PUBLISH,
  FRAME_BODY,
  FRAME_END,
  FRAME_HEAD_BYTES,
  FRAME_HEADER,
  FRAME_HEARTBEAT,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
  HEARTBEAT,
  readU16,
  writeMethodFrame,
} from "./codec/frame.ts";
import {
  type MethodArguments,
  type MethodName,
  methodById,
  methodId,
  readArguments,
} from "./codec/method.ts";
import { MalformedError, MalformedTextError, Reader } from "./codec/reader.ts";
import { Writer } from "./codec/writer.ts";
import { binaryTerm } from "./erlang.ts";
import { AmqpError, type ErrorScope, fromBroker, toAmqpError } from "./errors.ts";
import type { Link } from "./link.ts";
import { basicAck } from "./methods/basic.ts";
import { connectionMethod } from "./methods/connection.ts";
import { dispatch } from "./methods/index.ts";
import { FRAME_BY_FRAME, NOT_WHOLE, Publisher } from "./publisher.ts";

const CHANNEL_OPEN = methodId("channel.open");
const CHANNEL_CLOSE = methodId("channel.close");
const CHANNEL_CLOSE_OK = methodId("channel.close-ok");
/** Class, method, delivery tag, bits. */
const BASIC_ACK_BYTES = 13;
const TWO_32 = 0x100000000;
/** Methods, other than publishes and acknowledgements, after which a connection lets others go first. */
const METHODS_PER_TURN = 256;
/** Deliveries stop at the high-water mark; replies may go on for a while, so that acks are still read. */
const UNREAD_REPLIES_FACTOR = 8;

/** What the handshake arrives at. */
export interface Negotiated {
  readonly session: Session;
  readonly principal: Principal;
  readonly capabilities: ReadonlySet<string>;
  readonly frameBytesMax: number;
  readonly channelsMax: number;
  readonly heartbeatSeconds: number;
}

/** Storage or memory alarm, shared by all connections of a listener. */
export interface AlarmState {
  reason: string | null;
}

/**
 * How an open connection ends: it waits for the client's close-ok, it reads on only to let the client
 * see the error (framing is lost), or the client has had its close-ok and hangs up.
 */
export type Ending = "await-close-ok" | "discard" | "done";

const control = new Writer();

/** Errors whose texts quote the arguments that a method carried. */
const ABOUT_ARGUMENTS: ReadonlySet<string> = new Set(["inequivalent", "argument-invalid"]);

/** A connection that is open: frames in, channels, confirms and flow control. */
export class OpenConnection implements Link, CommitWaiter {
  readonly kind = "open";
  readonly context: ProtocolContext;
  readonly session: Session;
  readonly principal: Principal;
  readonly outbox: Outbox;
  readonly capabilities: ReadonlySet<string>;
  readonly bodyPartBytesMax: number;
  live = true;
  private readonly transport: Transport;
  private readonly alarm: AlarmState;
  private readonly onEnd: (ending: Ending) => void;
  private readonly frameBytesMax: number;
  private readonly remainderBytesMax: number;
  private readonly channelsMax: number;
  private readonly heartbeatMs: number;
  private readonly channels = new Map<number, Channel>();
  private lastChannel: Channel | undefined;
  private publisher: Publisher | null = null;
  /** Publishes that wait for a batch: which, and how many bytes. */
  private readonly pendingBatches = new ShortList<number>();
  private readonly pendingSizes = new ShortList<number>();
  private pendingBytes = 0;
  private readonly confirming = new ShortList<Channel>();
  private heldForCommit = false;
  private heldForAlarm = false;
  private heldForOutput = false;
  private blockedSent = false;
  /** Methods of this chunk that take their time. */
  private slowMethods = 0;
  /** Time of the last read and write that the sweep has seen, and how long there was none since. */
  private lastReadMs: number;
  private lastWriteMs: number;
  private silentMs = 0;
  private idleMs = 0;

  constructor(
    context: ProtocolContext,
    transport: Transport,
    negotiated: Negotiated,
    alarm: AlarmState,
    remainderBytesMax: number,
    onEnd: (ending: Ending) => void,
  ) {
    this.context = context;
    this.transport = transport;
    this.outbox = transport.outbox;
    this.session = negotiated.session;
    this.principal = negotiated.principal;
    this.capabilities = negotiated.capabilities;
    this.frameBytesMax = negotiated.frameBytesMax;
    this.bodyPartBytesMax = negotiated.frameBytesMax - FRAME_OVERHEAD_BYTES;
    this.channelsMax = negotiated.channelsMax;
    this.heartbeatMs = negotiated.heartbeatSeconds * 1000;
    this.alarm = alarm;
    this.remainderBytesMax = remainderBytesMax;
    this.onEnd = onEnd;
    this.lastReadMs = transport.lastReadMs;
    this.lastWriteMs = transport.lastWriteMs;
  }

  /** Takes all whole frames of a chunk; then confirms what they published with one frame a channel. */
  read(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    this.slowMethods = 0;
    this.publisher?.routes.refresh();
    while (this.live && end - at >= FRAME_HEAD_BYTES) {
      const size = readU32(bytes, at + 3);
      if (size > this.frameBytesMax) {
        this.frameTooLarge(bytes, at, size);
        break;
      }
      const next = at + size + FRAME_OVERHEAD_BYTES;
      if (next > end) break;
      if (bytes[next - 1] !== FRAME_END) {
        this.badFrameEnd(bytes, at, next);
        break;
      }
      const id = bytes[at] === FRAME_METHOD && size >= 4 ? readU32(bytes, at + FRAME_HEAD_BYTES) : 0;
      if (id === BASIC_PUBLISH) {
        const behind = this.publish(bytes, at, next, end);
        if (behind === NOT_WHOLE) break;
        at = behind;
      } else {
        if (id === BASIC_ACK && size === BASIC_ACK_BYTES) this.acknowledge(bytes, at);
        else this.frame(bytes, at, next - 1, id);
        at = next;
      }
    }
    if (this.publisher !== null) this.finishChunk(this.publisher);
    if (this.outbox.pendingBytes > this.outbox.highWaterBytes * UNREAD_REPLIES_FACTOR) this.holdForOutput();
    // Else a flood of them has the socket read again at once, tens of times over.
    if (this.slowMethods > METHODS_PER_TURN && this.live) stepAside(this.transport);
    return at;
  }

  /** A client that asks and asks and never reads the answers gets no more of them. */
  private holdForOutput(): void {
    if (this.heldForOutput || !this.live || !this.outbox.full) return;
    this.heldForOutput = true;
    this.transport.pauseReading();
  }

  private channelAt(bytes: Uint8Array, at: number): Channel | undefined {
    const number = readU16(bytes, at + 1);
    const last = this.lastChannel;
    if (last !== undefined && last.number === number) return last;
    const channel = this.channels.get(number);
    if (channel !== undefined) this.lastChannel = channel;
    return channel;
  }

  private publish(bytes: Uint8Array, at: number, next: number, end: number): number {
    const channel = this.channelAt(bytes, at);
    if (channel === undefined || channel.state !== "open" || channel.assembly !== null) {
      this.frame(bytes, at, next - 1, BASIC_PUBLISH);
      return next;
    }
    const publisher = this.publishing();
    publisher.consumedTo = next;
    try {
      const behind = publisher.take(channel, bytes, at, next, end);
      if (behind !== FRAME_BY_FRAME) return behind;
      publisher.begin(channel, bytes, at + FRAME_HEAD_BYTES + 4, next - 1);
      return next;
    } catch (error) {
      this.raise(channel, error, BASIC_PUBLISH);
      return publisher.consumedTo;
    }
  }

  private readonly publishing = (): Publisher => {
    this.publisher ??= new Publisher(this, this.remainderBytesMax);
    return this.publisher;
  };

  private acknowledge(bytes: Uint8Array, at: number): void {
    const channel = this.channelAt(bytes, at);
    if (channel === undefined || channel.state !== "open" || channel.assembly !== null) {
      this.frame(bytes, at, at + FRAME_HEAD_BYTES + BASIC_ACK_BYTES, BASIC_ACK);
      return;
    }
    const tag = readU32(bytes, at + 11) * TWO_32 + readU32(bytes, at + 15);
    try {
      basicAck(channel, tag, ((bytes[at + 19] as number) & 1) === 1);
    } catch (error) {
      this.raise(channel, this.withTag(error, tag), BASIC_ACK);
    }
  }

  /** The ledger does not have to know how a text names the tag. */
  private withTag(error: unknown, tag: unknown): unknown {
    if (!(error instanceof BrokerError) || error.code !== "delivery-tag-unknown") return error;
    return new AmqpError("PRECONDITION_FAILED", `unknown delivery tag ${tag}`);
  }

  /** A frame that has no short way: payload in [at + 7, end). */
  private frame(bytes: Uint8Array, at: number, end: number, id: number): void {
    const type = bytes[at] as number;
    const number = readU16(bytes, at + 1);
    const payloadAt = at + FRAME_HEAD_BYTES;
    const known =
      type === FRAME_METHOD || type === FRAME_HEADER || type === FRAME_BODY || type === FRAME_HEARTBEAT;
    const odd =
      (type === FRAME_METHOD && end - payloadAt < 4) || (type === FRAME_HEARTBEAT && end > payloadAt);
    if (!known || odd) {
      this.fail(new AmqpError("FRAME_ERROR", `${frameText(bytes, at, end)}: unknown_frame`));
      return;
    }
    if (number === 0) {
      if (type === FRAME_METHOD) this.connectionMethod(new Reader(bytes, payloadAt + 4, end), id);
      else if (type !== FRAME_HEARTBEAT) this.fail(unexpected(bytes, at, end));
      return;
    }
    if (type === FRAME_HEARTBEAT) {
      this.fail(unexpected(bytes, at, end));
      return;
    }
    this.channelFrame(bytes, payloadAt, end, type, number, id);
  }

  private channelFrame(
    bytes: Uint8Array,
    payloadAt: number,
    end: number,
    type: number,
    number: number,
    id: number,
  ): void {
    const channel = this.channels.get(number);
    if (channel === undefined) {
      this.firstFrame(number, type, id);
      return;
    }
    if (channel.state !== "open") {
      this.closingFrame(channel, id);
      return;
    }
    if (channel.assembly !== null) {
      try {
        this.publishing().proceed(channel, type, bytes, payloadAt, end);
      } catch (error) {
        this.raise(channel, error, BASIC_PUBLISH);
      }
      return;
    }
    if (type !== FRAME_METHOD) {
      this.fail(new AmqpError("UNEXPECTED_FRAME", "expected method frame, got non method frame instead"));
      return;
    }
    this.channelMethod(channel, new Reader(bytes, payloadAt + 4, end), id);
  }

  private firstFrame(number: number, type: number, id: number): void {
    if (type !== FRAME_METHOD) {
      this.fail(new AmqpError("UNEXPECTED_FRAME", "expected method frame, got non method frame instead"));
      return;
    }
    if (id !== CHANNEL_OPEN) {
      // A close-ok may cross the end of a channel that both sides closed.
      if (id === CHANNEL_CLOSE_OK) return;
      this.fail(new AmqpError("CHANNEL_ERROR", "expected 'channel.open'"), id);
      return;
    }
    const open = this.channels.size;
    if (open >= this.channelsMax || number > this.channelsMax) {
      const text = `number of channels opened (${open}) has reached the negotiated channel_max (${this.channelsMax})`;
      this.fail(new AmqpError("NOT_ALLOWED", text));
      return;
    }
    this.slowMethods++;
    this.channels.set(number, new Channel(number, this));
    this.send(number, "channel.open-ok", { reserved1: "" });
  }

  private closingFrame(channel: Channel, id: number): void {
    if (channel.state !== "closing") return;
    if (id === CHANNEL_CLOSE_OK) this.forget(channel.number);
    else if (id === CHANNEL_CLOSE) this.send(channel.number, "channel.close-ok", {});
  }

  private channelMethod(channel: Channel, reader: Reader, id: number): void {
    if (id === CHANNEL_CLOSE_OK) return;
    this.slowMethods++;
    let args: Record<string, unknown> = {};
    try {
      const spec = methodById(id);
      if (spec === undefined)
        throw new AmqpError("COMMAND_INVALID", `unknown method ${id >>> 16}.${id & 0xffff}`);
      args = readArguments(reader, spec);
      dispatch(id, channel, args, this.publishing);
    } catch (error) {
      this.raise(channel, this.withTag(error, args.deliveryTag), id, args);
    }
  }

  private connectionMethod(reader: Reader, id: number): void {
    const spec = methodById(id);
    try {
      if (spec === undefined)
        throw new AmqpError("COMMAND_INVALID", `unknown method ${id >>> 16}.${id & 0xffff}`);
      const closes = connectionMethod(this, spec.name, readArguments(reader, spec));
      if (closes) this.closedByClient();
    } catch (error) {
      this.fail(this.translate(error), id);
    }
  }

  private closedByClient(): void {
    this.session.close();
    this.send(0, "connection.close-ok", {});
    this.live = false;
    this.onEnd("done");
  }

  /** Turns what a method threw into a close of the channel or of the connection. */
  private raise(channel: Channel, thrown: unknown, id: number, args?: Record<string, unknown>): void {
    const error = this.translate(thrown, args);
    if (error.soft) channel.fail(error, id >>> 16, id & 0xffff);
    else this.fail(error, error.reply === "FRAME_ERROR" ? 0 : id); // as RabbitMQ: what is no text is no method either
  }

  private translate(thrown: unknown, args?: Record<string, unknown>): AmqpError {
    if (thrown instanceof MalformedError) return new AmqpError("SYNTAX_ERROR", thrown.message);
    if (thrown instanceof MalformedTextError) return new AmqpError("FRAME_ERROR", thrown.message);
    const { user, namespace } = this.session;
    let scope: ErrorScope = { user, namespace };
    if (thrown instanceof BrokerError && ABOUT_ARGUMENTS.has(thrown.code)) {
      const kind = args?.queue === undefined ? "exchange" : "queue";
      const current = this.session.declaredArguments(kind, `${args?.[kind]}`);
      scope = { user, namespace, received: args?.arguments as Table | undefined, current };
    }
    const error = toAmqpError(thrown, scope);
    if (error.reply === "INTERNAL_ERROR") {
      this.context.logger.error({ err: thrown, connection: this.transport.name }, "error in a channel");
    }
    return error;
  }

  failed(number: number, id: number, thrown: unknown): void {
    const channel = this.channels.get(number);
    if (this.live && channel !== undefined) this.raise(channel, thrown, id);
  }

  abort(error: AmqpError): void {
    if (this.live) this.fail(error);
  }

  private fail(error: AmqpError, id = 0, ending: Ending = "await-close-ok"): void {
    const { name: connection } = this.transport;
    this.context.logger.warn({ connection, replyCode: error.code }, error.text);
    this.close(error, id, ending);
  }

  /** Closes the connection with an error; what the client still sends is ignored until its close-ok. */
  private close({ code: replyCode, text: replyText }: AmqpError, id: number, ending: Ending): void {
    this.send(0, "connection.close", { replyCode, replyText, classId: id >>> 16, methodId: id & 0xffff });
    this.live = false;
    this.session.close();
    this.releaseReading();
    this.onEnd(ending);
  }

  /** Whatever was held back: a client that is not read from cannot answer a close. */
  private releaseReading(): void {
    for (const held of [this.heldForCommit, this.heldForAlarm, this.heldForOutput]) {
      if (held) this.transport.resumeReading();
    }
    this.heldForCommit = this.heldForAlarm = this.heldForOutput = false;
  }

  /**
   * The server stops. What was received is stored, declared, confirmed and answered first; the client
   * is told in RabbitMQ's words.
   */
  shutdown(): void {
    const goodbye = (batch: number, lost: boolean): void => {
      if (!this.live) return;
      this.committed(batch, lost);
      this.close(fromBroker(new BrokerError("shutting-down", ""), this.session), 0, "await-close-ok");
    };
    this.context.broker.durable(() => {
      if (this.live) this.session.whenCommitted({ committed: goodbye });
    });
  }

  private frameTooLarge(bytes: Uint8Array, at: number, size: number): void {
    const limit = this.frameBytesMax - FRAME_OVERHEAD_BYTES;
    const text = `type ${bytes[at]}, all octets = <<>>: {frame_too_large,${size},${limit}}`;
    this.fail(new AmqpError("FRAME_ERROR", text), 0, "discard");
  }

  private badFrameEnd(bytes: Uint8Array, at: number, next: number): void {
    const text = `${frameText(bytes, at, next - 1)}: {invalid_frame_end_marker,${bytes[next - 1]}}`;
    this.fail(new AmqpError("FRAME_ERROR", text), 0, "discard");
  }

  send<N extends MethodName>(channel: number, name: N, values: MethodArguments<N>): void {
    if (!this.live) return;
    control.reset();
    writeMethodFrame(control, channel, name, values);
    this.outbox.copy(control.buffer, 0, control.length);
  }

  forget(number: number): void {
    this.channels.delete(number);
    if (this.lastChannel?.number === number) this.lastChannel = undefined;
  }

  /** Confirms what is done, and registers what waits, for all that a chunk published. */
  private finishChunk(publisher: Publisher): void {
    const { touched } = publisher;
    let waits = publisher.pendingBytes > 0;
    for (let i = 0; !waits && i < touched.length; i++) waits = touched.at(i).confirms?.unassigned === true;
    const batch = waits && this.live ? this.session.whenCommitted(this) : 0;
    for (let i = 0; i < touched.length; i++) {
      const channel = touched.at(i);
      channel.touched = false;
      const confirms = channel.confirms;
      if (confirms === null) continue;
      if (!confirms.waiting && confirms.unassigned) this.confirming.push(channel);
      confirms.assign(batch);
      confirms.flush();
    }
    touched.truncate(0);
    if (publisher.pendingBytes > 0) {
      this.pendingBatches.push(batch);
      this.pendingSizes.push(publisher.pendingBytes);
      this.pendingBytes += publisher.pendingBytes;
      publisher.pendingBytes = 0;
      if (
        this.live &&
        !this.heldForCommit &&
        this.pendingBytes > this.context.limits.publishPendingBytesMax
      ) {
        this.heldForCommit = true;
        this.transport.pauseReading();
      }
    }
    if (publisher.published) {
      publisher.published = false;
      if (this.live && this.alarm.reason !== null) this.holdForAlarm(this.alarm.reason);
      if (this.live && this.context.broker.crowded) stepAside(this.transport);
    }
  }

  committed(batch: number, lost: boolean): void {
    let count = 0;
    while (count < this.pendingBatches.length && this.pendingBatches.at(count) <= batch) {
      this.pendingBytes -= this.pendingSizes.at(count);
      count++;
    }
    this.pendingBatches.removeFirst(count);
    this.pendingSizes.removeFirst(count);
    let kept = 0;
    for (let i = 0; i < this.confirming.length; i++) {
      const channel = this.confirming.at(i);
      channel.confirms?.committed(batch, lost);
      if (channel.confirms?.waiting === true) this.confirming.put(kept++, channel);
    }
    this.confirming.truncate(kept);
    if (this.heldForCommit && this.pendingBytes <= this.context.limits.publishPendingBytesMax / 2) {
      this.heldForCommit = false;
      this.transport.resumeReading();
    }
  }

  /** A storage or memory alarm began (with the reason) or ended (null). */
  alarmChanged(reason: string | null): void {
    if (reason !== null) {
      if (this.publisher !== null) this.sendBlocked(reason);
      return;
    }
    if (this.blockedSent) this.send(0, "connection.unblocked", {});
    this.blockedSent = false;
    if (!this.heldForAlarm) return;
    this.heldForAlarm = false;
    this.transport.resumeReading();
  }

  private holdForAlarm(reason: string): void {
    this.sendBlocked(reason);
    if (this.heldForAlarm) return;
    this.heldForAlarm = true;
    this.transport.pauseReading();
  }

  private sendBlocked(reason: string): void {
    if (this.blockedSent || !this.capabilities.has("connection.blocked")) return;
    this.blockedSent = true;
    this.send(0, "connection.blocked", { reason });
  }

  drained(): void {
    if (this.heldForOutput) {
      this.heldForOutput = false;
      this.transport.resumeReading();
    }
    for (const channel of this.channels.values()) channel.resumeConsumers();
  }

  /** Heartbeats (AMQP 0-9-1, 4.2.7): one when idle for half the interval, none heard for two is the end. */
  tick(elapsedMs: number): void {
    if (this.heartbeatMs === 0) return;
    const { transport } = this;
    // While it is us who do not read, silence says nothing about the client.
    const held = this.heldForCommit || this.heldForAlarm;
    if (held || transport.lastReadMs !== this.lastReadMs) this.silentMs = 0;
    else this.silentMs += elapsedMs;
    this.lastReadMs = transport.lastReadMs;
    if (this.silentMs > this.heartbeatMs * 2) {
      const timeout = `${this.heartbeatMs / 1000}s`;
      this.context.logger.warn({ connection: transport.name, timeout }, "missed heartbeats from client");
      transport.destroy();
      return;
    }
    if (transport.lastWriteMs !== this.lastWriteMs) this.idleMs = 0;
    else this.idleMs += elapsedMs;
    this.lastWriteMs = transport.lastWriteMs;
    if (this.idleMs < this.heartbeatMs / 2) return;
    this.idleMs = 0;
    this.outbox.copy(HEARTBEAT, 0, HEARTBEAT.length);
  }

  closed(): void {
    if (!this.live) return;
    this.live = false;
    this.session.close();
  }
}

function frameText(bytes: Uint8Array, at: number, end: number): string {
  const payload = bytes.subarray(at + FRAME_HEAD_BYTES, end);
  const shown = payload.length <= 16 ? "all" : "first 16";
  return `type ${bytes[at]}, ${shown} octets = ${binaryTerm(payload.subarray(0, 16))}`;
}

function unexpected(bytes: Uint8Array, at: number, end: number): AmqpError {
  return new AmqpError("UNEXPECTED_FRAME", frameText(bytes, at, end));
}
