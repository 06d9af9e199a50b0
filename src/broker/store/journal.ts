import type { Batch, Log, LogSource } from "../../engine/engine.ts";
import type { CommitWaiter } from "../types.ts";
import type { Block } from "./blocks.ts";
import { HeadWriter } from "./heads.ts";

/** A queue, as far as a batch is concerned. */
export interface CommitTarget {
  /** The message became durable: it may be seen. */
  committed(slot: number): void;
}

/**
 * Something beside the log that a batch's waiters wait for as well: records of streams, which are
 * durable on their own. Whoever takes a hold releases it once.
 */
export class CommitHold {
  /** Something of it will never be durable. */
  lost = false;
  private count = 0;
  private readonly released: () => void;

  constructor(released: () => void) {
    this.released = released;
  }

  get free(): boolean {
    return this.count === 0;
  }

  add(): void {
    this.count++;
  }

  release(): void {
    this.count--;
    if (this.count === 0) this.released();
  }

  /** A release, too. */
  fail(): void {
    this.lost = true;
    this.release();
  }
}

/** A durable batch whose waiters have not been told yet. */
interface HeldReport {
  readonly number: number;
  readonly waiters: readonly CommitWaiter[];
  readonly hold: CommitHold | null;
}

/** What is gathering for the next commit round, or is on its way to the disk. */
class Gathering {
  number = 0;
  /** Log position of the first body byte; -1 until something was appended. */
  base = -1;
  bodies: Uint8Array[] = [];
  bodyBytes = 0;
  rangeStart = 0;
  rangeEnd = 0;
  readonly heads = new HeadWriter();
  sync = false;
  readonly pinned: Block[] = [];
  readonly slots: number[] = [];
  readonly targets: CommitTarget[] = [];
  waiters: CommitWaiter[] = [];
  hold: CommitHold | null = null;
  trimPosition = -1;
  /** Bytes of large messages appended, for accounting after the commit. */
  readonly largeSlots: number[] = [];

  clear(): void {
    this.base = -1;
    this.bodies = [];
    this.bodyBytes = 0;
    this.rangeStart = 0;
    this.rangeEnd = 0;
    this.heads.clear();
    this.sync = false;
    this.pinned.length = 0;
    this.slots.length = 0;
    this.targets.length = 0;
    this.waiters = [];
    this.hold = null;
    this.trimPosition = -1;
    this.largeSlots.length = 0;
  }
}

export interface JournalHost {
  /** Everything before this log position is dead once what has been appended so far is durable; -1 = nothing new. */
  trimmable(): number;
  unpinned(block: Block): void;
  largeCommitted(slot: number): void;
}

/**
 * The shard's only writer. Publishes and settlements of one turn gather here and become one batch
 * when the engine starts a round; nobody is told anything before that batch is durable.
 */
export class Journal implements LogSource {
  private readonly log: Log;
  private readonly arena: Uint8Array;
  private readonly host: JournalHost;
  private gathering = new Gathering();
  private readonly inFlight: Gathering[] = [];
  private spare: Gathering | null = null;
  private readonly heldReports: HeldReport[] = [];
  private waking = false;
  private trimmedTo = -1;
  /** Waiters with about one record each that were let go last, and those that had come meanwhile. */
  private company = 0;
  /** Body bytes gathered or on their way, not yet durable. */
  unflushedBytes = 0;

  constructor(log: Log, arena: Uint8Array, host: JournalHost) {
    this.log = log;
    this.arena = arena;
    this.host = host;
    this.gathering.number = 1;
  }

  /** Number of the batch that is gathering. */
  get batch(): number {
    return this.gathering.number;
  }

  get heads(): HeadWriter {
    return this.gathering.heads;
  }

  /** Where the log must be kept from for the heads of the batch that is gathering to be kept. */
  headPosition(): number {
    const g = this.gathering;
    if (g.base < 0) g.base = this.log.nextPosition;
    return g.base;
  }

  /** Appends arena bytes to the body section; returns their log position. */
  appendBody(mem: number, length: number, block: Block): number {
    const g = this.gathering;
    if (g.base < 0) g.base = this.log.nextPosition;
    if (mem !== g.rangeEnd) {
      this.sealRange(g);
      g.rangeStart = mem;
      if (g.pinned[g.pinned.length - 1] !== block) {
        g.pinned.push(block);
        block.pins++;
      }
    } else if (g.pinned[g.pinned.length - 1] !== block) {
      g.pinned.push(block);
      block.pins++;
    }
    g.rangeEnd = mem + length;
    return this.grow(g, length);
  }

