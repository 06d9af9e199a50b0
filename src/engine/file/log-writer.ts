/**
 * The growing end of a log: gives batches their places, writes them, and knows how much of what was
 * written is on stable storage.
 */
import path from "node:path";
import type { Batch, Durability } from "../engine.ts";
import { BatchEncoder } from "./batch-encoder.ts";
import {
  BATCH_HEADER_BYTES,
  KIND_RECORDS,
  KIND_SEAL,
  logIdOf,
  SEGMENT_HEADER_BYTES,
} from "./batch-format.ts";
import { type Disk, SyncError } from "./disk.ts";
import type { HandleCache } from "./handle-cache.ts";
import type { Pressure } from "./pressure.ts";
import type { JournalEntry } from "./round-journal.ts";
import { Segment } from "./segment.ts";
import type { SparePool } from "./spare-pool.ts";

/** A file grows by this much at a time, in zeros that go along with a batch: overwriting is faster than growing. */
const GROWTH_BYTES = 256 * 1024;
/** Files that do not grow ahead by much begin to do so at this size. */
const GROWTH_STEP_BYTES = 4096;
/** Bytes of placed batches that one write takes at most, when several wait. */
const RUN_BYTES_MAX = 8 << 20;

/** Up to this much of one log goes through the journal, which writes every byte twice. */
const JOURNALED_BYTES_MAX = 60 * 1024;

const ZEROS = new Uint8Array(GROWTH_BYTES);
const SEAL: Batch = { bodies: [], bodyBytes: 0, heads: new Uint8Array(0), count: 0, durability: "fsync" };

export interface LogEnvironment {
  readonly disk: Disk;
  readonly handles: HandleCache;
  readonly pressure: Pressure;
  readonly spares: SparePool;
  readonly epoch: number;
  readonly durability: Durability;
}

export interface LogShape {
  readonly name: string;
  readonly directory: string;
  readonly segmentBytes: number;
  /** Whether dead segments become new ones. */
  readonly recycles: boolean;
  /** Whether files grow ahead of what is written, and memory for encoding is kept. */
  readonly preallocate: boolean;
}

/** A batch that has its place but is not written yet. */
export interface PlacedBatch {
  readonly segment: Segment;
  readonly offset: number;
  readonly buffers: readonly Uint8Array[];
  readonly bytes: number;
  readonly durable: boolean;
}

/** Bytes of one log for the journal, and where they belong. */
export type JournalPart = Omit<JournalEntry, "log">;

/** What recovery found, or nothing for a new log. */
export interface LogTail {
  readonly segments: Segment[];
  /** Where in the last segment the next batch goes; 0 when not even its header is there. */
  readonly offset: number;
  readonly sequence: number;
}

export class LogWriter {
  /** Ascending by base; the last one is being filled. */
  segments: Segment[] = [];
  /** Position up to which batches are written; later ones are placed only. */
  writtenEnd = 0;
  /** Sync operations done, for the round's report. */
  syncs = 0;
  private readonly env: LogEnvironment;
  private readonly directory: string;
  private readonly segmentBytes: number;
  private readonly recycles: boolean;
  private readonly preallocate: boolean;
  readonly logId: number;
  private readonly encoder: BatchEncoder;
  private tailOffset = 0;
  private sequence = 0;
  private durableEnd = 0;
  private batchBytesRecent = 0;
  /** Written to and not synced since, ascending by base. */
  private readonly dirty = new Set<Segment>();
  /** Written to and not synced since, but what was written is on stable storage in the journal. */
  private readonly journaled = new Set<Segment>();
  private settling: Promise<void> = Promise.resolve();
  /** Files that were made, and of these the ones whose names are on stable storage. */
  private namesMade = 0;
  private namesSynced = 0;
  /** The directory is new, and its own name not on stable storage. */
  private directoryDirty = false;
  /** A batch asked for stable storage: only then is a new file's name worth waiting for. */
  private wantsSync = false;
  private directoryMade: Promise<void> | null = null;

  constructor(env: LogEnvironment, shape: LogShape) {
    this.env = env;
    this.directory = shape.directory;
    this.segmentBytes = shape.segmentBytes;
    this.recycles = shape.recycles;
    this.preallocate = shape.preallocate;
    this.logId = logIdOf(shape.name);
    this.encoder = new BatchEncoder(env.durability === "memory", shape.preallocate);
  }

