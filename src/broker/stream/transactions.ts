import type { AbortedState, OpenState, PartitionState } from "./heads.ts";
import type { AbortedTransaction } from "./types.ts";

interface Ending {
  readonly firstOffset: number;
  readonly markerOffset: number;
}

/**
 * The transactions of one partition: which are open, so that readers who want only what is decided
 * stop before them, and which were aborted, so that readers can leave their records out.
 */
export class Transactions {
  /** First offset of each producer's open transaction. */
  private readonly open = new Map<number, number>();
  /** Producers that may write in a transaction now, with their epochs. */
  private readonly begun = new Map<number, number>();
  /** Ended by a marker that is not durable yet: until it is, a crash would open them again. */
  private ending: Ending[] = [];
  /** Ascending by marker. */
  private aborted: AbortedState[] = [];

  begin(producerId: number, epoch: number): void {
    this.begun.set(producerId, epoch);
  }

  /** The epoch that may write in a transaction, or -1. */
  begunEpoch(producerId: number): number {
    return this.begun.get(producerId) ?? -1;
  }

  /** Whether a transaction of this producer is begun or holds records. */
  busy(producerId: number): boolean {
    return this.begun.has(producerId) || this.open.has(producerId);
  }

  appended(producerId: number, baseOffset: number): void {
    if (!this.open.has(producerId)) this.open.set(producerId, baseOffset);
  }

  ended(producerId: number, commit: boolean, markerOffset: number): void {
    this.begun.delete(producerId);
    const firstOffset = this.open.get(producerId);
    if (firstOffset === undefined) return;
    this.open.delete(producerId);
    this.ending.push({ firstOffset, markerOffset });
    if (!commit) this.aborted.push([producerId, firstOffset, markerOffset]);
  }

  /** Markers below `committedOffset` are durable. Returns the stable offset. */
  stableOffset(committedOffset: number): number {
    let stable = committedOffset;
    if (this.ending.length > 0)
      this.ending = this.ending.filter((end) => end.markerOffset >= committedOffset);
    for (const { firstOffset } of this.ending) if (firstOffset < stable) stable = firstOffset;
    for (const firstOffset of this.open.values()) if (firstOffset < stable) stable = firstOffset;
    return stable;
  }

  /** Aborted transactions with records in [from, to). */
  abortedIn(from: number, to: number): readonly AbortedTransaction[] {
    const found: AbortedTransaction[] = [];
    for (let index = firstFrom(this.aborted, from); index < this.aborted.length; index++) {
      const [producerId, firstOffset] = this.aborted[index] as AbortedState;
      if (firstOffset < to) found.push({ producerId, firstOffset });
    }
    return found;
  }

  /** Whether the record of `producerId` at `offset` was taken back. */
  isAborted(producerId: number, offset: number): boolean {
    for (let index = firstFrom(this.aborted, offset); index < this.aborted.length; index++) {
      const [aborted, firstOffset] = this.aborted[index] as AbortedState;
      if (aborted === producerId && firstOffset <= offset) return true;
    }
    return false;
  }

  /** The marker at this offset was cleaned away, and long before it all records that it took back. */
  forget(markerOffset: number): void {
    this.aborted = this.aborted.filter(([, , marker]) => marker !== markerOffset);
  }

  /** Nothing below `startOffset` is kept any more. */
  trimmed(startOffset: number): void {
    const count = firstFrom(this.aborted, startOffset);
    if (count > 0) this.aborted.splice(0, count);
  }

  state(): Pick<PartitionState, "open" | "aborted"> {
    return { open: [...this.open] as OpenState[], aborted: this.aborted };
  }

  restore({ open, aborted }: Pick<PartitionState, "open" | "aborted">): void {
    this.open.clear();
    for (const [producerId, firstOffset] of open) this.open.set(producerId, firstOffset);
    this.aborted = [...aborted];
    this.ending = [];
  }
}

/** Index of the first whose marker is at or behind `offset`. */
function firstFrom(aborted: readonly AbortedState[], offset: number): number {
  let low = 0;
  let high = aborted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((aborted[middle] as AbortedState)[2] < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
