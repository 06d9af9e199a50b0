import { randomBytes } from "node:crypto";
import { BrokerError } from "../../base/errors.ts";
import type { Principal } from "../../broker/index.ts";
import { stepAside } from "../../net/step-aside.ts";
import type { ConnectionHandler, Transport } from "../../net/transport.ts";
import type { ProtocolContext } from "../protocol.ts";
import { Client, writeFrame } from "./client.ts";
import { Frame, type FrameLimits, VERSION_NAMES, type Version } from "./codec/frame.ts";
import type { Dialect } from "./destination.ts";
import { StompError, toStompError } from "./errors.ts";
import { type FrameConsumer, Input } from "./input.ts";

/** Options of the listener that a client came in by. */
export interface StompListenerOptions {
  readonly dialect?: Dialect;
}

/** Shared by all connections. */
export interface Alarm {
  reason: string | null;
}

/** Shorter heart-beats than this are not promised. */
const HEARTBEAT_MS_MIN = 500;
/** A client is late when nothing came for so many of its intervals. */
const HEARTBEAT_SLACK = 2;
const SUPPORTED = "1.0,1.1,1.2";
const HEARTBEAT = Buffer.from("\n");

export function frameLimits(messageBytesMax: number): FrameLimits {
  return { headersMax: 1000, headerBytesMax: 64 * 1024, bodyBytesMax: messageBytesMax };
}

/** One client connection, from accept to close. */
export class StompConnection implements ConnectionHandler, FrameConsumer {
  private readonly context: ProtocolContext;
  private readonly transport: Transport;
  private readonly alarm: Alarm;
  private readonly onClosed: (connection: StompConnection) => void;
  private readonly dialect: Dialect;
  private readonly input: Input;
  private phase: "connect" | "login" | "open" | "ended" = "connect";
  private client: Client | null = null;
  /** For ERROR frames before CONNECTED: what the client understands at least. */
  private version: Version = 0;
  private heldForAlarm = false;
  private heldForCommit = false;
  private connectLeftMs: number;
  /** Intervals in ms; 0: none. */
  private sendEveryMs = 0;
  private expectEveryMs = 0;
  private lastReadMs: number;
  private lastWriteMs: number;
  private silentMs = 0;
  private idleMs = 0;

  constructor(
    context: ProtocolContext,
    transport: Transport,
    alarm: Alarm,
    onClosed: (connection: StompConnection) => void,
  ) {
    this.context = context;
    this.transport = transport;
    this.alarm = alarm;
    this.onClosed = onClosed;
    this.dialect = (transport.listener.options as StompListenerOptions).dialect ?? "rabbitmq";
    this.input = new Input(new Frame(), frameLimits(context.limits.messageBytesMax), this);
    this.connectLeftMs = context.limits.handshakeMsMax;
    this.lastReadMs = transport.lastReadMs;
    this.lastWriteMs = transport.lastWriteMs;
  }

  get ready(): boolean {
    return this.phase === "connect" || this.phase === "open";
  }

  read(bytes: Uint8Array, start: number, end: number): number {
    if (this.phase === "ended") return end;
    try {
      const consumed = this.input.read(bytes, start, end);
      this.finishChunk();
      return consumed;
    } catch (error) {
      this.fail(error, undefined);
      return end;
    }
  }

  onFrame(frame: Frame): void {
    try {
      if (this.phase === "connect") this.connect(frame);
      else this.client?.frame(frame);
    } catch (error) {
      this.fail(error, receiptOf(frame, this.version));
    }
  }

  // --- logging in -----------------------------------------------------------------------------

  private connect(frame: Frame): void {
    if (frame.command !== "CONNECT" && frame.command !== "STOMP")
      throw new StompError("Illegal command", "You must log in using CONNECT first");
    // CONNECT is never escaped (1.2, "Value Encoding"), which is how 1.0 reads headers.
    const get = (name: string): string | undefined => frame.get(name, 0);
    const version = negotiate(get("accept-version"));
    if (version === null) throw new StompError("Version mismatch", `Supported versions are ${SUPPORTED}\n`);
    this.version = version;
    const beats = heartBeats(get("heart-beat"));
    const [login, passcode] = [get("login"), get("passcode")];
    const user = login ?? "guest";
    const password = passcode ?? (login === undefined ? "guest" : "");
    const namespace = get("host");
    const clientId = get("client-id");
    this.phase = "login";
    const { loopback } = this.transport;
    this.context.broker.authenticate({ user, password, loopback }).then(
      (principal) => this.open(principal, namespace, clientId, beats),
      (error: unknown) => this.refuse(error, user),
    );
  }

