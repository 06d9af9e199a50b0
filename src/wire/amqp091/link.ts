import type { Principal, Session } from "../../broker/index.ts";
import type { Outbox } from "../../net/outbox.ts";
import type { ProtocolContext } from "../protocol.ts";
import type { MethodArguments, MethodName } from "./codec/method.ts";
import type { AmqpError } from "./errors.ts";

/** What a channel sees of its connection. */
export interface Link {
  readonly context: ProtocolContext;
  readonly session: Session;
  readonly principal: Principal;
  readonly outbox: Outbox;
  /** The client's capabilities that it declared as true. */
  readonly capabilities: ReadonlySet<string>;
  /** Largest body part in one frame to this client. */
  readonly bodyPartBytesMax: number;
  /** Writes a method frame. Does nothing once the connection is closing. */
  send<N extends MethodName>(channel: number, name: N, values: MethodArguments<N>): void;
  /** The channel is closed on both sides; its number is free. */
  forget(channel: number): void;
  /** What a method threw outside of reading ends its channel or the connection. */
  failed(channel: number, methodId: number, thrown: unknown): void;
  /** Closes the connection (hard error found outside of reading). */
  abort(error: AmqpError): void;
  /** False once nothing may be written any more. */
  readonly live: boolean;
}
