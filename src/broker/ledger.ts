import { BrokerError } from "../base/errors.ts";

/** A queue, as settling sees it. */
export interface SettleTarget {
  accepted(slot: number): void;
  /** Refused by the client. */
  rejected(slot: number, requeue: boolean): void;
  /** Given back because its holder went away. */
  returned(slot: number): void;
  timedOut(slot: number): void;
  wake(): void;
}

/** Who got a delivery: a consumer, or a single get (which has no consumer). */
export interface Holder {
  readonly queue: SettleTarget;
  unsettled: number;
}

interface LedgerConsumer {
  readonly queue: SettleTarget;
  cancel(): void;
}

const INITIAL_SLOTS = 16;

/**
 * Deliveries of one channel that wait to be settled, in order of delivery: a ring indexed by tag, so
 * that a delivery costs two array stores and settling the oldest is a step of the head.
 */
export class Ledger {
  /** Unsettled deliveries over all its consumers at most; 0 = unlimited. */
  prefetchMax = 0;
  unsettled = 0;
  /** Tag of the last delivery, also of those that need no settling. */
  lastTag = 0;
  /** Oldest tag that may be unsettled. */
  private head = 1;
  /** slot + 1, or 0 for nothing. */
  private slots = new Uint32Array(0);
  private holders: (Holder | null)[] = [];
  /** Milliseconds (monotonic) of delivery; kept only while some consumer has an acknowledgement timeout. */
  private times: Float64Array | null = null;
  private readonly consumers = new Set<LedgerConsumer>();
  /** Tags that timed out: a late settlement of one is nobody's error. */
  private late: Set<number> | null = null;
  private closed = false;
  private readonly onClose: (ledger: Ledger) => void;

  constructor(onClose: (ledger: Ledger) => void = () => {}) {
    this.onClose = onClose;
  }

  addConsumer(consumer: LedgerConsumer): void {
    this.consumers.add(consumer);
  }

  dropConsumer(consumer: LedgerConsumer): void {
    this.consumers.delete(consumer);
  }

  /** Tag for a delivery that needs no settling. */
  passed(): number {
    const tag = ++this.lastTag;
    if (this.unsettled === 0) this.head = tag + 1;
    else if (tag - this.head >= this.slots.length) this.grow();
    return tag;
  }

  /** Enters a delivery; returns its tag. */
  enter(slot: number, holder: Holder, nowMs: number): number {
    const tag = ++this.lastTag;
    if (this.unsettled === 0) this.head = tag;
    if (tag - this.head >= this.slots.length) this.grow();
    const index = tag & (this.slots.length - 1);
    this.slots[index] = slot + 1;
    this.holders[index] = holder;
    if (nowMs >= 0) this.time(index, nowMs);
    this.unsettled++;
    holder.unsettled++;
    return tag;
  }

  has(tag: number): boolean {
    return tag >= this.head && tag <= this.lastTag && this.slots[tag & (this.slots.length - 1)] !== 0;
  }

  /** Done with: the message leaves its queue. `multiple`: this and all earlier; tag 0 with multiple: all.
   *  @throws BrokerError delivery-tag-unknown */
  accept(tag: number, multiple: boolean): void {
    if (!multiple) {
      if (this.expect(tag)) this.settle(tag);
      return;
    }
    const last = this.lastOf(tag);
    for (let t = this.head; t <= last; t++) if (this.has(t)) this.settle(t);
  }

  /** Not done. With `requeue` it goes back to its place; without, to the dead-letter target. */
  reject(tag: number, multiple: boolean, requeue: boolean): void {
    if (!multiple) {
      if (this.expect(tag)) this.refuse(tag, requeue);
      return;
    }
    const last = this.lastOf(tag);
    for (let t = this.head; t <= last; t++) if (this.has(t)) this.refuse(t, requeue);
  }

  /** Requeues everything. */
  recover(): void {
    for (let tag = this.head; tag <= this.lastTag; tag++) if (this.has(tag)) this.giveBack(tag);
  }

