import type { Clock } from "../base/clock.ts";
import { RetryRoom } from "./retry.ts";
import type { MessageStore } from "./store/message-store.ts";

interface AttemptsContext {
  readonly store: MessageStore;
  readonly clock: Clock;
}

/** The queue whose messages these are. */
interface Trying {
  readonly id: number;
  readonly logged: boolean;
  /** The message's wait is over. */
  tryAgain(slot: number): void;
}

/**
 * What failed in one queue: how often each message was handed out without success, what the log knows
 * of that, and who waits for the next attempt. Made with the first failure: most queues never see one.
 */
export class Attempts {
  private readonly queue: Trying;
  private readonly context: AttemptsContext;
  /** Unsuccessful deliveries so far, by slot; absent = never handed out. */
  private readonly counts = new Map<number, number>();
  private room: RetryRoom | null = null;

  constructor(queue: Trying, context: AttemptsContext) {
    this.queue = queue;
    this.context = context;
  }

  /** Messages that wait for their next attempt. */
  get waitingCount(): number {
    return this.room?.count ?? 0;
  }

  countOf(slot: number): number | undefined {
    return this.counts.get(slot);
  }

  note(slot: number, count: number): void {
    this.counts.set(slot, count);
  }

  /** A count, and the end of the wait (0 = none), that must survive a crash. */
  record(slot: number, count: number, dueAt: number): void {
    const { store } = this.context;
    if (!this.queue.logged || store.table.position(slot) < 0) return;
    store.journal.heads.attempt(this.queue.id, store.table.id(slot), count, dueAt);
    store.journal.commit(false);
  }

  wait(slot: number, dueAt: number): void {
    this.room ??= new RetryRoom(this.context.clock, this.context.store.table, (due) =>
      this.queue.tryAgain(due),
    );
    this.room.add(slot, dueAt);
  }

  /** The message has left the queue. */
  forget(slot: number): void {
    this.counts.delete(slot);
  }

  /** Forgets those that `gone` is true for. */
  forgetAll(gone: (slot: number) => boolean): void {
    for (const slot of this.counts.keys()) if (gone(slot)) this.counts.delete(slot);
  }

  /** Unsuccessful deliveries so far, and when the wait ends (0 = it does not wait). */
  of(slot: number): { deliveryCount: number; dueAt: number } | null {
    const deliveryCount = this.counts.get(slot);
    return deliveryCount === undefined ? null : { deliveryCount, dueAt: this.room?.dueAt(slot) ?? 0 };
  }

  waits(slot: number): boolean {
    return this.room?.has(slot) === true;
  }

  waiting(): Iterable<number> {
    return this.room?.slots() ?? [];
  }

  /** The slot of the waiting message with this id, or -1. */
  find(id: number): number {
    return this.room?.find(id) ?? -1;
  }

  /** Takes the message with this id out of those that wait; -1 when it is not among them. */
  takeOut(id: number): number {
    return this.room?.remove(id) ?? -1;
  }

  /** Nobody waits any more. Returns the slots of those who did. */
  drain(): number[] {
    return this.room?.drain() ?? [];
  }
}
