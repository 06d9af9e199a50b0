import type { Log } from "../engine/engine.ts";
import { DELAY_HOLDER_ID, type DelayRoom } from "./delay.ts";
import type { Holders, MessageHolder } from "./holders.ts";
import type { Notes } from "./notes.ts";
import type { Queue } from "./queue.ts";
import type { Retained } from "./retained.ts";
import { ENQUEUE_MOVED, type EnqueueHead, type HeadVisitor, readHeads } from "./store/heads.ts";
import type { MessageStore } from "./store/message-store.ts";

/** What is rebuilt. */
export interface Replayed {
  readonly store: MessageStore;
  readonly holders: Holders;
  readonly holdersById: ReadonlyMap<number, MessageHolder>;
  readonly delays: DelayRoom;
  readonly queues: ReadonlyMap<number, Queue>;
  readonly retained: Retained;
  readonly notes: Notes;
}

/** Rebuilds queues, retained messages and notes from the heads in the log. What names a queue that is gone is skipped. */
export async function replay(log: Log, into: Replayed): Promise<void> {
  const visitor = new Replay(into);
  await log.recover((batch) => readHeads(batch.heads, batch.position, visitor));
}

class Replay implements HeadVisitor {
  private readonly store: MessageStore;
  private readonly holders: Holders;
  private readonly holdersById: ReadonlyMap<number, MessageHolder>;
  private readonly delays: DelayRoom;
  private readonly queues: ReadonlyMap<number, Queue>;
  private readonly retained: Retained;
  private readonly notes: Notes;

  constructor(into: Replayed) {
    this.store = into.store;
    this.holders = into.holders;
    this.holdersById = into.holdersById;
    this.delays = into.delays;
    this.queues = into.queues;
    this.retained = into.retained;
    this.notes = into.notes;
  }

  enqueue(head: EnqueueHead): void {
    this.store.seenId(head.id);
    if ((head.flags & ENQUEUE_MOVED) !== 0 && this.relocate(head)) return;
    const targets: MessageHolder[] = [];
    for (const id of head.queueIds) {
      const holder = this.holdersById.get(id);
      if (holder !== undefined) targets.push(holder);
    }
    if (targets.length === 0) return;
    const { store } = this;
    const slot = store.restore(head.id, head.position, head.length, head.bodyBytes, head.priority);
    if (targets.length === 1) this.holders.one(slot, targets[0] as MessageHolder);
    else this.holders.many(slot, targets);
    if (head.enqueuedAt !== 0) store.table.setEnqueuedAt(slot, head.enqueuedAt);
    if (targets[0]?.id === DELAY_HOLDER_ID) {
      this.delays.restore(slot, head.expiresAt);
      return;
    }
    if (head.expiresAt !== 0) store.table.setExpiresAt(slot, head.expiresAt);
    for (const target of targets) (target as Queue).restore(slot);
  }

  settle(queueId: number, id: number): void {
    if (queueId === DELAY_HOLDER_ID) {
      const slot = this.delays.restoredSettle(id);
      if (slot >= 0) this.store.free(slot);
      return;
    }
    const slot = this.queues.get(queueId)?.restoredSettle(id) ?? -1;
    if (slot >= 0 && this.holders.release(slot)) this.store.free(slot);
  }

  attempt(queueId: number, id: number, deliveryCount: number, dueAt: number): void {
    this.queues.get(queueId)?.restoredAttempt(id, deliveryCount, dueAt);
  }

  purge(queueId: number, idMax: number, keptIds: readonly number[]): void {
    const kept = new Set(keptIds);
    for (const id of this.queues.get(queueId)?.readyIds() ?? []) {
      if (id <= idMax && !kept.has(id)) this.settle(queueId, id);
    }
  }

  retain(head: EnqueueHead, namespace: string, key: string): void {
    this.retained.restore(head, namespace, key);
  }

  unretain(namespace: string, key: string): void {
    this.retained.restoredRemove(namespace, key);
  }

  note(namespace: string, book: string, key: string, value: string, position: number, bytes: number): void {
    this.notes.restore(namespace, book, key, value, position, bytes);
  }

  noteEnd(namespace: string, book: string, key: string): void {
    this.notes.restoredDelete(namespace, book, key);
  }

  bookEnd(namespace: string, book: string): void {
    this.notes.restoredClear(namespace, book);
  }

  /** The cleaner wrote it again. True when the older copy was still known. */
  private relocate(head: EnqueueHead): boolean {
    for (const id of head.queueIds) {
      const slot =
        id === DELAY_HOLDER_ID
          ? this.delays.restoredFind(head.id)
          : (this.queues.get(id)?.restoredFind(head.id) ?? -1);
      if (slot < 0) continue;
      this.store.relocate(slot, head.position);
      return true;
    }
    return false;
  }
}
