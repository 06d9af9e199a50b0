/**
 * Everything the broker keeps in memory about a stored message, in columns of typed arrays: 37 bytes
 * a message and nothing for the garbage collector to walk. (An object with two buffers took 308 bytes
 * and stalled the loop for a second at ten million.) A message is known by its slot number.
 */
const CHUNK_SHIFT = 12;
const CHUNK_SLOTS = 1 << CHUNK_SHIFT;
const SLOT_MASK = CHUNK_SLOTS - 1;
const NO_SLOT = 0xffffffff;

/** `mem` of a message that is only on disk. */
export const MEM_NONE = 0;
/** `mem` of a message that is held in a buffer of its own. */
export const MEM_LARGE = 0xffffffff;
/** `position` of a message that is not in the log. */
export const POSITION_NONE = -1;

export class MessageChunk {
  readonly position = new Float64Array(CHUNK_SLOTS);
  readonly id = new Float64Array(CHUNK_SLOTS);
  /** Offset in the arena, MEM_NONE or MEM_LARGE; of a free slot: the next free one. */
  readonly mem = new Uint32Array(CHUNK_SLOTS);
  readonly length = new Uint32Array(CHUNK_SLOTS);
  readonly bodyBytes = new Uint32Array(CHUNK_SLOTS);
  /** Queue id, or an index into the shared ownerships (MessageTable.SHARED set). */
  readonly owner = new Uint32Array(CHUNK_SLOTS);
  readonly priority = new Uint8Array(CHUNK_SLOTS);
  /** Milliseconds since the epoch; 0 = none. Allocated when a message with a TTL first comes. */
  expiresAt: Float64Array | null = null;
  enqueuedAt: Float64Array | null = null;
  live = 0;
  firstFree = 0;
  listed = false;

  constructor() {
    for (let i = 0; i < CHUNK_SLOTS; i++) this.mem[i] = i + 1;
    this.mem[CHUNK_SLOTS - 1] = NO_SLOT;
  }
}

export class MessageTable {
  private readonly chunks: (MessageChunk | null)[] = [];
  private readonly freeNumbers: number[] = [];
  /** Numbers of chunks that have free slots, besides the current one. */
  private readonly partial: number[] = [];
  private current = -1;
  private liveSlots = 0;

  get count(): number {
    return this.liveSlots;
  }

  get chunkCount(): number {
    return this.chunks.length - this.freeNumbers.length;
  }

  allocate(): number {
    let chunk = this.current < 0 ? null : (this.chunks[this.current] as MessageChunk);
    if (chunk === null || chunk.firstFree === NO_SLOT) chunk = this.nextChunk();
    const index = chunk.firstFree;
    chunk.firstFree = chunk.mem[index] as number;
    chunk.live++;
    this.liveSlots++;
    return this.current * CHUNK_SLOTS + index;
  }

  free(slot: number): void {
    const number = slot >>> CHUNK_SHIFT;
    const chunk = this.chunks[number] as MessageChunk;
    const index = slot & SLOT_MASK;
    chunk.mem[index] = chunk.firstFree;
    chunk.firstFree = index;
    chunk.position[index] = POSITION_NONE;
    chunk.length[index] = 0;
    if (chunk.expiresAt !== null) chunk.expiresAt[index] = 0;
    if (chunk.enqueuedAt !== null) chunk.enqueuedAt[index] = 0;
    chunk.live--;
    this.liveSlots--;
    if (number === this.current) return;
    if (chunk.live === 0) this.release(number);
    else if (!chunk.listed) {
      chunk.listed = true;
      this.partial.push(number);
    }
  }

  /** False for a slot that was freed. */
  inUse(slot: number): boolean {
    const chunk = this.chunks[slot >>> CHUNK_SHIFT];
    return chunk !== null && chunk !== undefined && chunk.length[slot & SLOT_MASK] !== 0;
  }

  chunkOf(slot: number): MessageChunk {
    return this.chunks[slot >>> CHUNK_SHIFT] as MessageChunk;
  }

  position(slot: number): number {
    return this.chunkOf(slot).position[slot & SLOT_MASK] as number;
  }

