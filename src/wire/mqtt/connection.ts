import type { ConnectionHandler, Transport } from "../../net/transport.ts";
import { FIXED_HEADER_BYTES_MAX } from "./codec/packet.ts";
import { Handshake, packetBytesMax } from "./handshake.ts";
import { type Negotiated, OpenConnection, type Shared } from "./open.ts";
import { REASON } from "./reasons.ts";
import type { Space } from "./space.ts";

/** Larger packets are put together in memory of their own. */
export const REMAINDER_BYTES_MAX = 32 * 1024;
/** A CONNECT with all its texts as long as they may be. */
const CONNECT_BYTES_MAX = 512 * 1024;
const FIRST_BYTES = 64 * 1024;
/**
 * Deliveries that a client's packets may cause before others have their turn: a chunk of small messages to a
 * thousand subscribers is millions, and nothing would be written meanwhile.
 */
const DELIVERIES_PER_TURN = 32 * 1024;

type Phase = Handshake | OpenConnection | { readonly kind: "done" };

/** What connections share, and who they belong to. */
export interface Host extends Shared {
  space(namespace: string): Space;
  removed(connection: MqttConnection): void;
}

/** A packet that is coming in piece by piece. */
interface Assembly {
  readonly total: number;
  readonly bodyAt: number;
  buffer: Buffer;
  length: number;
}

/** One client connection, from accept to close. */
export class MqttConnection implements ConnectionHandler {
  private readonly shared: Host;
  private readonly transport: Transport;
  private phase: Phase;
  private assembly: Assembly | null = null;
  /** Bytes that came while a login was being decided. */
  private early: Buffer | null = null;
  /** How many things have to happen before the next packet is looked at. */
  private waits = 0;
  private readonly bytesMax: number;

  constructor(shared: Host, transport: Transport) {
    this.shared = shared;
    this.transport = transport;
    this.bytesMax = packetBytesMax(shared.context);
    this.phase = new Handshake(shared.context, transport, {
      space: (namespace) => shared.space(namespace),
      opened: (negotiated) => this.opened(negotiated),
      waiting: (waits) => (waits ? this.hold() : this.letGo()),
      ended: () => this.finish(),
    });
  }

  get link(): OpenConnection | null {
    return this.phase.kind === "open" ? this.phase : null;
  }

  read(bytes: Uint8Array, start: number, end: number): number {
    if (this.early !== null || this.waits > 0) {
      const unread = bytes.subarray(start, end);
      this.early = this.early === null ? Buffer.from(unread) : Buffer.concat([this.early, unread]);
      this.readEarly();
      return end;
    }
    const consumed = this.guarded(bytes, start, end);
    if (this.waits === 0 || consumed === end) return consumed;
    this.early = Buffer.from(bytes.subarray(consumed, end));
    return end;
  }

  /** What is left over stays in front until a read has taken it all. */
  private readEarly(): void {
    while (this.early !== null && this.waits === 0) {
      const { early } = this;
      const consumed = this.guarded(early, 0, early.length);
      this.early = consumed < early.length ? early.subarray(consumed) : null;
      if (consumed === 0) return;
    }
  }

  private guarded(bytes: Uint8Array, start: number, end: number): number {
    try {
      return this.advance(bytes, start, end);
    } catch (error) {
      // A fault of ours costs this connection, never the process and all the others.
      this.shared.context.logger.error({ err: error, connection: this.transport.name }, "connection failed");
      this.transport.destroy();
      return end;
    }
  }

  private advance(bytes: Uint8Array, start: number, end: number): number {
    const before = this.phase;
    if (before.kind === "open") before.startChunk();
    const at = this.packets(bytes, start, end);
    if (before.kind === "open") before.finishChunk();
    return this.phase.kind === "done" ? end : at;
  }

  private packets(bytes: Uint8Array, start: number, end: number): number {
    const { counters } = this.shared.context.broker;
    const enough = counters.delivered + DELIVERIES_PER_TURN;
    let at = start;
    if (this.assembly !== null) at = this.assemble(this.assembly, bytes, at, end);
    while (end - at >= 2 && this.waits === 0) {
      const { phase } = this;
      if (phase.kind === "done" || (phase.kind === "open" && !phase.live)) return end;
      if (phase.kind === "handshake" && !phase.expects(bytes[at] as number)) return this.foreign(end);
      let bodyAt = at + 1;
      let octet = bytes[bodyAt++] as number;
      let length = octet & 127;
      for (let shift = 7; octet > 127; shift += 7) {
        if (bodyAt === end) return at;
        if (shift > 21) return this.overlong(end);
        octet = bytes[bodyAt++] as number;
        length |= (octet & 127) << shift;
      }
      const next = bodyAt + length;
      if (length > this.lengthMax()) return this.tooLarge(end);
      if (next <= end) phase.packet(bytes, at, bodyAt, next);
      else if (next - at > REMAINDER_BYTES_MAX) return this.begin(bytes, at, bodyAt, next, end);
      else return at;
      at = next;
      if (counters.delivered > enough && this.waits === 0) this.stepAside();
    }
    return at;
  }

