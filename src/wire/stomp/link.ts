import type { Session } from "../../broker/index.ts";
import type { RecordReaders } from "../../message/reader.ts";
import type { Outbox } from "../../net/outbox.ts";
import type { Version } from "./codec/frame.ts";
import type { Dialect } from "./destination.ts";

/** What the parts of a connection see of it. */
export interface Link {
  readonly session: Session;
  readonly outbox: Outbox;
  readonly version: Version;
  readonly dialect: Dialect;
  /** Told to the client; stands in message ids. */
  readonly sessionId: string;
  readonly readers: RecordReaders;
  /** False once nothing may be written any more. */
  readonly live: boolean;
  /** The queue under a subscription went away. */
  subscriptionCancelled(id: string): void;
}
