/** A subscription to a queue. Written by the data plane. */
export interface Consumer {
  readonly tag: string;
  readonly queueName: string;
  /** The sink is writable again. */
  resume(): void;
  /** No deliveries after this; what is unsettled stays in the ledger. */
  cancel(): void;
}
