import type { Clock, Timer } from "../base/clock.ts";
import { TimeHeap } from "../base/heap.ts";
import { KeyTree } from "../base/key-tree.ts";
import type { Turn } from "../base/turn.ts";
import { FLAG_RETAINED, RecordView } from "../message/record.ts";
import type { Holders, MessageHolder } from "./holders.ts";
import { RetainedWalks } from "./retained-walk.ts";
import type { Counters } from "./stats.ts";
import { ENQUEUE_HAS_EXPIRY, type EnqueueHead, enqueueHead } from "./store/heads.ts";
import type { MessageStore, RecordSource } from "./store/message-store.ts";
import type { RetainedSink, RetainedWalk, TopicPattern } from "./types.ts";

/** Places among queue ids, from here downwards: queues count from 1 and never come this far. */
const HOLDER_ID_MAX = 0x7fffffff;
/** Expired ones removed per turn. */
const EXPIRES_PER_TURN = 1000;

export interface RetainedParts {
  readonly store: MessageStore;
  readonly holders: Holders;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly counters: Counters;
  /** A change asks for stable storage, not only for the operating system. */
  readonly synced: boolean;
  /** Finds a holder by its id, for the cleaner. */
  readonly register: (holder: MessageHolder) => void;
}

/** The last message of each routing key, of every namespace. */
export class Retained {
  readonly walks: RetainedWalks;
  private readonly parts: RetainedParts;
  private readonly spaces = new Map<string, RetainedSpace>();

  constructor(parts: RetainedParts) {
    this.parts = parts;
    this.walks = new RetainedWalks(parts.turn, parts.store, parts.counters);
  }

  get count(): number {
    let total = 0;
    for (const space of this.spaces.values()) total += space.count;
    return total;
  }

  countOf(namespace: string): number {
    return this.spaces.get(namespace)?.count ?? 0;
  }

  /** Keeps the message as the last of its key, or with an empty one ends that. False: there was nothing to change. */
  put(
    namespace: string,
    key: string,
    source: RecordSource,
    annotations: Uint8Array | null,
    expirationMs: number,
  ): boolean {
    if (source.bodyBytes === 0) return this.spaces.get(namespace)?.remove(key) === true;
    this.space(namespace).put(key, source, annotations, expirationMs);
    return true;
  }

  walk(namespace: string, pattern: TopicPattern, sink: RetainedSink): RetainedWalk {
    return this.walks.start(this.space(namespace), pattern, sink);
  }

  /** The namespace is deleted: what it kept is dead. */
  forgetNamespace(namespace: string): void {
    this.spaces.get(namespace)?.clear();
  }

  // --- replay --------------------------------------------------------------------------------------

  restore(head: EnqueueHead, namespace: string, key: string): void {
    this.space(namespace).restore(head, key);
  }

  restoredRemove(namespace: string, key: string): void {
    this.spaces.get(namespace)?.restoredRemove(key);
  }

  restored(): void {
    for (const space of this.spaces.values()) space.arm();
  }

  stop(): void {
    for (const space of this.spaces.values()) space.stop();
  }

  private space(namespace: string): RetainedSpace {
    let space = this.spaces.get(namespace);
    if (space === undefined) {
      space = new RetainedSpace(HOLDER_ID_MAX - this.spaces.size, namespace, this.parts);
      this.spaces.set(namespace, space);
      this.parts.register(space);
    }
    return space;
  }
}

/**
 * The retained messages of one namespace: a tree of keys whose values are slots of the message table (plus
 * one). What is replaced is let go when its successor is durable, and only then is the successor seen.
 */
export class RetainedSpace implements MessageHolder {
  readonly id: number;
  readonly logged = true;
  readonly tree = new KeyTree();
  count = 0;
  private readonly namespace: string;
  private readonly parts: RetainedParts;
  /** Changes that wait for their commit, in order: node and slot + 1 (0 = none any more), in turns. */
  private waiting: number[] = [];
  private waited = 0;
  /** How many of them there are for a node. */
  private readonly pending = new Map<number, number>();
  /** Changes made, and those of them that are durable. */
  private changes = 0;
  private durable = 0;
  /** Who waits until so many are durable, in order. */
  private waiters: { readonly changes: number; readonly then: () => void }[] = [];
  private readonly heap = new TimeHeap<number>();
  /** Nodes that are in the heap. */
  private readonly timed = new Set<number>();
  private timer: Timer | null = null;
  private timerDueMs = Number.POSITIVE_INFINITY;
  private readonly record = new RecordView();
  private key = Buffer.allocUnsafe(256);
  private readonly head = enqueueHead();

