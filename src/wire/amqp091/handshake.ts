import { hostname } from "node:os";
import { BrokerError } from "../../base/errors.ts";
import type { Credentials, Principal } from "../../broker/index.ts";
import { readU32 } from "../../message/record.ts";
import type { Table, TypedValue } from "../../message/values.ts";
import type { Transport } from "../../net/transport.ts";
import type { ProtocolContext } from "../protocol.ts";
import {
  FRAME_END,
  FRAME_HEAD_BYTES,
  FRAME_HEARTBEAT,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
  PROTOCOL_HEADER,
  readU16,
  writeMethodFrame,
} from "./codec/frame.ts";
import { type MethodArguments, type MethodName, methodById, readArguments } from "./codec/method.ts";
import { Reader } from "./codec/reader.ts";
import { readTable } from "./codec/table.ts";
import { Writer } from "./codec/writer.ts";
import { AmqpError, toAmqpError } from "./errors.ts";
import type { Negotiated } from "./open.ts";

/** Before tuning nothing larger than this is taken: room for long tokens, not for an attack. */
const FRAME_BYTES_MAX = 8192;

/** What this broker acts on; clients switch behaviour by these. */
const CAPABILITIES = [
  "publisher_confirms",
  "exchange_exchange_bindings",
  "basic.nack",
  "consumer_cancel_notify",
  "connection.blocked",
  "consumer_priorities",
  "authentication_failure_close",
  "per_consumer_qos",
  "direct_reply_to",
];

/**
 * A connection that is not open yet: where it is, with what is known there.
 *
 *     header -> starting -> (authenticating) -> tuning -> opening -> open connection
 */
type State =
  | { readonly at: "header" }
  | { readonly at: "starting" }
  | { readonly at: "authenticating"; readonly early: Buffer[]; earlyBytes: number }
  | { readonly at: "tuning"; readonly principal: Principal }
  | { readonly at: "opening"; readonly principal: Principal; readonly tuned: Tuned }
  | { readonly at: "failed" };

interface Tuned {
  readonly channelsMax: number;
  readonly frameBytesMax: number;
  readonly heartbeatSeconds: number;
}

/** What becomes of a handshake. */
export interface HandshakeOutcome {
  opened(negotiated: Negotiated): void;
  /** A close was sent; the client's close-ok is awaited. */
  refused(): void;
  /** What a client sent before it was answered can be read now. */
  replay(early: Buffer): void;
  /** Not worth an answer: RabbitMQ waits a little and hangs up. */
  dropped(): void;
}

const control = new Writer();
const longstr = (value: string): TypedValue => ({ type: "string", value });

export class Handshake {
  readonly kind = "handshake";
  private state: State = { at: "header" };
  private capabilities: ReadonlySet<string> = new Set();
  private mechanism = "";
  private readonly context: ProtocolContext;
  private readonly transport: Transport;
  private readonly outcome: HandshakeOutcome;
  private leftMs: number;

  constructor(context: ProtocolContext, transport: Transport, outcome: HandshakeOutcome) {
    this.context = context;
    this.transport = transport;
    this.outcome = outcome;
    this.leftMs = context.limits.handshakeMsMax;
  }

  read(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    if (this.state.at === "header") {
      if (!this.protocolHeader(bytes, start, end)) return this.rejected() ? end : start;
      at += PROTOCOL_HEADER.length;
    }
    while (this.state.at !== "failed" && end - at >= FRAME_HEAD_BYTES) {
      if (this.state.at === "authenticating") return this.keepEarly(bytes, at, end);
      const size = readU32(bytes, at + 3);
      if (size > FRAME_BYTES_MAX) return this.drop(end);
      const next = at + size + FRAME_OVERHEAD_BYTES;
      if (next > end) return at;
      if (bytes[next - 1] !== FRAME_END) return this.drop(end);
      this.frame(bytes, at, next - 1);
      at = next;
      if (this.opened) return at;
    }
    return this.rejected() ? end : at;
  }

  private opened = false;

  private rejected(): boolean {
    return this.state.at === "failed";
  }

  private drop(end: number): number {
    this.state = { at: "failed" };
    this.outcome.dropped();
    return end;
  }

  /** True when the header is there and right. A wrong one is answered with the right one (4.2.2). */
  private protocolHeader(bytes: Uint8Array, start: number, end: number): boolean {
    const length = Math.min(end - start, PROTOCOL_HEADER.length);
    const old = end - start >= 8 && bytes[start + 4] === 1 && bytes[start + 5] === 1;
    for (let i = 0; i < length; i++) {
      // 1 1 0 9 is how 0-9 and some 0-9-1 clients say it.
      const expected = old && i >= 4 ? [1, 1, 0, 9][i - 4] : PROTOCOL_HEADER[i];
      const differs = bytes[start + i] !== expected;
      if (differs && !(i >= 4 && end - start < 8)) {
        this.state = { at: "failed" };
        this.transport.outbox.copy(PROTOCOL_HEADER, 0, PROTOCOL_HEADER.length);
        this.transport.end();
        return false;
      }
    }
    if (length < PROTOCOL_HEADER.length) return false;
    this.state = { at: "starting" };
    this.start();
    return true;
  }

