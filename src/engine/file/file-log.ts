/** A log in segment files. */
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { CorruptionError, type Log, type LogSource, type RecoveredBatch } from "../engine.ts";
import { BATCH_HEADER_BYTES, SEGMENT_HEADER_BYTES } from "./batch-format.ts";
import { joinBodies } from "./body-reader.ts";
import type { CommitLoop, RoundCost, RoundMember } from "./commit-loop.ts";
import { toError } from "./disk.ts";
import { type LogEnvironment, type LogShape, LogWriter, type PlacedBatch } from "./log-writer.ts";
import { recoverLog } from "./recovery.ts";
import type { JournalEntry, JournaledLog, RoundJournal } from "./round-journal.ts";
import { Segment, segmentBaseOf, segmentIndexOf } from "./segment.ts";
import type { Slots } from "./slots.ts";

/** What one log takes in a round at most, unless a single batch is larger. */
const ROUND_BYTES_MAX = 8 << 20;

export interface FileLogOptions extends LogEnvironment, LogShape {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly loop: CommitLoop;
  /** Null where there is none. */
  readonly journal: RoundJournal | null;
  /** Shared by all logs: how many may be closing at once. */
  readonly closing: Slots;
  readonly onFailed: (error: Error) => void;
  readonly onClosed: () => void;
}

export class FileLog implements Log, RoundMember, JournaledLog {
  readonly name: string;
  private readonly options: FileLogOptions;
  private readonly writer: LogWriter;
  private source: LogSource | null = null;
  private found: Segment[] = [];
  private failure: Error | null = null;
  private closing: Promise<void> | null = null;
  private closed = false;
  private discarded = false;
  /** Taken and not written yet, oldest first. */
  private readonly placed: PlacedBatch[] = [];
  placedBytes = 0;
  /** Taken in this round, to be reported at its end. */
  private unreported = 0;
  private trimPosition = 0;
  /** No longer part of the log, not removed yet, oldest first. */
  private readonly dead: Segment[] = [];
  private cleaning: Promise<void> | null = null;
  private syncingFull: Promise<void> | null = null;

  constructor(options: FileLogOptions) {
    this.options = options;
    this.name = options.name;
    this.writer = new LogWriter(options, options);
  }

  /** Finds the segments; `recover` reads them. */
  async open(): Promise<void> {
    const { disk, directory } = this.options;
    for (const name of await disk.list(directory)) {
      const base = segmentBaseOf(name);
      if (base === null) continue;
      const segment = new Segment(directory, base, 0, true);
      segment.fileBytes = await disk.size(segment.path);
      this.found.push(segment);
    }
    this.found.sort((a, b) => a.base - b.base);
  }

  get nextPosition(): number {
    return this.writer.nextPosition;
  }

  get storedBytes(): number {
    let total = this.writer.storedBytes;
    for (const segment of this.dead) total += segment.fileBytes;
    for (const segment of this.found) total += segment.fileBytes;
    return total;
  }

  get placedCount(): number {
    return this.placed.length;
  }

  async recover(visit: (batch: RecoveredBatch) => void): Promise<void> {
    const { disk, handles, logger, name, directory, epoch } = this.options;
    if (this.source !== null) throw new Error(`log '${name}' is started: too late to recover it`);
    if (this.found.length === 0) return;
    const { journal } = this.options;
    const reopened = journal?.holds(name) === true;
    if (reopened) for (const segment of this.found) await this.datasync(segment);
    const context = { disk, handles, logger, logName: name, directory, epoch };
    this.writer.resume(await recoverLog(context, this.found, visit));
    // Of an earlier time that it was open: what was cut off now must not come back.
    if (reopened) await this.options.pressure.retry(() => journal.forget(name));
    this.found = [];
  }

  start(source: LogSource): void {
    if (this.found.length > 0)
      throw new Error(`log '${this.options.name}' must be recovered before it is started`);
    if (this.source !== null) throw new Error(`log '${this.options.name}' has its writer already`);
    this.source = source;
  }

  wake(): void {
    if (this.closing === null) this.options.loop.wake(this);
  }