  /** Placed batches have memory of their own, so that several can wait at once. */
  get encodesApart(): boolean {
    return !this.preallocate || this.env.durability === "memory";
  }

  get nextPosition(): number {
    const lead = this.tailOffset === 0 ? SEGMENT_HEADER_BYTES : 0;
    return this.tail().base + this.tailOffset + lead + BATCH_HEADER_BYTES;
  }

  get storedBytes(): number {
    let total = 0;
    for (const segment of this.segments) total += segment.fileBytes;
    return total;
  }

  /** Goes on where recovery ended. All that was recovered is on stable storage. */
  resume(tail: LogTail): void {
    this.segments = tail.segments;
    this.sequence = tail.sequence;
    this.tailOffset = tail.offset;
    this.writtenEnd = this.durableEnd = this.tail().base + tail.offset;
    if (this.tailOffset >= this.segmentBytes) this.rotate();
  }

  /** Fixes a batch's place and what it looks like on disk. */
  place(batch: Batch): PlacedBatch {
    return this.placeAs(batch, KIND_RECORDS);
  }

  /** Makes the next batch begin a segment, so that everything before it can be trimmed. */
  rotate(): void {
    if (this.tailOffset === 0) return;
    const full = this.tail();
    const next = new Segment(this.directory, full.base + this.tailOffset, 0, false);
    this.segments.push(next);
    this.tailOffset = 0;
    // Well before it is needed, so that the round that needs it need not wait.
    this.prepare(next).catch(() => {});
  }

  /** Whether a segment that is full holds bytes that are not on stable storage. */
  get hasUnsyncedFullSegment(): boolean {
    for (const segment of this.dirty) return segment !== this.tail();
    return false;
  }

  /** Where placed batches go, all in one write, when it may be the journal that makes them durable; otherwise null. */
  journalPart(placed: readonly PlacedBatch[]): JournalPart | null {
    // What the journal holds is written again where it was before a crash: the file must be there, and nothing may lack before.
    if (this.preallocate || this.dirty.size > 0 || this.namesDirty || placed.length === 0) return null;
    const { segment, offset } = placed[0];
    if (!segment.exists) return null;
    let durable = false;
    let bytes = 0;
    for (const batch of placed) {
      if (batch.segment !== segment) return null;
      durable ||= batch.durable;
      bytes += batch.bytes;
    }
    if (!durable || bytes > JOURNALED_BYTES_MAX) return null;
    const buffers = placed.length === 1 ? placed[0].buffers : placed.flatMap((batch) => batch.buffers);
    return { base: segment.base, offset, buffers, bytes };
  }

  /**
   * Writes placed batches, in order, and syncs when one of them asks for it, unless `journaled` says that they are on stable
   * storage in the journal. Rejects only with what cannot be retried.
   */
  async write(placed: readonly PlacedBatch[], journaled: Promise<boolean> | null): Promise<void> {
    let durable = false;
    for (let first = 0; first < placed.length; ) {
      const { segment, offset } = placed[first];
      let buffers = placed[first].buffers;
      let bytes = placed[first].bytes;
      durable ||= placed[first].durable;
      let next = first + 1;
      for (; next < placed.length && placed[next].segment === segment && bytes < RUN_BYTES_MAX; next++) {
        buffers = buffers.concat(placed[next].buffers);
        bytes += placed[next].bytes;
        durable ||= placed[next].durable;
      }
      // Only the last write may carry the durability of all: bytes before it would be left out.
      const atOnce = durable && next === placed.length && journaled === null;
      await this.writeRun(segment, offset, buffers, bytes, atOnce, journaled === null);
      first = next;
    }
    if (journaled !== null && (await journaled)) this.vouch(placed[0].segment);
    else if (durable) await this.sync();
  }

  /** Brings to stable storage what only the journal holds. Rejects when that failed. */
  settle(): Promise<void> {
    this.settling = this.settling.catch(() => {}).then(() => this.syncJournaled());
    return this.settling;
  }

  /** What only the journal holds is not needed any more. */
  async forsake(): Promise<void> {
    this.journaled.clear();
    await this.settling.catch(() => {});
  }

