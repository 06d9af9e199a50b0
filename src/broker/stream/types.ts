import { batchBytes } from "../../message/record-batch.ts";

/**
 * Streams as the rest of the house sees them. A stream has 1..n partitions; each is a log of record
 * batches (format: `message/record-batch.ts`), whoever published them. Offsets are dense at first and
 * may get gaps by compaction. All offsets are safe integers.
 */

/** What a stream does with its past, and what it takes. Durations in ms, sizes in bytes; -1 = no bound. */
export interface StreamConfig {
  readonly cleanup: "delete" | "compact" | "compact+delete";
  readonly retentionMs: number;
  /** Per partition. */
  readonly retentionBytes: number;
  /** Per partition. */
  readonly retentionCount: number;
  /** The active segment is closed at this size, or at this age. Retention and compaction act on closed ones. */
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly batchBytesMax: number;
  /** "append": the broker's clock replaces the producer's timestamps. */
  readonly timestamps: "create" | "append";
  readonly timestampBeforeMaxMs: number;
  readonly timestampAfterMaxMs: number;
  /** How long a tombstone stays readable after it was compacted. */
  readonly tombstoneRetentionMs: number;
  readonly compactionLagMinMs: number;
  readonly compactionLagMaxMs: number;
  readonly dirtyRatioMin: number;
  readonly durability: "fsync" | "os" | "memory";
}

export interface StreamDeclaration {
  readonly name: string;
  readonly partitions: number;
  /** What differs from the broker's defaults. */
  readonly overrides: Partial<StreamConfig>;
  /** Settings that a protocol keeps and reports, and that the core does not act on. */
  readonly attributes: Readonly<Record<string, string>>;
}

export interface StreamHandle {
  /** 16 random bytes as 32 hex digits; never given out twice. */
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  /** Defaults with overrides. */
  readonly config: StreamConfig;
  readonly overrides: Partial<StreamConfig>;
  readonly attributes: Readonly<Record<string, string>>;
  readonly partitions: readonly PartitionHandle[];
  readonly deleted: boolean;
}

/** Management of a namespace's streams, behind the user's permissions. Durable when `Broker.durable` says so. */
export interface StreamControl {
  /** What a stream has that overrides nothing. */
  readonly defaults: StreamConfig;
  /** As the broker was started. */
  readonly initialDefaults: StreamConfig;
  /** What of that was changed while it ran. */
  readonly changedDefaults: Partial<StreamConfig>;
  /** Replaces what was changed; acts at once on all streams of all namespaces. @throws BrokerError argument-invalid, access-refused */
  alterDefaults(changes: Partial<StreamConfig>): void;
  /** @throws BrokerError stream-exists (also for a queue of another type), name-invalid, argument-invalid, access-refused */
  create(declaration: StreamDeclaration): StreamHandle;
  /** Throws what `create` would throw, and does nothing else. */
  tryCreate(declaration: StreamDeclaration): void;
  /** Throws what `alter` would throw, and does nothing else. */
  tryAlter(name: string, overrides: Partial<StreamConfig>): void;
  /** @throws BrokerError stream-not-found, access-refused */
  delete(name: string): void;
  find(name: string): StreamHandle | null;
  findById(id: string): StreamHandle | null;
  all(): Iterable<StreamHandle>;
  /** @throws BrokerError argument-invalid when `partitions` is not more than there are */
  grow(name: string, partitions: number): void;
  /** Replaces overrides and attributes. @throws BrokerError argument-invalid */
  alter(name: string, overrides: Partial<StreamConfig>, attributes: Readonly<Record<string, string>>): void;
  /** May this user publish to, read from, administer the stream? Cached per revision of the permissions. */
  allows(access: "configure" | "write" | "read", name: string): boolean;
}

/** "committed": whatever is durable; "stable": only what no open or aborted transaction can take back. */
export type Isolation = "committed" | "stable";

/** Why an append was refused. Neutral; each protocol has its own code for it. */
export type AppendRefusal =
  | "corrupt" // checksum, lengths or counts do not fit
  | "invalid-record" // a batch that a client may not send: control batch, no key on a compacted stream, ...
  | "too-large"
  | "timestamp-out-of-range"
  | "sequence-out-of-order"
  | "producer-fenced" // epoch is older than one seen
  | "transaction-state" // transactional batch without a transaction here, or the reverse
  | "storage"; // the partition's storage failed

export interface AppendResult {
  readonly baseOffset: number;
  /** ms; -1 unless the stream stamps records itself. */
  readonly appendTimeMs: number;
  /** The batch was there already, at `baseOffset`: nothing was appended, and it may be answered like the first time. */
  readonly duplicate: boolean;
  /** Set: nothing was appended. */
  readonly refusal: AppendRefusal | null;
  /** For `refusal`: a sentence for people. */
  readonly reason: string;
}

export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
}

/** A stretch of bytes. */
export interface Piece {
  bytes: Uint8Array;
  start: number;
  end: number;
}

