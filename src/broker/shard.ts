import type { Arena } from "../base/arena.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Turn } from "../base/turn.ts";
import type { CorruptionError, Durability, Log } from "../engine/engine.ts";
import type { RecordReaders } from "../message/reader.ts";
import type { DeathReason } from "../message/record.ts";
import { Cleaner } from "./cleaner.ts";
import { DeadLetters, type QueueFinder } from "./dead-letter.ts";
import { DELAY_HOLDER_ID, DelayRoom } from "./delay.ts";
import { MutableDelivery } from "./delivery.ts";
import { Disposer } from "./disposer.ts";
import { Holders, type MessageHolder } from "./holders.ts";
import { Ledger } from "./ledger.ts";
import { Notes } from "./notes.ts";
import { Publisher } from "./publisher.ts";
import { Queue } from "./queue.ts";
import type { QueueContext } from "./queue-context.ts";
import { replay } from "./replay.ts";
import { Retained } from "./retained.ts";
import { Counters, type DropReason } from "./stats.ts";
import { MessageStore } from "./store/message-store.ts";
import type { SlotList } from "./store/slot-list.ts";
import type { Owner, QueueDeclaration, QueueHandle, QueueHooks, QueueHost } from "./types.ts";

const SWEEP_MS = 1000;

export interface ShardOptions {
  readonly log: Log;
  readonly arena: Arena;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly finder: QueueFinder;
  readonly readers: RecordReaders;
  readonly durability: Durability;
  /** Arena blocks that messages may take. */
  readonly blocksMax: number;
  /** Acknowledgement timeout of queues that do not set one; null = none. */
  readonly consumerTimeoutMs: number | null;
  /** Of quorum queues that do not set one; -1 = none. */
  readonly quorumDeliveryLimit: number;
  /** 0 <= random() < 1 */
  readonly random: () => number;
  /** A stored message cannot be read back: it is set aside, and the rest goes on. */
  readonly onCorruption: (error: CorruptionError) => void;
  /** When and in which steps disk space is given back; for tests. */
  readonly space?: { readonly regionBytes: number; readonly storedBytesMin: number };
}

/** A single-writer state machine over one log: queues, what they hold, and who holds what of it. */
export class Shard implements QueueHost, QueueContext<Queue> {
  readonly store: MessageStore;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly counters = new Counters();
  readonly durability: Durability;
  readonly ledgers = new Set<Ledger>();
  readonly publisher: Publisher;
  readonly delays: DelayRoom;
  readonly notes: Notes;
  readonly retained: Retained;
  readonly queues = new Map<number, Queue>();
  readonly random: () => number;
  readonly consumerTimeoutMs: number | null;
  readonly quorumDeliveryLimit: number;
  private readonly log: Log;
  readonly holdersById = new Map<number, MessageHolder>();
  readonly holders: Holders;
  readonly deadLetters: DeadLetters;
  private readonly disposer: Disposer;
  private readonly cleaner: Cleaner;
  private readonly delivery = new MutableDelivery();
  private sweepTimer: Timer | null = null;
  private readonly timed = new Set<Queue>();

  constructor(options: ShardOptions) {
    const { log, arena, turn, clock, counters } = { ...options, counters: this.counters };
    this.log = log;
    this.turn = turn;
    this.clock = clock;
    this.durability = options.durability;
    this.random = options.random;
    this.consumerTimeoutMs = options.consumerTimeoutMs;
    this.quorumDeliveryLimit = options.quorumDeliveryLimit;
    this.store = new MessageStore(arena, log, options.blocksMax, options.space?.regionBytes);
    this.store.onCorruption = options.onCorruption;
    const { store } = this;
    this.holders = new Holders(store.table, this.holdersById);
    this.publisher = new Publisher(store, this.holders, clock, counters, () => this.deadLetters);
    const { finder, readers } = options;
    this.deadLetters = new DeadLetters(store, this.publisher, finder, readers, clock, counters);
    this.delays = new DelayRoom({
      store,
      holders: this.holders,
      publisher: this.publisher,
      finder,
      readers,
      clock,
      counters,
      synced: options.durability === "fsync",
    });
    this.holdersById.set(DELAY_HOLDER_ID, this.delays);
    const synced = options.durability === "fsync";
    this.notes = new Notes(store, synced);
    this.retained = new Retained({
      store,
      holders: this.holders,
      clock,
      turn,
      counters,
      synced,
      register: (holder) => this.holdersById.set(holder.id, holder),
    });
    this.disposer = new Disposer(turn, counters, (slot) => this.release(slot));
    this.cleaner = new Cleaner({
      store,
      holders: this.holders,
      log,
      turn,
      delays: this.delays,
      notes: this.notes,
      disposer: this.disposer,
      storedBytesMin: options.space?.storedBytesMin,
    });
  }

  /** Rebuilds what the queues held. Durable queues must have been created. */
  async recover(): Promise<void> {
    await replay(this.log, this);
    for (const queue of this.queues.values()) queue.restored();
    this.log.start(this.store.journal);
    this.delays.restored();
    this.retained.restored();
    this.sweep();
  }

  get storedBytes(): number {
    return this.log.storedBytes;
  }

  get movedMessages(): number {
    return this.cleaner.moved;
  }

  createQueue(
    id: number,
    namespace: string,
    declaration: QueueDeclaration,
    owner: Owner | null,
    hooks: QueueHooks,
  ): Queue {
    const queue = new Queue(id, namespace, declaration, owner, hooks, this, this.delivery);
    this.queues.set(id, queue);
    this.holdersById.set(id, queue);
    if (queue.consumerTimeoutMs !== null) this.timed.add(queue);
    return queue;
  }

  deleteQueue(handle: QueueHandle): number {
    const queue = handle as Queue;
    this.queues.delete(queue.id);
    this.holdersById.delete(queue.id);
    this.timed.delete(queue);
    return queue.delete();
  }

  forgetNamespace(name: string): void {
    this.retained.forgetNamespace(name);
    this.notes.forgetNamespace(name);
  }

  purgeQueue(queue: QueueHandle): number {
    return (queue as Queue).purge();
  }

  touchQueue(queue: QueueHandle): void {
    (queue as Queue).touch();
  }

  openLedger(onClose: (ledger: Ledger) => void): Ledger {
    const ledger = new Ledger((closed) => {
      this.ledgers.delete(closed);
      onClose(closed);
    });
    this.ledgers.add(ledger);
    return ledger;
  }

  discard(queue: Queue, slot: number, reason: DeathReason): void {
    this.deadLetters.discard(queue, slot, reason);
  }

  release(slot: number): void {
    if (this.holders.release(slot)) this.store.free(slot);
  }

  dispose(lists: SlotList[], reason: DropReason): void {
    this.disposer.add(lists, reason);
  }

  async close(): Promise<void> {
    this.sweepTimer?.cancel();
    this.delays.stop();
    this.retained.stop();
    for (const queue of this.queues.values()) queue.stop();
    this.store.close();
    await this.log.close();
  }

  /** What is not urgent: late acknowledgements, disk space, memory. */
  private sweep(): void {
    for (const queue of this.timed) queue.returnLate();
    this.store.easeMemory();
    this.cleaner.check();
    this.sweepTimer = this.clock.setTimer(SWEEP_MS, () => this.sweep());
  }
}
