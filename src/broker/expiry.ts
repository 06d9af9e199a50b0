import type { Clock, Timer } from "../base/clock.ts";
import type { QueueOrder } from "./queue-order.ts";
import type { MessageTable } from "./store/message-table.ts";

interface Expiring {
  /** Something at the head is due. */
  expireHead(): void;
}

interface ExpiryContext {
  readonly store: { readonly table: MessageTable };
  readonly clock: Clock;
}

/**
 * Message TTL of one queue: the smaller of the queue's and the message's own. Messages expire when
 * they are the oldest of their level, as in RabbitMQ; one timer waits for the next that is due.
 */
export class HeadExpiry {
  private readonly ttlMs: number;
  private readonly table: MessageTable;
  private readonly clock: Clock;
  private readonly queue: Expiring;
  private timer: Timer | null = null;
  private timerDueMs = Number.POSITIVE_INFINITY;
  /** Some message in the queue may expire. */
  active: boolean;
  /** A message that is due on arrival, while it is offered to consumers; otherwise -1. */
  private arriving = -1;

  constructor(ttlMs: number | undefined, { store, clock }: ExpiryContext, queue: Expiring) {
    this.ttlMs = ttlMs ?? -1;
    this.table = store.table;
    this.clock = clock;
    this.queue = queue;
    this.active = ttlMs !== undefined;
  }

  /** Replay: a message was put into the queue. */
  restored(slot: number): void {
    if (this.table.expiresAt(slot) !== 0) this.active = true;
  }

  /** A message became ready. */
  added(slot: number): void {
    if (!this.active && this.table.expiresAt(slot) === 0) return;
    this.active = true;
    this.arm(this.dueAt(slot));
  }

  /** True for a new message without time to live: not due until `hasArrived`, so that a consumer may take it now. */
  arrives(slot: number): boolean {
    if (!this.active || !this.isDue(slot)) return false;
    this.arriving = slot;
    return true;
  }

  hasArrived(): void {
    this.arriving = -1;
  }

  isDue(slot: number): boolean {
    if (slot === this.arriving) return false;
    const dueAt = this.dueAt(slot);
    return dueAt !== 0 && dueAt <= this.clock.now();
  }

  /** Waits for the oldest message of each level. */
  rearm(order: QueueOrder): void {
    let next = Number.POSITIVE_INFINITY;
    order.visitOldest((slot) => {
      const dueAt = this.dueAt(slot);
      if (dueAt !== 0) {
        next = Math.min(next, dueAt);
        this.active = true;
      }
      return false;
    });
    if (next < Number.POSITIVE_INFINITY) this.arm(next);
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = null;
    this.timerDueMs = Number.POSITIVE_INFINITY;
  }

  private dueAt(slot: number): number {
    const own = this.table.expiresAt(slot);
    if (this.ttlMs < 0) return own;
    const shared = this.table.enqueuedAt(slot) + this.ttlMs;
    return own === 0 || shared < own ? shared : own;
  }

  private arm(dueAt: number): void {
    if (dueAt === 0 || dueAt >= this.timerDueMs) return;
    this.timer?.cancel();
    this.timerDueMs = dueAt;
    // A message that expires behind others is looked at again when it has come to the head.
    this.timer = this.clock.setTimer(Math.max(0, dueAt - this.clock.now()), () => {
      this.timer = null;
      this.timerDueMs = Number.POSITIVE_INFINITY;
      this.queue.expireHead();
    });
  }
}

interface Unused {
  unusedFor(): void;
}

/** Notices when a queue was not used for its expiry time. */
export class UnusedWatch {
  private readonly expiresMs: number;
  private readonly clock: Clock;
  private readonly queue: Unused;
  private usedMs = 0;
  private timer: Timer | null = null;

  constructor(expiresMs: number, clock: Clock, queue: Unused) {
    this.expiresMs = expiresMs;
    this.clock = clock;
    this.queue = queue;
    this.touch();
  }

  touch(): void {
    this.usedMs = this.clock.monotonic();
    this.timer ??= this.clock.setTimer(this.expiresMs, () => this.check());
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = null;
  }

  private check(): void {
    this.timer = null;
    const left = this.usedMs + this.expiresMs - this.clock.monotonic();
    if (left <= 0) this.queue.unusedFor();
    else this.timer = this.clock.setTimer(left, () => this.check());
  }
}