  async read(position: number, target: Uint8Array): Promise<number> {
    if (this.closed) throw new Error(`log '${this.options.name}' is closed`);
    if (target.length === 0) return 0;
    if (this.options.durability === "memory") {
      const placed = this.readPlaced(position, target);
      if (placed > 0) return placed;
    }
    const { segments } = this.writer;
    const index = segmentIndexOf(segments, position);
    if (index < 0) throw new RangeError(`position ${position} of log '${this.options.name}' was trimmed`);
    const segment = segments[index];
    const offset = position - segment.base;
    const got = await this.options.handles.use(segment.path, "read", (handle) =>
      this.options.disk.read(handle, target, offset),
    );
    if (got > 0 || target.length === 0) return got;
    throw new CorruptionError(`${segment.path} ends before byte ${offset}, which was to be read`);
  }

  async readBodies(position: number, target: Uint8Array): Promise<number> {
    const { segments, logId } = this.writer;
    let filled = 0;
    let next: Segment | undefined;
    for (let at = position; ; at = next.base + SEGMENT_HEADER_BYTES + BATCH_HEADER_BYTES) {
      const start = at - BATCH_HEADER_BYTES;
      next = segments[segmentIndexOf(segments, start) + 1];
      const rest = target.subarray(filled);
      const room = Math.min(rest.length, (next?.base ?? Number.POSITIVE_INFINITY) - start);
      const got = await this.read(start, rest.subarray(0, room));
      const more = joinBodies(rest, got, logId, at);
      if (more < 0 && filled === 0) {
        throw new CorruptionError(`no batch begins at position ${at} of log '${this.options.name}'`);
      }
      filled += Math.max(0, more);
      // On to the next file, when this one was read to its end and there is something in that one.
      const ended = next !== undefined && start + got >= next.base && next.base < this.writer.writtenEnd;
      if (!ended || next === undefined || target.length - filled <= BATCH_HEADER_BYTES) return filled;
    }
  }

  trim(position: number): void {
    this.trimPosition = Math.max(this.trimPosition, position);
    this.dropDead();
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  /** Lets go of a log whose bytes are to be removed: nothing more is taken or written. */
  async discard(): Promise<void> {
    this.closing ??= Promise.resolve();
    this.closed = this.discarded = true;
    this.failure ??= new Error(`log '${this.options.name}' was deleted`);
    await this.options.loop.quiesce(this);
    await this.writer.forsake();
    await this.syncingFull;
    await this.cleaning;
    for (const segment of [...this.writer.segments, ...this.dead, ...this.found]) {
      await segment.preparing?.catch(() => {});
      await this.options.handles.evict(segment.path);
    }
    this.options.onClosed();
  }

  beginSegment(): void {
    this.writer.rotate();
  }

  get absent(): number {
    return this.source?.absent ?? 0;
  }

  gather(): boolean {
    if (this.source === null || this.failure !== null || this.closed) return false;
    this.unreported = 0;
    try {
      let bytes = 0;
      do {
        const batch = this.source.take();
        if (batch === null) break;
        const placed = this.writer.place(batch);
        this.placed.push(placed);
        this.placedBytes += placed.bytes;
        this.unreported++;
        bytes += placed.bytes;
      } while (this.writer.encodesApart && this.source.more === true && bytes < ROUND_BYTES_MAX);
    } catch (error) {
      this.fail(toError(error));
    }
    return this.unreported > 0;
  }

  journalEntry(count: number): JournalEntry | null {
    if (this.failure !== null) return null;
    const part = this.writer.journalPart(this.placed.slice(0, count));
    return part === null ? null : { log: this, ...part };
  }

  /** As `JournaledLog`. Where it cannot be done, what the journal holds may be all there is: then it is kept. */
  async settle(): Promise<void> {
    if (this.discarded) return;
    if (this.failure !== null) throw this.failure;
    try {
      await this.writer.settle();
    } catch (error) {
      this.fail(toError(error));
      throw error;
    }
    // Segments that were trimmed are not synced: their names must be gone, or a crash could bring them back torn.
    const last = this.dead.at(-1);
    while (last !== undefined && this.dead.includes(last)) {
      if (this.cleaning === null) throw new Error(`dead segments of log '${this.name}' could not be removed`);
      await this.cleaning;
    }
  }

  async commit(count: number, journaled: Promise<boolean> | null): Promise<RoundCost> {
    const batches = this.placed.slice(0, count);
    const syncsBefore = this.writer.syncs;
    let bytes = 0;
    for (const batch of batches) bytes += batch.bytes;
    try {
      if (this.failure === null) await this.writer.write(batches, journaled);
      if (this.failure === null && this.options.durability === "memory") await this.writer.sync();
    } catch (error) {
      this.fail(toError(error));
    }
    this.placed.splice(0, count);
    this.placedBytes -= bytes;
    if (this.trimPosition > 0) this.dropDead();
    if (this.writer.hasUnsyncedFullSegment) this.syncFull();
    return { syncs: this.writer.syncs - syncsBefore, bytes };
  }

  report(): void {
    try {
      for (; this.unreported > 0 && this.failure === null; this.unreported--) this.source?.committed();
    } catch (error) {
      this.fail(toError(error));
    }
  }

  private datasync(segment: Segment): Promise<void> {
    const { disk, handles } = this.options;
    return handles.use(segment.path, "write", (handle) => disk.datasync(handle));
  }

  private fail(error: Error): void {
    if (this.failure !== null) return;
    this.failure = error;
    this.options.logger.error({ log: this.options.name, err: error }, "a log takes no more writes");
    this.options.onFailed(error);
    this.source?.failed?.(error);
  }

  /** Copies from batches that a checkpoint has not written yet. */
  private readPlaced(position: number, target: Uint8Array): number {
    let low = 0;
    let high = this.placed.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const { segment, offset } = this.placed[middle];
      if (segment.base + offset <= position) low = middle;
      else high = middle - 1;
    }
    if (high < 0) return 0;
    const { segment, offset, buffers, bytes } = this.placed[low];
    const from = position - segment.base - offset;
    if (from < 0 || from >= bytes) return 0;
    const part = buffers[0].subarray(from, from + target.length);
    target.set(part);
    return part.length;
  }

