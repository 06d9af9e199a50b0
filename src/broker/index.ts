import type { Rights, ScramExchange, ScramMechanism, TokenLogin } from "./access/types.ts";
import type { AlarmListener } from "./alarms.ts";
import type { Session } from "./session.ts";
import type { SettingsStore } from "./settings.ts";
import type { Counters } from "./stats.ts";
import type { Owner } from "./types.ts";

export * from "./access/types.ts";
export type { AlarmListener } from "./alarms.ts";
export * from "./groups/types.ts";
export type { Session } from "./session.ts";
export type { SettingsStore } from "./settings.ts";
export * from "./share/types.ts";
export type { BrokerStats, Counters } from "./stats.ts";
export { Producers, SEQUENCE_DUPLICATE, SEQUENCE_FENCED, SEQUENCE_GAP } from "./stream/producers.ts";
export * from "./stream/types.ts";
export * from "./transactions/types.ts";
export type { ConsumerHandle as Consumer, LedgerHandle as Ledger } from "./types.ts";
export * from "./types.ts";

export interface Credentials {
  readonly user: string;
  readonly password: string;
  /** The client connected over the loopback interface. */
  readonly loopback: boolean;
}

/** An authenticated user. */
export interface Principal {
  readonly user: string;
  readonly tags: readonly string[];
}

/** The public door of the broker: protocols and the admin interface come in here. */
export interface Broker {
  /** @throws BrokerError login-refused (also for an unknown user, and a loopback-only user from elsewhere) */
  authenticate(credentials: Credentials): Promise<Principal>;
  /** Identity proven by the transport (client certificate). @throws BrokerError login-refused */
  principalOf(user: string): Promise<Principal>;
  /** A login by challenge and response, for one connection. */
  scram(mechanism: ScramMechanism, loopback: boolean): ScramExchange;
  /** Whether `authenticateToken` is of any use. */
  readonly acceptsTokens: boolean;
  /** @throws BrokerError login-refused */
  authenticateToken(token: string, loopback: boolean): Promise<TokenLogin>;
  /** What the user may do, coming from `address`. @throws BrokerError namespace-refused */
  rights(principal: Principal, namespace: string, address: string): Rights;
  /** @throws BrokerError namespace-not-found, namespace-refused */
  openSession(principal: Principal, namespace: string, owner: Owner): Session;
  /**
   * A session of the broker's own, which may do everything: for what a protocol has to do when the user that it
   * is done for is not there. @throws BrokerError namespace-not-found
   */
  ownSession(namespace: string, owner: Owner): Session;
  /** Wall-clock ms of the clock by which messages expire and times are stored; it may be one that is moved by hand. */
  now(): number;
  /** Id of the newest message (`StoredMessage.id`). */
  readonly newestMessageId: number;
  /** Names of all namespaces. */
  namespaces(): readonly string[];
  /** What protocols keep for themselves. */
  readonly settings: SettingsStore;
  /** Runs `done` when all changes of topology, users and settings so far are durable; at once when nothing is pending. */
  durable(done: () => void): void;
  /** Protocols count here what only they see: confirms and returns. */
  readonly counters: Counters;
  /** Unlogged messages pile up in memory: publishers do well to let consumers go first. */
  readonly crowded: boolean;
  /** Reason for which publishers are held now, or null. */
  readonly alarm: string | null;
  addAlarmListener(listener: AlarmListener): void;
  removeAlarmListener(listener: AlarmListener): void;
}
