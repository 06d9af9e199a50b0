/** Room that an emptied list keeps. */
const KEPT = 64;

/**
 * A list that is short, and filled and emptied over and over: it keeps its room. An array that is emptied gives
 * its room back, and what is pushed next takes room for seventeen: 150 bytes each time.
 * What was removed may be held on to until something else takes its place.
 */
export class ShortList<Item> {
  private items: Item[] = [];
  length = 0;

  at(index: number): Item {
    return this.items[index] as Item;
  }

  /** Replaces the item at an index below `length`. */
  put(index: number, item: Item): void {
    this.items[index] = item;
  }

  push(item: Item): void {
    if (this.length < this.items.length) this.items[this.length] = item;
    else this.items.push(item);
    this.length++;
  }

  removeFirst(count: number): void {
    if (count === 0) return;
    for (let at = count; at < this.length; at++) this.items[at - count] = this.items[at] as Item;
    this.truncate(this.length - count);
  }

  /** Removes all from `length` on. */
  truncate(length: number): void {
    this.length = length;
    if (length === 0 && this.items.length > KEPT) this.items = [];
  }
}
