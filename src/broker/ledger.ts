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

/** A queue holds what was fetched from it without a consumer. */
function isSingleGet(holder: Holder): boolean {
  return (holder.queue as unknown) === holder;
}

interface LedgerConsumer {
  readonly queue: SettleTarget;
  cancel(): void;
}

/** A delivery that later ones have left behind. */
interface Straggler {
  readonly slot: number;
  readonly holder: Holder;
  /** Milliseconds (monotonic) of delivery; -1 when its queue has no acknowledgement timeout. */
  readonly timeMs: number;
}

const INITIAL_SLOTS = 16;
/** A ring with at most one unsettled delivery in so many sends its older half to the stragglers instead of growing. */
const SPARSE = 8;
/** Late tags that are remembered one by one. */
const LATE_TAGS_MAX = 1024;

/**
 * Deliveries of one channel that wait to be settled, in order of delivery: a ring indexed by tag, so
 * that a delivery costs two array stores and settling the oldest is a step of the head. The few that
 * stay unsettled while the tags run on are taken out of it, so that its size follows what is
 * unsettled and not how far tags lie apart.
 */
export class Ledger {
  /** Unsettled deliveries over all its consumers at most; 0 = unlimited. */
  prefetchMax = 0;
  unsettled = 0;
  /** Of these, what was fetched one by one: no consumer has it, so it fills no consumer's prefetch. */
  gotten = 0;
  /** Tag of the last delivery, also of those that need no settling. */
  lastTag = 0;
  /** Oldest tag in the ring that may be unsettled. */
  private head = 1;
  /** slot + 1, or 0 for nothing. */
  private slots = new Uint32Array(0);
  private holders: (Holder | null)[] = [];
  /** Milliseconds (monotonic) of delivery; kept only while some consumer has an acknowledgement timeout. */
  private times: Float64Array | null = null;
  private readonly consumers = new Set<LedgerConsumer>();
  /** Unsettled deliveries with tags before `head`, in order. */
  private stragglers: Map<number, Straggler> | null = null;
  /** Tags that timed out: a late settlement of one is nobody's error. */
  private late: Set<number> | null = null;
  /** Highest late tag that is no longer remembered: up to here, what is unknown counts as late. */
  private lateForgotten = 0;
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
    if (this.inRing === 0) this.head = tag + 1;
    else if (tag - this.head >= this.slots.length) this.makeRoom();
    return tag;
  }

  /** Enters a delivery; returns its tag. */
  enter(slot: number, holder: Holder, nowMs: number): number {
    const tag = ++this.lastTag;
    if (this.inRing === 0) this.head = tag;
    if (tag - this.head >= this.slots.length) this.makeRoom();
    const index = tag & (this.slots.length - 1);
    this.slots[index] = slot + 1;
    this.holders[index] = holder;
    if (nowMs >= 0) this.time(index, nowMs);
    this.unsettled++;
    if (isSingleGet(holder)) this.gotten++;
    holder.unsettled++;
    return tag;
  }

  has(tag: number): boolean {
    if (tag < this.head) return this.stragglers?.has(tag) === true;
    return tag <= this.lastTag && this.slots[tag & (this.slots.length - 1)] !== 0;
  }

  /** Tags and slots that the ring has room for: for tests of its bound. */
  get capacity(): number {
    return this.slots.length;
  }

  /** Done with: the message leaves its queue. `multiple`: this and all earlier; tag 0 with multiple: all.
   *  @throws BrokerError delivery-tag-unknown */
  accept(tag: number, multiple: boolean): void {
    if (!multiple) {
      if (this.expect(tag)) this.settle(tag);
      return;
    }
    const last = this.lastOf(tag);
    if (this.stragglers !== null) for (const t of this.stragglers.keys()) if (t <= last) this.settle(t);
    for (let t = this.head; t <= last; t++) if (this.has(t)) this.settle(t);
  }

  /** Not done. With `requeue` it goes back to its place; without, to the dead-letter target. */
  reject(tag: number, multiple: boolean, requeue: boolean): void {
    if (!multiple) {
      if (this.expect(tag)) this.refuse(tag, requeue);
      return;
    }
    for (const t of this.tagsTo(this.lastOf(tag))) this.refuse(t, requeue);
  }

  /** Requeues everything. */
  recover(): void {
    for (const tag of this.tagsTo(this.lastTag)) this.giveBack(tag);
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
    for (const tag of this.tagsTo(this.lastTag)) {
      const timeMs = this.timeOf(tag);
      if (this.holderOf(tag).queue !== queue || timeMs < 0 || timeMs > beforeMs) continue;
      this.noteLate(tag);
      queue.timedOut(this.remove(tag));
    }
  }

  /** Slots of what a settlement concerns. Unknown tags have none. */
  slotsOf(tag: number, multiple: boolean): number[] {
    if (!multiple) return this.has(tag) ? [this.slotOf(tag)] : [];
    return Array.from(this.tagsTo(tag === 0 ? this.lastTag : tag), (each) => this.slotOf(each));
  }

  /** Slots of `queue` that wait here. */
  visitUnsettled(queue: SettleTarget, visit: (slot: number) => void): void {
    for (const tag of this.tagsTo(this.lastTag)) {
      if (this.holderOf(tag).queue === queue) visit(this.slotOf(tag));
    }
  }

  /** Deliveries in the ring. */
  private get inRing(): number {
    return this.stragglers === null ? this.unsettled : this.unsettled - this.stragglers.size;
  }

  /** All unsettled tags up to `last`, in order. What is settled meanwhile is left out. */
  private *tagsTo(last: number): Iterable<number> {
    for (const tag of this.stragglers?.keys() ?? []) if (tag <= last) yield tag;
    for (let tag = this.head; tag <= last; tag++) if (this.has(tag)) yield tag;
  }

  private straggler(tag: number): Straggler {
    return (this.stragglers as Map<number, Straggler>).get(tag) as Straggler;
  }

  private slotOf(tag: number): number {
    if (tag < this.head) return this.straggler(tag).slot;
    return (this.slots[tag & (this.slots.length - 1)] as number) - 1;
  }

  private holderOf(tag: number): Holder {
    if (tag < this.head) return this.straggler(tag).holder;
    return this.holders[tag & (this.slots.length - 1)] as Holder;
  }

  private timeOf(tag: number): number {
    if (tag < this.head) return this.straggler(tag).timeMs;
    return this.times === null ? -1 : (this.times[tag & (this.slots.length - 1)] as number);
  }

  private noteLate(tag: number): void {
    this.late ??= new Set();
    this.late.add(tag);
    if (this.late.size <= LATE_TAGS_MAX) return;
    // They come in rising order, but for what several queues' sweeps interleave.
    for (const oldest of this.late) {
      this.late.delete(oldest);
      this.lateForgotten = Math.max(this.lateForgotten, oldest);
      return;
    }
  }

  private expect(tag: number): boolean {
    if (this.has(tag)) return true;
    if (this.late?.delete(tag) === true || (tag > 0 && tag <= this.lateForgotten)) return false;
    throw new BrokerError("delivery-tag-unknown", `unknown delivery tag ${tag}`, { tag });
  }

  private lastOf(tag: number): number {
    if (tag === 0) return this.lastTag;
    this.expect(tag);
    return tag;
  }

  private settle(tag: number): void {
    const { queue } = this.holderOf(tag);
    queue.accepted(this.remove(tag));
  }

  private refuse(tag: number, requeue: boolean): void {
    const { queue } = this.holderOf(tag);
    queue.rejected(this.remove(tag), requeue);
  }

  private giveBack(tag: number): void {
    const { queue } = this.holderOf(tag);
    queue.returned(this.remove(tag));
  }

  private remove(tag: number): number {
    const slot = this.slotOf(tag);
    const holder = this.holderOf(tag);
    holder.unsettled--;
    this.unsettled--;
    if (isSingleGet(holder)) this.gotten--;
    if (tag < this.head) this.dropStraggler(tag);
    else {
      this.clear(tag);
      if (tag === this.head) this.step();
    }
    if (this.prefetchMax !== 0) for (const consumer of this.consumers) consumer.queue.wake();
    else holder.queue.wake();
    return slot;
  }

  private clear(tag: number): void {
    const index = tag & (this.slots.length - 1);
    this.slots[index] = 0;
    this.holders[index] = null;
  }

  private dropStraggler(tag: number): void {
    this.stragglers?.delete(tag);
    if (this.stragglers?.size === 0) this.stragglers = null;
  }

  private step(): void {
    if (this.inRing === 0) {
      this.head = this.lastTag + 1;
      return;
    }
    const mask = this.slots.length - 1;
    do this.head++;
    while (this.head <= this.lastTag && this.slots[this.head & mask] === 0);
  }

  /** The ring is full of tags: `lastTag`, which is not entered yet, has no place in it. */
  private makeRoom(): void {
    const size = this.slots.length;
    if (size > 0 && this.inRing * SPARSE <= size) this.leaveBehind(this.lastTag - size / 2);
    else this.grow();
  }

  /** Takes what is unsettled up to `last` out of the ring. */
  private leaveBehind(last: number): void {
    this.stragglers ??= new Map();
    const { stragglers } = this;
    for (let tag = this.head; tag <= last; tag++) {
      if (!this.has(tag)) continue;
      stragglers.set(tag, {
        slot: this.slotOf(tag),
        holder: this.holderOf(tag),
        timeMs: this.timeOf(tag),
      });
      this.clear(tag);
    }
    this.head = last + 1;
    if (stragglers.size === 0) this.stragglers = null;
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
