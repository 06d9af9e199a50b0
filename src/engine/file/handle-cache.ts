/** Open files, found by path and mode, closed again least recently used first. */
import { type Disk, errorCode, type OpenMode } from "./disk.ts";

/** Kept open however few the system allows. */
const OPEN_MIN = 16;

interface Entry {
  readonly opened: Promise<number>;
  handle: number;
  users: number;
  /** Called when the last user leaves an entry that is to be closed. */
  onIdle: (() => void) | null;
}

export class HandleCache {
  private readonly disk: Disk;
  private openMax: number;
  /** In order of last use, by mode + path. */
  private readonly entries = new Map<string, Entry>();

  constructor(disk: Disk, openMax: number) {
    this.disk = disk;
    this.openMax = openMax;
  }

  /** Runs `action` with a handle that stays open at least until the action's promise settles. */
  async use<T>(path: string, mode: OpenMode, action: (handle: number) => Promise<T>): Promise<T> {
    const entry = this.entry(path, mode);
    entry.users++;
    try {
      const handle = entry.handle >= 0 ? entry.handle : await entry.opened;
      return await action(handle);
    } finally {
      entry.users--;
      if (entry.users === 0) entry.onIdle?.();
    }
  }

  /** Closes all handles of a file, after the actions that use them. */
  async evict(path: string): Promise<void> {
    for (const mode of ["read", "write", "durable"] as const) {
      const key = mode + path;
      const entry = this.entries.get(key);
      if (entry !== undefined) await this.drop(key, entry);
    }
  }

  async close(): Promise<void> {
    for (const [key, entry] of [...this.entries]) await this.drop(key, entry);
  }

  private entry(path: string, mode: OpenMode): Entry {
    const key = mode + path;
    const found = this.entries.get(key);
    if (found !== undefined) {
      this.entries.delete(key);
      this.entries.set(key, found);
      return found;
    }
    const entry: Entry = { opened: this.openFile(path, mode), handle: -1, users: 0, onIdle: null };
    this.entries.set(key, entry);
    entry.opened.then(
      (handle) => {
        entry.handle = handle;
      },
      () => {
        if (this.entries.get(key) === entry) this.entries.delete(key);
      },
    );
    if (this.entries.size > this.openMax) this.closeIdle();
    return entry;
  }

  /** Where the system has no more files for us, fewer are kept from now on. */
  private async openFile(path: string, mode: OpenMode): Promise<number> {
    try {
      return await this.disk.open(path, mode);
    } catch (error) {
      if (errorCode(error) !== "EMFILE" && errorCode(error) !== "ENFILE") throw error;
      this.openMax = Math.max(OPEN_MIN, this.entries.size >> 1);
      await Promise.all(this.closeIdle());
      return this.disk.open(path, mode);
    }
  }

  private closeIdle(): Promise<void>[] {
    const closing: Promise<void>[] = [];
    for (const [key, entry] of this.entries) {
      if (this.entries.size <= this.openMax) break;
      if (entry.users > 0 || entry.handle < 0) continue;
      // A handle that was only cached owes nobody a result: bytes are synced through their own handle.
      closing.push(this.drop(key, entry).catch(() => {}));
    }
    return closing;
  }

  private async drop(key: string, entry: Entry): Promise<void> {
    // Whoever takes it out of the map closes it, once.
    if (this.entries.get(key) !== entry) return;
    this.entries.delete(key);
    const handle = await entry.opened.catch(() => -1);
    if (handle < 0) return;
    if (entry.users > 0) {
      await new Promise<void>((resolve) => {
        entry.onIdle = resolve;
      });
    }
    await this.disk.close(handle);
  }
}
