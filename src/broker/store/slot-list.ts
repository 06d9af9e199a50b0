/**
 * The messages of a queue in order: slots sorted by message id, in nodes of typed arrays. Appending,
 * taking from either end and putting a message back to its place are all cheap; ten million entries
 * cost four bytes each and nothing to collect.
 *
 *     nodes:   [start..end)  [start..end)  [start..end)
 *               ^ head                             ^ tail
 */
const NODE_SLOTS_MIN = 8;
const NODE_SLOTS_MAX = 2048;

class Node {
  slots: Uint32Array;
  start = 0;
  end = 0;

  constructor(capacity: number) {
    this.slots = new Uint32Array(capacity);
  }
}

/** Where a slot's message id is found. */
export interface IdSource {
  id(slot: number): number;
}

export class SlotList {
  private readonly ids: IdSource;
  private nodes: Node[] = [];
  private head = 0;
  length = 0;

  constructor(ids: IdSource) {
    this.ids = ids;
  }

  pushBack(slot: number): void {
    let node = this.nodes.length === this.head ? this.addNode() : (this.nodes[this.nodes.length - 1] as Node);
    if (node.end === node.slots.length) node = this.roomAtEnd(node);
    node.slots[node.end++] = slot;
    this.length++;
  }

  /** First slot. Undefined behaviour when empty: check `length`. */
  front(): number {
    const node = this.nodes[this.head] as Node;
    return node.slots[node.start] as number;
  }

  back(): number {
    const node = this.nodes[this.nodes.length - 1] as Node;
    return node.slots[node.end - 1] as number;
  }

  popFront(): number {
    const node = this.nodes[this.head] as Node;
    const slot = node.slots[node.start++] as number;
    this.length--;
    if (node.start === node.end) this.dropFirst(node);
    return slot;
  }

  popBack(): number {
    const node = this.nodes[this.nodes.length - 1] as Node;
    const slot = node.slots[--node.end] as number;
    this.length--;
    if (node.start === node.end) this.dropLast(node);
    return slot;
  }

  /** Puts a slot to where its id belongs. */
  insert(slot: number): void {
    const id = this.ids.id(slot);
    if (this.length === 0 || id > this.ids.id(this.back())) {
      this.pushBack(slot);
      return;
    }
    const at = this.nodeFor(id);
    let node = this.nodes[at] as Node;
    if (node.end - node.start === NODE_SLOTS_MAX) {
      this.split(at);
      const next = this.nodes[at + 1] as Node;
      if (id > this.ids.id(next.slots[next.start] as number)) node = next;
    }
    this.insertInto(node, this.lowerBound(node, id), slot);
    this.length++;
  }

  /** Takes out the slot with this id; -1 when it is not here. */
  remove(id: number): number {
    if (this.length === 0) return -1;
    if (this.ids.id(this.front()) === id) return this.popFront();
    const at = this.nodeFor(id);
    const node = this.nodes[at] as Node;
    const index = this.lowerBound(node, id);
    if (index === node.end) return -1;
    const slot = node.slots[index] as number;
    if (this.ids.id(slot) !== id) return -1;
    node.slots.copyWithin(index, index + 1, node.end);
    node.end--;
    this.length--;
    if (node.start === node.end) {
      if (at === this.head) this.dropFirst(node);
      else this.nodes.splice(at, 1);
    }
    return slot;
  }

  /** The slot with this id, or -1. */
  find(id: number): number {
    if (this.length === 0) return -1;
    const node = this.nodes[this.nodeFor(id)] as Node;
    const index = this.lowerBound(node, id);
    if (index === node.end) return -1;
    const slot = node.slots[index] as number;
    return this.ids.id(slot) === id ? slot : -1;
  }