  private start(): void {
    const { product, version, platform } = this.context;
    const capabilities: Table = new Map(CAPABILITIES.map((name) => [name, { type: "bool", value: true }]));
    this.send("connection.start", {
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: new Map<string, TypedValue>([
        ["capabilities", { type: "table", value: capabilities }],
        ["cluster_name", longstr(`polymq@${hostname()}`)],
        ["information", longstr("Licensed under the Apache License 2.0")],
        ["platform", longstr(platform)],
        ["product", longstr(product)],
        ["version", longstr(version)],
      ]),
      mechanisms: this.transport.tls === null ? "PLAIN AMQPLAIN" : "PLAIN AMQPLAIN EXTERNAL",
      locales: "en_US",
    });
  }

  private frame(bytes: Uint8Array, at: number, end: number): void {
    if (bytes[at] === FRAME_HEARTBEAT && readU16(bytes, at + 1) === 0) return;
    const methodAt = at + FRAME_HEAD_BYTES;
    const isMethod = bytes[at] === FRAME_METHOD && readU16(bytes, at + 1) === 0 && end - methodAt >= 4;
    const spec = isMethod ? methodById(readU32(bytes, methodAt)) : undefined;
    try {
      if (spec === undefined) throw new AmqpError("UNEXPECTED_FRAME", "");
      this.method(spec.name, readArguments(new Reader(bytes, methodAt + 4, end), spec));
    } catch (error) {
      this.failed(error, spec?.id ?? 0);
    }
  }

  private method(name: MethodName, args: Record<string, unknown>): void {
    const { state } = this;
    if (name === "connection.start-ok" && state.at === "starting") {
      this.startOk(args as MethodArguments<"connection.start-ok">);
    } else if (name === "connection.tune-ok" && state.at === "tuning") {
      this.tuneOk(state.principal, args as MethodArguments<"connection.tune-ok">);
    } else if (name === "connection.open" && state.at === "opening") {
      this.open(state.principal, state.tuned, args as MethodArguments<"connection.open">);
    } else if (name === "connection.close") {
      this.send("connection.close-ok", {});
      this.state = { at: "failed" };
      this.transport.end();
    } else throw new AmqpError("CHANNEL_ERROR", `unexpected method in connection state ${state.at}`);
  }

  private startOk(args: MethodArguments<"connection.start-ok">): void {
    const claimed = args.clientProperties.get("capabilities");
    if (claimed?.type === "table") {
      const table = claimed.value as Table;
      this.capabilities = new Set([...table].filter(([, { value }]) => value === true).map(([name]) => name));
    }
    this.mechanism = args.mechanism;
    const principal = this.identify(args.mechanism, args.response);
    const waiting: State = { at: "authenticating", early: [], earlyBytes: 0 };
    this.state = waiting;
    principal.then(
      (principal) => {
        if (this.state !== waiting) return;
        this.tune(principal);
        if (waiting.early.length > 0) this.outcome.replay(Buffer.concat(waiting.early));
      },
      (error: unknown) => {
        if (this.state === waiting) this.failed(error, 0);
      },
    );
  }

  /** @throws BrokerError login-refused, AmqpError 503 */
  private identify(mechanism: string, response: string): Promise<Principal> {
    const { broker } = this.context;
    const { tls } = this.transport;
    if (mechanism !== "EXTERNAL" || tls === null) {
      return broker.authenticate(this.credentials(mechanism, response));
    }
    if (tls.peerName === null) throw new BrokerError("login-refused", "no client certificate");
    return broker.principalOf(tls.peerName);
  }

  private credentials(mechanism: string, response: string): Credentials {
    const { loopback } = this.transport;
    if (mechanism === "PLAIN") {
      const [, user, password] = response.split("\0");
      if (user === undefined || password === undefined) {
        throw new BrokerError("login-refused", "malformed PLAIN response");
      }
      return { user, password, loopback };
    }
    if (mechanism === "AMQPLAIN") {
      const { user, password } = amqplain(response);
      return { user, password, loopback };
    }
    throw new AmqpError("COMMAND_INVALID", `unknown authentication mechanism '${mechanism}'`);
  }

