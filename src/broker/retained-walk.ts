import { KEY_SEPARATOR, KeyTree } from "../base/key-tree.ts";
import type { Task, Turn } from "../base/turn.ts";
import { RecordView } from "../message/record.ts";
import type { Counters } from "./stats.ts";
import type { MessageStore } from "./store/message-store.ts";
import type { RetainedSink, RetainedWalk, StoredMessage, TopicPattern } from "./types.ts";

/** Steps of all walks together in one turn: some two milliseconds. */
const STEPS_PER_TURN = 1024;
/** Matches in memory that a walk gathers before it hands them out. */
const WINDOW = 256;
/** Matches on disk that it gathers before it reads them, stretch by stretch: keys lie there in another order than here. */
const COLD_MAX = 128 * 1024;
const STRETCH_BYTES = 256 * 1024;

const DOLLAR = 0x24;

/** What is walked over. */
export interface WalkedSpace {
  readonly tree: KeyTree;
  /** Slot of what a node keeps, or -1. */
  current(node: number): number;
  setAside(node: number): void;
  /** Calls back when every change made so far is durable and thus seen; at once if they all are. */
  whenDurable(then: () => void): void;
}

/** The walks of a shard; they share one allowance of work per turn, however many they are. */
export class RetainedWalks implements Task {
  scheduled = false;
  readonly store: MessageStore;
  readonly counters: Counters;
  private readonly turn: Turn;
  private ready: Walk[] = [];

  constructor(turn: Turn, store: MessageStore, counters: Counters) {
    this.turn = turn;
    this.store = store;
    this.counters = counters;
  }

  start(space: WalkedSpace, pattern: TopicPattern, sink: RetainedSink): RetainedWalk {
    const walk = new Walk(this, space, pattern, sink);
    walk.begin();
    return walk;
  }

  soon(walk: Walk): void {
    this.ready.push(walk);
    this.turn.soon(this);
  }

  run(): void {
    const walks = this.ready;
    this.ready = [];
    const share = Math.max(16, Math.floor(STEPS_PER_TURN / walks.length));
    let budget = STEPS_PER_TURN;
    for (const walk of walks) {
      if (budget <= 0) {
        this.soon(walk);
        continue;
      }
      budget -= share;
      walk.scheduled = false;
      walk.run(share);
    }
  }
}

type Word = { readonly kind: "one" | "many" } | { readonly kind: "literal"; readonly bytes: Uint8Array };

/** A node whose children are being looked at. `next` is pinned, so that it keeps its place. */
interface Frame {
  readonly node: number;
  next: number;
  /** No other child can match. */
  readonly only: boolean;
  /** Words of the pattern that may come next; the number of words: it may end here. */
  readonly states: readonly number[];
}

interface Found {
  readonly node: number;
  readonly id: number;
}

/** The one message that a walk hands out at a time. */
class Shown implements StoredMessage {
  readonly record = new RecordView();
  id = 0;
  expiresAt = 0;
  priority = 0;
}

/**
 * One subscriber's way through the tree. It sees what was published before it began, and for that waits until it is
 * durable: nobody else brings that to this subscriber. What is published later comes to it as news.
 *
 * Depth first, with a stack of its own: it can stop after any step and go on in a later turn, whatever has come and
 * gone meanwhile.
 */
class Walk implements RetainedWalk {
  scheduled = false;
  private readonly walks: RetainedWalks;
  private readonly space: WalkedSpace;
  private readonly sink: RetainedSink;
  private readonly words: readonly Word[];
  private readonly guarded: boolean;
  private readonly stack: Frame[] = [];
  /** What is handed out next: nodes, and the ids of what they kept when they were found. */
  private window: Found[] = [];
  private handed = 0;
  /** Likewise of what has to be read first, by its stretch of the log. */
  private readonly cold = new Map<number, Found[]>();
  private coldCount = 0;
  /** For the disk: for what is to be read, or before it begins. */
  private waiting = true;
  private readonly lastId: number;
  private ended = false;
  private readonly shown = new Shown();

  constructor(walks: RetainedWalks, space: WalkedSpace, pattern: TopicPattern, sink: RetainedSink) {
    this.walks = walks;
    this.space = space;
    this.sink = sink;
    this.guarded = pattern.guarded;
    this.words = wordsOf(pattern);
    this.lastId = walks.store.lastId;
  }

  begin(): void {
    this.space.whenDurable(() => {
      this.waiting = false;
      if (this.ended) return;
      this.enter(KeyTree.ROOT, this.closed([0]));
      this.resume();
    });
  }

  resume(): void {
    if (this.ended || this.waiting || this.scheduled) return;
    this.scheduled = true;
    this.walks.soon(this);
  }

  cancel(): void {
    if (this.ended) return;
    this.ended = true;
    for (const { next } of this.stack.splice(0)) if (next !== 0) this.space.tree.unpin(next);
    this.window = [];
    this.cold.clear();
  }

  /** Takes so many steps at most. */
  run(steps: number): void {
    let left = steps;
    while (left > 0 && !this.ended) {
      if (this.handed < this.window.length) {
        if (!this.sink.writable || !this.handOut()) return;
        left--;
      } else if (this.stack.length > 0 && this.coldCount < COLD_MAX) left -= this.gather(left);
      else if (this.coldCount > 0) this.takeStretch();
      else {
        this.ended = true;
        this.sink.finished();
      }
    }
    if (!this.ended) this.resume();
  }