  constructor(id: number, namespace: string, parts: RetainedParts) {
    this.id = id;
    this.namespace = namespace;
    this.parts = parts;
  }

  put(key: string, source: RecordSource, annotations: Uint8Array | null, expirationMs: number): void {
    const { store, holders, clock } = this.parts;
    const slot = store.put(source, annotations, true, FLAG_RETAINED);
    holders.one(slot, this);
    if (expirationMs >= 0) store.table.setExpiresAt(slot, clock.now() + expirationMs);
    this.writeHead(slot, key);
    this.change(this.nodeOf(key), slot + 1, slot);
  }

  remove(key: string): boolean {
    const node = this.find(key);
    if (node === 0 || (this.tree.value(node) === 0 && !this.pending.has(node))) return false;
    this.parts.store.journal.heads.unretain(this.namespace, key);
    this.change(node, 0, -1);
    return true;
  }

  /** A change has become durable: the oldest that waits. */
  committed(): void {
    const node = this.waiting[this.waited++] as number;
    const value = this.waiting[this.waited++] as number;
    if (this.waited === this.waiting.length) {
      this.waiting = [];
      this.waited = 0;
    }
    const left = (this.pending.get(node) as number) - 1;
    if (left > 0) this.pending.set(node, left);
    else this.pending.delete(node);
    this.become(node, value);
    this.tree.unpin(node);
    this.arm();
    this.durable++;
    while (this.waiters[0] !== undefined && this.waiters[0].changes <= this.durable)
      this.waiters.shift()?.then();
  }

  whenDurable(then: () => void): void {
    if (this.durable === this.changes) then();
    else this.waiters.push({ changes: this.changes, then });
  }

  holds(): boolean {
    return true;
  }

  attemptOf(): null {
    return null;
  }

  /** Slot of what a node keeps, or -1; never one that has expired. */
  current(node: number): number {
    const slot = this.tree.value(node) - 1;
    return slot < 0 || this.hasExpired(slot) ? -1 : slot;
  }

  /** It cannot be read back from disk. Nothing is written: the next start tries again. */
  setAside(node: number): void {
    this.parts.counters.dropped.corrupt++;
    this.become(node, 0);
  }

  /** The cleaner has moved the message, which is in memory: says so in the log, unless that has word of what follows it. */
  carried(slot: number): void {
    this.parts.store.view(slot, this.record);
    const key = this.record.routingKey();
    const node = this.find(key);
    if (node !== 0 && this.tree.value(node) === slot + 1 && !this.pending.has(node))
      this.writeHead(slot, key);
  }

  /** All of it, at once: for the end of a namespace. */
  clear(): void {
    const { store } = this.parts;
    store.journal.heads.unretain(this.namespace, "");
    store.journal.commit(this.parts.synced);
    for (let i = this.waited; i < this.waiting.length; i += 2) {
      const value = this.waiting[i + 1] as number;
      if (value !== 0) store.free(value - 1);
      this.waiting[i + 1] = 0;
    }
    this.empty();
  }

  restore(head: EnqueueHead, key: string): void {
    const { store, holders } = this.parts;
    store.seenId(head.id);
    const node = this.nodeOf(key);
    const old = this.tree.value(node) - 1;
    if (old >= 0 && store.table.id(old) === head.id) {
      store.relocate(old, head.position);
      return;
    }
    const slot = store.restore(head.id, head.position, head.length, head.bodyBytes, head.priority);
    holders.one(slot, this);
    if (head.expiresAt !== 0) store.table.setExpiresAt(slot, head.expiresAt);
    this.become(node, slot + 1);
  }

  restoredRemove(key: string): void {
    const node = this.find(key);
    if (key === "") this.empty();
    else if (node !== 0) this.become(node, 0);
  }

