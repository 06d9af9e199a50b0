/** The engine that forgets: for tests, caches, and everything that need not outlive the process. */

import type { Clock } from "../../base/clock.ts";
import { copyBytes } from "../../base/copy-bytes.ts";
import type { Logger } from "../../base/logger.ts";
import type { Batch, Engine, EngineObserver, Log, LogSource, MetaStore } from "../engine.ts";
import { CorruptionError } from "../engine.ts";
import { openFileEngine } from "../file/file-engine.ts";

export interface MemoryEngineOptions {
  /** With a directory, what is in memory is written there at every checkpoint and on close, and found again at start. */
  readonly checkpointDir?: string;
  /** Default 1000. */
  readonly checkpointIntervalMs?: number;
  /** About how large a segment file of a checkpoint gets; default 16 MiB. */
  readonly segmentBytes?: number;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

interface KeptBatch {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** Positions start above zero, so that code that takes 0 for "none" shows itself. */
const FIRST_POSITION = 64;

class MemoryLog implements Log {
  nextPosition = FIRST_POSITION;
  storedBytes = 0;
  private readonly name: string;
  private readonly onClosed: () => void;
  private readonly onRound: (bytes: number) => void;
  private source: LogSource | null = null;
  private kept: KeptBatch[] = [];
  private scheduled = false;
  private closed = false;

  constructor(name: string, onRound: (bytes: number) => void, onClosed: () => void) {
    this.name = name;
    this.onRound = onRound;
    this.onClosed = onClosed;
  }

  async recover(): Promise<void> {}

  start(source: LogSource): void {
    if (this.source !== null) throw new Error(`log '${this.name}' has its writer already`);
    this.source = source;
  }

  wake(): void {
    if (this.scheduled || this.closed) return;
    this.scheduled = true;
    setImmediate(() => this.round());
  }

  async read(position: number, target: Uint8Array): Promise<number> {
    const batch = this.kept[this.indexOf(position)];
    const from = position - (batch?.position ?? 0);
    if (batch === undefined || from >= batch.bytes.length) {
      throw new RangeError(`position ${position} of log '${this.name}' is not in one kept body section`);
    }
    const part = batch.bytes.subarray(from, from + target.length);
    target.set(part);
    return part.length;
  }

  async readBodies(position: number, target: Uint8Array): Promise<number> {
    const index = this.indexOf(position);
    if (this.kept[index]?.position !== position) {
      throw new CorruptionError(`no batch begins at position ${position} of log '${this.name}'`);
    }
    let filled = 0;
    for (let at = index; at < this.kept.length && filled < target.length; at++) {
      const part = (this.kept[at] as KeptBatch).bytes.subarray(0, target.length - filled);
      target.set(part, filled);
      filled += part.length;
    }
    return filled;
  }

  beginSegment(): void {}

  trim(position: number): void {
    let count = 0;
    for (; count < this.kept.length; count++) {
      const { position: start, bytes } = this.kept[count];
      if (start + bytes.length > position) break;
      this.storedBytes -= bytes.length;
    }
    if (count > 0) this.kept.splice(0, count);
  }

  /** Lets go without taking what has gathered. */
  discard(): void {
    this.closed = true;
    this.kept = [];
    this.storedBytes = 0;
    this.onClosed();
  }

  async close(): Promise<void> {
    if (this.closed) return;
    while (this.takeOne()) {
      // Whatever the report of one batch brings in joins the next.
    }
    this.discard();
  }

  private round(): void {
    this.scheduled = false;
    // Woken again for what gathers while reporting, so that a writer that never ends lets others have a turn.
    if (!this.closed && this.takeOne()) this.wake();
  }

  private takeOne(): boolean {
    const batch = this.source?.take() ?? null;
    if (batch === null) return false;
    this.keep(batch);
    this.source?.committed();
    this.onRound(batch.bodyBytes + batch.heads.length);
    return true;
  }

  private keep(batch: Batch): void {
    if (batch.bodyBytes > 0) {
      const bytes = new Uint8Array(batch.bodyBytes);
      let at = 0;
      for (const body of batch.bodies) {
        bytes.set(body, at);
        at += body.length;
      }
      this.kept.push({ position: this.nextPosition, bytes });
      this.storedBytes += bytes.length;
    }
    // One beyond the last byte even for a batch without bodies: no two batches share a position.
    this.nextPosition += batch.bodyBytes + 1;
  }

  private indexOf(position: number): number {
    let low = 0;
    let high = this.kept.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if (this.kept[middle].position <= position) low = middle + 1;
      else high = middle - 1;
    }
    return high;
  }
}

class MemoryMetaStore implements MetaStore {
  private readonly map = new Map<string, Uint8Array>();

  get(key: string): Uint8Array | undefined {
    return this.map.get(key);
  }

  *entries(prefix: string): Iterable<[key: string, value: Uint8Array]> {
    const keys = [...this.map.keys()].filter((key) => key.startsWith(prefix)).sort();
    for (const key of keys) {
      const value = this.map.get(key);
      if (value !== undefined) yield [key, value];
    }
  }

  put(key: string, value: Uint8Array): void {
    this.map.set(key, copyBytes(value));
  }

  delete(key: string): void {
    this.map.delete(key);
  }

  flush(done: () => void): void {
    done();
  }
}

class MemoryEngine implements Engine {
  readonly durability = "memory";
  readonly epoch = 1;
  readonly meta: MetaStore = new MemoryMetaStore();
  private readonly logs = new Map<string, MemoryLog>();
  private readonly observers: EngineObserver[] = [];
  private closed = false;

  async openLog(name: string): Promise<Log> {
    if (this.closed) throw new Error("the engine is closed");
    if (this.logs.has(name)) throw new Error(`log '${name}' is open already`);
    const log = new MemoryLog(
      name,
      (bytes) => {
        for (const observer of this.observers) observer.round(0, bytes, 0);
      },
      () => {
        this.logs.delete(name);
      },
    );
    this.logs.set(name, log);
    return log;
  }

  async logNames(): Promise<string[]> {
    return [...this.logs.keys()];
  }

  async deleteLog(name: string): Promise<void> {
    this.logs.get(name)?.discard();
  }

  async freeBytes(): Promise<number> {
    return Number.POSITIVE_INFINITY;
  }

  observe(observer: EngineObserver): void {
    this.observers.push(observer);
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const log of [...this.logs.values()]) await log.close();
  }
}

/** @throws LockedError, CorruptionError: only with `checkpointDir` */
export async function openMemoryEngine(options: MemoryEngineOptions = {}): Promise<Engine> {
  const { checkpointDir, ...rest } = options;
  if (checkpointDir === undefined) return new MemoryEngine();
  return openFileEngine({ ...rest, directory: checkpointDir, durability: "memory" });
}
