/**
 * The border between the broker and whatever keeps its bytes. An engine sees bytes, counts and
 * times; it never learns what a message or a queue is. Every engine passes `conformance.ts`.
 */

/** How much a write has survived when it is reported as committed. */
export type Durability = "fsync" | "os" | "memory";

/**
 * One atomic unit of a log: after a crash either all of it is there or nothing.
 * `bodies` are large and normally not needed to rebuild state; `heads` are small and are what
 * `Log.recover` hands back. The engine must not change either, and the giver must not touch them
 * until the batch was committed.
 */
export interface Batch {
  /** Ranges whose concatenation is the body section. */
  readonly bodies: readonly Uint8Array[];
  /** Sum of the lengths of `bodies`. */
  readonly bodyBytes: number;
  readonly heads: Uint8Array;
  /** Number of records in `heads`, for statistics. */
  readonly count: number;
  /** "fsync": committed once on stable storage; "os": once handed to the operating system. */
  readonly durability: "fsync" | "os";
}

/** The single writer of a log. The engine pulls: whatever gathered while a round ran joins the next. */
export interface LogSource {
  /**
   * Called when a commit round starts. Returns all that has gathered, or null for nothing.
   * Order is fixed by this call: batches of a log are committed in the order they were taken.
   */
  take(): Batch | null;
  /** True while another batch waits: then a round may take several. */
  readonly more?: boolean;
  /** The oldest batch taken and not yet reported is now as durable as it asked to be. */
  committed(): void;
  /** The log takes no more writes: what was taken and not reported may be lost. */
  failed?(error: Error): void;
  /**
   * How many more are likely to join the batch in a moment, as they were in the last one and wait for
   * nothing else: a round may wait for them, while they keep coming. Absent: 0.
   */
  readonly absent?: number;
}

export interface RecoveredBatch {
  /** Log position of the batch's first body byte, as `Log.nextPosition` was when it was written. */
  readonly position: number;
  readonly bodyBytes: number;
  /** Valid only during the visit. */
  readonly heads: Uint8Array;
}

/**
 * An append-only log with a single writer. A log position is a byte address that only grows over
 * the life of the log; it is never reused, also not after a restart.
 */
export interface Log {
  /** Where the first body byte of the next batch that is taken will lie. Changes only inside `take` rounds. */
  readonly nextPosition: number;
  /** Bytes that the log takes on its medium now. */
  readonly storedBytes: number;
  /** Visits every whole batch from the oldest kept to the newest. Call once, before `start`.
   *  @throws CorruptionError when anything but a torn tail fails its checksum. */
  recover(visit: (batch: RecoveredBatch) => void): Promise<void>;
  /** Makes `source` the writer. */
  start(source: LogSource): void;
  /** Something has gathered: take it in the next round, which starts at once when none is running. */
  wake(): void;
  /**
   * Reads committed bytes from a body section on. May go on into what follows it, whatever that is,
   * and may stop short where the medium's file ends. Returns how many bytes were read.
   */
  read(position: number, target: Uint8Array): Promise<number>;
  /**
   * Reads committed bodies one batch after the other, leaving out whatever the medium keeps between
   * them. `position` is where a batch's bodies begin; as much of those as `target` holds is read, and
   * some of what follows; the last body may be cut short. Returns how many bytes were filled. May go
   * on into batches that are not committed yet. @throws CorruptionError when no batch begins there
   */
  readBodies(position: number, target: Uint8Array): Promise<number>;
  /** The next batch that is taken begins a file of its own, so that all before it can be given back. Only from within `LogSource.take`. */
  beginSegment(): void;
  /** Promises that nothing before `position` will be read or is needed again; space is given back as soon as possible. */
  trim(position: number): void;
  /** Commits what has gathered, then lets go of the log. */
  close(): Promise<void>;
}

/** A small, ordered, durable map, held in memory as a whole. For topology, users, policies. */
export interface MetaStore {
  get(key: string): Uint8Array | undefined;
  /** Entries whose key starts with `prefix`, in key order. */
  entries(prefix: string): Iterable<[key: string, value: Uint8Array]>;
  /** Visible at once to `get`; durable when a later `flush` resolves. Writes of one turn are atomic together. */
  put(key: string, value: Uint8Array): void;
  delete(key: string): void;
  /** Runs `done` when every write so far is durable; synchronously when nothing is pending. */
  flush(done: () => void): void;
}

export interface EngineObserver {
  /** A commit round ended. */
  round(syncs: number, bytes: number, seconds: number): void;
  /** Storage cannot take writes now (reason given), or can again (null). Nothing is lost meanwhile: the round is tried again. */
  pressure(reason: string | null): void;
  /** Found to be damaged or broken beyond retry: the log in question takes no more writes. */
  failed(error: Error): void;
}

export interface LogOptions {
  /** About how large a file of the log gets; a batch may go over it. Default: the engine's choice. */
  readonly segmentBytes?: number;
  /** False for logs of which there are very many: they take no room in advance. Default true. */
  readonly preallocate?: boolean;
}

export interface Engine {
  readonly meta: MetaStore;
  /** Strongest level this engine can give. */
  readonly durability: Durability;
  /** Rises by one with every start on the same data. */
  readonly epoch: number;
  /** A log without batches leaves nothing on the medium. */
  openLog(name: string, options?: LogOptions): Promise<Log>;
  /** Names of the logs that have left something on the medium, or are open. */
  logNames(): Promise<string[]>;
  /** Removes a log and all its bytes. It may be open: then its writer is asked for nothing more. */
  deleteLog(name: string): Promise<void>;
  /** Bytes free on the medium, or Infinity when that means nothing. */
  freeBytes(): Promise<number>;
  observe(observer: EngineObserver): void;
  close(): Promise<void>;
}

/** Bytes that were acknowledged can no longer be vouched for. Says which file and where. */
export class CorruptionError extends Error {
  override readonly name = "CorruptionError";
}

/** The data is in use by another process. */
export class LockedError extends Error {
  override readonly name = "LockedError";
}

/** The data directory cannot be used as it is: no right to it, no room in it, no directory at all. */
export class DataDirectoryError extends Error {
  override readonly name = "DataDirectoryError";
  /** As the system calls it: EACCES, ENOSPC, EROFS, … */
  readonly code: string;

  constructor(directory: string, cause: Error, code: string) {
    super(`data directory ${directory} cannot be used: ${cause.message}`, { cause });
    this.code = code;
  }
}