  /** Calls `visit` from the front (or the back) until it returns false. The list must not change meanwhile. */
  scan(fromBack: boolean, visit: (slot: number) => boolean): void {
    if (fromBack) {
      for (let n = this.nodes.length - 1; n >= this.head; n--) {
        const node = this.nodes[n] as Node;
        for (let i = node.end - 1; i >= node.start; i--) if (!visit(node.slots[i] as number)) return;
      }
      return;
    }
    for (let n = this.head; n < this.nodes.length; n++) {
      const node = this.nodes[n] as Node;
      for (let i = node.start; i < node.end; i++) if (!visit(node.slots[i] as number)) return;
    }
  }

  private addNode(): Node {
    const small = this.nodes.length === 0 || this.nodes.length === this.head;
    const node = new Node(small ? NODE_SLOTS_MIN : NODE_SLOTS_MAX);
    this.nodes.push(node);
    return node;
  }

  private roomAtEnd(node: Node): Node {
    const used = node.end - node.start;
    if (used <= node.slots.length / 2) {
      node.slots.copyWithin(0, node.start, node.end);
      node.start = 0;
      node.end = used;
      return node;
    }
    if (node.slots.length < NODE_SLOTS_MAX) {
      const larger = new Uint32Array(Math.min(NODE_SLOTS_MAX, node.slots.length * 4));
      larger.set(node.slots.subarray(node.start, node.end));
      node.slots = larger;
      node.start = 0;
      node.end = used;
      return node;
    }
    return this.addNode();
  }

  private dropFirst(node: Node): void {
    if (this.nodes.length - this.head === 1) {
      this.reset(node);
      return;
    }
    this.nodes[this.head++] = undefined as unknown as Node;
    if (this.head > 32 && this.head * 2 > this.nodes.length) {
      this.nodes = this.nodes.slice(this.head);
      this.head = 0;
    }
  }

  private dropLast(node: Node): void {
    if (this.nodes.length - this.head === 1) {
      this.reset(node);
      return;
    }
    this.nodes.pop();
  }

  // The last node is kept for the next message unless it is large and the queue may stay empty.
  private reset(node: Node): void {
    node.start = 0;
    node.end = 0;
    this.nodes = [node];
    this.head = 0;
  }

  /** Gives back the memory of an empty list. */
  trim(): void {
    if (this.length === 0) {
      this.nodes = [];
      this.head = 0;
    }
  }

  /** Index of the last node whose first id is <= id, or the first node. */
  private nodeFor(id: number): number {
    let [low, high] = [this.head, this.nodes.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const node = this.nodes[middle] as Node;
      if (this.ids.id(node.slots[node.start] as number) <= id) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  private lowerBound(node: Node, id: number): number {
    let [low, high] = [node.start, node.end];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.ids.id(node.slots[middle] as number) < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private insertInto(node: Node, index: number, slot: number): void {
    if (index === node.start && node.start > 0) {
      node.slots[--node.start] = slot;
      return;
    }
    if (node.end === node.slots.length) {
      const used = node.end - node.start;
      const capacity = Math.min(NODE_SLOTS_MAX, Math.max(used + 1, node.slots.length * 2));
      const wider = new Uint32Array(Math.max(capacity, used + 1));
      // Room in front: what is put back usually belongs there.
      const start = (wider.length - used) >>> 1;
      wider.set(node.slots.subarray(node.start, node.end), start);
      index += start - node.start;
      node.slots = wider;
      node.start = start;
      node.end = start + used;
      if (node.end === wider.length || index === node.start) {
        if (index === node.start && node.start > 0) {
          node.slots[--node.start] = slot;
          return;
        }
        wider.copyWithin(node.start - 1, node.start, index);
        node.start--;
        node.slots[index - 1] = slot;
        return;
      }
    }
    node.slots.copyWithin(index + 1, index, node.end);
    node.slots[index] = slot;
    node.end++;
  }

  private split(at: number): void {
    const node = this.nodes[at] as Node;
    const middle = (node.start + node.end) >>> 1;
    const upper = new Node(NODE_SLOTS_MAX);
    upper.slots.set(node.slots.subarray(middle, node.end));
    upper.end = node.end - middle;
    node.end = middle;
    this.nodes.splice(at + 1, 0, upper);
  }
}
