import type { Arena } from "../base/arena.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Turn } from "../base/turn.ts";
import type { ByteStream, Flow } from "./byte-stream.ts";
import { Outbox } from "./outbox.ts";
import type { Peer } from "./peer.ts";
import type { ConnectionAcceptor, ConnectionHandler, ListenerFacts, Transport } from "./transport.ts";

/** More than this leaves the processor's cache and measured slower. */
const READ_BYTES = 64 * 1024;
/** Remainders up to this size keep their buffer between reads. */
const REMAINDER_KEPT_BYTES = 4096;
const END_GRACE_MS = 5000;

/**
 * Where the reads of all connections land, one after the other: the newest bytes at `at`, and room before
 * them for what the last read left over.
 */
export interface Scratch {
  readonly at: number;
  readonly size: number;
}

/** @param remainderBytesMax the largest of all acceptors that will share it. Only while the arena is new. */
export function reserveScratch(arena: Arena, remainderBytesMax: number): Scratch {
  return { at: arena.reserve(remainderBytesMax + READ_BYTES) + remainderBytesMax, size: READ_BYTES };
}

export interface ConnectionParts {
  readonly listener: ListenerFacts;
  readonly arena: Arena;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly scratch: Scratch;
  readonly acceptor: ConnectionAcceptor;
  readonly highWaterBytes: number;
  readonly closed: (connection: Connection) => void;
}

/** One client: hands its bytes to a protocol and writes what the protocol encodes. */
export class Connection implements Transport {
  readonly name: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly loopback: boolean;
  readonly tls: Transport["tls"];
  outbox: Outbox = undefined as unknown as Outbox;
  lastReadMs: number;
  lastWriteMs: number;
  private stream: ByteStream = undefined as unknown as ByteStream;
  private flow: Flow = undefined as unknown as Flow;
  private handler: ConnectionHandler = undefined as unknown as ConnectionHandler;
  private readonly parts: ConnectionParts;
  private remainder: Buffer | null = null;
  private remainderBytes = 0;
  private pauses = 0;
  private gone = false;
  private ending = false;
  private graceTimer: Timer | null = null;
  private failure: Error | null = null;

  constructor(peer: Peer, tls: Transport["tls"], parts: ConnectionParts) {
    this.parts = parts;
    this.remoteAddress = peer.remoteAddress;
    this.remotePort = peer.remotePort;
    this.localAddress = peer.localAddress;
    this.localPort = peer.localPort;
    this.name = `${peer.remoteAddress}:${peer.remotePort} -> ${peer.localAddress}:${peer.localPort}`;
    this.loopback = peer.loopback;
    this.tls = tls;
    this.lastReadMs = parts.clock.monotonic();
    this.lastWriteMs = this.lastReadMs;
  }

  get listener(): ListenerFacts {
    return this.parts.listener;
  }

  /** Binds to what it is written to; who opens it calls `onBytes` or `onData`, `end`, `failed` and `closed`. */
  open<S extends ByteStream>(stream: S, flow: Flow<S>): void {
    const { arena, turn, acceptor, highWaterBytes, clock } = this.parts;
    this.stream = stream;
    this.flow = flow as Flow;
    this.outbox = new Outbox(arena, turn, stream, highWaterBytes, {
      drained: () => this.handler.drained(),
      wrote: () => {
        this.lastWriteMs = clock.monotonic();
      },
      exhausted: () => this.outOfMemory(),
    });
    this.handler = acceptor.accept(this);
  }

  /** Reading is held back, or of no use any more. */
  get held(): boolean {
    return this.pauses > 0 || this.gone || this.ending;
  }

  /** `count` bytes were read to the scratch area. */
  onBytes(count: number): void {
    if (count <= 0 || this.gone || this.ending) return;
    const { scratch, arena, clock } = this.parts;
    this.lastReadMs = clock.monotonic();
    const start = scratch.at - this.remainderBytes;
    if (this.remainderBytes > 0)
      arena.bytes.set((this.remainder as Buffer).subarray(0, this.remainderBytes), start);
    const end = scratch.at + count;
    const consumed = this.handler.read(arena.bytes, start, end);
    this.keep(consumed, end);
  }

  /** Bytes from a source that does not read into the scratch area (TLS). */
  onData(chunk: Uint8Array): void {
    const { scratch, arena } = this.parts;
    for (let at = 0; at < chunk.length; at += scratch.size) {
      const part = chunk.subarray(at, at + scratch.size);
      arena.bytes.set(part, scratch.at);
      this.onBytes(part.length);
    }
  }

  pauseReading(): void {
    if (this.pauses++ > 0 || this.gone) return;
    this.flow.pause(this.stream);
  }

  resumeReading(): void {
    if (this.pauses === 0 || --this.pauses > 0 || this.gone) return;
    this.flow.resume(this.stream);
  }

  /** The server stops. */
  shutdown(): void {
    if (!this.gone && !this.ending) this.handler.shutdown();
  }

  end(graceMs = END_GRACE_MS): void {
    if (this.gone || this.ending) return;
    this.ending = true;
    this.outbox.close();
    this.stream.end();
    this.graceTimer = this.parts.clock.setTimer(graceMs, () => this.destroy());
  }

  destroy(): void {
    this.stream.destroy();
  }

  /** Why it will be closed. */
  failed(error: Error): void {
    this.failure = error;
  }

  private outOfMemory(): void {
    const what = "no memory left for output: raise memory-budget, or have fewer connections";
    this.parts.logger.error({ connection: this.name }, what);
    this.failure = new Error(what);
    this.destroy();
  }

  private keep(consumed: number, end: number): void {
    const left = end - consumed;
    this.remainderBytes = left;
    if (left === 0) {
      if (this.remainder !== null && this.remainder.length > REMAINDER_KEPT_BYTES) this.remainder = null;
      return;
    }
    if (this.gone || this.ending) {
      this.remainderBytes = 0;
      return;
    }
    if (left > this.parts.acceptor.remainderBytesMax) {
      this.failure = new Error("the protocol left more unread than it may");
      this.destroy();
      return;
    }
    if (this.remainder === null || this.remainder.length < left) {
      this.remainder = Buffer.allocUnsafeSlow(Math.max(256, 2 ** Math.ceil(Math.log2(left))));
    }
    this.remainder.set(this.parts.arena.bytes.subarray(consumed, end));
  }

  closed(): void {
    if (this.gone) return;
    this.gone = true;
    this.graceTimer?.cancel();
    this.remainder = null;
    this.handler.closed(this.failure);
    this.outbox.close();
    this.parts.closed(this);
  }
}