  /** Brings all that is written to stable storage. Rejects when that failed: then nobody knows what is. */
  async sync(): Promise<void> {
    const end = this.writtenEnd;
    for (const segment of [...this.dirty]) await this.syncSegment(segment);
    if (this.namesDirty) await this.syncNames();
    if (this.dirty.size === 0) this.durableEnd = Math.max(this.durableEnd, end);
  }

  /** Syncs segments that are full, outside any round, so that a log that never asks for it is not wholly at risk. */
  async syncFullSegments(): Promise<void> {
    for (const segment of [...this.dirty]) {
      const end = this.endOf(segment);
      if (end > this.writtenEnd) break;
      await this.syncSegment(segment);
      if (this.namesDirty) await this.syncNames();
      this.durableEnd = Math.max(this.durableEnd, end);
    }
  }

  /** Marks an orderly end: everything before it is on stable storage, and nothing is behind it. */
  async seal(): Promise<void> {
    await this.sync();
    await this.settle();
    if (this.tailOffset === 0) return;
    const placed = this.placeAs(SEAL, KIND_SEAL);
    await this.write([placed], null);
    await this.sync();
    const end = placed.offset + placed.bytes;
    await this.env.handles.use(placed.segment.path, "write", (handle) => this.env.disk.truncate(handle, end));
    placed.segment.fileBytes = end;
  }

  /** The newest segment's name remembers how far positions have come: it must be there before others go. */
  async prepareTail(): Promise<void> {
    await this.prepare(this.tail());
    if (this.namesDirty && this.env.durability === "fsync") await this.syncNames();
  }

  /**
   * Takes segments that end at or before a position, and are written, out of the log. One that waits to be synced stays: later
   * batches vouch for all before them, and a start must find that to be true while its name is there.
   */
  detachBefore(position: number): Segment[] {
    let count = 0;
    const end = Math.min(position, this.writtenEnd);
    const { segments, dirty } = this;
    while (count + 1 < segments.length && segments[count + 1].base <= end && !dirty.has(segments[count]))
      count++;
    const detached = segments.splice(0, count);
    for (const segment of detached) this.journaled.delete(segment);
    return detached;
  }

  /** Whether `detachBefore` would take more, once that is synced. */
  keepsUnsynced(position: number): boolean {
    const [first, second] = this.segments;
    if (second === undefined || second.base > Math.min(position, this.writtenEnd)) return false;
    return this.dirty.has(first);
  }

  /** The journal has all that was written: as good as synced, until the journal gives it back. */
  private vouch(segment: Segment): void {
    this.dirty.delete(segment);
    if (this.segments.includes(segment)) this.journaled.add(segment);
    this.durableEnd = this.writtenEnd;
  }

  private async syncJournaled(): Promise<void> {
    for (const segment of [...this.journaled]) {
      // Taken out first: what is written meanwhile enters it again. Trimmed meanwhile: must not be opened again.
      if (this.journaled.delete(segment)) await this.datasync(segment);
    }
  }

  private tail(): Segment {
    if (this.segments.length === 0) this.segments.push(new Segment(this.directory, 0, 0, false));
    return this.segments[this.segments.length - 1];
  }

  /** Where a full segment ends; the one that is being filled has no end. */
  private endOf(segment: Segment): number {
    const next = this.segments.indexOf(segment) + 1;
    return next < this.segments.length ? this.segments[next].base : Number.POSITIVE_INFINITY;
  }

  private placeAs(batch: Batch, kind: number): PlacedBatch {
    const segment = this.tail();
    const offset = this.tailOffset;
    const durable = batch.durability === "fsync" && this.env.durability === "fsync";
    this.wantsSync ||= durable;
    const begin = offset === 0 ? { logId: this.logId, epoch: this.env.epoch, base: segment.base } : null;
    const header = {
      durability: batch.durability,
      kind,
      logId: this.logId,
      epoch: this.env.epoch,
      sequence: this.sequence,
      position: this.nextPosition,
      durablePosition: this.durableEnd,
      bodyBytes: batch.bodyBytes,
      headBytes: batch.heads.length,
      count: batch.count,
      bodiesCrc: 0,
    };
    const { buffers, bytes } = this.encoder.encode(batch, header, begin);
    this.sequence++;
    this.tailOffset += bytes;
    this.batchBytesRecent = Math.max(bytes, Math.floor(this.batchBytesRecent * 0.9));
    const slack = Math.min(this.segmentBytes >> 2, this.batchBytesRecent);
    if (this.tailOffset + slack > this.segmentBytes && kind === KIND_RECORDS) this.rotate();
    return { segment, offset, buffers, bytes, durable };
  }

