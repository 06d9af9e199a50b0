import type { Principal, Rights, Session } from "../../broker/index.ts";
import type { ConnectionHandler, ListenerFacts, Transport } from "../../net/transport.ts";
import { type AnswerSource, Answers, PendingCall } from "./answers.ts";
import { unsupportedApiVersions } from "./api/api-versions.ts";
import { type BareFrames, LATER, NO_ANSWER, type Outcome, type Peer } from "./api.ts";
import type { AnyApi, ServedApi } from "./api-table.ts";
import { HEADER_BYTES_MIN, type RequestHeader, readClientId, readHeader } from "./codec/header.ts";
import { MalformedError, Reader } from "./codec/reader.ts";
import { KafkaError } from "./errors.ts";
import { type FramePool, FrameReader, type FrameSink } from "./frames.ts";
import type { Node } from "./node.ts";
import { type Throttle, throttleOf } from "./quotas/throttle.ts";
import { apiVersions } from "./schemas/api-versions.ts";

/** Requests of one connection that may wait for their answers. Clients have five or so. */
const PENDING_MAX = 1000;
/** Before the client has logged in: what Kafka allows for a token. */
const EARLY_FRAME_BYTES_MAX = 512 * 1024;
/** Answers go on for a while when the client does not read, then its requests wait. */
const UNREAD_ANSWERS_FACTOR = 2;
/** For requests that are being answered when the server stops. */
const GOODBYE_MS_MAX = 1000;

const reader = new Reader(new Uint8Array(0));
const NOTHING = new Uint8Array(0);

/** What the connections of a node share besides it. */
export interface Shared {
  readonly node: Node;
  readonly pool: FramePool;
  readonly closed: (connection: KafkaConnection) => void;
}

/** One client connection: frames in, requests to their handlers, answers in order. */
export class KafkaConnection implements ConnectionHandler, FrameSink, AnswerSource, Peer {
  readonly node: Node;
  software = { name: "", version: "" };
  principal: Principal | null = null;
  bareFrames: BareFrames | null = null;
  /** Why the client must log in, for the log. */
  notAdmitted = "";
  private readonly shared: Shared;
  private readonly transport: Transport;
  private readonly frames: FrameReader;
  private readonly answers: Answers;
  private readonly throttle: Throttle;
  private openSession: Session | null = null;
  private openRights: Rights | null = null;
  private live = true;
  /** Reasons not to take requests now. */
  private holds = 0;
  /** The transport does not read: asked for once, however often it is held up before it goes on. */
  private deaf = false;
  /** What came while they were held. */
  private held: Uint8Array | null = null;
  private heldForAnswers: (() => void) | null = null;
  private heldForOutput: (() => void) | null = null;
  private heldForMemory: (() => void) | null = null;
  private readonly whenClosed = new Set<() => void>();
  private stoppingMs = -1;
  private silentMs = 0;
  private lastReadMs: number;

  constructor(shared: Shared, transport: Transport) {
    this.shared = shared;
    this.node = shared.node;
    this.transport = transport;
    this.lastReadMs = transport.lastReadMs;
    this.throttle = throttleOf(shared.node);
    this.frames = new FrameReader(shared.pool, this);
    this.answers = new Answers(this);
  }

  // --- as the transport sees it -----------------------------------------------------------------

  read(bytes: Uint8Array, start: number, end: number): number {
    if (!this.live) return end;
    if (this.holds > 0) {
      this.held = Buffer.concat([this.held ?? NOTHING, bytes.subarray(start, end)]);
      return end;
    }
    if (this.held !== null) {
      this.takeHeld(Buffer.concat([this.held, bytes.subarray(start, end)]));
      return end;
    }
    const at = this.take(bytes, start, end);
    if (!this.ready) {
      // The transport shows what is left when more comes, which may be never: it is shown by `resume`.
      if (this.live && at < end) this.held = Buffer.from(bytes.subarray(at, end));
      return end;
    }
    return at;
  }

  private takeHeld(held: Uint8Array): void {
    this.held = null;
    const at = this.take(held, 0, held.length);
    if (this.live && at < held.length) this.held = held.subarray(at);
  }

  drained(): void {
    this.silentMs = 0;
    const release = this.heldForOutput;
    this.heldForOutput = null;
    release?.();
    this.answers.resume();
  }

