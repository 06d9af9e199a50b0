import type { Clock } from "../base/clock.ts";
import type { Turn } from "../base/turn.ts";
import type { Durability } from "../engine/engine.ts";
import type { DeathReason } from "../message/record.ts";
import type { Ledger } from "./ledger.ts";
import type { Counters, DropReason } from "./stats.ts";
import type { MessageStore } from "./store/message-store.ts";
import type { SlotList } from "./store/slot-list.ts";

/** What queues need of their shard. (The parameter keeps this file from depending on `queue.ts`.) */
export interface QueueContext<Queue> {
  readonly store: MessageStore;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly counters: Counters;
  /** Level of queues that do not ask for one. */
  readonly durability: Durability;
  /** Acknowledgement timeout of queues that do not set one; null = none. */
  readonly consumerTimeoutMs: number | null;
  /** Of quorum queues that do not set one; -1 = none. */
  readonly quorumDeliveryLimit: number;
  /** Every open ledger of the shard. */
  readonly ledgers: Iterable<Ledger>;
  random(): number;
  /** The message leaves `queue` for good: to the dead-letter target, the parking lot or nowhere; settles it there. */
  discard(queue: Queue, slot: number, reason: DeathReason): void;
  /** Gives up one queue's hold on a message; frees it with the last. */
  release(slot: number): void;
  /** Releases whole lists in the background. */
  dispose(lists: SlotList[], reason: DropReason): void;
}