  private async writeRun(
    segment: Segment,
    offset: number,
    buffers: readonly Uint8Array[],
    bytes: number,
    durable: boolean,
    growsAhead: boolean,
  ): Promise<void> {
    const end = offset + bytes;
    let plain = !this.env.disk.durableWrites;
    await this.env.pressure.retry(async (failures) => {
      if (!segment.exists) await this.prepare(segment);
      const growth = failures === 0 && growsAhead ? this.growthBytes(segment, end, bytes) : 0;
      const vectors = growth > 0 ? [...buffers, ZEROS.subarray(0, growth)] : buffers;
      // A durable write vouches only for its own bytes: everything before must be down already.
      const atOnce = durable && !plain && this.dirty.size === 0 && !this.namesDirty;
      try {
        await this.env.handles.use(segment.path, atOnce ? "durable" : "write", (handle) =>
          this.env.disk.write(handle, vectors, offset),
        );
      } catch (error) {
        // What a failed durable write left behind is unknown. It is written again as a whole, and a
        // sync of its own then says plainly whether it is safe.
        plain = true;
        throw error;
      }
      if (atOnce) {
        this.syncs++;
        this.durableEnd = segment.base + end;
      } else this.dirty.add(segment);
      segment.fileBytes = Math.max(segment.fileBytes, end + growth);
    });
    this.writtenEnd = segment.base + end;
  }

  private growthBytes(segment: Segment, end: number, bytes: number): number {
    if (end <= segment.fileBytes || bytes >= GROWTH_BYTES) return 0;
    // A small file at most doubles; and what never waits for the disk gains nothing by it.
    if (!this.preallocate)
      return this.wantsSync ? Math.min(GROWTH_BYTES, end - (end % GROWTH_STEP_BYTES)) : 0;
    return Math.max(0, Math.min(GROWTH_BYTES, this.segmentBytes - end));
  }

  private async syncSegment(segment: Segment): Promise<void> {
    // Trimmed while another was synced: to open it again would bring its name back, with nothing behind it.
    if (!this.dirty.has(segment)) return;
    await this.datasync(segment);
    this.dirty.delete(segment);
  }

  private async datasync(segment: Segment): Promise<void> {
    try {
      await this.env.handles.use(segment.path, "write", (handle) => this.env.disk.datasync(handle));
    } catch (error) {
      throw new SyncError(segment.path, error);
    }
    this.syncs++;
  }

  private get namesDirty(): boolean {
    return this.namesSynced < this.namesMade;
  }

  private async syncNames(): Promise<void> {
    // A file that is made meanwhile is not covered.
    const { namesMade, directoryDirty } = this;
    try {
      if (directoryDirty) await this.env.disk.syncDirectory(path.dirname(this.directory));
      await this.env.disk.syncDirectory(this.directory);
    } catch (error) {
      throw new SyncError(this.directory, error);
    }
    if (directoryDirty) this.directoryDirty = false;
    this.namesSynced = Math.max(this.namesSynced, namesMade);
  }

  private prepare(segment: Segment): Promise<void> {
    if (segment.exists) return Promise.resolve();
    segment.preparing ??= this.create(segment).finally(() => {
      segment.preparing = null;
    });
    return segment.preparing;
  }

  private async create(segment: Segment): Promise<void> {
    await this.createDirectory();
    const spare = this.recycles ? this.env.spares.take() : null;
    if (spare !== null) {
      await this.env.disk.rename(spare.path, segment.path);
      segment.fileBytes = spare.bytes;
    } else await this.env.handles.use(segment.path, "write", async () => {});
    // A log that does not ask for syncs does not wait for one here either.
    this.namesMade++;
    segment.exists = true;
    if (this.wantsSync && this.dirty.size === 0) await this.syncNames();
  }

  private createDirectory(): Promise<void> {
    this.directoryMade ??= this.makeDirectory().catch((error: unknown) => {
      this.directoryMade = null;
      throw error;
    });
    return this.directoryMade;
  }

  private async makeDirectory(): Promise<void> {
    await this.env.disk.makeDirectory(this.directory);
    this.directoryDirty = true;
  }
}
