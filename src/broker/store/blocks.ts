import { type Arena, BLOCK_BYTES } from "../../base/arena.ts";
import { MEM_NONE, type MessageTable } from "./message-table.ts";

export const BLOCK_SHIFT = 18;

/** A block of arena memory with messages in it. */
export class Block {
  readonly offset: number;
  used = 0;
  /** Messages that are still needed and are in memory here. */
  live = 0;
  /** Batches on their way to the disk that refer to these bytes. */
  pins = 0;
  /** Still being filled. */
  open = true;
  /** Its messages are (also) in the log: it may be dropped from memory. */
  logged: boolean;
  slots = new Uint32Array(256);
  slotCount = 0;

  constructor(offset: number, logged: boolean) {
    this.offset = offset;
    this.logged = logged;
  }

  add(slot: number): void {
    if (this.slotCount === this.slots.length) {
      const larger = new Uint32Array(this.slots.length * 2);
      larger.set(this.slots);
      this.slots = larger;
    }
    this.slots[this.slotCount++] = slot;
    this.live++;
  }
}

/** The blocks of a shard: where messages lie in memory, and which of them can be let go. */
export class Blocks {
  private readonly arena: Arena;
  private readonly table: MessageTable;
  private readonly byNumber: (Block | null)[];
  /** Closed blocks in order of filling: the oldest is let go first. */
  private readonly logged = new Set<Block>();
  private readonly transient = new Set<Block>();
  private used = 0;
  /** Blocks that messages may take before older ones are dropped to disk. */
  readonly blocksMax: number;

  constructor(arena: Arena, table: MessageTable, blocksMax: number) {
    this.arena = arena;
    this.table = table;
    this.blocksMax = blocksMax;
    this.byNumber = new Array(arena.blocksMax).fill(null);
  }

  get count(): number {
    return this.used;
  }

  /** Messages that are nowhere but in memory take more than half of it. */
  get crowded(): boolean {
    return this.transient.size * 2 > this.blocksMax;
  }

  get full(): boolean {
    return this.used >= this.blocksMax;
  }

  of(mem: number): Block {
    return this.byNumber[mem >>> BLOCK_SHIFT] as Block;
  }

  /** A fresh block, or null when there is no memory. */
  open(logged: boolean): Block | null {
    while (this.used >= this.blocksMax && this.dropOldest()) {
      // One more goes when the disk has kept up only now.
    }
    const offset = this.arena.allocateBlock();
    if (offset < 0) return null;
    const block = new Block(offset, logged);
    this.byNumber[offset >>> BLOCK_SHIFT] = block;
    this.used++;
    return block;
  }

  close(block: Block): void {
    block.open = false;
    if (block.live === 0 && block.pins === 0) this.free(block);
    else if (block.logged) this.logged.add(block);
    else this.transient.add(block);
  }

  /** A message of the block is no longer needed. */
  release(block: Block): void {
    if (--block.live > 0) return;
    if (block.open) {
      // Nothing refers to a transient block that has drained: start over while it is hot in cache.
      if (!block.logged && block.pins === 0) {
        block.used = 0;
        block.slotCount = 0;
      }
      return;
    }
    if (block.pins === 0) this.free(block);
  }

  unpinned(block: Block): void {
    if (block.pins === 0 && block.live === 0 && !block.open) this.free(block);
    while (this.used > this.blocksMax && this.dropOldest()) {
      // What waited for the disk was more than its share of memory.
    }
  }

  /** The oldest block of messages that are only in memory, taken off the list; null when there is none. */
  takeOldestTransient(): Block | null {
    for (const block of this.transient) {
      this.transient.delete(block);
      return block;
    }
    return null;
  }

  /** A block that `takeOldestTransient` gave out has gone to the log. */
  nowLogged(block: Block): void {
    block.logged = true;
    this.logged.add(block);
  }

  private dropOldest(): boolean {
    for (const block of this.logged) {
      if (block.pins > 0) return false;
      this.forget(block);
      this.free(block);
      return true;
    }
    return false;
  }

  private forget(block: Block): void {
    const end = block.offset + BLOCK_BYTES;
    for (let i = 0; i < block.slotCount; i++) {
      const slot = block.slots[i] as number;
      if (!this.table.inUse(slot)) continue;
      const mem = this.table.mem(slot);
      if (mem >= block.offset && mem < end) this.table.setMem(slot, MEM_NONE);
    }
    block.live = 0;
  }

  private free(block: Block): void {
    this.logged.delete(block);
    this.transient.delete(block);
    this.byNumber[block.offset >>> BLOCK_SHIFT] = null;
    this.used--;
    this.arena.freeBlock(block.offset);
  }
}