  /** What it has caused is written before it goes on. */
  private stepAside(): void {
    this.hold();
    this.shared.context.turn.soon({ scheduled: false, run: () => this.letGo() });
  }

  private lengthMax(): number {
    return this.phase.kind === "handshake" ? CONNECT_BYTES_MAX : this.bytesMax - FIXED_HEADER_BYTES_MAX;
  }

  private overlong(end: number): number {
    this.end(REASON.malformedPacket, "remaining length is longer than 4 bytes");
    return end;
  }

  /** Told at once, not when a packet as long as it seems to be is complete: a browser would wait for that. */
  private foreign(end: number): number {
    this.shared.context.logger.warn({ connection: this.transport.name }, "the first packet is not CONNECT");
    this.finish();
    return end;
  }

  private tooLarge(end: number): number {
    this.end(REASON.packetTooLarge, "packet is too large");
    return end;
  }

  private end(reason: number, text: string): void {
    if (this.phase.kind === "open") this.phase.disconnect(reason, text);
    else this.finish();
  }

  // --- large packets -------------------------------------------------------------------------------

  /** Memory is taken as the bytes come in, not as they are announced: an announcement costs nothing. */
  private begin(bytes: Uint8Array, at: number, bodyAt: number, next: number, end: number): number {
    const total = next - at;
    const assembly: Assembly = {
      total,
      bodyAt: bodyAt - at,
      buffer: Buffer.allocUnsafe(Math.min(total, FIRST_BYTES)),
      length: 0,
    };
    this.assembly = assembly;
    return this.assemble(assembly, bytes, at, end);
  }

  private assemble(assembly: Assembly, bytes: Uint8Array, at: number, end: number): number {
    const count = Math.min(end - at, assembly.total - assembly.length);
    const needed = assembly.length + count;
    if (needed > assembly.buffer.length) {
      const grown = Buffer.allocUnsafe(
        Math.min(assembly.total, Math.max(needed, assembly.buffer.length * 2)),
      );
      assembly.buffer.copy(grown, 0, 0, assembly.length);
      assembly.buffer = grown;
    }
    assembly.buffer.set(bytes.subarray(at, at + count), assembly.length);
    assembly.length = needed;
    if (needed === assembly.total) {
      this.assembly = null;
      const { phase } = this;
      if (phase.kind !== "done") phase.packet(assembly.buffer, 0, assembly.bodyAt, assembly.total);
    }
    return at + count;
  }

  // --- phases ----------------------------------------------------------------------------------------

  private hold(): void {
    if (this.waits++ === 0) this.transport.pauseReading();
  }

  private letGo(): void {
    if (--this.waits > 0) return;
    this.transport.resumeReading();
    this.readEarly();
  }

  /** A session that lasts is stored before the client hears of it. */
  private opened(negotiated: Negotiated): void {
    const open = new OpenConnection(this.shared, this.transport, negotiated, () => this.ended());
    negotiated.session.link = open;
    this.phase = open;
    if (!negotiated.session.durable) {
      open.begin();
      return;
    }
    this.hold();
    const begin = (): void => {
      open.begin();
      this.letGo();
    };
    negotiated.broker.whenCommitted({ committed: begin });
  }

  private finish(): void {
    this.phase = { kind: "done" };
    this.transport.end();
  }

  private ended(): void {
    this.phase = { kind: "done" };
  }

  /** Called by the acceptor's sweep. */
  tick(elapsedMs: number): void {
    // The time that it takes to check a login is not the client's.
    const checking = this.phase.kind === "handshake" && this.waits > 0;
    if (this.phase.kind !== "done" && !checking) this.phase.tick(elapsedMs);
  }

  alarmChanged(reason: string | null): void {
    this.link?.alarmChanged(reason);
  }

  drained(): void {
    this.link?.drained();
  }

  shutdown(): void {
    const { phase } = this;
    if (phase.kind === "open") phase.shutdown();
    if (phase.kind !== "handshake") return;
    phase.closed();
    this.finish();
  }

  closed(_error: Error | null): void {
    const { phase } = this;
    this.phase = { kind: "done" };
    if (phase.kind !== "done") phase.closed();
    this.early = null;
    this.shared.removed(this);
  }
}
