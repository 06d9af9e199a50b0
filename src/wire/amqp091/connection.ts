import { readU32 } from "../../message/record.ts";
import type { ConnectionHandler, Transport } from "../../net/transport.ts";
import type { ProtocolContext } from "../protocol.ts";
import { FRAME_HEAD_BYTES, FRAME_METHOD, FRAME_OVERHEAD_BYTES, writeMethodFrame } from "./codec/frame.ts";
import { methodId } from "./codec/method.ts";
import { Writer } from "./codec/writer.ts";
import { Handshake } from "./handshake.ts";
import { type AlarmState, type Ending, type Negotiated, OpenConnection } from "./open.ts";

const CONNECTION_CLOSE = methodId("connection.close");
const CONNECTION_CLOSE_OK = methodId("connection.close-ok");
/** For a client that was told of an error and does not answer. */
const CLOSING_MS_MAX = 10_000;
/** Before hanging up on a client that is not told why, or cannot be understood: RabbitMQ's delay. */
const SILENCE_MS = 3_000;

/** Everything the client sends is ignored but the end of the closing handshake. */
interface Closing {
  readonly kind: "closing";
  leftMs: number;
  /** False: frames can no longer be told apart, so nothing is looked at. */
  framed: boolean;
}

type Phase = Handshake | OpenConnection | Closing | { readonly kind: "done" };

/** One client connection, from accept to close, in one of four phases. */
export class AmqpConnection implements ConnectionHandler {
  private phase: Phase;
  private early: Buffer | null = null;
  private readonly context: ProtocolContext;
  private readonly transport: Transport;
  private readonly alarm: AlarmState;
  private readonly remainderBytesMax: number;
  private readonly onClosed: (connection: AmqpConnection) => void;

  constructor(
    context: ProtocolContext,
    transport: Transport,
    alarm: AlarmState,
    remainderBytesMax: number,
    onClosed: (connection: AmqpConnection) => void,
  ) {
    this.context = context;
    this.transport = transport;
    this.alarm = alarm;
    this.remainderBytesMax = remainderBytesMax;
    this.onClosed = onClosed;
    this.phase = new Handshake(context, transport, {
      opened: (negotiated) => this.opened(negotiated),
      refused: () => this.close(true, CLOSING_MS_MAX),
      replay: (early) => this.readEarly(early),
      dropped: () => this.close(false, SILENCE_MS),
    });
  }

  read(bytes: Uint8Array, start: number, end: number): number {
    try {
      if (this.early === null) return this.advance(bytes, start, end);
      this.readEarly(Buffer.concat([this.early, bytes.subarray(start, end)]));
    } catch (error) {
      // A fault of ours costs this connection, never the process and all the others.
      this.context.logger.error({ err: error, connection: this.transport.name }, "connection failed");
      this.transport.destroy();
    }
    return end;
  }

  /** Bytes of our own: what is left over stays in front until a read has taken it all. */
  private readEarly(bytes: Buffer): void {
    const consumed = this.advance(bytes, 0, bytes.length);
    this.early = consumed < bytes.length ? bytes.subarray(consumed) : null;
  }

  private advance(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    for (;;) {
      const phase = this.phase;
      if (phase.kind === "done") return end;
      at = phase.kind === "closing" ? this.readClosing(phase, bytes, at, end) : phase.read(bytes, at, end);
      if (this.phase === phase) return at;
    }
  }

  private opened(negotiated: Negotiated): void {
    this.phase = new OpenConnection(
      this.context,
      this.transport,
      negotiated,
      this.alarm,
      this.remainderBytesMax,
      (ending) => this.ended(ending),
    );
  }

  private ended(ending: Ending): void {
    // The client hangs up. Doing it ourselves would reset it while it still sends what it had queued
    // before its close, and the close-ok could be lost on the way.
    if (ending === "done") this.close(false, CLOSING_MS_MAX);
    else if (ending === "await-close-ok") this.close(true, CLOSING_MS_MAX);
    else this.close(false, SILENCE_MS);
  }

  private close(framed: boolean, forMs: number): void {
    this.phase = { kind: "closing", leftMs: forMs, framed };
  }

  private finish(): void {
    this.phase = { kind: "done" };
    this.transport.end();
  }

  private readClosing(phase: Closing, bytes: Uint8Array, start: number, end: number): number {
    if (!phase.framed) return end;
    let at = start;
    while (end - at >= FRAME_HEAD_BYTES) {
      const size = readU32(bytes, at + 3);
      if (size > this.context.limits.frameBytesMax) {
        phase.framed = false;
        return end;
      }
      const next = at + size + FRAME_OVERHEAD_BYTES;
      if (next > end) return at;
      const id = bytes[at] === FRAME_METHOD && size >= 4 ? readU32(bytes, at + FRAME_HEAD_BYTES) : 0;
      at = next;
      if (id !== CONNECTION_CLOSE && id !== CONNECTION_CLOSE_OK) continue;
      if (id === CONNECTION_CLOSE) this.sendCloseOk();
      this.finish();
      return end;
    }
    return at;
  }

  private sendCloseOk(): void {
    const writer = new Writer(16);
    writeMethodFrame(writer, 0, "connection.close-ok", {});
    this.transport.outbox.copy(writer.buffer, 0, writer.length);
  }

  /** Called by the acceptor's sweep. */
  tick(elapsedMs: number): void {
    const phase = this.phase;
    if (phase.kind === "closing") {
      phase.leftMs -= elapsedMs;
      if (phase.leftMs <= 0) this.transport.destroy();
    } else if (phase.kind !== "done") phase.tick(elapsedMs);
  }

  alarmChanged(reason: string | null): void {
    if (this.phase.kind === "open") this.phase.alarmChanged(reason);
  }

  drained(): void {
    if (this.phase.kind === "open") this.phase.drained();
  }

  /** Who is not logged in yet cannot be told; who is ending already needs no telling. */
  shutdown(): void {
    const { phase } = this;
    if (phase.kind === "open") phase.shutdown();
    if (phase.kind !== "handshake") return;
    phase.closed();
    this.finish();
  }

  closed(_error: Error | null): void {
    const phase = this.phase;
    this.phase = { kind: "done" };
    if (phase.kind === "open" || phase.kind === "handshake") phase.closed();
    this.onClosed(this);
  }
}
