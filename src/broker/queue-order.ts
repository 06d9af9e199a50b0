import type { MessageTable } from "./store/message-table.ts";
import { SlotList } from "./store/slot-list.ts";

/**
 * The ready messages of a queue in the order they are handed out: first in first out, last in first
 * out, or by priority and first in first out within a level. A message put back goes to its place.
 */
export class QueueOrder {
  private readonly table: MessageTable;
  private readonly lifo: boolean;
  /** One list per priority level, made when first used; levels[0] alone without priorities. */
  private readonly levels: (SlotList | null)[];
  /** No level above this one holds anything. */
  private top = 0;
  length = 0;

  constructor(table: MessageTable, priorityMax: number, lifo: boolean) {
    this.table = table;
    this.lifo = lifo;
    this.levels = new Array(priorityMax + 1).fill(null);
  }

  push(slot: number): void {
    const level = this.levelOf(slot);
    this.listAt(level).insert(slot);
    if (level > this.top) this.top = level;
    this.length++;
  }

  /** Next to be handed out. Check `length` first. */
  peek(): number {
    const list = this.topList();
    return this.lifo ? list.back() : list.front();
  }

  pop(): number {
    const list = this.topList();
    this.length--;
    return this.lifo ? list.popBack() : list.popFront();
  }

  /** The oldest message of the highest level: what goes when the queue is too long. */
  popOldest(): number {
    const list = this.topList();
    this.length--;
    return list.popFront();
  }

  /** The oldest message of every level, which is where messages expire. */
  visitOldest(visit: (slot: number) => boolean): void {
    for (let level = this.levels.length - 1; level >= 0; level--) {
      const list = this.levels[level];
      while (list !== null && list !== undefined && list.length > 0) {
        if (!visit(list.front())) break;
        list.popFront();
        this.length--;
      }
    }
  }

  /** Takes out the message with this id, on whatever level; -1 when it is not here. */
  removeId(id: number): number {
    for (const list of this.levels) {
      const slot = list?.remove(id) ?? -1;
      if (slot < 0) continue;
      this.length--;
      return slot;
    }
    return -1;
  }

  all(): number[] {
    const slots: number[] = [];
    for (const list of this.levels) list?.scan(false, (slot) => slots.push(slot) > 0);
    return slots;
  }

  has(slot: number): boolean {
    return (this.levels[this.levelOf(slot)]?.find(this.table.id(slot)) ?? -1) === slot;
  }

  /** The slot with this id on any level, or -1. */
  find(id: number): number {
    for (const list of this.levels) {
      const slot = list?.find(id) ?? -1;
      if (slot >= 0) return slot;
    }
    return -1;
  }

  /** Visits in the order of handing out, starting with the next one, until `visit` returns false. */
  visitAhead(visit: (slot: number) => boolean): void {
    let going = true;
    for (let level = this.top; level >= 0 && going; level--) {
      this.levels[level]?.scan(this.lifo, (slot) => {
        going = visit(slot);
        return going;
      });
    }
  }

  /** Takes everything out at once: for purge and delete. */
  detach(): SlotList[] {
    const lists = this.levels.filter((list): list is SlotList => list !== null && list.length > 0);
    this.levels.fill(null);
    this.length = 0;
    this.top = 0;
    return lists;
  }

  private levelOf(slot: number): number {
    return this.levels.length === 1 ? 0 : Math.min(this.table.priority(slot), this.levels.length - 1);
  }

  private listAt(level: number): SlotList {
    const list = this.levels[level];
    if (list !== null && list !== undefined) return list;
    const made = new SlotList(this.table);
    this.levels[level] = made;
    return made;
  }

  private topList(): SlotList {
    let list = this.levels[this.top];
    while (list === null || list === undefined || list.length === 0) list = this.levels[--this.top];
    return list;
  }
}
