import type { CommitWaiter, Session, StoredMessage } from "../../broker/index.ts";
import type { Limits } from "../../limits.ts";
import type { Outbox } from "../../net/outbox.ts";
import { stepAside } from "../../net/step-aside.ts";
import type { Transport } from "../../net/transport.ts";
import type { ProtocolContext } from "../protocol.ts";
import { Acks, SEND_PUBCOMP } from "./acks.ts";
import type { ReAuthentication } from "./authentication.ts";
import type { Connect } from "./codec/connect.ts";
import * as packet from "./codec/packet.ts";
import { type Properties, readProperties } from "./codec/properties.ts";
import { Reader } from "./codec/reader.ts";
import { readSubscribe, readUnsubscribe } from "./codec/subscribe.ts";
import type { Translator } from "./foreign.ts";
import type { Link } from "./link.ts";
import { sendConnack, sendDisconnect, sendSuback, sendUnsuback } from "./packets.ts";
import { Publisher } from "./publisher.ts";
import { fromBroker, MqttError, malformed, protocolError, REASON } from "./reasons.ts";
import type { MqttSession } from "./session.ts";
import type { MqttSettings } from "./settings.ts";
import type { Space } from "./space.ts";
import { Subscriber } from "./subscriber.ts";
import { Subscriptions } from "./subscriptions.ts";
import type { Sys, Traffic } from "./sys.ts";

const PINGRESP = new Uint8Array([packet.PINGRESP << 4, 0]);
/** Without a word of MQTT 5 about it: the window of unacknowledged QoS 1 and 2 to a client. */
const WINDOW_BEFORE_5 = 1024;
/** Deliveries stop at the high-water mark; replies may go on for a while, so that acks are still read. */
const UNREAD_REPLIES_FACTOR = 8;
/** Storage or memory alarm, shared by all connections. */
export interface AlarmState {
  reason: string | null;
}

/** What all connections share. */
export interface Shared {
  readonly context: ProtocolContext<MqttSettings>;
  readonly translator: Translator;
  readonly alarm: AlarmState;
  readonly traffic: Traffic;
  readonly sys: Sys;
}

/** What a handshake arrives at. */
export interface Negotiated {
  readonly connect: Connect;
  readonly clientId: string;
  readonly broker: Session;
  readonly space: Space;
  readonly session: MqttSession;
  readonly present: boolean;
  readonly keepAliveSeconds: number;
  /** Of the CONNACK. */
  readonly properties: Properties;
  readonly reAuthentication: ReAuthentication | null;
}

/** A connection of a client that has been let in: packets in, acknowledgements, flow control. */
export class OpenConnection implements Link, CommitWaiter {
  readonly kind = "open";
  readonly level: number;
  readonly clientId: string;
  readonly bridge: boolean;
  readonly broker: Session;
  readonly session: MqttSession;
  readonly outbox: Outbox;
  readonly acks: Acks;
  readonly settings: MqttSettings;
  readonly limits: Limits;
  readonly translator: Translator;
  readonly traffic: Traffic;
  readonly sys: Sys;
  readonly receiveMax: number;
  readonly packetBytesMax: number;
  readonly topicAliasMax: number;
  live = true;
  private readonly context: ProtocolContext<MqttSettings>;
  private readonly transport: Transport;
  private readonly negotiated: Negotiated;
  private readonly alarm: AlarmState;
  private readonly onEnd: () => void;
  private readonly subscriber: Subscriber;
  private readonly subscriptions: Subscriptions;
  private readonly keepAliveMs: number;
  private publisher: Publisher | null = null;
  private begun = false;
  private pendingBatches: number[] = [];
  private pendingSizes: number[] = [];
  private pendingBytes = 0;
  private heldForCommit = false;
  private heldForAlarm = false;
  private heldForOutput = false;
  private lastReadMs: number;
  private silentMs = 0;