  /** What is being answered is answered; nothing else is taken any more. */
  shutdown(): void {
    if (this.stoppingMs >= 0) return;
    this.stoppingMs = 0;
    this.hold();
    this.tellClosed();
    if (this.answers.length === 0) this.close();
  }

  closed(): void {
    this.live = false;
    this.shared.pool.cancelWait(this.retry);
    this.frames.close();
    this.answers.close();
    this.held = null;
    this.tellClosed();
    this.openSession?.close();
    this.shared.closed(this);
  }

  private tellClosed(): void {
    const callbacks = [...this.whenClosed];
    this.whenClosed.clear();
    for (const callback of callbacks) callback();
  }

  /** Called by the acceptor's sweep. */
  tick(elapsedMs: number): void {
    const { transport } = this;
    if (this.stoppingMs >= 0) {
      this.stoppingMs += elapsedMs;
      if (this.stoppingMs >= GOODBYE_MS_MAX) this.close();
      return;
    }
    // While it is us who do not read, silence says nothing about the client, unless that is for its own.
    const unread = this.heldForOutput !== null;
    if ((this.holds > 0 && !unread) || transport.lastReadMs !== this.lastReadMs) this.silentMs = 0;
    else this.silentMs += elapsedMs;
    this.lastReadMs = transport.lastReadMs;
    const { limits } = this.node.context;
    const early = this.openSession === null || this.frames.unfinished;
    const silentMsMax = early ? limits.handshakeMsMax : this.node.settings.idleMsMax;
    // Who waits for an answer is not idle.
    if (this.silentMs >= silentMsMax && (early || unread || this.answers.length === 0)) transport.destroy();
  }

  // --- requests ---------------------------------------------------------------------------------

  get ready(): boolean {
    return this.holds === 0 && this.live;
  }

  get frameBytesMax(): number {
    return this.openSession === null ? EARLY_FRAME_BYTES_MAX : this.node.settings.requestBytesMax;
  }

  private take(bytes: Uint8Array, start: number, end: number): number {
    try {
      const at = this.frames.read(bytes, start, end);
      if (this.frames.starved > 0 && this.heldForMemory === null) {
        this.heldForMemory = this.hold();
        this.shared.pool.wait(this.retry);
      }
      return at;
    } catch (error) {
      this.failed(error);
      return end;
    }
  }

  private readonly retry = (): void => {
    const release = this.heldForMemory;
    this.heldForMemory = null;
    release?.();
  };

  frame(bytes: Uint8Array, start: number, end: number): void {
    if (!this.live) return;
    if (this.bareFrames !== null) {
      this.bareFrames.frame(bytes, start, end, (frame) => this.transport.outbox.copy(frame, 0, frame.length));
      return;
    }
    if (end - start < HEADER_BYTES_MIN) throw new MalformedError("a request without a header");
    reader.reset(bytes, start, end);
    const header = readHeader(reader);
    const served = this.node.table.find(header.key);
    if (served === undefined || header.version < served.first || header.version > served.last) {
      this.unsupported(header, served);
      return;
    }
    if (this.openSession === null && served.handler.beforeLogin !== true)
      throw new MalformedError(`${served.api.name} before login: ${this.notAdmitted}`);
    const clientId = readClientId(reader, served.api.isFlexible(header.version));
    const request = served.api.request(header.version).read(reader);
    this.handle(served, header, clientId, request);
  }

  private handle(
    served: ServedApi,
    { version, correlationId }: RequestHeader,
    clientId: string | null,
    request: unknown,
  ): void {
    const { answers } = this;
    const call = new PendingCall(answers, served, version, correlationId, clientId, request);
    answers.expect(call);
    if (answers.length > PENDING_MAX) this.heldForAnswers ??= this.hold();
    let outcome: Outcome<AnyApi>;
    if (!this.throttle.idle) call.startedMs = performance.now();
    try {
      outcome = served.handler.handle(request as never, call);
    } catch (error) {
      answers.fail(call, error);
      return;
    } finally {
      this.charge(call);
    }
    if (outcome === LATER) return;
    if (outcome === NO_ANSWER) answers.settle(call);
    else if (outcome instanceof Promise)
      outcome.then(
        (answer) => answers.answer(call, answer),
        (error: unknown) => answers.fail(call, error),
      );
    else answers.answer(call, outcome);
  }

