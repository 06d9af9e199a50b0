/**
 * Reading a stream like a queue, as protocols see it: members of a group lease records, for a while and
 * each for itself, and say of each record what became of it. A record that fails comes again; one that
 * fails too often leaves.
 */
import type { GroupRefusal } from "../groups/types.ts";
import type { Isolation, Piece, StreamHandle } from "../stream/types.ts";

export interface SharePolicy {
  /** How long a member has a record for itself, ms. */
  readonly leaseMs: number;
  /** After so many failed deliveries a record leaves. */
  readonly deliveriesMax: number;
  /** Records between the first that is not done with and the last that was leased. */
  readonly windowMax: number;
  readonly isolation: Isolation;
  /** Where a group that has never read a partition begins. */
  readonly startAt: "earliest" | "latest";
  /** How long a failed record waits for its next delivery: doubled with each, up to the ceiling. 0: not at all. */
  readonly retryMs: number;
  readonly retryMsMax: number;
  /** Stream to which records go that leave without being accepted; null: they are gone. */
  readonly deadLetterStream: string | null;
}

/** "gap": there is no such record. "renew": not done yet, and wanted for another while. */
export type Verdict = "gap" | "accept" | "release" | "reject" | "renew";

export interface LeasedRange {
  readonly first: number;
  readonly last: number;
  /** This one included. */
  readonly deliveries: number;
}

export interface Leased {
  readonly ranges: readonly LeasedRange[];
  /** The batches that they lie in, whole and as stored. */
  readonly pieces: readonly Piece[];
  readonly bytes: number;
  /** Gives memory back once `pieces` have been copied. */
  readonly release: () => void;
}

/** Told whenever there may be something to lease. */
export interface LeaseWaiter {
  leasable(): void;
}

/** One partition, as one group reads it. */
export interface LeaseHandle {
  readonly stream: StreamHandle;
  readonly partition: number;
  /**
   * Leases what is ready; nothing leased: there is nothing. `strict`: never more than `recordsMax`, else the
   * batch that goes over it is finished. Synchronous where the records are in memory.
   * @throws BrokerError offset-out-of-range, CorruptionError (or rejects with them)
   */
  take(
    member: string,
    recordsMax: number,
    bytesMax: number,
    strict: boolean,
  ): Leased | null | Promise<Leased | null>;
  /** One verdict for all of [first, last], or one for each. False: not all of them are this member's, and nothing is done. */
  settle(member: string, first: number, last: number, verdicts: readonly Verdict[]): boolean;
  wait(waiter: LeaseWaiter): void;
  cancelWait(waiter: LeaseWaiter): void;
}

export interface SharePosition {
  readonly stream: string;
  readonly streamId: string;
  readonly partition: number;
  /** First record that is not done with. */
  readonly start: number;
  /** Records that are still to be delivered, or being processed. */
  readonly lag: number;
}

/** What a protocol can do with share groups of its session's namespace. Asks for no permission: see `GroupControl`. */
export interface ShareControl {
  /** Null: there is no such partition. */
  lease(group: string, stream: StreamHandle, partition: number, policy: SharePolicy): LeaseHandle | null;
  /** What the member has leased is ready for others. */
  release(group: string, member: string): void;
  /** Runs `done` when every verdict so far is durable. */
  durable(done: () => void): void;
  positions(group: string): SharePosition[];
  /** Only while nobody is in the group. */
  setStart(
    group: string,
    stream: StreamHandle,
    partition: number,
    start: number,
    done: (refusal: GroupRefusal | null) => void,
  ): void;
  /** Forgets what the group read of the stream; only while nobody is in the group. */
  forget(group: string, stream: string, done: (refusal: GroupRefusal | null) => void): void;
}