  constructor(shared: Shared, transport: Transport, negotiated: Negotiated, onEnd: () => void) {
    const { connect, session, keepAliveSeconds } = negotiated;
    const { receiveMax, packetBytesMax, topicAliasMax } = connect.properties;
    const { context } = shared;
    this.context = context;
    this.transport = transport;
    this.negotiated = negotiated;
    this.translator = shared.translator;
    this.traffic = shared.traffic;
    this.sys = shared.sys;
    this.alarm = shared.alarm;
    this.onEnd = onEnd;
    this.level = connect.level;
    this.bridge = connect.bridge;
    this.clientId = negotiated.clientId;
    this.broker = negotiated.broker;
    this.session = session;
    this.outbox = transport.outbox;
    this.settings = context.settings;
    this.limits = context.limits;
    this.receiveMax = this.level === packet.LEVEL_5 ? (receiveMax ?? 65_535) : WINDOW_BEFORE_5;
    this.packetBytesMax = packetBytesMax ?? Number.POSITIVE_INFINITY;
    this.topicAliasMax = topicAliasMax ?? 0;
    this.keepAliveMs = keepAliveSeconds * 1000;
    this.lastReadMs = transport.lastReadMs;
    this.acks = new Acks(
      this.outbox,
      (first, _id, reason) => this.publisher?.sent(first, reason),
      (_first, packetId) => this.lost(packetId),
    );
    this.subscriber = new Subscriber(this);
    this.subscriptions = new Subscriptions(this, negotiated.space, this.subscriber);
  }

  /** Lets the client know that it is in, and gives it what it has waited for. */
  begin(): void {
    if (!this.live) return;
    const { present, properties } = this.negotiated;
    try {
      this.subscriptions.resume();
    } catch (error) {
      // It was subscribed to what it may not read any more.
      const { reason, message } = fromBroker(error);
      sendConnack(
        this.outbox,
        this.level,
        false,
        reason,
        this.level === packet.LEVEL_5 ? { reasonString: message } : {},
      );
      this.close(true);
      return;
    }
    this.begun = true;
    sendConnack(this.outbox, this.level, present, REASON.success, properties);
    this.subscriber.resendReleases();
  }

  now(): number {
    return this.context.broker.now();
  }

  // --- in ----------------------------------------------------------------------------------------

  /** One whole packet: its first byte at `at`, what follows the length in [bodyAt, end). */
  packet(bytes: Uint8Array, at: number, bodyAt: number, end: number): void {
    try {
      this.dispatch(bytes, at, bodyAt, end);
    } catch (error) {
      if (!(error instanceof MqttError)) throw error;
      this.disconnect(error.reason, error.message);
    }
  }

  private dispatch(bytes: Uint8Array, at: number, bodyAt: number, end: number): void {
    const first = bytes[at] as number;
    const type = first >> 4;
    this.traffic.packetsReceived++;
    if (type === packet.PUBLISH) {
      this.publishing().take(bytes, at, bodyAt, end);
      return;
    }
    const flags = type === packet.PUBREL || type === packet.SUBSCRIBE || type === packet.UNSUBSCRIBE ? 2 : 0;
    // [MQTT-2.1.3-1]; in MQTT 3.1 they are not used, or say that the packet is sent again.
    if ((first & 15) !== flags && this.level !== packet.LEVEL_3_1)
      throw malformed("reserved flags of the fixed header");
    if (type >= packet.PUBACK && type <= packet.PUBCOMP) this.acknowledged(type, bytes, bodyAt, end);
    else this.control(type, new Reader(bytes, bodyAt, end));
  }

  private publishing(): Publisher {
    this.publisher ??= new Publisher(this);
    return this.publisher;
  }

  private acknowledged(type: number, bytes: Uint8Array, at: number, end: number): void {
    if (end - at < 2) throw malformed("packet is too short");
    const packetId = packet.readU16(bytes, at);
    if (packetId === 0) throw malformed("packet identifier 0");
    const reason = end - at > 2 ? this.ackReason(type, new Reader(bytes, at + 2, end)) : 0;
    if (type === packet.PUBACK) this.subscriber.puback(packetId, reason);
    else if (type === packet.PUBREC) this.subscriber.pubrec(packetId, reason);
    else if (type === packet.PUBCOMP) this.subscriber.pubcomp(packetId);
    else this.pubrel(packetId);
  }

  private ackReason(type: number, reader: Reader): number {
    if (this.level !== packet.LEVEL_5) throw malformed("packet is too long");
    const reason = reader.octet();
    if (reader.left > 0) readProperties(reader, type);
    reader.finish();
    return reason;
  }

  /** [MQTT-4.3.3-11]: forgotten before it is completed; else a crash could make the next message look like this one. */
  private pubrel(packetId: number): void {
    const known = this.session.released(packetId);
    const reason = known || this.level !== packet.LEVEL_5 ? REASON.success : REASON.packetIdNotFound;
    this.acks.add(SEND_PUBCOMP, packetId, reason, known && this.session.durable);
  }

