/** A binary heap of items by rising time. */
export class TimeHeap<T> {
  private readonly times: number[] = [];
  private readonly items: T[] = [];

  get size(): number {
    return this.items.length;
  }

  /** Time of the earliest item; Infinity when empty. */
  get earliest(): number {
    return this.times[0] ?? Number.POSITIVE_INFINITY;
  }

  push(time: number, item: T): void {
    let at = this.items.length;
    this.times.push(time);
    this.items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((this.times[parent] as number) <= time) break;
      this.place(at, parent);
      at = parent;
    }
    this.times[at] = time;
    this.items[at] = item;
  }

  pop(): T | undefined {
    const top = this.items[0];
    const time = this.times.pop();
    const item = this.items.pop();
    if (this.items.length === 0 || time === undefined) return top;
    this.sink(time, item as T);
    return top;
  }

  /** Everything, in no particular order. */
  values(): readonly T[] {
    return this.items;
  }

  clear(): void {
    this.times.length = 0;
    this.items.length = 0;
  }

  private sink(time: number, item: T): void {
    const size = this.items.length;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && (this.times[child + 1] as number) < (this.times[child] as number)) child++;
      if ((this.times[child] as number) >= time) break;
      this.place(at, child);
      at = child;
    }
    this.times[at] = time;
    this.items[at] = item;
  }

  private place(at: number, from: number): void {
    this.times[at] = this.times[from] as number;
    this.items[at] = this.items[from] as T;
  }
}
