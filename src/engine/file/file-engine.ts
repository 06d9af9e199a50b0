/** The engine over a data directory. */
import path from "node:path";
import { type Clock, SystemClock } from "../../base/clock.ts";
import { type Logger, silentLogger } from "../../base/logger.ts";
import {
  DataDirectoryError,
  type Durability,
  type Engine,
  type EngineObserver,
  type Log,
  type LogOptions,
  type MetaStore,
} from "../engine.ts";
import { CommitLoop } from "./commit-loop.ts";
import {
  directoryNameOf,
  type Entered,
  enterDataDirectory,
  JOURNAL_DIRECTORY,
  LOGS_DIRECTORY,
  logNameOf,
  META_DIRECTORY,
  SPARE_DIRECTORY,
} from "./data-directory.ts";
import { type Disk, type DiskLock, errorCode, isFull, toError } from "./disk.ts";
import { FileLog } from "./file-log.ts";
import { FileMetaStore } from "./file-meta-store.ts";
import { HandleCache } from "./handle-cache.ts";
import { replayJournal } from "./journal-replay.ts";
import type { LogShape } from "./log-writer.ts";
import { NodeDisk } from "./node-disk.ts";
import { Pressure } from "./pressure.ts";
import { clearJournal, RoundJournal } from "./round-journal.ts";
import { Slots } from "./slots.ts";
import { SparePool } from "./spare-pool.ts";

const SEGMENT_BYTES_DEFAULT = 16 << 20;
const META_SEGMENT_BYTES_MAX = 1 << 20;
const META_LOG_NAME = "\0meta";
/** Each of the journal's two files, in segments. */
const JOURNAL_FILE_SEGMENTS = 4;
const OPEN_FILES_MAX = 2048;
const CLOSES_AT_ONCE = 32;
const CHECKPOINT_INTERVAL_MS_DEFAULT = 1_000;
/** Until this share of a segment was written the broker counts as idle and takes no reserve. */
const RESERVE_AFTER_SHARE = 1 / 16;

/** ENOSPC, EACCES; not Node's own ERR_… */
const SYSTEM_CODE = /^E[A-Z0-9]+$/;

export interface FileEngineOptions {
  /** Made when it does not exist. */
  readonly directory: string;
  readonly disk?: Disk;
  readonly clock?: Clock;
  /** The strongest level on offer: "fsync" (default); "os" never syncs for a commit; "memory" commits
   *  at once and writes behind, every `checkpointIntervalMs` and on close. */
  readonly durability?: Durability;
  /** About how large a segment file gets; a batch may go over it. Default 16 MiB. */
  readonly segmentBytes?: number;
  /** Only with durability "memory"; default 1000. */
  readonly checkpointIntervalMs?: number;
  readonly logger?: Logger;
}

class FileEngine implements Engine {
  readonly durability: Durability;
  readonly epoch: number;
  readonly meta: MetaStore;
  private readonly directory: string;
  /** The last life left something in the journal. */
  private readonly journaled: boolean;
  private readonly disk: Disk;
  private readonly clock: Clock;
  private readonly logger: Logger;
  private readonly segmentBytes: number;
  private readonly lock: DiskLock;
  private readonly handles: HandleCache;
  private readonly spares: SparePool;
  private readonly pressure: Pressure;
  private readonly loop: CommitLoop;
  private readonly journal: RoundJournal | null;
  private readonly metaLog: FileLog;
  private readonly metaStore: FileMetaStore;
  private readonly slots = new Slots(CLOSES_AT_ONCE);
  private readonly logs = new Map<string, FileLog>();
  private readonly observers: EngineObserver[] = [];
  private closing: Promise<void> | null = null;
  private writtenBytes = 0;

