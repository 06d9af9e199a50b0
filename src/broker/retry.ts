import type { Clock, Timer } from "../base/clock.ts";
import { TimeHeap } from "../base/heap.ts";
import type { MessageTable } from "./store/message-table.ts";
import type { RetryPolicy } from "./types.ts";

/** How long a message waits after its unsuccessful delivery number `count`, in ms. `random`: 0 <= random < 1. */
export function backoffMs(policy: RetryPolicy, count: number, random: number): number {
  const wait = Math.min(policy.initialMs * policy.multiplier ** (count - 1), policy.ceilingMs);
  return Math.round(wait * (1 - policy.jitter * random));
}

/** Failed messages of one queue that wait for their next attempt. */
export class RetryRoom {
  private readonly clock: Clock;
  private readonly table: MessageTable;
  private readonly back: (slot: number) => void;
  private readonly due = new Map<number, number>();
  private readonly byId = new Map<number, number>();
  /** Slots by due time; an entry that `due` no longer confirms is stale. */
  private readonly heap = new TimeHeap<number>();
  private timer: Timer | null = null;
  private timerDueMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, table: MessageTable, back: (slot: number) => void) {
    this.clock = clock;
    this.table = table;
    this.back = back;
  }

  get count(): number {
    return this.due.size;
  }

  add(slot: number, dueAt: number): void {
    this.due.set(slot, dueAt);
    this.byId.set(this.table.id(slot), slot);
    this.heap.push(dueAt, slot);
    this.arm();
  }

  has(slot: number): boolean {
    return this.due.has(slot);
  }

  dueAt(slot: number): number {
    return this.due.get(slot) ?? 0;
  }

  slots(): Iterable<number> {
    return this.due.keys();
  }

  /** Takes out the message with this id; -1 when it does not wait here. */
  remove(id: number): number {
    const slot = this.byId.get(id) ?? -1;
    if (slot >= 0) this.leave(slot);
    return slot;
  }

  /** The slot with this id, or -1. */
  find(id: number): number {
    return this.byId.get(id) ?? -1;
  }

  drain(): number[] {
    const slots = [...this.due.keys()];
    this.due.clear();
    this.byId.clear();
    this.heap.clear();
    this.timer?.cancel();
    this.timer = null;
    this.timerDueMs = Number.POSITIVE_INFINITY;
    return slots;
  }

  private leave(slot: number): void {
    this.due.delete(slot);
    this.byId.delete(this.table.id(slot));
  }

  private arm(): void {
    const next = this.heap.earliest;
    if (next >= this.timerDueMs) return;
    this.timer?.cancel();
    this.timerDueMs = next;
    this.timer = this.clock.setTimer(Math.max(0, next - this.clock.now()), () => this.release());
  }

  private release(): void {
    this.timer = null;
    this.timerDueMs = Number.POSITIVE_INFINITY;
    const now = this.clock.now();
    while (this.heap.earliest <= now) {
      const dueAt = this.heap.earliest;
      const slot = this.heap.pop() as number;
      if (this.due.get(slot) !== dueAt) continue;
      this.leave(slot);
      this.back(slot);
    }
    this.arm();
  }
}
