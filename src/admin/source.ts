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

/** Totals count from the start of the process and never fall. */
export interface BrokerStats {
  /** Open channels (AMQP) or what stands for one in another protocol: a ledger of deliveries. */
  readonly channels: number;
  readonly queues: number;
  readonly consumers: number;
  readonly messagesReady: number;
  readonly messagesUnacked: number;
  /** Waiting for a retry or for their delay. */
  readonly messagesWaiting: number;

  readonly published: number;
  readonly confirmed: number;
  readonly delivered: number;
  readonly acked: number;
  readonly redelivered: number;
  readonly requeued: number;
  /** Sent back to a publisher that asked for it. */
  readonly returned: number;
  /** Taken by no queue, returned ones included. */
  readonly unroutable: number;
  /** By a queue that was full. */
  readonly refused: number;
  readonly deadLettered: number;
  readonly parked: number;
  readonly retried: number;
  /** By reason: messages that a limit or an expiry which the user asked for has thrown away. */
  readonly dropped: Readonly<Record<string, number>>;

  readonly logBytes: number;
  readonly logSyncs: number;
  readonly logWrittenBytes: number;
  readonly commitRounds: number;
  readonly arenaBytesUsed: number;
  readonly arenaBytesMax: number;
  /** Reasons for which publishers are held now. */
  readonly alarms: readonly string[];
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
