import type { Outbox } from "./outbox.ts";

/** The listener that a connection came in by. */
export interface ListenerFacts {
  /** "amqp", "mqtts", as in the banner. */
  readonly name: string;
  /** As configured: may be a wildcard. */
  readonly host: string;
  /** The real one, also where any free port was asked for. */
  readonly port: number;
  readonly secure: boolean;
  /** What is set for this listener alone: filled in protocols.ts, its shape is known to the protocol. */
  readonly options: object;
}

/** What a protocol sees of a connection. */
export interface Transport {
  readonly outbox: Outbox;
  /** "127.0.0.1:40312 -> 127.0.0.1:5672" */
  readonly name: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /**
   * The address that the client itself connected to, never a wildcard: what it can reach this broker by,
   * unless something between them translates addresses. IPv4 is written as IPv4.
   */
  readonly localAddress: string;
  readonly localPort: number;
  readonly listener: ListenerFacts;
  /** The client is on this machine. */
  readonly loopback: boolean;
  /** Set on TLS connections. */
  readonly tls: { readonly peerName: string | null; readonly version: string } | null;
  /** Stops reading from the socket (back-pressure) until as many `resumeReading` calls were made. */
  pauseReading(): void;
  resumeReading(): void;
  /** Flushes what is encoded, then closes; a peer that does not read is cut after `graceMs`. */
  end(graceMs?: number): void;
  destroy(): void;
  /** Milliseconds (monotonic) at which bytes last came in. */
  readonly lastReadMs: number;
  /** Likewise, last written. */
  readonly lastWriteMs: number;
}

/** What the network sees of a protocol: one per connection. */
export interface ConnectionHandler {
  /**
   * Bytes [start, end) of `bytes` are what is unread. Returns the offset up to which they were
   * consumed; the rest is shown again, in front of the next bytes. Must not keep `bytes`.
   */
  read(bytes: Uint8Array, start: number, end: number): number;
  /** Output has drained after it was full. */
  drained(): void;
  /**
   * The server stops: finish what has been received, say goodbye and end. Who takes longer than the
   * grace is cut. Nothing if it is ending already.
   */
  shutdown(): void;
  /** The socket is gone; nothing may be written any more. Called exactly once. */
  closed(error: Error | null): void;
}

export interface ConnectionAcceptor {
  /**
   * Largest unconsumed remainder that `read` may leave, in bytes. A remainder is copied with every read,
   * and its maximum is reserved in the arena: enough for heads, not for bodies. What is larger (a
   * message of megabytes) is consumed piece by piece into memory of the protocol's own.
   */
  readonly remainderBytesMax: number;
  accept(transport: Transport): ConnectionHandler;
  /** No connection is left and none will come: lets go of whatever it listens to. */
  close(): void;
}
