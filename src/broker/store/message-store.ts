import { type Arena, BLOCK_BYTES } from "../../base/arena.ts";
import { crc32c } from "../../base/crc32c.ts";
import { CorruptionError, type Log } from "../../engine/engine.ts";
import {
  asBuffer,
  FLAG_LONG_ROUTING,
  FLAG_PERSISTENT,
  RECORD_ANNOTATIONS_LENGTH_OFFSET,
  RECORD_BODY_BYTES_OFFSET,
  RECORD_CRC_OFFSET,
  RECORD_FLAGS_OFFSET,
  RECORD_HEADER_BYTES,
  RECORD_ORIGIN_OFFSET,
  RECORD_ROUTING_LENGTH_OFFSET,
  type RecordView,
  readU32,
  writeU32,
} from "../../message/record.ts";
import { type Block, Blocks } from "./blocks.ts";
import { Journal } from "./journal.ts";
import { MEM_LARGE, MEM_NONE, MessageTable, POSITION_NONE } from "./message-table.ts";
import { Regions } from "./regions.ts";

/** Records above this lie in a buffer of their own instead of a block. */
const BLOCK_RECORD_BYTES_MAX = BLOCK_BYTES / 4;
/** Disk reads ahead of a consumer that has fallen behind memory. */
const READ_AHEAD_BYTES = BLOCK_BYTES;

/** Messages that are looked at when several are read back together. */
const LOAD_TOGETHER_MAX = 1024;

/** The parts of a message that the store copies together. */
export interface RecordSource {
  origin: number;
  bytes: Uint8Array;
  routingStart: number;
  routingEnd: number;
  /** Set: routing lies in here, not in `bytes`. */
  routing?: Uint8Array | null;
  nativeStart: number;
  nativeEnd: number;
  bodyBytes: number;
  persistent: boolean;
  priority: number;
}

/**
 * All messages of a shard: where each lies in memory, in the log, or both. Queues hold slots; a slot
 * is freed when the last queue that holds it has settled it.
 */
export class MessageStore {
  readonly table = new MessageTable();
  readonly journal: Journal;
  readonly regions: Regions;
  private readonly arena: Arena;
  private readonly blocks: Blocks;
  private readonly log: Log;
  private tail: Block | null = null;
  private transient: Block | null = null;
  private readonly large = new Map<number, Uint8Array>();
  private largeBytes = 0;
  private readonly largeBytesMax: number;
  private nextId = 1;
  /** Slots whose bytes cannot be read back: they pin nothing in the log. */
  private readonly lost = new Set<number>();
  private closing = false;
  /** Called once for a message that cannot be read back from disk. */
  onCorruption: (error: CorruptionError) => void = () => {};

  constructor(arena: Arena, log: Log, blocksMax: number, regionBytes?: number) {
    this.regions = new Regions(regionBytes);
    this.arena = arena;
    this.log = log;
    this.blocks = new Blocks(arena, this.table, blocksMax);
    this.largeBytesMax = blocksMax * BLOCK_BYTES;
    this.journal = new Journal(log, arena.bytes, {
      trimmable: () => this.trimmable(),
      unpinned: (block) => this.blocks.unpinned(block),
      largeCommitted: (slot) => this.largeCommitted(slot),
    });
  }

  /** Bytes of messages in memory. */
  get memoryBytes(): number {
    return this.blocks.count * BLOCK_BYTES + this.largeBytes;
  }

  /** What they take of the memory set aside for them; above 1 while the disk cannot keep up, or with large ones. */
  get memoryShare(): number {
    return this.memoryBytes / this.largeBytesMax;
  }

  /** True when messages that are only in memory will soon have to go to disk. */
  get crowded(): boolean {
    return this.blocks.crowded;
  }

  /** True when messages fill the memory they may take and cannot be dropped to disk fast enough. */
  get pressed(): boolean {
    return this.blocks.count > this.blocks.blocksMax * 1.25 || this.largeBytes > this.largeBytesMax * 1.25;
  }

  /** Ids order the messages of a shard; recovery moves the counter past what it has seen. */
  seenId(id: number): void {
    if (id >= this.nextId) this.nextId = id + 1;
  }

  /** Id of the newest message. */
  get lastId(): number {
    return this.nextId - 1;
  }

