/**
 * What the engine asks of a disk. Tests put one in its place that tears, flips, fills and stalls.
 * Every method rejects with an error that carries a POSIX `code`.
 */

/** "durable": writes through this handle return only when their bytes are on stable storage. */
export type OpenMode = "read" | "write" | "durable";

export interface DiskLock {
  release(): Promise<void>;
}

export interface Disk {
  /** Whether "durable" handles exist here; without them a write is followed by `datasync`. */
  readonly durableWrites: boolean;
  /** Opens a file; in the writing modes it is created when absent. */
  open(path: string, mode: OpenMode): Promise<number>;
  close(handle: number): Promise<void>;
  /** Fills `target` from `offset` on; resolves to less than its length only at the end of the file. */
  read(handle: number, target: Uint8Array, offset: number): Promise<number>;
  /** Writes all buffers one after the other from `offset` on. */
  write(handle: number, buffers: readonly Uint8Array[], offset: number): Promise<void>;
  /** Brings all bytes of the file to stable storage. */
  datasync(handle: number): Promise<void>;
  truncate(handle: number, bytes: number): Promise<void>;
  /** Length of a file in bytes. */
  size(path: string): Promise<number>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Names in a directory, in no order; none when it does not exist. */
  list(directory: string): Promise<string[]>;
  /** Makes a directory and its missing parents. */
  makeDirectory(path: string): Promise<void>;
  /** Removes an empty directory. */
  removeDirectory(path: string): Promise<void>;
  /** Brings the names in a directory to stable storage. */
  syncDirectory(path: string): Promise<void>;
  /** Bytes that the file system would still give us. */
  freeBytes(directory: string): Promise<number>;
  /** Takes a directory for this engine alone. The system lets go of it when the process ends, however it ends.
   *  @throws LockedError when another engine, here or in another process, has it */
  lock(directory: string): Promise<DiskLock>;
}

/** The POSIX code of a failed operation, or "". */
export function errorCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

/** Whether an operation failed because there is no room. */
export function isFull(error: unknown): boolean {
  return errorCode(error) === "ENOSPC" || errorCode(error) === "EDQUOT";
}

/** Whether a failed operation may work later without anything having been lost. */
export function isRetriable(error: unknown): boolean {
  switch (errorCode(error)) {
    case "ENOSPC":
    case "EDQUOT":
    case "EIO":
    case "EMFILE":
    case "ENFILE":
    case "ENOMEM":
    case "EAGAIN":
      return true;
    default:
      return false;
  }
}

/**
 * A sync failed. What the system wrote back before and dropped then is unknown, and a second sync
 * that works would prove nothing, so this is never tried again.
 */
export class SyncError extends Error {
  override readonly name = "SyncError";

  constructor(path: string, cause: unknown) {
    super(`${path} could not be brought to stable storage: ${toError(cause).message}`, { cause });
  }
}

export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
