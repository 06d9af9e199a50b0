import type { Outbox } from "./outbox.ts";

/** What a protocol sees of a connection. */
export interface Transport {
  readonly outbox: Outbox;
  /** "127.0.0.1:40312 -> 127.0.0.1:5672" */
  readonly name: string;
  readonly remoteAddress: string;
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
  /** Largest unconsumed remainder that `read` may leave, in bytes. */
  readonly remainderBytesMax: number;
  accept(transport: Transport): ConnectionHandler;
  /** No connection is left and none will come: lets go of whatever it listens to. */
  close(): void;
}
