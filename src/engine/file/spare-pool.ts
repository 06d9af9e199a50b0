/**
 * Files whose blocks are already written and whose bytes nobody needs: dead segments wait here to
 * become the next ones (overwriting is a good deal cheaper than growing), and the last of them is
 * the reserve that is given up when the disk is full, so that what was accepted can still be written.
 */
import path from "node:path";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Disk } from "./disk.ts";
import type { HandleCache } from "./handle-cache.ts";

/** Kept while idle: the reserve alone. */
const IDLE_MAX = 1;
/** Kept while segments are being filled. */
const BUSY_MAX = 3;
const IDLE_AFTER_MS = 3_000;
const STEP_BYTES = 1 << 20;

export interface Spare {
  readonly path: string;
  readonly bytes: number;
}

export class SparePool {
  private readonly disk: Disk;
  private readonly handles: HandleCache;
  private readonly clock: Clock;
  private readonly directory: string;
  private readonly segmentBytes: number;
  private readonly spares: Spare[] = [];
  private serial = 0;
  private busy = false;
  private building: Promise<void> | null = null;
  private idleTimer: Timer | null = null;
  private closed = false;

  constructor(disk: Disk, handles: HandleCache, clock: Clock, directory: string, segmentBytes: number) {
    this.disk = disk;
    this.handles = handles;
    this.clock = clock;
    this.directory = directory;
    this.segmentBytes = segmentBytes;
  }

  get hasReserve(): boolean {
    return this.spares.length > 0;
  }

  /** Finds what an earlier run left. */
  async open(): Promise<void> {
    for (const name of await this.disk.list(this.directory)) {
      const file = path.join(this.directory, name);
      const bytes = await this.disk.size(file);
      const serial = Number.parseInt(name, 10);
      if (serial >= this.serial) this.serial = serial + 1;
      if (this.spares.length < IDLE_MAX && this.fits(bytes)) this.spares.push({ path: file, bytes });
      else await this.disk.unlink(file);
    }
  }

  /** A file to become a segment, or null: the reserve is not for that. */
  take(): Spare | null {
    this.busy = true;
    this.armIdleTimer();
    return this.spares.length > IDLE_MAX ? (this.spares.pop() as Spare) : null;
  }

  /** Moves a dead segment in. Resolves to false when it is not wanted; then its giver removes it. */
  async offer(segmentPath: string, bytes: number): Promise<boolean> {
    if (this.closed || !this.fits(bytes)) return false;
    if (this.spares.length >= (this.busy ? BUSY_MAX : IDLE_MAX)) return false;
    const spare = await this.newSpare(bytes);
    await this.disk.rename(segmentPath, spare.path);
    // Before its bytes may change: the old name must not come back to them after a crash.
    await this.disk.syncDirectory(path.dirname(segmentPath));
    this.spares.push(spare);
    return true;
  }

  /** Gives the reserve's space back to a full disk. False when there is none left. */
  async giveUp(): Promise<boolean> {
    const spare = this.spares.pop();
    if (spare === undefined) return false;
    await this.handles.evict(spare.path);
    await this.disk.unlink(spare.path);
    return true;
  }

  /** Makes the reserve when there is none, a step at a time so that commits are not held up. Rejects when the disk has no room. */
  buildReserve(): Promise<void> {
    if (this.spares.length > 0 || this.closed) return Promise.resolve();
    this.building ??= this.build().finally(() => {
      this.building = null;
    });
    return this.building;
  }

  async close(): Promise<void> {
    this.closed = true;
    this.idleTimer?.cancel();
    await this.building?.catch(() => {});
    await this.shrink();
  }

  private fits(bytes: number): boolean {
    return bytes >= this.segmentBytes / 2 && bytes <= this.segmentBytes * 1.25;
  }

  private async newSpare(bytes: number): Promise<Spare> {
    await this.disk.makeDirectory(this.directory);
    return { path: path.join(this.directory, `${this.serial++}.spare`), bytes };
  }

  private async build(): Promise<void> {
    const spare = await this.newSpare(this.segmentBytes);
    const zeros = new Uint8Array(Math.min(STEP_BYTES, this.segmentBytes));
    const handle = await this.disk.open(spare.path, "write");
    let built = false;
    try {
      for (let at = 0; at < this.segmentBytes && !this.closed; at += zeros.length) {
        await this.disk.write(handle, [zeros], at);
        await this.disk.datasync(handle);
      }
      built = !this.closed;
    } finally {
      await this.disk.close(handle);
      if (!built) await this.disk.unlink(spare.path).catch(() => {});
    }
    if (built) this.spares.push(spare);
  }

  private armIdleTimer(): void {
    if (this.idleTimer !== null || this.closed) return;
    this.idleTimer = this.clock.setTimer(IDLE_AFTER_MS, () => {
      this.idleTimer = null;
      const taken = this.busy;
      this.busy = false;
      if (taken) this.armIdleTimer();
      else this.shrink().catch(() => {});
    });
  }

  private async shrink(): Promise<void> {
    while (this.spares.length > IDLE_MAX) {
      const spare = this.spares.pop() as Spare;
      await this.disk.unlink(spare.path);
    }
  }
}