  private open(
    principal: Principal,
    host: string | undefined,
    clientId: string | undefined,
    beats: readonly [number, number],
  ): void {
    if (this.phase !== "login") return;
    try {
      const { context, transport, version, dialect } = this;
      const owner = { connectionName: transport.name };
      const session = context.broker.openSession(principal, this.namespaceOf(host), owner);
      const sessionId = `session-${randomBytes(12).toString("base64url")}`;
      this.client = new Client({
        context,
        transport,
        session,
        version,
        dialect,
        sessionId,
        clientId,
        onDisconnect: () => this.end(),
        onCommitted: () => this.committed(),
        onLost: (error, receipt) => this.fail(error, receipt),
      });
      this.connected(sessionId, beats);
      this.phase = "open";
      this.input.proceed();
      this.finishChunk();
    } catch (error) {
      this.fail(error, undefined);
    }
  }

  /** ActiveMQ's clients, and many others, send the name of the machine that they connect to. */
  private namespaceOf(host: string | undefined): string {
    if (host === undefined || host === "") return "/";
    return this.dialect === "activemq" || isHostName(host, this.transport.localAddress) ? "/" : host;
  }

  private connected(sessionId: string, [canSendMs, wantsMs]: readonly [number, number]): void {
    const { product, version } = this.context;
    this.sendEveryMs = wantsMs === 0 ? 0 : Math.max(wantsMs, HEARTBEAT_MS_MIN);
    this.expectEveryMs = canSendMs === 0 ? 0 : Math.max(canSendMs, HEARTBEAT_MS_MIN);
    const headers: [string, string][] = [
      ["server", this.dialect === "activemq" ? "ActiveMQ/5.18.3" : `${product}/${version}`],
      ["session", sessionId],
    ];
    // Also to 1.0, as RabbitMQ does: who does not know it does not look.
    headers.push(
      ["heart-beat", `${this.sendEveryMs},${this.expectEveryMs}`],
      ["version", VERSION_NAMES[this.version]],
    );
    writeFrame(this.transport.outbox, this.version, "CONNECTED", headers, "");
  }

  private refuse(error: unknown, user: string): void {
    if (this.phase !== "login") return;
    if (error instanceof BrokerError && error.code === "login-refused") {
      this.context.logger.warn({ connection: this.transport.name, user }, error.message);
      this.fail(new StompError("Bad CONNECT", `Access refused for user '${user}'\n`), undefined);
    } else this.fail(error, undefined);
  }

  // --- flow -----------------------------------------------------------------------------------

  private finishChunk(): void {
    const { client } = this;
    if (client === null || this.phase !== "open") return;
    client.finishChunk();
    if (!this.heldForCommit && client.pendingBytes > this.context.limits.publishPendingBytesMax) {
      this.heldForCommit = true;
      this.transport.pauseReading();
    }
    if (!client.published) return;
    client.published = false;
    if (this.alarm.reason !== null && !this.heldForAlarm) {
      this.heldForAlarm = true;
      this.transport.pauseReading();
    }
    if (this.context.broker.crowded) stepAside(this.transport);
  }

  private committed(): void {
    const low = this.context.limits.publishPendingBytesMax / 2;
    if (!this.heldForCommit || (this.client?.pendingBytes ?? 0) > low) return;
    this.heldForCommit = false;
    this.transport.resumeReading();
  }

  alarmChanged(reason: string | null): void {
    if (reason !== null || !this.heldForAlarm) return;
    this.heldForAlarm = false;
    this.transport.resumeReading();
  }

  drained(): void {
    this.client?.resume();
  }

