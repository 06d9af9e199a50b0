import type { QueueOrder } from "./queue-order.ts";
import type { MessageStore } from "./store/message-store.ts";

/** What a queue's consumers will soon want and is not in memory. `all`: nothing of the whole queue is missing. */
export function missingAhead(
  order: QueueOrder,
  store: MessageStore,
  bytesMax: number,
): { slots: number[]; all: boolean } {
  const slots: number[] = [];
  let budget = bytesMax;
  order.visitAhead((slot) => {
    budget -= store.table.length(slot);
    if (!store.resident(slot)) slots.push(slot);
    return budget > 0;
  });
  return { slots, all: slots.length === 0 && budget > 0 };
}