  /**
   * Copies a message in. `logged`: it is also appended to the journal's batch. `flags`: the record's, besides
   * FLAG_PERSISTENT. Returns its slot.
   */
  put(source: RecordSource, annotations: Uint8Array | null, logged: boolean, flags = 0): number {
    const slot = this.table.allocate();
    const routingLength = source.routingEnd - source.routingStart;
    const nativeLength = source.nativeEnd - source.nativeStart;
    const annotationsLength = annotations === null ? 0 : annotations.length;
    const length = RECORD_HEADER_BYTES + annotationsLength + routingLength + nativeLength;
    const block = length <= BLOCK_RECORD_BYTES_MAX ? this.blockFor(logged, length) : null;
    const large = block === null ? Buffer.allocUnsafeSlow(length) : null;
    const bytes = large ?? this.arena.bytes;
    const at = block === null ? 0 : block.offset + block.used;
    this.writeHeader(bytes, at, source, routingLength, annotationsLength, flags);
    let to = at + RECORD_HEADER_BYTES;
    if (annotations !== null) {
      bytes.set(annotations, to);
      to += annotationsLength;
    }
    copyInto(bytes, to, source.routing ?? source.bytes, source.routingStart, routingLength);
    copyInto(bytes, to + routingLength, source.bytes, source.nativeStart, nativeLength);
    // Large transient messages beyond the budget go to disk at once; small ones when their block is the oldest.
    const stored = logged || (block === null && this.largeBytes > this.largeBytesMax);
    if (stored)
      writeU32(bytes, at + RECORD_CRC_OFFSET, crc32c(bytes, at + RECORD_ORIGIN_OFFSET, at + length));
    let position = POSITION_NONE;
    let mem = MEM_LARGE;
    if (block !== null) {
      mem = at;
      block.used += length;
      block.add(slot);
      if (logged) position = this.journal.appendBody(at, length, block);
    } else {
      this.large.set(slot, bytes);
      this.largeBytes += length;
      if (stored) position = this.journal.appendLarge(bytes, slot);
    }
    if (stored) this.regions.add(position, length);
    if (stored && !logged) this.journal.commit(false);
    this.table.fill(slot, this.nextId++, position, mem, length, source.bodyBytes, source.priority);
    return slot;
  }

  /** A message known from the log only. */
  restore(id: number, position: number, length: number, bodyBytes: number, priority: number): number {
    const slot = this.table.allocate();
    this.table.fill(slot, id, position, MEM_NONE, length, bodyBytes, priority);
    this.regions.add(position, length);
    this.seenId(id);
    return slot;
  }

  /** Replay: the message lies elsewhere in the log. */
  relocate(slot: number, position: number): void {
    const length = this.table.length(slot);
    this.regions.remove(this.table.position(slot), length);
    this.regions.add(position, length);
    this.table.setPosition(slot, position);
  }

  resident(slot: number): boolean {
    return this.table.mem(slot) !== MEM_NONE;
  }

  /** Points `view` at a message that is in memory. */
  view(slot: number, view: RecordView): void {
    const mem = this.table.mem(slot);
    view.length = this.table.length(slot);
    if (mem === MEM_LARGE) {
      view.bytes = this.large.get(slot) as Uint8Array;
      view.offset = 0;
    } else {
      view.bytes = this.arena.bytes;
      view.offset = mem;
    }
  }

  /** Keeps the memory of a message that is being read until `letGo`. */
  hold(record: RecordView): Block | null {
    if (record.bytes !== this.arena.bytes) return null;
    const block = this.blocks.of(record.offset);
    block.pins++;
    return block;
  }

  letGo(block: Block | null): void {
    if (block === null) return;
    block.pins--;
    this.blocks.unpinned(block);
  }

  /** Frees a message that no queue holds any more. */
  free(slot: number): void {
    const mem = this.table.mem(slot);
    const position = this.table.position(slot);
    if (position !== POSITION_NONE && !this.lost.delete(slot)) {
      this.regions.remove(position, this.table.length(slot));
    }
    if (mem === MEM_LARGE) this.dropLarge(slot);
    else if (mem !== MEM_NONE) this.blocks.release(this.blocks.of(mem));
    this.table.free(slot);
  }

  /** The log's positions are all that a message needs when memory is short: writes the oldest transient messages there. */
  relieve(): boolean {
    if (!this.blocks.full) return false;
    const block = this.blocks.takeOldestTransient();
    if (block === null) return false;
    const end = block.offset + block.used;
    for (let i = 0; i < block.slotCount; i++) {
      const slot = block.slots[i] as number;
      if (!this.table.inUse(slot) || this.table.position(slot) !== POSITION_NONE) continue;
      const mem = this.table.mem(slot);
      if (mem >= block.offset && mem < end) this.logInPlace(slot, mem, block);
    }
    this.blocks.nowLogged(block);
    this.journal.commit(false);
    return true;
  }

  /** Memory beyond its share goes to disk, also when nobody publishes any more because of it. */
  easeMemory(): void {
    let over = this.blocks.count - this.blocks.blocksMax;
    while (over > 0 && this.relieve()) over--;
  }

  /** The log is about to be closed: reads that are still under way are nobody's business any more. */
  close(): void {
    this.closing = true;
  }

