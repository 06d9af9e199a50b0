/** Deliveries of one channel that wait to be settled, in order of delivery. Written by the data plane. */
export interface Ledger {
  /** Unsettled deliveries over all its consumers at most; 0 = unlimited. */
  prefetchMax: number;
  readonly unsettled: number;
  has(tag: number): boolean;
  /** Done with: the message leaves its queue. `multiple`: this and all earlier; tag 0 with multiple: all.
   *  @throws BrokerError delivery-tag-unknown */
  accept(tag: number, multiple: boolean): void;
  /** Not done. With `requeue` it goes back to its place; without, to the dead-letter target. */
  reject(tag: number, multiple: boolean, requeue: boolean): void;
  /** Requeues everything (basic.recover). */
  recover(): void;
  /** Requeues everything and closes its consumers. */
  close(): void;
}