  /** Expiry begins. Before, what is expired could have been replaced in what was still to be read. */
  arm(): void {
    const next = this.heap.earliest;
    if (next >= this.timerDueMs || next === Number.POSITIVE_INFINITY) return;
    this.timer?.cancel();
    this.timerDueMs = next;
    const { clock } = this.parts;
    this.timer = clock.setTimer(Math.max(0, next - clock.now()), () => this.expire());
  }

  stop(): void {
    this.timer?.cancel();
  }

  private change(node: number, value: number, slot: number): void {
    const { journal } = this.parts.store;
    this.tree.pin(node);
    this.pending.set(node, (this.pending.get(node) ?? 0) + 1);
    this.waiting.push(node, value);
    this.changes++;
    journal.pending(this, slot);
    journal.commit(this.parts.synced);
  }

  private become(node: number, value: number): void {
    const { tree, parts } = this;
    const old = tree.value(node);
    if (old !== 0) parts.store.free(old - 1);
    if (old === 0 && value !== 0) this.count++;
    if (old !== 0 && value === 0) this.count--;
    const expiresAt = value === 0 ? 0 : parts.store.table.expiresAt(value - 1);
    if (expiresAt !== 0) this.time(node, expiresAt);
    tree.setValue(node, value);
  }

  private empty(): void {
    const { tree } = this;
    const nodes: number[] = [];
    const ahead = [KeyTree.ROOT];
    for (let node = ahead.pop(); node !== undefined; node = ahead.pop()) {
      if (tree.value(node) !== 0) nodes.push(node);
      for (let child = tree.firstChild(node); child !== 0; child = tree.nextSibling(child)) ahead.push(child);
    }
    for (const node of nodes) this.become(node, 0);
  }

  private hasExpired(slot: number): boolean {
    const expiresAt = this.parts.store.table.expiresAt(slot);
    return expiresAt !== 0 && expiresAt <= this.parts.clock.now();
  }

  /** Once in the heap is enough for a node: when its time comes, what it keeps then is looked at. */
  private time(node: number, expiresAt: number): void {
    if (this.timed.has(node)) return;
    this.timed.add(node);
    this.heap.push(expiresAt, node);
  }

  private expire(): void {
    this.timer = null;
    this.timerDueMs = Number.POSITIVE_INFINITY;
    const { store, clock, counters } = this.parts;
    for (let n = 0; n < EXPIRES_PER_TURN && this.heap.earliest <= clock.now(); n++) {
      const node = this.heap.pop() as number;
      this.timed.delete(node);
      const slot = this.tree.value(node) - 1;
      const expiresAt = slot < 0 ? 0 : store.table.expiresAt(slot);
      if (expiresAt === 0) continue;
      if (!this.hasExpired(slot)) this.time(node, expiresAt);
      else if (!this.pending.has(node)) {
        store.journal.heads.unretain(this.namespace, this.tree.key(node));
        store.journal.commit(false);
        counters.dropped.expired++;
        this.become(node, 0);
      }
    }
    this.arm();
  }

  private writeHead(slot: number, key: string): void {
    const { table, journal } = this.parts.store;
    const { head } = this;
    head.expiresAt = table.expiresAt(slot);
    head.flags = head.expiresAt === 0 ? 0 : ENQUEUE_HAS_EXPIRY;
    head.priority = table.priority(slot);
    head.length = table.length(slot);
    head.bodyBytes = table.bodyBytes(slot);
    head.id = table.id(slot);
    journal.heads.retain(head, journal.bodyOffset(table.position(slot)), this.namespace, key);
  }

  private nodeOf(key: string): number {
    const length = this.encode(key);
    return this.tree.grow(this.key, length);
  }

  private find(key: string): number {
    const length = this.encode(key);
    return this.tree.find(this.key, length);
  }

  /** Puts the key's bytes into `this.key`, which may be another buffer then; returns how many. */
  private encode(key: string): number {
    const room = key.length * 3;
    if (room > this.key.length) this.key = Buffer.allocUnsafe(Math.max(room, 2 * this.key.length));
    return this.key.write(key);
  }
}