/** Whole batches in offset order, as stored. The first may begin before the offset that was asked for. */
export class StreamSlice {
  /** [start, end) of `bytes`, each one or more batches. Valid until the end of this turn, or until `release` after `load`. */
  readonly pieces: Piece[] = [];
  bytes = 0;
  /** Offset after the last record in here; the offset asked for when empty. */
  nextOffset = 0;
  /** With isolation "stable": the aborted transactions that have records in here. */
  aborted: readonly AbortedTransaction[] = NO_ABORTED;
  /** Gives the memory back after `load`. */
  release: () => void = nothing;
  private readonly spare: Piece[] = [];

  /** Empties it, to be filled from `offset` on. */
  reset(offset: number): void {
    for (let piece = this.pieces.pop(); piece !== undefined; piece = this.pieces.pop())
      this.spare.push(piece);
    this.bytes = 0;
    this.nextOffset = offset;
    this.aborted = NO_ABORTED;
    this.release = nothing;
  }

  /** Adds a batch. */
  add(bytes: Uint8Array, start: number, end: number): void {
    this.bytes += end - start;
    const last = this.pieces[this.pieces.length - 1];
    if (last !== undefined && last.end === start && last.bytes === bytes) {
      last.end = end;
      return;
    }
    const piece = this.spare.pop() ?? { bytes, start, end };
    piece.bytes = bytes;
    piece.start = start;
    piece.end = end;
    this.pieces.push(piece);
  }

  /** Each batch by itself. */
  *batches(): Iterable<Readonly<Piece>> {
    for (const { bytes, start, end } of this.pieces) {
      for (let at = start; at < end; ) {
        const next = at + batchBytes(bytes, at);
        yield { bytes, start: at, end: next };
        at = next;
      }
    }
  }
}

const NO_ABORTED: readonly AbortedTransaction[] = [];
const nothing = (): void => {};

/** Told once, when what it waits for has come, the partition went away, or its storage failed: see `isKept`. */
export interface OffsetWaiter {
  reached(partition: PartitionHandle): void;
}

/** For who was told about what he appended: it is durable, or went with its stream, as it was to. */
export function isKept({ committedOffset, stream }: PartitionHandle, offset: number): boolean {
  return committedOffset > offset || stream.deleted;
}

/** A producer that the partition remembers. */
export interface PartitionProducer {
  readonly producerId: number;
  readonly epoch: number;
  /** -1: it has sent nothing under this epoch. */
  readonly lastSequence: number;
  /** Wall clock, ms. */
  readonly lastMs: number;
  /** First offset of its open transaction, or -1. */
  readonly transactionStart: number;
}

export interface PartitionHandle {
  readonly stream: StreamHandle;
  readonly index: number;
  /** First offset kept. */
  readonly startOffset: number;
  /** Offset that the next record will get. */
  readonly endOffset: number;
  /** All below is durable: the high watermark. */
  readonly committedOffset: number;
  /** All below is decided, too: the last stable offset. */
  readonly stableOffset: number;
  /** Leader epoch; constant on one node. */
  readonly epoch: number;
  readonly storedBytes: number;
  /** Newest timestamp kept and its offset, or -1/-1. */
  readonly newestTimestamp: { readonly timestampMs: number; readonly offset: number };

  /**
   * Appends the one batch at [start, end) of `bytes`; its place is fixed at once, it is durable when
   * `committedOffset` has passed it. The bytes are copied. Result: one reused object, read it at once.
   * A transactional batch must belong to a transaction that `beginTransaction` opened here.
   */
  append(bytes: Uint8Array, start: number, end: number): AppendResult;
  /** A transaction of this producer may write here from now on (transaction coordinator only). Not
   *  stored: after a restart the coordinator begins again what is still going on. Fences older epochs. */
  beginTransaction(producerId: number, producerEpoch: number): void;
  /** Ends the producer's transaction with a marker (transaction coordinator only). Returns the marker's offset. */
  endTransaction(
    producerId: number,
    producerEpoch: number,
    commit: boolean,
    coordinatorEpoch: number,
  ): number;
  /** Fills `slice` from memory. False: not (all) in memory, use `load`. At least one batch, whatever `bytesMax`.
   *  @throws BrokerError offset-out-of-range */
  read(offset: number, bytesMax: number, isolation: Isolation, slice: StreamSlice): boolean;
  /** Likewise, from disk where needed. @throws BrokerError offset-out-of-range, CorruptionError */
  load(offset: number, bytesMax: number, isolation: Isolation): Promise<StreamSlice>;
  /** Roughly how many bytes there are to read from `offset` on. */
  bytesFrom(offset: number, isolation: Isolation): number;
  /** `waiter.reached` is called once when the visible end (of this isolation) is beyond `offset`; at once if it is. */
  wait(offset: number, isolation: Isolation, waiter: OffsetWaiter): void;
  cancelWait(waiter: OffsetWaiter): void;
  /** First record with a timestamp >= `timestampMs`, or null. */
  offsetAt(timestampMs: number): Promise<{ readonly offset: number; readonly timestampMs: number } | null>;
  producers(): PartitionProducer[];
  /** Forgets records below `offset`. @throws BrokerError offset-out-of-range */
  trim(offset: number): void;
}
