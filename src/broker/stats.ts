/** Running totals of a shard; plain numbers, so that counting costs nothing. */
export class Counters {
  published = 0;
  publishedBytes = 0;
  /** Counted by the protocols: publishes whose acknowledgement was sent, and messages sent back. */
  confirmed = 0;
  returned = 0;
  unroutable = 0;
  refused = 0;
  delivered = 0;
  redelivered = 0;
  got = 0;
  acknowledged = 0;
  requeued = 0;
  deadLettered = 0;
  parked = 0;
  retried = 0;
  delayed = 0;
  /** Whoever writes them: markers of transactions included. */
  streamRecordsWritten = 0;
  streamBytesWritten = 0;
  /** By clients: offsets, and bytes of batches as they were stored. Batches are counted by the protocols. */
  streamRecordsRead = 0;
  streamBytesRead = 0;
  /** Messages that left without being consumed or dead-lettered, by reason. */
  readonly dropped: Record<DropReason, number> = {
    rejected: 0,
    expired: 0,
    maxlen: 0,
    delivery_limit: 0,
    purged: 0,
    deleted: 0,
    cycle: 0,
    refused: 0,
    corrupt: 0,
    offline: 0,
    slow: 0,
    untranslatable: 0,
  };
}

export type DropReason =
  | "rejected"
  | "expired"
  | "maxlen"
  | "delivery_limit"
  | "purged"
  | "deleted"
  | "cycle"
  | "refused"
  /** Damaged on disk: set aside. */
  | "corrupt"
  /** A volatile queue without a consumer. */
  | "offline"
  /** A volatile queue whose consumer does not keep up. */
  | "slow"
  /** Its consumer's protocol has no name for where it was published. */
  | "untranslatable";

/** How far a group is behind the end of a stream, in offsets over all partitions that it has committed. */
export interface GroupLag {
  readonly namespace: string;
  readonly group: string;
  readonly stream: string;
  readonly records: number;
}

/** Totals count from the start of the process and never fall; the rest is as of now. */
export interface BrokerStats {
  /** Ledgers of deliveries: AMQP channels, or what stands for one in another protocol. */
  readonly channels: number;
  readonly queues: number;
  readonly consumers: number;
  readonly messagesReady: number;
  readonly messagesUnacked: number;
  /** Waiting for a retry or for their delay. */
  readonly messagesWaiting: number;
  /** The last message of each key for which one is kept. */
  readonly messagesRetained: number;
  readonly published: number;
  readonly publishedBytes: number;
  readonly confirmed: number;
  readonly delivered: number;
  readonly acked: number;
  readonly redelivered: number;
  readonly requeued: number;
  readonly returned: number;
  readonly unroutable: number;
  readonly refused: number;
  readonly deadLettered: number;
  readonly parked: number;
  readonly retried: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly streams: number;
  readonly streamPartitions: number;
  readonly streamBytes: number;
  readonly streamRecordsWritten: number;
  readonly streamBytesWritten: number;
  readonly streamRecordsRead: number;
  readonly streamBytesRead: number;
  readonly groups: number;
  /** At most 1,000: those that are furthest behind. */
  readonly groupLags: readonly GroupLag[];
  readonly logBytes: number;
  readonly logSyncs: number;
  readonly logWrittenBytes: number;
  readonly commitRounds: number;
  readonly movedMessages: number;
  readonly messageMemoryBytes: number;
  readonly arenaBytesUsed: number;
  readonly arenaBytesMax: number;
  /** What holds publishers back now. */
  readonly alarms: readonly string[];
}
