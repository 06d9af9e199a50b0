import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Turn } from "../base/turn.ts";
import type { Broker } from "../broker/index.ts";
import type { Limits } from "../limits.ts";
import type { RecordReader } from "../message/reader.ts";
import type { ConnectionAcceptor } from "../net/transport.ts";

/** What every protocol is given. */
export interface ProtocolContext {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly logger: Logger;
  readonly limits: Limits;
  /** What the server says it is: clients choose their ways by product and version. */
  readonly product: string;
  readonly version: string;
  /** What it really is, and runs on. */
  readonly platform: string;
}

/** A wire protocol: the only thing server.ts knows of it. */
export interface Protocol {
  readonly name: string;
  /** URL scheme of its listener, for the banner. */
  readonly scheme: string;
  /** Origin number of its messages, and what can be asked of them. */
  readonly origin: number;
  readonly reader: RecordReader;
  acceptor(context: ProtocolContext): ConnectionAcceptor;
}