  constructor(options: FileEngineOptions, disk: Disk, lock: DiskLock, entered: Entered) {
    this.directory = path.resolve(options.directory);
    this.disk = disk;
    this.lock = lock;
    this.epoch = entered.epoch;
    this.journaled = entered.journaled;
    this.durability = options.durability ?? "fsync";
    this.clock = options.clock ?? new SystemClock();
    this.logger = options.logger ?? silentLogger;
    this.segmentBytes = options.segmentBytes ?? SEGMENT_BYTES_DEFAULT;
    this.handles = new HandleCache(disk, OPEN_FILES_MAX);
    const spareDirectory = path.join(this.directory, SPARE_DIRECTORY);
    this.spares = new SparePool(disk, this.handles, this.clock, spareDirectory, this.segmentBytes);
    this.pressure = new Pressure(this.clock, this.spares, this.segmentBytes, {
      changed: (reason) => this.pressureChanged(reason),
      freeBytes: () => this.freeBytes(),
    });
    const behind = this.durability === "memory";
    const checkpointIntervalMs = behind
      ? (options.checkpointIntervalMs ?? CHECKPOINT_INTERVAL_MS_DEFAULT)
      : null;
    this.loop = new CommitLoop(this.clock, { checkpointIntervalMs }, (syncs, bytes, seconds) =>
      this.roundEnded(syncs, bytes, seconds),
    );
    this.journal = this.durability === "fsync" ? this.newJournal() : null;
    if (this.journal !== null) this.loop.setJournal(this.journal);
    const metaBytes = Math.min(this.segmentBytes, META_SEGMENT_BYTES_MAX);
    this.metaLog = this.newLog({
      name: META_LOG_NAME,
      directory: path.join(this.directory, META_DIRECTORY),
      segmentBytes: metaBytes,
      recycles: false,
      preallocate: true,
    });
    this.loop.setPrior(this.metaLog);
    this.meta = this.metaStore = new FileMetaStore(this.metaLog);
  }

  async open(): Promise<void> {
    await this.spares.open();
    if (this.journaled) await this.replay();
    await this.metaLog.open();
    await this.metaStore.open();
  }

  async openLog(name: string, { segmentBytes, preallocate = true }: LogOptions = {}): Promise<Log> {
    if (this.closing !== null) throw new Error("the engine is closed");
    if (this.logs.has(name)) throw new Error(`log '${name}' is open already`);
    const log = this.newLog({
      name,
      directory: this.directoryOf(name),
      segmentBytes: segmentBytes ?? this.segmentBytes,
      // Spare files have the usual size.
      recycles: preallocate && segmentBytes === undefined,
      preallocate,
    });
    this.logs.set(name, log);
    try {
      await log.open();
    } catch (error) {
      this.logs.delete(name);
      throw error;
    }
    return log;
  }

  async logNames(): Promise<string[]> {
    const names = new Set(this.logs.keys());
    for (const directory of await this.disk.list(path.join(this.directory, LOGS_DIRECTORY))) {
      const name = logNameOf(directory);
      if (name !== null) names.add(name);
    }
    return [...names];
  }

  async deleteLog(name: string): Promise<void> {
    await this.logs.get(name)?.discard();
    const { journal } = this;
    const directory = this.directoryOf(name);
    const files = await this.disk.list(directory);
    for (const file of files) await this.disk.unlink(path.join(directory, file));
    // A log that was never written has no directory.
    if (files.length > 0) await this.disk.removeDirectory(directory);
    // What was deleted must not come back to a log of the same name. On a full disk there is room for that only now.
    if (journal !== null) await this.pressure.retry(() => journal.forget(name));
  }

  freeBytes(): Promise<number> {
    return this.disk.freeBytes(this.directory);
  }