  setPosition(slot: number, position: number): void {
    this.chunkOf(slot).position[slot & SLOT_MASK] = position;
  }

  id(slot: number): number {
    return this.chunkOf(slot).id[slot & SLOT_MASK] as number;
  }

  mem(slot: number): number {
    return this.chunkOf(slot).mem[slot & SLOT_MASK] as number;
  }

  setMem(slot: number, mem: number): void {
    this.chunkOf(slot).mem[slot & SLOT_MASK] = mem;
  }

  length(slot: number): number {
    return this.chunkOf(slot).length[slot & SLOT_MASK] as number;
  }

  bodyBytes(slot: number): number {
    return this.chunkOf(slot).bodyBytes[slot & SLOT_MASK] as number;
  }

  priority(slot: number): number {
    return this.chunkOf(slot).priority[slot & SLOT_MASK] as number;
  }

  owner(slot: number): number {
    return this.chunkOf(slot).owner[slot & SLOT_MASK] as number;
  }

  setOwner(slot: number, owner: number): void {
    this.chunkOf(slot).owner[slot & SLOT_MASK] = owner;
  }

  /** Milliseconds since the epoch; 0 = never. */
  expiresAt(slot: number): number {
    const column = this.chunkOf(slot).expiresAt;
    return column === null ? 0 : (column[slot & SLOT_MASK] as number);
  }

  enqueuedAt(slot: number): number {
    const column = this.chunkOf(slot).enqueuedAt;
    return column === null ? 0 : (column[slot & SLOT_MASK] as number);
  }

  setExpiresAt(slot: number, time: number): void {
    const chunk = this.chunkOf(slot);
    chunk.expiresAt ??= new Float64Array(CHUNK_SLOTS);
    chunk.expiresAt[slot & SLOT_MASK] = time;
  }

  setEnqueuedAt(slot: number, time: number): void {
    const chunk = this.chunkOf(slot);
    chunk.enqueuedAt ??= new Float64Array(CHUNK_SLOTS);
    chunk.enqueuedAt[slot & SLOT_MASK] = time;
  }

  fill(
    slot: number,
    id: number,
    position: number,
    mem: number,
    length: number,
    bodyBytes: number,
    priority: number,
  ): void {
    const chunk = this.chunkOf(slot);
    const index = slot & SLOT_MASK;
    chunk.id[index] = id;
    chunk.position[index] = position;
    chunk.mem[index] = mem;
    chunk.length[index] = length;
    chunk.bodyBytes[index] = bodyBytes;
    chunk.priority[index] = priority;
  }

  /** Slots in use whose log position lies in [from, to), a chunk's worth at a time. */
  *inRange(from: number, to: number): Generator<number[]> {
    for (let number = 0; number < this.chunks.length; number++) {
      const chunk = this.chunks[number];
      if (chunk === null || chunk === undefined || chunk.live === 0) continue;
      const found: number[] = [];
      const positions = chunk.position;
      for (let i = 0; i < CHUNK_SLOTS; i++) {
        const position = positions[i] as number;
        if (position >= from && position < to) found.push(number * CHUNK_SLOTS + i);
      }
      yield found;
    }
  }

  private nextChunk(): MessageChunk {
    const partial = this.partial.pop();
    if (partial !== undefined) {
      this.current = partial;
      const chunk = this.chunks[partial] as MessageChunk;
      chunk.listed = false;
      return chunk;
    }
    const chunk = new MessageChunk();
    chunk.position.fill(POSITION_NONE);
    const number = this.freeNumbers.pop() ?? this.chunks.length;
    this.chunks[number] = chunk;
    this.current = number;
    return chunk;
  }

  private release(number: number): void {
    const chunk = this.chunks[number] as MessageChunk;
    // A listed chunk stays until it is taken from the list; it is reused first then.
    if (chunk.listed) {
      if (this.partial.length < 4) return;
      this.partial.splice(this.partial.indexOf(number), 1);
    }
    this.chunks[number] = null;
    this.freeNumbers.push(number);
  }
}
