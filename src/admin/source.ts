import type { BrokerStats } from "../broker/index.ts";

/** What the admin interface is given: figures it may read at any time, and nothing it could change. */
export interface AdminSource {
  /** A snapshot, made anew for each scrape; must cost no more than reading counters. Null while starting. */
  stats(): BrokerStats | null;
  /** Connections open now, over all listeners. */
  connections(): number;
  /** What runs and where it listens, for `GET /`. */
  overview(): Overview;
  /** Null while clients are served, else why not: "starting", "draining". */
  unready(): string | null;
}

export interface Overview {
  readonly product: string;
  readonly version: string;
  readonly engine: string;
  readonly durability: string;
  /** Null when nothing is kept. */
  readonly dataDirectory: string | null;
  readonly listeners: readonly ListenerOverview[];
}

export interface ListenerOverview {
  /** "amqp", "amqps", "http" */
  readonly name: string;
  readonly url: string;
  readonly host: string;
  readonly port: number;
}
