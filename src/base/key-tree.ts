/**
 * Keys of dotted words in a trie that is made of typed arrays alone: a million keys take some forty bytes
 * a node and nothing that a garbage collector would have to walk. (The same in Maps took over 300 bytes a node.)
 *
 * A node is a number. Its word lies in a pool of bytes; it is found by a hash of its parent and its word,
 * and listed among its siblings in order of arrival. Everything grows in small pieces: one big table would
 * stall the loop for a tenth of a second at every doubling.
 */
const CHUNK_SHIFT = 12;
const CHUNK_NODES = 1 << CHUNK_SHIFT;
const NODE_MASK = CHUNK_NODES - 1;
const TABLE_BITS = 8;
const TABLES = 1 << TABLE_BITS;
const NONE = 0;
export const KEY_SEPARATOR = 0x2e;

class Chunk {
  readonly parent = new Uint32Array(CHUNK_NODES);
  readonly hash = new Uint32Array(CHUNK_NODES);
  readonly wordAt = new Uint32Array(CHUNK_NODES);
  readonly wordBytes = new Uint16Array(CHUNK_NODES);
  readonly value = new Uint32Array(CHUNK_NODES);
  readonly first = new Uint32Array(CHUNK_NODES);
  /** Of a free node: the next free one. */
  readonly next = new Uint32Array(CHUNK_NODES);
  /** Of a first child: the last one. */
  readonly previous = new Uint32Array(CHUNK_NODES);
}

export class KeyTree {
  static readonly ROOT = 1;
  private readonly chunks: Chunk[] = [];
  private readonly words = new WordPool();
  private readonly tables: Uint32Array[] = [];
  private readonly filled = new Uint32Array(TABLES);
  private nodeEnd = 2;
  private firstFree = NONE;
  /** Nodes that must not go although nothing is kept in or under them. */
  private readonly pins = new Map<number, number>();
  /** Nodes besides the root. */
  nodeCount = 0;

  constructor() {
    this.chunks.push(new Chunk());
    for (let i = 0; i < TABLES; i++) this.tables.push(new Uint32Array(4));
  }

  /** The node of a key, or 0. An empty key is the root. */
  find(key: Uint8Array, length: number): number {
    let node = KeyTree.ROOT;
    for (let start = 0; start <= length && length > 0; ) {
      const end = wordEnd(key, start, length);
      node = this.child(node, key, start, end);
      if (node === NONE) return NONE;
      start = end + 1;
    }
    return node;
  }

  /** The node of a key, made when there is none. Give it a value or a pin before anything is removed. */
  grow(key: Uint8Array, length: number): number {
    let node = KeyTree.ROOT;
    for (let start = 0; start <= length && length > 0; ) {
      const end = wordEnd(key, start, length);
      const child = this.child(node, key, start, end);
      node = child === NONE ? this.add(node, key, start, end) : child;
      start = end + 1;
    }
    return node;
  }

  key(node: number): string {
    const words: string[] = [];
    for (let at = node; at !== KeyTree.ROOT; at = this.chunk(at).parent[at & NODE_MASK] as number) {
      const chunk = this.chunk(at);
      words.push(
        this.words.text(chunk.wordAt[at & NODE_MASK] as number, chunk.wordBytes[at & NODE_MASK] as number),
      );
    }
    return words.reverse().join(".");
  }

  /** 0 = nothing. */
  value(node: number): number {
    return this.chunk(node).value[node & NODE_MASK] as number;
  }

  /** With 0, the node goes when nothing else holds it. */
  setValue(node: number, value: number): void {
    this.chunk(node).value[node & NODE_MASK] = value;
    if (value === 0) this.prune(node);
  }

  /** Keeps the node, and its place among its siblings, until `unpin`. */
  pin(node: number): void {
    this.pins.set(node, (this.pins.get(node) ?? 0) + 1);
  }

  unpin(node: number): void {
    const count = (this.pins.get(node) as number) - 1;
    if (count > 0) {
      this.pins.set(node, count);
      return;
    }
    this.pins.delete(node);
    this.prune(node);
  }

  firstChild(node: number): number {
    return this.chunk(node).first[node & NODE_MASK] as number;
  }

  nextSibling(node: number): number {
    return this.chunk(node).next[node & NODE_MASK] as number;
  }