  private control(type: number, reader: Reader): void {
    switch (type) {
      case packet.SUBSCRIBE:
        this.subscribe(reader);
        return;
      case packet.UNSUBSCRIBE:
        this.unsubscribe(reader);
        return;
      case packet.PINGREQ:
        reader.finish();
        this.outbox.copy(PINGRESP, 0, PINGRESP.length);
        return;
      case packet.DISCONNECT:
        this.goodbye(reader);
        return;
      case packet.AUTH:
        this.reAuthenticate(reader);
        return;
      case packet.CONNECT:
        // [MQTT-3.1.0-2]
        throw protocolError("CONNECT for the second time");
      default:
        throw protocolError(`packet of type ${type} from a client`);
    }
  }

  private subscribe(reader: Reader): void {
    const asked = readSubscribe(reader, this.level);
    const { reasons, announced } = this.subscriptions.subscribe(asked);
    this.whenDurable(() => {
      sendSuback(this.outbox, this.level, asked.packetId, reasons);
      announced();
    });
  }

  private unsubscribe(reader: Reader): void {
    const asked = readUnsubscribe(reader, this.level);
    const reasons = this.subscriptions.unsubscribe(asked);
    this.whenDurable(() => sendUnsuback(this.outbox, this.level, asked.packetId, reasons));
  }

  /** Runs `done` when topology and notes are durable; nothing of a session that ends with its connection is. */
  private whenDurable(done: () => void): void {
    if (!this.session.durable) {
      done();
      return;
    }
    const answer = (): void => {
      if (this.live) done();
    };
    this.context.broker.durable(() => {
      if (this.live) this.broker.whenCommitted({ committed: answer });
    });
  }

  /** 3.14. */
  private goodbye(reader: Reader): void {
    let reason: number = REASON.success;
    if (this.level === packet.LEVEL_5 && reader.left > 0) {
      reason = reader.octet();
      const { sessionExpiry } = reader.left > 0 ? readProperties(reader, packet.DISCONNECT) : {};
      if (sessionExpiry !== undefined) this.setExpiry(sessionExpiry);
    }
    reader.finish();
    this.leave(reason !== REASON.success);
  }

  /** The client sees the end when it is stored: the will that it took back is not said after a crash either. */
  private leave(willed: boolean): void {
    this.release(willed);
    this.onEnd();
    const end = (): void => this.transport.end();
    if (!this.session.durable) end();
    else this.context.broker.durable(() => void this.broker.whenCommitted({ committed: end }));
  }

  /** [MQTT-3.14.2-2]: what ends with the connection cannot be made to last. */
  private setExpiry(seconds: number): void {
    const { session, settings } = this;
    if (session.expirySeconds === 0 && seconds !== 0)
      throw protocolError("session expiry is 0, and stays it");
    session.expirySeconds = Math.min(seconds, settings.sessionExpirySecondsMax ?? seconds);
  }

  private reAuthenticate(reader: Reader): void {
    if (this.level !== packet.LEVEL_5) throw malformed("AUTH before MQTT 5");
    const { reAuthentication } = this.negotiated;
    // [MQTT-4.12.0-7]
    if (reAuthentication === null) throw protocolError("AUTH without an authentication method");
    reAuthentication.take(reader, this.outbox, (error) => {
      if (this.live) this.disconnect(error.reason, error.message);
    });
  }

  // --- end of a chunk ----------------------------------------------------------------------------

  startChunk(): void {
    this.publisher?.topics.refresh();
  }

  /** Everything of a chunk is taken: what waits for a commit gets to know which. */
  finishChunk(): void {
    const { publisher, acks } = this;
    const bytes = publisher?.pendingBytes ?? 0;
    if (acks.unassigned > 0 || bytes > 0) {
      // Also of a connection that has ended within the chunk: nobody is told, but the ring stays in order.
      const batch = this.live ? this.broker.whenCommitted(this) : 0;
      acks.assign(batch);
      if (publisher !== null && bytes > 0) this.hold(publisher, batch);
    }
    if (publisher?.published === true) {
      publisher.published = false;
      if (this.live && this.alarm.reason !== null) this.holdForAlarm();
      if (this.live && this.context.broker.crowded) stepAside(this.transport);
    }
    if (this.outbox.pendingBytes > this.outbox.highWaterBytes * UNREAD_REPLIES_FACTOR) this.holdForOutput();
  }

  private hold(publisher: Publisher, batch: number): void {
    this.pendingBatches.push(batch);
    this.pendingSizes.push(publisher.pendingBytes);
    this.pendingBytes += publisher.pendingBytes;
    publisher.pendingBytes = 0;
    if (!this.live || this.heldForCommit) return;
    if (this.pendingBytes <= this.limits.publishPendingBytesMax) return;
    this.heldForCommit = true;
    this.transport.pauseReading();
  }