  /** Requeues everything and closes its consumers. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const consumer of [...this.consumers]) consumer.cancel();
    this.recover();
    this.onClose(this);
  }

  /** Returns the deliveries handed out before `beforeMs` (monotonic) to their queues. */
  returnLate(queue: SettleTarget, beforeMs: number): void {
    if (this.times === null) return;
    for (let tag = this.head; tag <= this.lastTag; tag++) {
      if (!this.has(tag)) continue;
      const index = tag & (this.slots.length - 1);
      if ((this.holders[index] as Holder).queue !== queue || (this.times[index] as number) > beforeMs)
        continue;
      this.late ??= new Set();
      this.late.add(tag);
      const slot = this.remove(tag);
      queue.timedOut(slot);
    }
  }

  /** Slots of `queue` that wait here. */
  visitUnsettled(queue: SettleTarget, visit: (slot: number) => void): void {
    for (let tag = this.head; tag <= this.lastTag; tag++) {
      if (!this.has(tag)) continue;
      const index = tag & (this.slots.length - 1);
      if ((this.holders[index] as Holder).queue === queue) visit((this.slots[index] as number) - 1);
    }
  }

  private expect(tag: number): boolean {
    if (this.has(tag)) return true;
    if (this.late?.delete(tag) === true) return false;
    throw new BrokerError("delivery-tag-unknown", `unknown delivery tag ${tag}`, { tag });
  }

  private lastOf(tag: number): number {
    if (tag === 0) return this.lastTag;
    this.expect(tag);
    return tag;
  }

  private settle(tag: number): void {
    const queue = (this.holders[tag & (this.slots.length - 1)] as Holder).queue;
    queue.accepted(this.remove(tag));
  }

  private refuse(tag: number, requeue: boolean): void {
    const queue = (this.holders[tag & (this.slots.length - 1)] as Holder).queue;
    queue.rejected(this.remove(tag), requeue);
  }

  private giveBack(tag: number): void {
    const queue = (this.holders[tag & (this.slots.length - 1)] as Holder).queue;
    queue.returned(this.remove(tag));
  }

  private remove(tag: number): number {
    const index = tag & (this.slots.length - 1);
    const slot = (this.slots[index] as number) - 1;
    const holder = this.holders[index] as Holder;
    this.slots[index] = 0;
    this.holders[index] = null;
    holder.unsettled--;
    this.unsettled--;
    if (tag === this.head) this.step();
    if (this.prefetchMax !== 0) for (const consumer of this.consumers) consumer.queue.wake();
    else holder.queue.wake();
    return slot;
  }

  private step(): void {
    if (this.unsettled === 0) {
      this.head = this.lastTag + 1;
      return;
    }
    const mask = this.slots.length - 1;
    do this.head++;
    while (this.head <= this.lastTag && this.slots[this.head & mask] === 0);
  }

  private grow(): void {
    const old = this.slots;
    const oldHolders = this.holders;
    const oldTimes = this.times;
    const size = Math.max(INITIAL_SLOTS, old.length * 2);
    this.slots = new Uint32Array(size);
    this.holders = new Array(size).fill(null);
    if (oldTimes !== null) this.times = new Float64Array(size);
    for (let tag = this.head; tag < this.lastTag; tag++) {
      const [from, to] = [tag & (old.length - 1), tag & (size - 1)];
      this.slots[to] = old[from] as number;
      this.holders[to] = oldHolders[from] ?? null;
      if (this.times !== null && oldTimes !== null) this.times[to] = oldTimes[from] as number;
    }
  }

  private time(index: number, nowMs: number): void {
    this.times ??= new Float64Array(this.slots.length);
    this.times[index] = nowMs;
  }
}

/** Slots of `queue` that somebody was given and has not settled. Looks through everything: not for hot paths. */
export function unsettledOf(queue: SettleTarget, ledgers: Iterable<Ledger>): number[] {
  const slots: number[] = [];
  for (const ledger of ledgers) ledger.visitUnsettled(queue, (slot) => slots.push(slot));
  return slots;
}