  /** Heart-beats: an EOL when nothing was sent for half the interval; silence for two of the client's is the end. */
  tick(elapsedMs: number): void {
    // The time that it takes to check a login is not the client's.
    if (this.phase === "login") return;
    if (this.phase === "connect") {
      this.connectLeftMs -= elapsedMs;
      if (this.connectLeftMs <= 0) this.transport.destroy();
      return;
    }
    const { transport } = this;
    const held = this.heldForAlarm || this.heldForCommit;
    if (held || transport.lastReadMs !== this.lastReadMs) this.silentMs = 0;
    else this.silentMs += elapsedMs;
    this.lastReadMs = transport.lastReadMs;
    if (transport.lastWriteMs !== this.lastWriteMs) this.idleMs = 0;
    else this.idleMs += elapsedMs;
    this.lastWriteMs = transport.lastWriteMs;
    if (this.expectEveryMs > 0 && this.silentMs > this.expectEveryMs * HEARTBEAT_SLACK) {
      this.context.logger.warn({ connection: transport.name }, "missed heart-beats from client");
      transport.destroy();
    } else if (this.phase === "open" && this.sendEveryMs > 0 && this.idleMs >= this.sendEveryMs / 2) {
      this.idleMs = 0;
      transport.outbox.copy(HEARTBEAT, 0, HEARTBEAT.length);
    }
  }

  // --- the end --------------------------------------------------------------------------------

  /** An ERROR frame, and the connection ends ("ERROR" in the specification). */
  private fail(thrown: unknown, receipt: string | undefined): void {
    if (this.phase === "ended") return;
    const { logger } = this.context;
    const connection = this.transport.name;
    const error = toStompError(thrown);
    if (error === null) logger.error({ err: thrown, connection }, "error in a connection");
    else logger.warn({ connection, title: error.title }, error.message);
    const { title, message } = error ?? new StompError("internal_error", "see the broker's log");
    const headers: [string, string][] = [
      ["message", title],
      ["content-type", "text/plain"],
      ["version", SUPPORTED],
    ];
    if (receipt !== undefined) headers.push(["receipt-id", receipt]);
    writeFrame(this.transport.outbox, this.version, "ERROR", headers, message);
    this.end();
  }

  private end(): void {
    if (this.phase === "ended") return;
    this.phase = "ended";
    this.client?.close();
    this.transport.end();
  }

  /** What was received is made durable and receipted; then the client is told. */
  shutdown(): void {
    const { client, phase } = this;
    if (client === null || phase !== "open") {
      this.end();
      return;
    }
    const goodbye = (batch: number, lost: boolean): void => {
      if (this.phase !== "open") return;
      client.committed(batch, lost);
      if (this.phase !== "open") return;
      this.fail(new BrokerError("shutting-down", "the broker stops"), undefined);
    };
    this.context.broker.durable(() => {
      if (this.phase === "open") client.session.whenCommitted({ committed: goodbye });
    });
  }

  closed(): void {
    this.phase = "ended";
    this.client?.close();
    this.onClosed(this);
  }
}

/** Highest version that both speak, or null. @param accepted "1.0,1.2"; absent: 1.0 */
function negotiate(accepted: string | undefined): Version | null {
  if (accepted === undefined) return 0;
  const wanted = accepted.split(",").map((version) => version.trim());
  for (const version of [2, 1, 0] as const) if (wanted.includes(VERSION_NAMES[version])) return version;
  return null;
}

/** What the client can send, and what it wants, in ms. @throws StompError */
function heartBeats(header: string | undefined): readonly [number, number] {
  if (header === undefined) return [0, 0];
  const match = /^\s*(\d{1,9})\s*,\s*(\d{1,9})\s*$/.exec(header);
  if (match === null) throw new StompError("Invalid header", `malformed heart-beat: '${header}'`);
  return [Number(match[1]), Number(match[2])];
}

/** STOMP asks for the "name of a virtual host", and most clients put the name of the machine there. */
function isHostName(host: string, localAddress: string): boolean {
  return (
    host === "localhost" || host === localAddress || /^\d{1,3}(\.\d{1,3}){3}$/.test(host) || host === "::1"
  );
}

function receiptOf(frame: Frame, version: Version): string | undefined {
  try {
    return frame.get("receipt", version);
  } catch {
    return undefined;
  }
}