  /** Storage failed for a message that was to be acknowledged: so it says, or ends (3.1.1, 4.8). */
  private lost(packetId: number): number {
    // With QoS 2 the client sends it again under the same identifier.
    this.session.released(packetId);
    if (this.level === packet.LEVEL_5) return REASON.implementationSpecific;
    this.disconnect(REASON.implementationSpecific, "the storage of a stream has failed");
    return -1;
  }

  committed(batch: number, lost: boolean): void {
    if (!this.live) return;
    let count = 0;
    while (count < this.pendingBatches.length && (this.pendingBatches[count] as number) <= batch) {
      this.pendingBytes -= this.pendingSizes[count] as number;
      count++;
    }
    if (count > 0) {
      this.pendingBatches.splice(0, count);
      this.pendingSizes.splice(0, count);
    }
    this.acks.committed(batch, lost);
    if (!this.live) return;
    if (!this.heldForCommit || this.pendingBytes > this.limits.publishPendingBytesMax / 2) return;
    this.heldForCommit = false;
    this.transport.resumeReading();
  }

  /** A client that asks and asks and never reads the answers gets no more of them. */
  private holdForOutput(): void {
    if (this.heldForOutput || !this.live || !this.outbox.full) return;
    this.heldForOutput = true;
    this.transport.pauseReading();
  }

  private holdForAlarm(): void {
    if (this.heldForAlarm) return;
    this.heldForAlarm = true;
    this.transport.pauseReading();
  }

  alarmChanged(reason: string | null): void {
    if (reason !== null || !this.heldForAlarm) return;
    this.heldForAlarm = false;
    this.transport.resumeReading();
  }

  drained(): void {
    if (this.heldForOutput) {
      this.heldForOutput = false;
      this.transport.resumeReading();
    }
    this.subscriber.resume();
    this.subscriptions.resumeFeeds();
  }

  retainedArrived(): void {
    this.subscriptions.retainedArrived();
  }

  takeOver(message: StoredMessage): void {
    this.subscriptions.takeOver(message);
  }

  refused(error: MqttError): void {
    this.context.logger.debug({ connection: this.transport.name, clientId: this.clientId }, error.message);
  }

  // --- end -----------------------------------------------------------------------------------------

  /** One and a half times the keep-alive interval without a packet is the end [MQTT-3.1.2-22]. */
  tick(elapsedMs: number): void {
    if (this.keepAliveMs === 0) return;
    const { transport } = this;
    // While it is us who do not read, silence says nothing about the client.
    const held = this.heldForCommit || this.heldForAlarm || this.heldForOutput;
    if (held || transport.lastReadMs !== this.lastReadMs) this.silentMs = 0;
    else this.silentMs += elapsedMs;
    this.lastReadMs = transport.lastReadMs;
    if (this.silentMs > this.keepAliveMs * 1.5)
      this.disconnect(REASON.keepAliveTimeout, "keep-alive timeout");
  }

  takenOver(): void {
    this.disconnect(REASON.sessionTakenOver, "the client connected anew");
  }

  /** The server stops. What was received is stored and acknowledged first. */
  shutdown(): void {
    const goodbye = (batch: number, lost: boolean): void => {
      if (!this.live) return;
      this.committed(batch, lost);
      this.disconnect(REASON.shuttingDown, "server shutting down");
    };
    this.context.broker.durable(() => {
      if (this.live) this.broker.whenCommitted({ committed: goodbye });
    });
  }

  /** Ends the connection from our side; before MQTT 5 there is no way to say why. */
  disconnect(reason: number, text: string): void {
    if (!this.live) return;
    const { name: connection } = this.transport;
    this.context.logger.info({ connection, clientId: this.clientId, reason }, text);
    if (this.level === packet.LEVEL_5 && this.begun) {
      sendDisconnect(this.outbox, reason, text, this.packetBytesMax);
    }
    this.close(true);
  }

  /** `willed`: the client has not said goodbye. */
  private close(willed: boolean): void {
    this.release(willed);
    this.transport.end();
    this.onEnd();
  }

  private release(willed: boolean): void {
    if (!this.live) return;
    this.live = false;
    this.subscriptions.close();
    this.subscriber.close();
    this.negotiated.space.detach(this.session, this.broker, willed);
    this.broker.close();
  }

  closed(): void {
    this.release(true);
  }
}
