import type { CommitTarget } from "./store/journal.ts";
import type { MessageTable } from "./store/message-table.ts";

/** Whatever can hold messages: a queue, or the room where delayed messages wait. */
export interface MessageHolder extends CommitTarget {
  readonly id: number;
  /** Its persistent messages are in the log. */
  readonly logged: boolean;
  holds(slot: number): boolean;
  attemptOf(slot: number): { deliveryCount: number; dueAt: number } | null;
}

interface SharedHold {
  count: number;
  readonly holders: readonly MessageHolder[];
}

const SHARED = 0x80000000;

/** Who holds a message. One holder is a number in the table; several share one count, and one body. */
export class Holders {
  private readonly table: MessageTable;
  private readonly byId: ReadonlyMap<number, MessageHolder>;
  private readonly shared: (SharedHold | null)[] = [];
  private readonly freeShared: number[] = [];

  constructor(table: MessageTable, byId: ReadonlyMap<number, MessageHolder>) {
    this.table = table;
    this.byId = byId;
  }

  one(slot: number, holder: MessageHolder): void {
    this.table.setOwner(slot, holder.id);
  }

  many(slot: number, holders: readonly MessageHolder[]): void {
    const index = this.freeShared.pop() ?? this.shared.length;
    this.shared[index] = { count: holders.length, holders };
    this.table.setOwner(slot, (SHARED | index) >>> 0);
  }

  /** One holder lets go. True when it was the last. */
  release(slot: number): boolean {
    const owner = this.table.owner(slot);
    if (owner < SHARED) return true;
    const index = owner - SHARED;
    const hold = this.shared[index] as SharedHold;
    if (--hold.count > 0) return false;
    this.shared[index] = null;
    this.freeShared.push(index);
    return true;
  }

  /** Those that still hold the message. */
  of(slot: number): readonly MessageHolder[] {
    const owner = this.table.owner(slot);
    if (owner < SHARED) {
      const holder = this.byId.get(owner);
      return holder === undefined ? [] : [holder];
    }
    const hold = this.shared[owner - SHARED] as SharedHold;
    if (hold.count === hold.holders.length) return hold.holders;
    return hold.holders.filter((holder) => holder.holds(slot));
  }
}