  /** The message was found to be unreadable: its holders let go of it when they come to it. */
  isLost(slot: number): boolean {
    return this.lost.has(slot);
  }

  /**
   * Reads from disk starting with `slots[0]`: it and as many of those after it as lie in the same
   * stretch of the log are in memory when `done` is called; or with false, when the first of them
   * cannot be read back. Slots may have been freed meanwhile.
   */
  load(slots: readonly number[], done: (readable: boolean) => void): void {
    const first = slots[0] as number;
    if (this.lost.has(first)) {
      done(false);
      return;
    }
    const position = this.table.position(first);
    const length = this.table.length(first);
    const block = length <= BLOCK_RECORD_BYTES_MAX ? this.blocks.open(true) : null;
    if (block === null) {
      const bytes = Buffer.allocUnsafeSlow(length);
      this.readInto(position, bytes, length, (_got, failure) => {
        if (failure === null && this.awaits(first, position) && intact(bytes, 0, length)) {
          this.large.set(first, bytes);
          this.largeBytes += length;
          this.table.setMem(first, MEM_LARGE);
        }
        done(this.settled(first, position, failure));
      });
      return;
    }
    block.pins++;
    const last = this.lastWithin(slots, position + READ_AHEAD_BYTES);
    const target = this.arena.bytes.subarray(block.offset, block.offset + (last - position));
    this.readInto(position, target, length, (got, failure) => {
      for (const slot of slots) this.adopt(slot, block, position, position + got);
      block.used = BLOCK_BYTES;
      block.pins--;
      this.blocks.close(block);
      done(this.settled(first, position, failure));
    });
  }

  /**
   * Reads back what is on disk only, and keeps all of `slots` in memory until `release` is called. Null:
   * memory does not hold them together. What cannot be read back is left out.
   */
  holdAll(slots: readonly number[], done: (release: (() => void) | null) => void): void {
    const held = new Set<Block>();
    const release = (): void => {
      for (const block of held) {
        block.pins--;
        this.blocks.unpinned(block);
      }
    };
    const from = (start: number): void => {
      for (let i = start; i < slots.length; i++) {
        const slot = slots[i] as number;
        if (!this.table.inUse(slot) || this.lost.has(slot)) continue;
        const mem = this.table.mem(slot);
        if (mem === MEM_NONE) {
          this.load(this.missing(slots.slice(i, i + LOAD_TOGETHER_MAX)), () => from(i));
          return;
        }
        if (mem === MEM_LARGE || held.has(this.blocks.of(mem))) continue;
        held.add(this.blocks.of(mem));
        this.blocks.of(mem).pins++;
        if (held.size * 2 <= this.blocks.blocksMax) continue;
        release();
        done(null);
        return;
      }
      done(release);
    };
    from(0);
  }

  /** Copies a message forward in the log. It must be in memory. Returns its new position. */
  move(slot: number): number {
    const length = this.table.length(slot);
    const old = this.table.position(slot);
    const mem = this.table.mem(slot);
    const from = mem === MEM_LARGE ? (this.large.get(slot) as Uint8Array) : this.arena.bytes;
    const at = mem === MEM_LARGE ? 0 : mem;
    // Room for the copy must not be made by letting go of the original.
    const origin = mem === MEM_LARGE ? null : this.blocks.of(mem);
    if (origin !== null) origin.pins++;
    const block = length <= BLOCK_RECORD_BYTES_MAX ? this.blockFor(true, length) : null;
    if (origin !== null) origin.pins--;
    let position: number;
    if (block === null) {
      const copy = Buffer.allocUnsafeSlow(length);
      copy.set(from.subarray(at, at + length));
      position = this.journal.appendLarge(copy, -1);
    } else {
      const to = block.offset + block.used;
      copyInto(this.arena.bytes, to, from, at, length);
      block.used += length;
      position = this.journal.appendBody(to, length, block);
      if (origin === null) this.dropLarge(slot);
      else this.blocks.release(origin);
      block.add(slot);
      this.table.setMem(slot, to);
    }
    this.regions.remove(old, length);
    this.regions.add(position, length);
    this.table.setPosition(slot, position);
    return position;
  }

  private writeHeader(
    bytes: Uint8Array,
    at: number,
    source: RecordSource,
    routing: number,
    annotations: number,
    flags: number,
  ): void {
    writeU32(bytes, at + RECORD_CRC_OFFSET, 0);
    bytes[at + RECORD_ORIGIN_OFFSET] = source.origin;
    const long = routing > 0xffff ? FLAG_LONG_ROUTING : 0;
    bytes[at + RECORD_FLAGS_OFFSET] = (source.persistent ? FLAG_PERSISTENT : 0) | flags | long;
    bytes[at + RECORD_ROUTING_LENGTH_OFFSET] = routing >>> 8;
    bytes[at + RECORD_ROUTING_LENGTH_OFFSET + 1] = routing;
    writeU32(bytes, at + RECORD_ANNOTATIONS_LENGTH_OFFSET, annotations);
    writeU32(bytes, at + RECORD_BODY_BYTES_OFFSET, source.bodyBytes);
  }