  /** False: it has to be read from disk first. */
  private handOut(): boolean {
    const { shown } = this;
    const { store } = this.walks;
    const slot = this.slotOf(this.window[this.handed] as Found);
    if (slot >= 0 && !store.resident(slot)) {
      this.load();
      return false;
    }
    this.handed++;
    if (slot < 0) return true;
    store.view(slot, shown.record);
    shown.id = store.table.id(slot);
    shown.expiresAt = store.table.expiresAt(slot);
    shown.priority = store.table.priority(slot);
    this.walks.counters.delivered++;
    this.sink.retained(shown);
    return true;
  }

  /** -1 when the message has been replaced or is gone, and when the node is another's by now. */
  private slotOf({ node, id }: Found): number {
    const slot = this.space.current(node);
    return slot >= 0 && this.walks.store.table.id(slot) === id ? slot : -1;
  }

  /** Reads what comes next and is not in memory. */
  private load(): void {
    const { store } = this.walks;
    const rest = this.window.slice(this.handed);
    const missing = rest
      .map((found) => this.slotOf(found))
      .filter((slot) => slot >= 0 && !store.resident(slot));
    const first = rest[0] as Found;
    this.waiting = true;
    store.load(missing, (readable) => {
      this.waiting = false;
      if (!readable && this.slotOf(first) >= 0) this.space.setAside(first.node);
      this.resume();
    });
  }

  /** Makes what was found in one stretch of the log the window, in its order. */
  private takeStretch(): void {
    const { table } = this.walks.store;
    for (const [stretch, found] of this.cold) {
      this.cold.delete(stretch);
      this.coldCount -= found.length;
      const placed = found.map((one) => ({ one, slot: this.slotOf(one) })).filter(({ slot }) => slot >= 0);
      placed.sort((a, b) => table.position(a.slot) - table.position(b.slot));
      this.window = placed.map(({ one }) => one);
      this.handed = 0;
      return;
    }
  }

  /** Fills the window; returns how many steps it took. */
  private gather(stepsMax: number): number {
    this.window = [];
    this.handed = 0;
    let steps = 0;
    while (this.window.length < WINDOW && steps < stepsMax) {
      const frame = this.stack[this.stack.length - 1];
      if (frame === undefined) break;
      steps++;
      this.step(frame);
    }
    return steps;
  }

  /** Goes to the next child of a node, or back up. */
  private step(frame: Frame): void {
    const { tree } = this.space;
    const child = frame.next;
    if (child === 0) {
      this.stack.pop();
      return;
    }
    frame.next = frame.only ? 0 : tree.nextSibling(child);
    if (frame.next !== 0) tree.pin(frame.next);
    const states = this.after(frame, child);
    if (states.length > 0) this.enter(child, states);
    tree.unpin(child);
  }

  /** Looks at a node that the pattern has come to. */
  private enter(node: number, states: readonly number[]): void {
    const { tree } = this.space;
    const end = this.words.length;
    if (states.includes(end)) this.found(node);
    const words = states.map((at) => this.words[at]).filter((word) => word !== undefined);
    if (words.some((word) => word.kind !== "literal")) this.push(node, tree.firstChild(node), false, states);
    else {
      // Straight to the only children that there can be.
      const children = words.map((word) => (word.kind === "literal" ? this.childBy(node, word.bytes) : 0));
      for (const child of new Set(children)) this.push(node, child, true, states);
    }
  }

  private found(node: number): void {
    const { store } = this.walks;
    const slot = this.space.current(node);
    if (slot < 0) return;
    const found = { node, id: store.table.id(slot) };
    if (found.id > this.lastId) return;
    if (store.resident(slot)) {
      this.window.push(found);
      return;
    }
    const stretch = Math.floor(store.table.position(slot) / STRETCH_BYTES);
    const there = this.cold.get(stretch);
    if (there === undefined) this.cold.set(stretch, [found]);
    else there.push(found);
    this.coldCount++;
  }

  private childBy(node: number, word: Uint8Array): number {
    return this.space.tree.child(node, word, 0, word.length);
  }

  private push(node: number, next: number, only: boolean, states: readonly number[]): void {
    if (next === 0) return;
    this.space.tree.pin(next);
    this.stack.push({ node, next, only, states });
  }

  /** States behind a child's word; the same list when the pattern ends in "many": nothing can change any more. */
  private after(frame: Frame, child: number): readonly number[] {
    const { words } = this;
    const { tree } = this.space;
    const secret = this.guarded && frame.node === KeyTree.ROOT && tree.initial(child) === DOLLAR;
    const last = words.length - 1;
    if (!secret && frame.states[0] === last && words[last]?.kind === "many") return frame.states;
    const next: number[] = [];
    for (const at of frame.states) {
      const word = words[at];
      if (word === undefined) continue;
      if (word.kind === "literal") {
        if (tree.wordIs(child, word.bytes)) next.push(at + 1);
      } else if (!secret) next.push(word.kind === "one" ? at + 1 : at);
    }
    return this.closed(next);
  }

  /** With those that a "many" allows to be skipped to; rising, each once. */
  private closed(states: readonly number[]): readonly number[] {
    const all = new Set(states);
    for (const at of all) if (this.words[at]?.kind === "many") all.add(at + 1);
    return [...all].sort((a, b) => a - b);
  }
}

function wordsOf({ pattern, one }: TopicPattern): Word[] {
  if (pattern === "") return [];
  return pattern.split(String.fromCharCode(KEY_SEPARATOR)).map((word): Word => {
    if (word === one) return { kind: "one" };
    return word === "#" ? { kind: "many" } : { kind: "literal", bytes: Buffer.from(word) };
  });
}
