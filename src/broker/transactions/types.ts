/**
 * Transactions over many partitions and the offsets of groups, as protocols see them: a producer with a
 * name of its own writes, and then all of it is seen or none.
 */
import type { GroupRefusal, MemberClaim, OffsetCommit, PartitionName } from "../groups/types.ts";

export type TransactionRefusal =
  | "transaction-name-invalid"
  | "transaction-timeout-invalid"
  /** The one before is still being ended: ask again. */
  | "transaction-busy"
  | "producer-unknown"
  /** Another producer has taken over the name. */
  | "producer-fenced"
  /** That cannot be done in the state the transaction is in. */
  | "transaction-state"
  | "transaction-not-found";

export type TransactionState = "empty" | "ongoing" | "committing" | "aborting" | "committed" | "aborted";

/** A producer, and which of those that have had its number. */
export interface ProducerName {
  readonly producerId: number;
  readonly epoch: number;
}

export interface TransactionView extends ProducerName {
  readonly name: string;
  readonly state: TransactionState;
  readonly timeoutMs: number;
  /** Wall clock, ms; -1 when none is going on. */
  readonly startedAtMs: number;
  readonly partitions: readonly PartitionName[];
}

/** What a protocol can do with the transactions of its session's namespace. Asks for no permission: see `GroupControl`. */
export interface TransactionControl {
  /**
   * A number for a producer. With a name, whoever had the name before is fenced, and what he left open is
   * aborted. `known`: the number that the producer has, to go on under a new epoch.
   */
  initProducer(
    name: string | null,
    timeoutMs: number,
    known: ProducerName | null,
    done: (refusal: TransactionRefusal | null, producer: ProducerName) => void,
  ): void;
  /** From now on the transaction may write to these; begins it when none is going on. */
  addPartitions(
    name: string,
    producer: ProducerName,
    partitions: readonly PartitionName[],
    done: (refusal: TransactionRefusal | null) => void,
  ): void;
  /** From now on the transaction may commit offsets of this group. */
  addGroup(
    name: string,
    producer: ProducerName,
    group: string,
    done: (refusal: TransactionRefusal | null) => void,
  ): void;
  /** Offsets that count when the transaction commits. One answer for each. */
  commitOffsets(
    name: string,
    producer: ProducerName,
    group: string,
    claim: MemberClaim,
    offsets: readonly OffsetCommit[],
    done: (refusals: readonly (TransactionRefusal | GroupRefusal | null)[]) => void,
  ): void;
  /** All of these were added by this producer, durably, to the transaction that is going on. */
  writesTo(name: string, producer: ProducerName, partitions: readonly PartitionName[]): boolean;
  /**
   * `done` is called when the decision is durable. `renews`: the producer goes on under a new epoch, and perhaps a
   * new number, which it is told: what is left on its way of this transaction is fenced (KIP-890).
   */
  end(
    name: string,
    producer: ProducerName,
    commit: boolean,
    renews: boolean,
    done: (refusal: TransactionRefusal | null, next: ProducerName) => void,
  ): void;
  /** Null: there is none of this name. */
  describe(name: string): TransactionView | null;
  list(): TransactionView[];
}

export interface TransactionSettings {
  readonly timeoutMsMax: number;
  /** A name that has not been used for so long is forgotten. */
  readonly nameRetentionMs: number;
  /** How long a request waits for the transaction before to end, before it is told to ask again. */
  readonly patienceMs: number;
}

export const DEFAULT_TRANSACTION_SETTINGS: TransactionSettings = {
  timeoutMsMax: 900_000,
  nameRetentionMs: 7 * 86_400_000,
  patienceMs: 2000,
};