  appendLarge(bytes: Uint8Array, slot: number): number {
    const g = this.gathering;
    if (g.base < 0) g.base = this.log.nextPosition;
    this.sealRange(g);
    g.rangeStart = 0;
    g.rangeEnd = 0;
    g.bodies.push(bytes);
    g.largeSlots.push(slot);
    return this.grow(g, bytes.length);
  }

  /** Body offset of a position appended to the batch that is gathering. */
  bodyOffset(position: number): number {
    return position - this.gathering.base;
  }

  /** `slot` becomes visible in `target` when the batch is durable. */
  pending(target: CommitTarget, slot: number): void {
    this.gathering.slots.push(slot);
    this.gathering.targets.push(target);
  }

  waitFor(waiter: CommitWaiter): number {
    const waiters = this.gathering.waiters;
    if (waiters[waiters.length - 1] !== waiter) waiters.push(waiter);
    this.wake();
    return this.gathering.number;
  }

  /** The waiters of the batch that is gathering wait until this is released, too. */
  hold(): CommitHold {
    const g = this.gathering;
    g.hold ??= new CommitHold(() => this.reportHeld());
    g.hold.add();
    return g.hold;
  }

  /** Asks for a round; `sync`: on stable storage, not only handed to the operating system. */
  commit(sync: boolean): void {
    if (sync) this.gathering.sync = true;
    this.wake();
  }

  get absent(): number {
    return Math.max(0, this.company - this.gathering.waiters.length);
  }

  private wake(): void {
    if (this.waking) return;
    this.waking = true;
    this.log.wake();
  }

  take(): Batch | null {
    this.waking = false;
    const g = this.gathering;
    const trim = this.host.trimmable();
    const empty = g.heads.count === 0 && g.bodyBytes === 0 && g.waiters.length === 0 && g.slots.length === 0;
    if (empty) {
      // All settlements are durable when nothing is on its way: what they freed can go at once.
      if (this.inFlight.length === 0) this.trimTo(trim);
      return null;
    }
    g.trimPosition = trim;
    this.sealRange(g);
    const next = this.spare ?? new Gathering();
    this.spare = null;
    next.number = g.number + 1;
    this.gathering = next;
    this.inFlight.push(g);
    return {
      bodies: g.bodies,
      bodyBytes: g.bodyBytes,
      heads: g.heads.taken(),
      count: g.heads.count,
      durability: g.sync ? "fsync" : "os",
    };
  }

  committed(): void {
    const g = this.inFlight.shift() as Gathering;
    this.unflushedBytes -= g.bodyBytes;
    for (const block of g.pinned) {
      block.pins--;
      this.host.unpinned(block);
    }
    for (const slot of g.largeSlots) this.host.largeCommitted(slot);
    for (let i = 0; i < g.slots.length; i++) (g.targets[i] as CommitTarget).committed(g.slots[i] as number);
    const alone = g.waiters.length < 2 || g.heads.count > 2 * g.waiters.length;
    this.company = alone ? 0 : g.waiters.length + this.gathering.waiters.length;
    if (this.heldReports.length > 0 || g.hold?.free === false) {
      this.heldReports.push({ number: g.number, waiters: g.waiters, hold: g.hold });
    } else for (const waiter of g.waiters) waiter.committed(g.number, g.hold?.lost === true);
    this.trimTo(g.trimPosition);
    g.clear();
    this.spare = g;
  }

  /** Batches are reported in order: one that is held holds those behind it. */
  private reportHeld(): void {
    const reports = this.heldReports;
    while (reports.length > 0 && (reports[0] as HeldReport).hold?.free !== false) {
      const { number, waiters, hold } = reports.shift() as HeldReport;
      for (const waiter of waiters) waiter.committed(number, hold?.lost === true);
    }
  }

  private trimTo(position: number): void {
    if (position <= this.trimmedTo) return;
    this.trimmedTo = position;
    this.log.trim(position);
  }

  private grow(g: Gathering, length: number): number {
    const position = g.base + g.bodyBytes;
    g.bodyBytes += length;
    this.unflushedBytes += length;
    return position;
  }

  private sealRange(g: Gathering): void {
    if (g.rangeEnd > g.rangeStart) g.bodies.push(this.arena.subarray(g.rangeStart, g.rangeEnd));
    g.rangeStart = g.rangeEnd;
  }
}