  /** The child by the word key[start, end), or 0. */
  child(parent: number, key: Uint8Array, start: number, end: number): number {
    const hash = hashOf(parent, key, start, end);
    const table = this.tables[hash >>> (32 - TABLE_BITS)] as Uint32Array;
    const mask = table.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const node = table[at] as number;
      if (node === NONE) return NONE;
      const chunk = this.chunk(node);
      const index = node & NODE_MASK;
      if (chunk.hash[index] !== hash || chunk.parent[index] !== parent) continue;
      if (this.words.equal(chunk.wordAt[index] as number, chunk.wordBytes[index] as number, key, start, end))
        return node;
    }
  }

  /** First byte of the node's word, or -1 for an empty one. */
  initial(node: number): number {
    const chunk = this.chunk(node);
    const index = node & NODE_MASK;
    return chunk.wordBytes[index] === 0 ? -1 : this.words.byteAt(chunk.wordAt[index] as number);
  }

  wordIs(node: number, word: Uint8Array): boolean {
    const chunk = this.chunk(node);
    const index = node & NODE_MASK;
    const [at, bytes] = [chunk.wordAt[index] as number, chunk.wordBytes[index] as number];
    return this.words.equal(at, bytes, word, 0, word.length);
  }

  private chunk(node: number): Chunk {
    return this.chunks[node >>> CHUNK_SHIFT] as Chunk;
  }

  private add(parent: number, key: Uint8Array, start: number, end: number): number {
    const node = this.takeNode();
    const chunk = this.chunk(node);
    const index = node & NODE_MASK;
    const hash = hashOf(parent, key, start, end);
    chunk.parent[index] = parent;
    chunk.hash[index] = hash;
    chunk.wordAt[index] = this.words.add(key, start, end);
    chunk.wordBytes[index] = end - start;
    chunk.value[index] = 0;
    chunk.first[index] = NONE;
    this.link(parent, node);
    this.enter(hash, node);
    this.nodeCount++;
    return node;
  }

  private takeNode(): number {
    const free = this.firstFree;
    if (free !== NONE) {
      this.firstFree = this.nextSibling(free);
      return free;
    }
    if (this.nodeEnd >>> CHUNK_SHIFT === this.chunks.length) this.chunks.push(new Chunk());
    return this.nodeEnd++;
  }

  private link(parent: number, node: number): void {
    const up = this.chunk(parent);
    const chunk = this.chunk(node);
    const first = up.first[parent & NODE_MASK] as number;
    chunk.next[node & NODE_MASK] = NONE;
    if (first === NONE) {
      up.first[parent & NODE_MASK] = node;
      chunk.previous[node & NODE_MASK] = node;
      return;
    }
    const head = this.chunk(first);
    const last = head.previous[first & NODE_MASK] as number;
    this.chunk(last).next[last & NODE_MASK] = node;
    chunk.previous[node & NODE_MASK] = last;
    head.previous[first & NODE_MASK] = node;
  }

  private unlink(parent: number, node: number): void {
    const up = this.chunk(parent);
    const chunk = this.chunk(node);
    const first = up.first[parent & NODE_MASK] as number;
    const next = chunk.next[node & NODE_MASK] as number;
    const previous = chunk.previous[node & NODE_MASK] as number;
    if (node === first) up.first[parent & NODE_MASK] = next;
    else this.chunk(previous).next[previous & NODE_MASK] = next;
    const behind = next !== NONE ? next : node === first ? NONE : first;
    if (behind !== NONE) this.chunk(behind).previous[behind & NODE_MASK] = previous;
  }

  private enter(hash: number, node: number): void {
    const number = hash >>> (32 - TABLE_BITS);
    let table = this.tables[number] as Uint32Array;
    const filled = (this.filled[number] as number) + 1;
    this.filled[number] = filled;
    if (filled * 4 > table.length * 3) {
      const larger = new Uint32Array(table.length * 2);
      for (const other of table) {
        if (other !== NONE) place(larger, this.chunk(other).hash[other & NODE_MASK] as number, other);
      }
      table = larger;
      this.tables[number] = larger;
    }
    place(table, hash, node);
  }

  /** Takes the node out of its table and closes the gap, so that no search ends too early. */
  private leave(node: number): void {
    const hash = this.chunk(node).hash[node & NODE_MASK] as number;
    const number = hash >>> (32 - TABLE_BITS);
    const table = this.tables[number] as Uint32Array;
    const mask = table.length - 1;
    let gap = hash & mask;
    while (table[gap] !== node) gap = (gap + 1) & mask;
    for (let at = (gap + 1) & mask; table[at] !== NONE; at = (at + 1) & mask) {
      const other = table[at] as number;
      const home = (this.chunk(other).hash[other & NODE_MASK] as number) & mask;
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      table[gap] = other;
      gap = at;
    }
    table[gap] = NONE;
    this.filled[number] = (this.filled[number] as number) - 1;
  }

  private prune(leaf: number): void {
    let node = leaf;
    while (node !== KeyTree.ROOT) {
      const chunk = this.chunk(node);
      const index = node & NODE_MASK;
      if (chunk.value[index] !== 0 || chunk.first[index] !== NONE || this.pins.has(node)) return;
      const parent = chunk.parent[index] as number;
      this.unlink(parent, node);
      this.leave(node);
      this.words.remove(chunk.wordAt[index] as number, chunk.wordBytes[index] as number);
      chunk.next[index] = this.firstFree;
      this.firstFree = node;
      this.nodeCount--;
      node = parent;
    }
  }
}