  /** A client that does not wait for tune: what it sent is seen again once it is known who it is. */
  private keepEarly(bytes: Uint8Array, at: number, end: number): number {
    const state = this.state as State & { at: "authenticating" };
    state.earlyBytes += end - at;
    if (state.earlyBytes > FRAME_BYTES_MAX) return this.drop(end);
    state.early.push(Buffer.from(bytes.subarray(at, end)));
    return end;
  }

  private tune(principal: Principal): void {
    const { limits } = this.context;
    this.state = { at: "tuning", principal };
    this.send("connection.tune", {
      channelMax: limits.channelsMax,
      frameMax: limits.frameBytesMax,
      heartbeat: limits.heartbeatSeconds,
    });
  }

  private tuneOk(principal: Principal, args: MethodArguments<"connection.tune-ok">): void {
    const { limits } = this.context;
    checkTuned("frame_max", args.frameMax, limits.frameBytesMin, limits.frameBytesMax);
    checkTuned("channel_max", args.channelMax, 1, limits.channelsMax);
    const tuned = {
      channelsMax: args.channelMax,
      frameBytesMax: args.frameMax,
      heartbeatSeconds: args.heartbeat,
    };
    this.state = { at: "opening", principal, tuned };
  }

  private open(principal: Principal, tuned: Tuned, args: MethodArguments<"connection.open">): void {
    const { broker } = this.context;
    const owner = { connectionName: this.transport.name };
    const session = broker.openSession(principal, args.virtualHost, owner);
    this.opened = true;
    this.send("connection.open-ok", { reserved1: "" });
    this.outcome.opened({ session, principal, capabilities: this.capabilities, ...tuned });
  }

  /**
   * Refused logins are told so if the client can understand it; limits and namespaces always; all else
   * is not trusted with an answer (as in RabbitMQ's reader).
   */
  private failed(thrown: unknown, id: number): void {
    const { state, mechanism } = this;
    this.state = { at: "failed" };
    const user = "principal" in state ? state.principal.user : "";
    const login = thrown instanceof BrokerError && thrown.code === "login-refused";
    const refusal = `Login was refused using authentication mechanism ${mechanism}. For details see the broker logfile.`;
    const error = login
      ? new AmqpError("ACCESS_REFUSED", refusal)
      : toAmqpError(thrown, { namespace: "", user });
    this.context.logger.warn({ connection: this.transport.name, err: thrown }, error.text);
    const told = login
      ? this.capabilities.has("authentication_failure_close")
      : error.reply === "NOT_ALLOWED";
    if (!told) {
      this.outcome.dropped();
      return;
    }
    // RabbitMQ names connection.tune, not tune-ok, for a failed negotiation.
    const methodId = state.at === "tuning" ? id - 1 : id;
    this.send("connection.close", {
      replyCode: error.code,
      replyText: error.text,
      classId: methodId >>> 16,
      methodId: methodId & 0xffff,
    });
    this.outcome.refused();
  }

  private send<N extends MethodName>(name: N, values: MethodArguments<N>): void {
    control.reset();
    writeMethodFrame(control, 0, name, values);
    this.transport.outbox.copy(control.buffer, 0, control.length);
  }

  tick(elapsedMs: number): void {
    // The time that it takes to check a login is not the client's.
    if (this.state.at === "authenticating") return;
    this.leftMs -= elapsedMs;
    if (this.leftMs > 0) return;
    this.context.logger.warn({ connection: this.transport.name }, "handshake timed out");
    this.transport.destroy();
  }

  drained(): void {}
  alarmChanged(): void {}

  closed(): void {
    this.state = { at: "failed" };
  }
}

/** The response is a field table without its length. @throws BrokerError login-refused */
function amqplain(response: string): { user: string; password: string } {
  const fields = Buffer.from(response, "latin1");
  const length = Buffer.alloc(4);
  length.writeUInt32BE(fields.length);
  const table = Buffer.concat([length, fields]);
  const login = readTable(new Reader(table, 0, table.length));
  const [user, password] = [login.get("LOGIN"), login.get("PASSWORD")];
  if (user?.type !== "string" || password?.type !== "string") {
    throw new BrokerError("login-refused", "AMQPLAIN auth info is missing LOGIN or PASSWORD field");
  }
  return { user: user.value as string, password: password.value as string };
}

/** Zero means "no limit", which is more than a server with a limit allows. @throws AmqpError 530 */
function checkTuned(field: string, value: number, min: number, max: number): void {
  const note = field === "channel_max" && value === 0 ? " (no limit)" : "";
  if (value !== 0 && value < min) {
    throw new AmqpError(
      "NOT_ALLOWED",
      `negotiated ${field} = ${value}${note} is lower than the minimum allowed value (${min})`,
    );
  }
  if (value === 0 || value > max) {
    throw new AmqpError(
      "NOT_ALLOWED",
      `negotiated ${field} = ${value}${note} is higher than the maximum allowed value (${max})`,
    );
  }
}
