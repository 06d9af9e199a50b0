import type { QueueOptions } from "../../broker/index.ts";

/** Settings of the protocol, from the options of the same names. */
export interface MqttSettings {
  /** Who a client without a user name is; "guest" on this machine alone; null = nobody. */
  readonly anonymousUser: string | null;
  /** QoS 1 and 2 that a client may have unacknowledged. */
  readonly receiveMax: number;
  /** Topic aliases that a client may use. */
  readonly topicAliasMax: number;
  /** Longest keep-alive; null = whatever clients ask for. */
  readonly keepAliveSecondsMax: number | null;
  /** Longest time that a session is kept without its client, in seconds; null = as long as clients ask for. */
  readonly sessionExpirySecondsMax: number | null;
  /** Of the queues that QoS 1 and 2 wait in, those of groups as well: dead letters, retry. */
  readonly sessionQueue: QueueOptions;
  /** How often `$SYS` is published; null = never. */
  readonly sysIntervalMs: number | null;
}