const POOL_SHIFT = 16;
const POOL_BYTES = 1 << POOL_SHIFT;
const POOL_MASK = POOL_BYTES - 1;
/** Steps of 8 up to here, doubling from here on. */
const FINE_BYTES_MAX = 64;

/** Words in pieces of 64 KiB. A place that is given back is taken again by a word of about the same length. */
class WordPool {
  private readonly pieces: Buffer[] = [];
  private end = 0;
  /** By size: where the first free place of that size is, plus one. Each names the next in its first four bytes. */
  private readonly free = new Map<number, number>();

  add(key: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (length === 0) return 0;
    const at = this.take(sizeFor(length));
    const piece = this.pieces[at >>> POOL_SHIFT] as Buffer;
    const to = at & POOL_MASK;
    for (let i = 0; i < length; i++) piece[to + i] = key[start + i] as number;
    return at;
  }

  remove(at: number, length: number): void {
    if (length === 0) return;
    const size = sizeFor(length);
    (this.pieces[at >>> POOL_SHIFT] as Buffer).writeUInt32LE(this.free.get(size) ?? 0, at & POOL_MASK);
    this.free.set(size, at + 1);
  }

  text(at: number, length: number): string {
    if (length === 0) return "";
    const from = at & POOL_MASK;
    return (this.pieces[at >>> POOL_SHIFT] as Buffer).toString("utf8", from, from + length);
  }

  byteAt(at: number): number {
    return (this.pieces[at >>> POOL_SHIFT] as Buffer)[at & POOL_MASK] as number;
  }

  equal(at: number, length: number, key: Uint8Array, start: number, end: number): boolean {
    if (length !== end - start) return false;
    if (length === 0) return true;
    const piece = this.pieces[at >>> POOL_SHIFT] as Buffer;
    const from = at & POOL_MASK;
    for (let i = 0; i < length; i++) if (piece[from + i] !== key[start + i]) return false;
    return true;
  }

  private take(size: number): number {
    const free = this.free.get(size) ?? 0;
    if (free !== 0) {
      const at = free - 1;
      this.free.set(size, (this.pieces[at >>> POOL_SHIFT] as Buffer).readUInt32LE(at & POOL_MASK));
      return at;
    }
    if ((this.end & POOL_MASK) + size > POOL_BYTES) this.end = this.pieces.length << POOL_SHIFT;
    if (this.end >>> POOL_SHIFT === this.pieces.length) this.pieces.push(Buffer.allocUnsafeSlow(POOL_BYTES));
    const at = this.end;
    this.end += size;
    return at;
  }
}

function sizeFor(length: number): number {
  if (length <= FINE_BYTES_MAX) return (length + 7) & ~7;
  return 2 ** Math.ceil(Math.log2(length));
}

function wordEnd(key: Uint8Array, start: number, length: number): number {
  let end = start;
  while (end < length && key[end] !== KEY_SEPARATOR) end++;
  return end;
}

function place(table: Uint32Array, hash: number, node: number): void {
  const mask = table.length - 1;
  let at = hash & mask;
  while (table[at] !== NONE) at = (at + 1) & mask;
  table[at] = node;
}

/** FNV-1a over the word, begun with the parent, its bits mixed at the end: both ends of the number are used. */
function hashOf(parent: number, key: Uint8Array, start: number, end: number): number {
  let hash = Math.imul(parent, 0x9e3779b1) ^ 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (key[i] as number), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return (hash ^ (hash >>> 15)) >>> 0;
}
