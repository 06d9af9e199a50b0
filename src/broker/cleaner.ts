import type { Task, Turn } from "../base/turn.ts";
import type { Log } from "../engine/engine.ts";
import { RecordView } from "../message/record.ts";
import { DELAY_HOLDER_ID, type DelayRoom } from "./delay.ts";
import type { Disposer } from "./disposer.ts";
import type { Holders, MessageHolder } from "./holders.ts";
import type { Notes } from "./notes.ts";
import { RetainedSpace } from "./retained.ts";
import { ENQUEUE_HAS_EXPIRY, ENQUEUE_HAS_TIME, ENQUEUE_MOVED, type EnqueueHead } from "./store/heads.ts";
import type { MessageStore } from "./store/message-store.ts";

/** A log smaller than this is left alone. */
const STORED_BYTES_MIN = 32 * 1024 * 1024;
/** Messages moved per turn. */
const MOVES_PER_TURN = 256;

/**
 * Gives disk space back: when most of the log is dead, the live messages of its oldest stretch are
 * written again at its end, so that the log can be cut there. One unsettled message pins one message.
 */
export class Cleaner implements Task {
  scheduled = false;
  private readonly store: MessageStore;
  private readonly holders: Holders;
  private readonly log: Log;
  private readonly turn: Turn;
  private readonly delays: DelayRoom;
  private readonly notes: Notes;
  private readonly disposer: Disposer;
  private readonly storedBytesMin: number;
  private slots: number[] = [];
  private scan: Generator<number[]> | null = null;
  /** Comes after the messages. */
  private noteScan: Generator<void> | null = null;
  private from = 0;
  private loading = false;
  private readonly record = new RecordView();
  /** Messages moved since the start. */
  moved = 0;

  constructor(parts: {
    store: MessageStore;
    holders: Holders;
    log: Log;
    turn: Turn;
    delays: DelayRoom;
    notes: Notes;
    disposer: Disposer;
    storedBytesMin?: number | undefined;
  }) {
    this.store = parts.store;
    this.holders = parts.holders;
    this.log = parts.log;
    this.turn = parts.turn;
    this.delays = parts.delays;
    this.notes = parts.notes;
    this.disposer = parts.disposer;
    this.storedBytesMin = parts.storedBytesMin ?? STORED_BYTES_MIN;
  }

  /** Starts a pass when it is worth it. Call now and then. */
  check(): void {
    if (this.scan !== null || this.noteScan !== null) return;
    const stored = this.log.storedBytes;
    const { regions } = this.store;
    const oldest = regions.oldestLive();
    if (oldest < 0) {
      // Nothing is live: a round with nothing to write lets the log be cut.
      if (stored > this.storedBytesMin / 2) this.store.journal.commit(false);
      return;
    }
    if (stored < this.storedBytesMin || regions.liveBytes * 2 > stored) return;
    // The stretch that is still being written is never worth moving.
    const { regionBytes } = regions;
    const written = this.log.nextPosition - this.store.journal.unflushedBytes;
    if (oldest + 2 * regionBytes > written) return;
    this.scan = this.store.table.inRange(oldest, oldest + regionBytes);
    this.from = oldest;
    this.turn.soon(this);
  }

  run(): void {
    if (this.loading) return;
    if (this.noteScan !== null) {
      this.carryNotes(this.noteScan);
      return;
    }
    if (this.disposer.busy) {
      // What was purged but is not let go yet must not be written again: it would come back.
      this.turn.soon(this);
      return;
    }
    let budget = MOVES_PER_TURN;
    while (budget > 0) {
      if (this.slots.length === 0 && !this.refill()) return;
      const slot = this.slots.pop() as number;
      if (!this.inOldRegion(slot) || this.store.isLost(slot)) continue;
      if (!this.store.resident(slot)) {
        this.load(slot);
        return;
      }
      this.move(slot);
      budget--;
    }
    this.turn.soon(this);
  }

  private refill(): boolean {
    const next = this.scan?.next();
    if (next === undefined || next.done === true) {
      this.scan = null;
      this.noteScan = this.notes.carry(this.from, this.from + this.store.regions.regionBytes);
      this.turn.soon(this);
      return false;
    }
    // Lowest position last, where it is popped first: disk reads go forward.
    const table = this.store.table;
    this.slots = next.value.sort((a, b) => table.position(b) - table.position(a));
    if (this.slots.length > 0) return true;
    this.turn.soon(this);
    return false;
  }

  private carryNotes(scan: Generator<void>): void {
    if (scan.next().done === true) {
      this.noteScan = null;
      this.store.journal.commit(false);
    } else this.turn.soon(this);
  }

  /** The slot may have been freed and taken again since it was found. */
  private inOldRegion(slot: number): boolean {
    const { table } = this.store;
    if (!table.inUse(slot)) return false;
    const position = table.position(slot);
    return position >= this.from && position < this.from + this.store.regions.regionBytes;
  }

  private load(slot: number): void {
    this.loading = true;
    const near = [slot, ...[...this.slots].reverse().filter((other) => !this.store.resident(other))];
    this.slots.push(slot);
    this.store.load(near, () => {
      this.loading = false;
      this.turn.soon(this);
    });
  }

  private move(slot: number): void {
    const { table, journal } = this.store;
    const holders = this.holders.of(slot).filter((holder) => holder.logged);
    this.store.view(slot, this.record);
    const persistent = this.record.persistent;
    const position = this.store.move(slot);
    this.moved++;
    const [holder] = holders;
    if (holder instanceof RetainedSpace) {
      holder.carried(slot);
      journal.commit(true);
      return;
    }
    if (!persistent || holders.length === 0) return;
    const delayed = holders[0]?.id === DELAY_HOLDER_ID;
    const head: EnqueueHead = {
      flags: ENQUEUE_MOVED,
      priority: table.priority(slot),
      position,
      length: table.length(slot),
      bodyBytes: table.bodyBytes(slot),
      id: table.id(slot),
      enqueuedAt: table.enqueuedAt(slot),
      expiresAt: delayed ? this.delays.dueOf(slot) : table.expiresAt(slot),
      queueIds: holders.map((holder) => holder.id),
    };
    if (head.enqueuedAt !== 0) head.flags |= ENQUEUE_HAS_TIME;
    if (head.expiresAt !== 0) head.flags |= ENQUEUE_HAS_EXPIRY;
    journal.heads.enqueue(head, journal.bodyOffset(position));
    for (const holder of holders) this.noteAttempt(holder, slot);
    // On stable storage, whatever the level: the older copy may have been, and goes.
    journal.commit(true);
  }

  private noteAttempt(holder: MessageHolder, slot: number): void {
    const attempt = holder.attemptOf(slot);
    if (attempt === null) return;
    const { table, journal } = this.store;
    journal.heads.attempt(holder.id, table.id(slot), attempt.deliveryCount, attempt.dueAt);
  }
}
