import type { QueueOrder } from "./queue-order.ts";
import type { MessageStore } from "./store/message-store.ts";

/** How far ahead of the consumers the disk is read. */
const READ_AHEAD_BYTES = 1024 * 1024;

/** The queue that is read for. */
interface Reading {
  /** This message cannot be read. */
  unreadable(id: number, slot: number): void;
  wake(): void;
}

/** Reads what a queue's consumers will soon want and is not in memory. Made with the first message that is not. */
export class ReadAhead {
  /** Some of the queue's messages are on disk only. */
  behind = false;
  private loading = false;
  private readonly queue: Reading;
  private readonly order: QueueOrder;
  private readonly store: MessageStore;

  constructor(queue: Reading, order: QueueOrder, store: MessageStore) {
    this.queue = queue;
    this.order = order;
    this.store = store;
  }

  run(): void {
    if (this.loading) return;
    const { slots, all } = this.missing();
    if (all) this.behind = false;
    if (slots.length === 0) return;
    this.loading = true;
    this.behind = true;
    const first = slots[0] as number;
    const id = this.store.table.id(first);
    this.store.load(slots, (readable) => {
      this.loading = false;
      if (!readable) this.queue.unreadable(id, first);
      this.queue.wake();
    });
  }

  /** `all`: nothing of the whole queue is missing. */
  private missing(): { slots: number[]; all: boolean } {
    const slots: number[] = [];
    let budget = READ_AHEAD_BYTES;
    this.order.visitAhead((slot) => {
      budget -= this.store.table.length(slot);
      if (!this.store.resident(slot)) slots.push(slot);
      return budget > 0;
    });
    return { slots, all: slots.length === 0 && budget > 0 };
  }
}
