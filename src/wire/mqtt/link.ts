import type { Session, StoredMessage } from "../../broker/index.ts";
import type { Limits } from "../../limits.ts";
import type { Outbox } from "../../net/outbox.ts";
import type { Acks } from "./acks.ts";
import type { Translator } from "./foreign.ts";
import type { MqttError } from "./reasons.ts";
import type { MqttSession } from "./session.ts";
import type { MqttSettings } from "./settings.ts";
import type { Sys, Traffic } from "./sys.ts";

/** What the parts of an open connection see of it. */
export interface Link {
  /** 3 = 3.1, 4 = 3.1.1, 5 */
  readonly level: number;
  readonly clientId: string;
  readonly bridge: boolean;
  /** The user's access to the broker; ends with the connection. */
  readonly broker: Session;
  /** The client's state, which may outlive the connection. */
  readonly session: MqttSession;
  readonly outbox: Outbox;
  readonly acks: Acks;
  readonly settings: MqttSettings;
  readonly limits: Limits;
  readonly translator: Translator;
  readonly traffic: Traffic;
  readonly sys: Sys;
  /** QoS 1 and 2 that the client takes unacknowledged. */
  readonly receiveMax: number;
  /** Largest packet that the client takes. */
  readonly packetBytesMax: number;
  /** Topic aliases that the client understands. */
  readonly topicAliasMax: number;
  /** False once nothing may be written any more. */
  readonly live: boolean;
  /** Wall-clock milliseconds. */
  now(): number;
  /** A publish was refused. */
  refused(error: MqttError): void;
  /** A retained message reached the client by its queue. */
  retainedArrived(): void;
  /** Puts a message of a shared queue into the client's own. */
  takeOver(message: StoredMessage): void;
}