  private dropDead(): void {
    this.dead.push(...this.writer.detachBefore(this.trimPosition));
    if (this.failure === null && this.writer.keepsUnsynced(this.trimPosition)) this.syncFull();
    if (this.dead.length === 0 || this.cleaning !== null) return;
    this.cleaning = this.clean().then(
      () => {
        this.cleaning = null;
      },
      (error: unknown) => {
        this.cleaning = null;
        // They are tried again with the next trim; out of turn they must not go.
        this.options.logger.warn(
          { log: this.options.name, err: error },
          "dead segments could not be removed",
        );
      },
    );
  }

  /** Oldest first, each name gone for good before the next one goes: recovery must never find a gap. */
  private async clean(): Promise<void> {
    const { disk, handles, spares, recycles, directory } = this.options;
    await this.writer.prepareTail();
    while (this.dead.length > 0) {
      const segment = this.dead[0];
      await handles.evict(segment.path);
      const kept = recycles && (await spares.offer(segment.path, segment.fileBytes));
      if (!kept) {
        await disk.unlink(segment.path);
        await disk.syncDirectory(directory);
      }
      this.dead.shift();
    }
  }

  private syncFull(): void {
    if (this.syncingFull !== null) return;
    this.syncingFull = this.writer.syncFullSegments().then(
      () => {
        this.syncingFull = null;
        // What was trimmed meanwhile had to wait for this.
        if (!this.closed) this.dropDead();
      },
      (error: unknown) => {
        this.syncingFull = null;
        this.fail(toError(error));
      },
    );
  }

  private async shutDown(): Promise<void> {
    const { loop } = this.options;
    await loop.quiesce(this);
    if (this.options.durability === "memory") await loop.checkpoint();
    await this.options.closing.use(() => this.letGo());
    this.options.onClosed();
    if (this.failure !== null) throw this.failure;
  }

  private async letGo(): Promise<void> {
    const { handles } = this.options;
    this.closed = true;
    await this.syncingFull;
    try {
      if (this.failure === null && this.source !== null) {
        await this.writer.seal();
        this.dropDead();
      }
    } catch (error) {
      this.fail(toError(error));
    }
    await this.cleaning;
    for (const segment of this.writer.segments) {
      await segment.preparing?.catch(() => {});
      await handles.evict(segment.path);
    }
  }
}