  charge(call: PendingCall): number {
    const { startedMs } = call;
    if (startedMs > 0) {
      call.startedMs = 0;
      call.throttleMs = this.throttle.spend("request_percentage", call, performance.now() - startedMs);
    }
    return call.throttleMs;
  }

  /** Kafka hangs up, but for ApiVersions itself, which tells the client what it may ask with (KIP-511). */
  private unsupported({ key, version, correlationId }: RequestHeader, served: ServedApi | undefined): void {
    if (served?.api.key !== apiVersions.key)
      throw new MalformedError(`API ${key} version ${version} is not served`);
    const call = new PendingCall(this.answers, served, 0, correlationId, null, null);
    this.answers.expect(call);
    this.answers.answer(call, unsupportedApiVersions(this.node));
  }

  answered(): void {
    const { outbox } = this.transport;
    if (this.heldForAnswers !== null && this.answers.length <= PENDING_MAX / 2) {
      const release = this.heldForAnswers;
      this.heldForAnswers = null;
      release();
    }
    if (outbox.pendingBytes > outbox.highWaterBytes * UNREAD_ANSWERS_FACTOR && outbox.full)
      this.heldForOutput ??= this.hold();
    if (this.stoppingMs >= 0 && this.answers.length === 0) this.close();
  }

  fault(error: unknown): void {
    this.node.context.logger.error({ err: error, connection: this.transport.name }, "request failed");
  }

  failed(error: unknown): void {
    if (!this.live) return;
    const { logger } = this.node.context;
    const connection = this.transport.name;
    if (error instanceof MalformedError)
      logger.warn({ connection, reason: error.message }, "client hung up on");
    else logger.error({ err: error, connection }, "connection failed");
    this.close();
  }

  // --- as handlers see it -----------------------------------------------------------------------

  get peer(): Peer {
    return this;
  }

  get outbox(): Transport["outbox"] {
    return this.transport.outbox;
  }

  get name(): string {
    return this.transport.name;
  }

  get remoteAddress(): string {
    return this.transport.remoteAddress;
  }

  get localAddress(): string {
    return this.transport.localAddress;
  }

  get localPort(): number {
    return this.transport.localPort;
  }

  get loopback(): boolean {
    return this.transport.loopback;
  }

  get listener(): ListenerFacts {
    return this.transport.listener;
  }

  get tls(): Transport["tls"] {
    return this.transport.tls;
  }

  get session(): Session {
    if (this.openSession === null) throw notLoggedIn();
    return this.openSession;
  }

  get rights(): Rights {
    if (this.openRights === null) throw notLoggedIn();
    return this.openRights;
  }

  login(principal: Principal): void {
    // While a password was checked, the client may have gone.
    if (!this.live) return;
    const { context, settings } = this.node;
    const owner = { connectionName: this.transport.name, address: this.remoteAddress };
    const session = context.broker.openSession(principal, settings.namespace, owner);
    this.openRights = context.broker.rights(principal, settings.namespace, this.remoteAddress);
    this.openSession?.close();
    this.openSession = session;
    this.principal = principal;
  }

  hold(): () => void {
    this.holds++;
    if (!this.deaf && this.live) {
      this.deaf = true;
      this.transport.pauseReading();
    }
    let released = false;
    return () => {
      if (released) return;
      released = true;
      if (--this.holds === 0 && this.live) this.resume();
    };
  }

  /** First what is here, unless that holds it up again. */
  private resume(): void {
    if (this.held !== null) this.takeHeld(this.held);
    if (this.ready) this.hear();
  }

  private hear(): void {
    if (!this.deaf) return;
    this.deaf = false;
    this.transport.resumeReading();
  }

  onClosed(callback: () => void): () => void {
    this.whenClosed.add(callback);
    return () => this.whenClosed.delete(callback);
  }

  close(): void {
    if (!this.live) return;
    this.live = false;
    this.answers.close();
    // Whoever does not read does not see either that the client has gone.
    this.hear();
    this.transport.end();
  }
}

function notLoggedIn(): KafkaError {
  return new KafkaError("SASL_AUTHENTICATION_FAILED", "nobody has logged in");
}
