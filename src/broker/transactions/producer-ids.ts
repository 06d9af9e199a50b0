import type { MetaStore } from "../../engine/engine.ts";

const KEY = "transactions/producer-ids";
const BLOCK = 1000;

/** Numbers for producers, each given out once and never again. Reserved in blocks, in the metadata store. */
export class ProducerIds {
  private readonly meta: MetaStore;
  private next: number;
  /** Below this, numbers are durably reserved. */
  private reserved: number;
  private reserving: number;
  private readonly waiting: ((id: number) => void)[] = [];

  constructor(meta: MetaStore) {
    this.meta = meta;
    const value = meta.get(KEY);
    this.next = value === undefined ? 0 : Number(new TextDecoder().decode(value));
    this.reserved = this.next;
    this.reserving = this.next;
  }

  take(done: (id: number) => void): void {
    this.waiting.push(done);
    this.serve();
  }

  private serve(): void {
    while (this.waiting.length > 0 && this.next < this.reserved)
      (this.waiting.shift() as (id: number) => void)(this.next++);
    // The next block before this one is used up, so that hardly anybody waits.
    if (this.reserving - this.next > BLOCK / 2 && this.waiting.length === 0) return;
    if (this.reserving > this.reserved) return;
    this.reserving = this.reserved + BLOCK;
    this.meta.put(KEY, new TextEncoder().encode(`${this.reserving}`));
    this.meta.flush(() => {
      this.reserved = this.reserving;
      this.serve();
    });
  }
}