  private blockFor(logged: boolean, length: number): Block | null {
    const current = logged ? this.tail : this.transient;
    if (current !== null && current.used + length <= BLOCK_BYTES) return current;
    if (current !== null) this.blocks.close(current);
    const block = this.blocks.open(logged);
    if (logged) this.tail = block;
    else {
      this.transient = block;
      this.relieve();
    }
    return block;
  }

  private logInPlace(slot: number, mem: number, block: Block): void {
    const length = this.table.length(slot);
    const bytes = this.arena.bytes;
    writeU32(bytes, mem + RECORD_CRC_OFFSET, crc32c(bytes, mem + RECORD_ORIGIN_OFFSET, mem + length));
    const position = this.journal.appendBody(mem, length, block);
    this.table.setPosition(slot, position);
    this.regions.add(position, length);
  }

  private largeCommitted(slot: number): void {
    if (slot < 0 || this.largeBytes <= this.largeBytesMax || !this.large.has(slot)) return;
    if (this.table.position(slot) === POSITION_NONE) return; // the slot was reused
    this.dropLarge(slot);
    this.table.setMem(slot, MEM_NONE);
  }

  private dropLarge(slot: number): void {
    this.largeBytes -= (this.large.get(slot) as Uint8Array).length;
    this.large.delete(slot);
  }

  private missing(slots: readonly number[]): number[] {
    return slots.filter((slot) => this.table.inUse(slot) && this.table.mem(slot) === MEM_NONE);
  }

  private awaits(slot: number, position: number): boolean {
    return (
      this.table.inUse(slot) && this.table.position(slot) === position && this.table.mem(slot) === MEM_NONE
    );
  }

  private adopt(slot: number, block: Block, base: number, end: number): void {
    if (!this.table.inUse(slot) || this.table.mem(slot) !== MEM_NONE) return;
    const position = this.table.position(slot);
    const length = this.table.length(slot);
    if (position < base || position + length > end) return;
    const mem = block.offset + (position - base);
    if (!intact(this.arena.bytes, mem, length)) return;
    this.table.setMem(slot, mem);
    block.add(slot);
  }

  /** End of the last record that begins with `slots` and ends before `limit`. */
  private lastWithin(slots: readonly number[], limit: number): number {
    let last = 0;
    const start = this.table.position(slots[0] as number);
    for (const slot of slots) {
      const position = this.table.position(slot);
      const end = position + this.table.length(slot);
      if (position >= start && end <= limit && end > last) last = end;
    }
    return last;
  }

  private readInto(
    position: number,
    target: Uint8Array,
    needed: number,
    done: (got: number, failure: string | null) => void,
  ): void {
    this.log.read(position, target).then(
      (got) => done(got, got < needed ? `only ${got} bytes of ${needed} are there` : null),
      (error: Error) => {
        if (!this.closing) done(0, error.message);
      },
    );
  }

  /** After a read: false when the message is still wanted at `position` and cannot be had. */
  private settled(slot: number, position: number, failure: string | null): boolean {
    if (this.lost.has(slot)) return false;
    if (!this.awaits(slot, position)) return true;
    const length = this.table.length(slot);
    this.lost.add(slot);
    this.regions.remove(position, length);
    const what = `message ${this.table.id(slot)} at log position ${position} (${length} bytes)`;
    this.onCorruption(new CorruptionError(`${what} is set aside: ${failure ?? "it fails its checksum"}`));
    return false;
  }

  private trimmable(): number {
    const oldest = this.regions.oldestLive();
    return oldest < 0 ? this.log.nextPosition : oldest;
  }
}

function intact(bytes: Uint8Array, at: number, length: number): boolean {
  return readU32(bytes, at + RECORD_CRC_OFFSET) === crc32c(bytes, at + RECORD_ORIGIN_OFFSET, at + length);
}

/** Byte loops win below about 20 bytes; within one ArrayBuffer copyWithin wins above. */
function copyInto(target: Uint8Array, to: number, source: Uint8Array, from: number, length: number): void {
  if (length < 20) for (let i = 0; i < length; i++) target[to + i] = source[from + i] as number;
  else if (source === target) target.copyWithin(to, from, from + length);
  else if (length > 4096) asBuffer(source).copy(target, to, from, from + length);
  else target.set(source.subarray(from, from + length), to);
}
