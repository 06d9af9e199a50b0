/** How far a group has read a partition. */
export interface Offset {
  /** Of the next record to read. */
  readonly offset: number;
  /** Leader epoch of the record before, as the client said; -1: not said. */
  readonly epoch: number;
  readonly metadata: string;
  /** Wall clock, ms. */
  readonly committedAtMs: number;
  /** Wall clock, ms; -1: as the group's retention has it. */
  readonly expiresAtMs: number;
  /** The stream that was meant: one that is created later under the same name is another. 32 hex digits. */
  readonly streamId: string;
}

/** Where offsets are kept. All changes act at once and are durable with the store's next flush. */
export interface OffsetRecords {
  put(group: string, stream: string, partition: number, offset: Offset): void;
  delete(group: string, stream: string, partition: number): void;
  putUndecided(producerId: number, group: string, stream: string, partition: number, offset: Offset): void;
  deleteUndecided(producerId: number, group: string, stream: string, partition: number): void;
}

type ByPartition<T> = Map<string, Map<number, T>>;

/**
 * Committed offsets of one group, and those of transactions that are not decided yet: nobody is
 * shown the latter before the transaction commits.
 */
export class Offsets {
  private readonly group: string;
  private readonly records: OffsetRecords;
  private readonly committed: ByPartition<Offset> = new Map();
  private readonly undecided = new Map<number, ByPartition<Offset>>();
  private count = 0;

  constructor(group: string, records: OffsetRecords) {
    this.group = group;
    this.records = records;
  }

  /** Nothing is kept for the group. */
  get empty(): boolean {
    return this.count === 0 && this.undecided.size === 0;
  }

  get(stream: string, partition: number): Offset | null {
    return this.committed.get(stream)?.get(partition) ?? null;
  }

  *all(): Iterable<[stream: string, partition: number, offset: Offset]> {
    for (const [stream, partitions] of this.committed) {
      for (const [partition, offset] of partitions) yield [stream, partition, offset];
    }
  }

  /** Partitions that an undecided transaction has an offset for. */
  *allUndecided(): Iterable<[stream: string, partition: number]> {
    for (const streams of this.undecided.values()) {
      for (const [stream, partitions] of streams) {
        for (const partition of partitions.keys()) yield [stream, partition];
      }
    }
  }

  /** A transaction has yet to decide about this partition. */
  isUndecided(stream: string, partition: number): boolean {
    for (const streams of this.undecided.values()) {
      if (streams.get(stream)?.has(partition) === true) return true;
    }
    return false;
  }

  commit(stream: string, partition: number, offset: Offset): void {
    this.restore(stream, partition, offset);
    this.records.put(this.group, stream, partition, offset);
  }

  restore(stream: string, partition: number, offset: Offset): void {
    const partitions = entry(this.committed, stream);
    if (!partitions.has(partition)) this.count++;
    partitions.set(partition, offset);
  }

  /** Kept for a transaction of this producer until `decide`. */
  stage(producerId: number, stream: string, partition: number, offset: Offset): void {
    this.restoreUndecided(producerId, stream, partition, offset);
    this.records.putUndecided(producerId, this.group, stream, partition, offset);
  }

  restoreUndecided(producerId: number, stream: string, partition: number, offset: Offset): void {
    let streams = this.undecided.get(producerId);
    if (streams === undefined) {
      streams = new Map();
      this.undecided.set(producerId, streams);
    }
    entry(streams, stream).set(partition, offset);
  }

  /** The producer's transaction is over: its offsets count from now on, or never did. */
  decide(producerId: number, commit: boolean): void {
    const streams = this.undecided.get(producerId);
    if (streams === undefined) return;
    this.undecided.delete(producerId);
    for (const [stream, partitions] of streams) {
      for (const [partition, offset] of partitions) {
        this.records.deleteUndecided(producerId, this.group, stream, partition);
        // One that was committed outside of the transaction and later is the newer truth.
        const known = this.get(stream, partition);
        const newer = known === null || known.committedAtMs <= offset.committedAtMs;
        if (commit && newer) this.commit(stream, partition, offset);
      }
    }
  }

  /** False: there was none. */
  delete(stream: string, partition: number): boolean {
    const partitions = this.committed.get(stream);
    if (partitions === undefined || !partitions.delete(partition)) return false;
    if (partitions.size === 0) this.committed.delete(stream);
    this.count--;
    this.records.delete(this.group, stream, partition);
    return true;
  }

  /** Forgets everything. */
  clear(): void {
    for (const [stream, partition] of [...this.all()]) this.delete(stream, partition);
    for (const producerId of [...this.undecided.keys()]) this.decide(producerId, false);
  }

  /** Deletes what `isOver` says so of, but for what a transaction is about to replace. */
  expire(isOver: (stream: string, offset: Offset) => boolean): void {
    for (const [stream, partition, offset] of [...this.all()]) {
      if (isOver(stream, offset) && !this.isUndecided(stream, partition)) this.delete(stream, partition);
    }
  }
}

function entry<T>(map: ByPartition<T>, stream: string): Map<number, T> {
  let partitions = map.get(stream);
  if (partitions === undefined) {
    partitions = new Map();
    map.set(stream, partitions);
  }
  return partitions;
}
