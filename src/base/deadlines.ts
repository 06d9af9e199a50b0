import type { Clock, Timer } from "./clock.ts";
import { TimeHeap } from "./heap.ts";

/** Something that happens when a point in time is reached, unless it is put off or called off before. */
export class Deadline {
  /** On the clock's monotonic scale; Infinity: not set. */
  dueMs = Number.POSITIVE_INFINITY;
  /** Where it stands in the heap; an entry of any other time is stale. */
  queuedMs = Number.POSITIVE_INFINITY;
  readonly action: () => void;

  constructor(action: () => void) {
    this.action = action;
  }
}

/**
 * Many deadlines over one timer. To put one off costs a store and nothing else: its entry in the heap
 * is looked at when it comes up, and goes back to where it belongs by then. That suits sessions, which
 * are put off with every heartbeat and hardly ever end.
 */
export class Deadlines {
  private readonly clock: Clock;
  private readonly heap = new TimeHeap<Deadline>();
  private timer: Timer | null = null;
  private timerDueMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  set(deadline: Deadline, delayMs: number): void {
    deadline.dueMs = this.clock.monotonic() + delayMs;
    if (deadline.dueMs < deadline.queuedMs) this.queue(deadline);
  }

  clear(deadline: Deadline): void {
    deadline.dueMs = Number.POSITIVE_INFINITY;
  }

  /** No deadline is reached after this. */
  stop(): void {
    this.timer?.cancel();
    this.timer = null;
    this.timerDueMs = Number.NEGATIVE_INFINITY;
  }

  private queue(deadline: Deadline): void {
    deadline.queuedMs = deadline.dueMs;
    this.heap.push(deadline.dueMs, deadline);
    this.arm();
  }

  private arm(): void {
    const next = this.heap.earliest;
    if (next >= this.timerDueMs) return;
    this.timer?.cancel();
    this.timerDueMs = next;
    this.timer = this.clock.setTimer(Math.max(0, next - this.clock.monotonic()), () => this.run());
  }

  private run(): void {
    this.timer = null;
    this.timerDueMs = Number.POSITIVE_INFINITY;
    const now = this.clock.monotonic();
    while (this.heap.earliest <= now) {
      const queuedMs = this.heap.earliest;
      const deadline = this.heap.pop() as Deadline;
      if (deadline.queuedMs !== queuedMs) continue;
      deadline.queuedMs = Number.POSITIVE_INFINITY;
      if (deadline.dueMs <= now) {
        deadline.dueMs = Number.POSITIVE_INFINITY;
        deadline.action();
        // The action may have stopped everything.
        if (this.timerDueMs === Number.NEGATIVE_INFINITY) return;
      } else if (deadline.dueMs < Number.POSITIVE_INFINITY) this.queue(deadline);
    }
    this.arm();
  }
}
