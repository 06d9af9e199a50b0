/** Running totals of a shard; plain numbers, so that counting costs nothing. */
export class Counters {
  published = 0;
  publishedBytes = 0;
  confirmed = 0;
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
  | "refused";