  observe(observer: EngineObserver): void {
    this.observers.push(observer);
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  /** Lets go of everything without a word to the logs; for an `open` that failed. */
  async abandon(): Promise<void> {
    await this.journal?.abandon();
    await this.handles.close();
    await this.lock.release();
  }

  /** On a full disk the reserve makes room. */
  private async replay(): Promise<void> {
    const journal = path.join(this.directory, JOURNAL_DIRECTORY);
    for (let done = false; !done; ) {
      try {
        await replayJournal(this.disk, journal, (name) => this.directoryOf(name));
        done = true;
      } catch (error) {
        if (!isFull(error) || !(await this.spares.giveUp())) throw error;
      }
    }
    await clearJournal(this.disk, this.directory, journal);
  }

  private directoryOf(name: string): string {
    return path.join(this.directory, LOGS_DIRECTORY, directoryNameOf(name));
  }

  private newJournal(): RoundJournal {
    return new RoundJournal(
      this.disk,
      this.directory,
      path.join(this.directory, JOURNAL_DIRECTORY),
      JOURNAL_FILE_SEGMENTS * this.segmentBytes,
      this.logger,
    );
  }

  private newLog(shape: LogShape): FileLog {
    return new FileLog({
      ...shape,
      disk: this.disk,
      handles: this.handles,
      pressure: this.pressure,
      spares: this.spares,
      epoch: this.epoch,
      durability: this.durability,
      clock: this.clock,
      logger: this.logger,
      loop: this.loop,
      journal: this.journal,
      closing: this.slots,
      onFailed: (error) => {
        for (const observer of this.observers) observer.failed(error);
      },
      onClosed: () => {
        this.logs.delete(shape.name);
      },
    });
  }

  private pressureChanged(reason: string | null): void {
    if (reason === null) this.logger.info({}, "storage takes writes again");
    else this.logger.warn({ reason }, "storage takes no writes; trying again until it does");
    for (const observer of this.observers) observer.pressure(reason);
  }

  private roundEnded(syncs: number, bytes: number, seconds: number): void {
    for (const observer of this.observers) observer.round(syncs, bytes, seconds);
    if (this.writtenBytes > this.segmentBytes * RESERVE_AFTER_SHARE) return;
    this.writtenBytes += bytes;
    if (this.writtenBytes <= this.segmentBytes * RESERVE_AFTER_SHARE) return;
    this.spares.buildReserve().catch((error: unknown) => {
      this.logger.warn({ err: error }, "no room to keep a reserve for a full disk");
    });
  }

  private async shutDown(): Promise<void> {
    const failures: unknown[] = [];
    const attempt = (step: Promise<void>): Promise<void> =>
      step.catch((error: unknown) => {
        failures.push(error);
      });
    this.pressure.close();
    await Promise.all([...this.logs.values()].map((log) => attempt(log.close())));
    if (this.journal !== null) await attempt(this.journal.close());
    await attempt(this.metaLog.close());
    this.loop.close();
    await attempt(this.spares.close());
    await attempt(this.handles.close());
    await attempt(this.lock.release());
    if (failures.length > 0) throw failures[0];
  }
}

/**
 * Opens the data directory, and makes it when there is none.
 * @throws LockedError when it is in use; CorruptionError when what it holds is damaged; DataDirectoryError when
 * the system does not let us use it
 */
export async function openFileEngine(options: FileEngineOptions): Promise<Engine> {
  const directory = path.resolve(options.directory);
  try {
    return await openDirectory(options, directory);
  } catch (error) {
    const code = errorCode(error);
    throw !SYSTEM_CODE.test(code) ? error : new DataDirectoryError(directory, toError(error), code);
  }
}

async function openDirectory(options: FileEngineOptions, directory: string): Promise<Engine> {
  const disk = options.disk ?? new NodeDisk();
  await disk.makeDirectory(directory);
  const lock = await disk.lock(directory);
  let engine: FileEngine;
  try {
    engine = new FileEngine(options, disk, lock, await enterDataDirectory(disk, directory));
  } catch (error) {
    await lock.release();
    throw error;
  }
  try {
    await engine.open();
  } catch (error) {
    await engine.abandon();
    throw error;
  }
  return engine;
}
