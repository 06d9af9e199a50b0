import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Turn } from "../base/turn.ts";
import type { Broker } from "../broker/index.ts";
import type { Limits } from "../limits.ts";
import type { RecordReader, RecordReaders } from "../message/reader.ts";
import type { Recognition } from "../net/recognition.ts";
import type { ConnectionAcceptor } from "../net/transport.ts";
import type { WebSocketRoute } from "../net/websocket-entrance.ts";

/** What every protocol is given. `Settings` are its own, filled in by protocols.ts. */
export interface ProtocolContext<Settings = unknown> {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly logger: Logger;
  readonly limits: Limits;
  readonly settings: Settings;
  /** What can be asked of messages that came in by other protocols. */
  readonly readers: RecordReaders;
  /** What the server says it is: clients choose their ways by product and version. */
  readonly product: string;
  readonly version: string;
  /** What it really is, and runs on. */
  readonly platform: string;
}

/** A wire protocol: the only thing the shell knows of it. protocols.ts tells how to add one. */
export interface Protocol<Settings = unknown> {
  readonly name: string;
  /** URL scheme of its listeners; over TLS with an "s" behind it. */
  readonly scheme: string;
  /** Origin number of its messages, and what can be asked of them. */
  readonly origin: number;
  readonly reader: RecordReader;
  /**
   * Whether a connection that begins with `first` (at least one byte) is meant for it; 64 bytes must do.
   * Without it the protocol is not served on the shared port.
   */
  readonly recognises?: (first: Uint8Array) => Recognition;
  /** Where it is spoken inside WebSockets: its bytes come as from any socket. */
  readonly webSocket?: WebSocketRoute;
  /**
   * Called once, and only if it listens anywhere: what its listeners share lives in the acceptor, what
   * differs between them is `transport.listener`.
   */
  acceptor(context: ProtocolContext<Settings>): ConnectionAcceptor;
}
