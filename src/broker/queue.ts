import { BrokerError } from "../base/errors.ts";
import type { Task } from "../base/turn.ts";
import type { DeathReason } from "../message/record.ts";
import { Attempts } from "./attempts.ts";
import { Consumer } from "./consumer.ts";
import { ConsumerGroup, NOBODY } from "./consumer-group.ts";
import type { MutableDelivery } from "./delivery.ts";
import { HeadExpiry, UnusedWatch } from "./expiry.ts";
import type { MessageHolder } from "./holders.ts";
import { type Holder, type Ledger, unsettledOf } from "./ledger.ts";
import { LengthLimit } from "./overflow.ts";
import { NONE_PENDING, PendingMessages } from "./pending.ts";
import type { QueueContext } from "./queue-context.ts";
import { QueueOrder } from "./queue-order.ts";
import { ReadAhead } from "./read-ahead.ts";
import { backoffMs } from "./retry.ts";
import type { DropReason } from "./stats.ts";
import type {
  ConsumeOptions,
  ConsumerSink,
  Delivery,
  Owner,
  QueueDeclaration,
  QueueHandle,
  QueueHooks,
} from "./types.ts";

/** Messages one queue hands out before other queues and sockets have their turn. */
const PUMP_MESSAGES_MAX = 2048;

type Gotten = (delivery: Delivery | null, ready: number) => void;

/** One queue: what is ready, who consumes it, what happens to what fails. */
export class Queue implements QueueHandle, MessageHolder, Task, Holder {
  scheduled = false;
  readonly id: number;
  readonly namespace: string;
  readonly name: string;
  readonly declaration: QueueDeclaration;
  readonly owner: Owner | null;
  /** Its persistent messages and their settlements are written to the log. */
  readonly logged: boolean;
  /** Logged, but acknowledged before it is on disk. */
  readonly writeBehind: boolean;
  /** Acknowledged only when on stable storage, not merely with the operating system. */
  readonly synced: boolean;
  readonly consumerTimeoutMs: number | null;
  private readonly deliveryLimit: number;
  deleted = false;
  readyBytes = 0;
  /** Holder's view: single gets that wait to be settled. */
  unsettled = 0;
  unackedCount = 0;
  private pending = NONE_PENDING;
  private readonly context: QueueContext<Queue>;
  private readonly order: QueueOrder;
  private consumers: ConsumerGroup;
  /** What was handed out without success; made with the first. */
  private attempts: Attempts | null = null;
  private readonly limit: LengthLimit;
  /** Made when some message may expire. */
  private expiry: HeadExpiry | null;
  private readonly unused: UnusedWatch | null;
  /** Made when some of its messages are on disk only. */
  private readAhead: ReadAhead | null = null;
  /** Neither ready nor handed out: being read back from disk for a get or on the way out. */
  private inTransit: Set<number> | null = null;
  private readonly delivery: MutableDelivery;
  private readonly hooks: QueueHooks;

  constructor(
    id: number,
    namespace: string,
    declaration: QueueDeclaration,
    owner: Owner | null,
    hooks: QueueHooks,
    context: QueueContext<Queue>,
    delivery: MutableDelivery,
  ) {
    const { options } = declaration;
    this.id = id;
    this.namespace = namespace;
    this.name = declaration.name;
    this.declaration = declaration;
    this.owner = owner;
    this.hooks = hooks;
    this.context = context;
    this.delivery = delivery;
    this.logged = declaration.durable && owner === null && options.volatile !== true;
    const durability = options.durability ?? context.durability;
    this.writeBehind = durability === "memory";
    this.synced = durability === "fsync";
    this.consumerTimeoutMs = options.consumerTimeoutMs ?? context.consumerTimeoutMs;
    this.deliveryLimit =
      options.deliveryLimit ?? (options.type === "quorum" ? context.quorumDeliveryLimit : -1);
    this.order = new QueueOrder(context.store.table, options.priorityMax ?? 0, options.discipline === "lifo");
    this.limit = LengthLimit.of(options);
    this.consumers = options.singleActiveConsumer === true ? new ConsumerGroup(true) : NOBODY;
    const ttlMs = options.messageTtlMs;
    this.expiry = ttlMs === undefined ? null : new HeadExpiry(ttlMs, context, this);
    this.unused =
      options.expiresMs === undefined ? null : new UnusedWatch(options.expiresMs, context.clock, this);
  }

  get queue(): Queue {
    return this;
  }

  /** Published messages that nobody holds, also those that are not durable yet: what a client expects to count. */
  get readyCount(): number {
    return this.order.length + this.pending.wanted;
  }

  /** Made when first needed: ten thousand idle queues do without. */
  get transit(): Set<number> {
    this.inTransit ??= new Set();
    return this.inTransit;
  }

  get consumerCount(): number {
    return this.consumers.count;
  }

  get waitingCount(): number {
    return this.attempts?.waitingCount ?? 0;
  }

  // --- in -----------------------------------------------------------------------------------------

  accepts(bodyBytes: number): boolean {
    return !this.limit.refuses(this.readyCount, this.readyBytes + this.pending.wantedBytes, bodyBytes);
  }

  /** It has a maximum length. */
  get limited(): boolean {
    return this.limit.set;
  }

  /** A new message. `pending`: it waits for the batch that is gathering; order is kept either way. */
  offer(slot: number, pending: boolean, transient = false): void {
    const drop = this.limit.atArrival(this.consumers.count, this.order.length, this.readyBytes, transient);
    if (drop !== null) {
      this.context.counters.dropped[drop]++;
      this.context.release(slot);
    } else if (pending || this.pending.count > 0) {
      if (this.pending === NONE_PENDING) this.pending = new PendingMessages();
      this.pending.add(this.context.store.table.bodyBytes(slot));
      this.context.store.journal.pending(this, slot);
    } else this.admit(slot);
  }

  committed(slot: number): void {
    const purged = this.pending.leave(this.context.store.table.bodyBytes(slot));
    if (purged || this.deleted) this.context.release(slot);
    else this.admit(slot);
  }

  private admit(slot: number): void {
    this.makeReady(slot);
    const nowOrNever = this.expiry?.arrives(slot) === true;
    if (this.limit.set) this.enforceLength();
    // What must not wait does not wait for the turn either.
    if (this.limit.volatile) this.handOut();
    if (!nowOrNever) return;
    this.run();
    this.expiry?.hasArrived();
    this.expireHead();
  }

  private makeReady(slot: number): void {
    this.order.push(slot);
    this.readyBytes += this.context.store.table.bodyBytes(slot);
    this.expiryOf(slot)?.added(slot);
    if (this.consumers.count > 0 && !this.scheduled && !this.limit.volatile) this.context.turn.soon(this);
  }

  private enforceLength(): void {
    // A consumer with room takes the message before the limit does.
    if (this.consumers.count > 0 && this.overLength) this.run();
    this.dropOverLength();
  }

  private get overLength(): boolean {
    return this.limit.exceeded(this.order.length, this.readyBytes);
  }

  private dropOverLength(): void {
    for (; this.overLength; this.expireHead()) {
      const slot = this.order.popOldest();
      this.leaveReady(slot);
      this.context.discard(this, slot, "maxlen");
      // What was hidden behind it may have expired long ago.
    }
  }

  /** Replay: the message is ready (or waits, when `dueAt` lies ahead). */
  restore(slot: number): void {
    this.order.push(slot);
    this.expiryOf(slot)?.restored(slot);
    this.readyBytes += this.context.store.table.bodyBytes(slot);
  }

  /** Replay: takes the message with this id out of wherever it is; -1 when it is not here. */
  restoredSettle(id: number): number {
    let slot = this.order.removeId(id);
    if (slot >= 0) {
      this.readyBytes -= this.context.store.table.bodyBytes(slot);
    } else slot = this.attempts?.takeOut(id) ?? -1;
    if (slot >= 0) this.attempts?.forget(slot);
    return slot;
  }

  /** Replay: the message with this id was handed out without success. */
  restoredAttempt(id: number, deliveryCount: number, dueAt: number): void {
    const slot = this.restoredFind(id);
    if (slot < 0) return;
    const attempts = this.failures();
    attempts.note(slot, deliveryCount);
    if (attempts.takeOut(id) === slot) this.restore(slot);
    if (dueAt <= this.context.clock.now()) return;
    this.order.removeId(id);
    this.readyBytes -= this.context.store.table.bodyBytes(slot);
    attempts.wait(slot, dueAt);
  }

  readyIds(): number[] {
    return this.order.all().map((slot) => this.context.store.table.id(slot));
  }

  /** Replay: the slot with this id, or -1. */
  restoredFind(id: number): number {
    const slot = this.order.find(id);
    return slot >= 0 ? slot : (this.attempts?.find(id) ?? -1);
  }

  /** Replay is over: clocks start. */
  restored(): void {
    this.expiry?.rearm(this.order);
    this.unused?.touch();
  }

  // --- out ----------------------------------------------------------------------------------------

  wake(): void {
    if (this.order.length > 0 && this.consumers.count > 0 && !this.scheduled) this.context.turn.soon(this);
  }

  /** Hands out what can be handed out. */
  run(): void {
    this.handOut();
    if (this.readAhead?.behind === true) this.readAhead.run();
    if (this.expiry?.active === true) this.expiry.rearm(this.order);
  }

  private handOut(): void {
    const store = this.context.store;
    let budget = PUMP_MESSAGES_MAX;
    while (this.order.length > 0) {
      const consumer = this.consumers.next();
      if (consumer === null) return;
      if (budget-- === 0) {
        this.wake();
        return;
      }
      const slot = this.order.peek();
      if (this.expiry?.active === true && this.expiry.isDue(slot)) {
        this.expireOne(this.order.pop());
        continue;
      }
      if (!store.resident(slot)) {
        this.loadAhead();
        return;
      }
      this.order.pop();
      this.leaveReady(slot);
      this.deliver(consumer, slot);
    }
  }

  private deliver(consumer: Consumer, slot: number): void {
    const delivery = this.fill(slot);
    const { counters } = this.context;
    counters.delivered++;
    if (delivery.redelivered) counters.redelivered++;
    if (consumer.noAck) {
      delivery.tag = consumer.ledger.passed();
      consumer.sink.deliver(delivery);
      this.settle(slot);
      return;
    }
    this.unackedCount++;
    delivery.tag = consumer.ledger.enter(slot, consumer, this.deadline());
    consumer.sink.deliver(delivery);
  }

  private fill(slot: number): MutableDelivery {
    const { delivery, context } = this;
    context.store.view(slot, delivery.record);
    delivery.id = context.store.table.id(slot);
    delivery.expiresAt = context.store.table.expiresAt(slot);
    delivery.priority = context.store.table.priority(slot);
    const count = this.attempts?.countOf(slot);
    delivery.redelivered = count !== undefined;
    delivery.deliveryCount = count ?? 0;
    delivery.queue = this.name;
    return delivery;
  }

  /** Takes one message for a single get. `done` may be called later, when it must be read from disk. */
  get(noAck: boolean, ledger: Ledger, done: Gotten): void {
    this.unused?.touch();
    this.expireHead();
    if (this.order.length === 0) {
      // What this client published a moment ago is on its way to the disk: it is there for it.
      if (this.pending.wanted === 0) done(null, 0);
      else this.context.store.journal.waitFor({ committed: () => this.get(noAck, ledger, done) });
      return;
    }
    const slot = this.order.pop();
    this.leaveReady(slot);
    // What has expired behind it goes now, so that the count which the answer carries is right.
    this.expireHead();
    if (this.context.store.resident(slot)) {
      this.gotten(slot, noAck, ledger, done);
      return;
    }
    this.transit.add(slot);
    this.context.store.load([slot], (readable) => {
      this.transit.delete(slot);
      if (readable) this.gotten(slot, noAck, ledger, done);
      else {
        this.setAside(slot);
        this.get(noAck, ledger, done);
      }
    });
  }

  private gotten(slot: number, noAck: boolean, ledger: Ledger, done: Gotten): void {
    const delivery = this.fill(slot);
    const { counters } = this.context;
    counters.got++;
    if (delivery.redelivered) counters.redelivered++;
    if (!noAck) this.unackedCount++;
    delivery.tag = noAck ? ledger.passed() : ledger.enter(slot, this, this.deadline());
    done(delivery, this.readyCount);
    if (noAck) this.settle(slot);
  }

  private deadline(): number {
    return this.consumerTimeoutMs === null ? -1 : this.context.clock.monotonic();
  }

  private loadAhead(): void {
    this.readAhead ??= new ReadAhead(this, this.order, this.context.store);
    this.readAhead.run();
  }

  /** Read ahead, and not to be had. */
  unreadable(id: number, slot: number): void {
    if (this.order.find(id) !== slot) return;
    this.restoredSettle(id);
    this.setAside(slot);
  }

  // --- settling -----------------------------------------------------------------------------------

  accepted(slot: number): void {
    this.unackedCount--;
    this.context.counters.acknowledged++;
    this.settle(slot);
  }

  rejected(slot: number, requeue: boolean): void {
    this.unackedCount--;
    if (this.deleted) this.settle(slot);
    else if (this.declaration.options.retry !== undefined)
      this.retry(slot, requeue ? "delivery_limit" : "rejected");
    else if (requeue) this.putBack(slot);
    else this.context.discard(this, slot, "rejected");
  }

  returned(slot: number): void {
    this.unackedCount--;
    if (this.deleted) this.settle(slot);
    else this.putBack(slot);
  }

  timedOut(slot: number): void {
    this.rejected(slot, true);
  }

  /** The message has left this queue: a record of it is written, and this queue's hold on it ends. */
  settle(slot: number): void {
    const { store } = this.context;
    if (this.logged && !this.deleted && store.table.position(slot) >= 0) {
      store.journal.heads.settle(this.id, store.table.id(slot));
      store.journal.commit(false);
    }
    this.attempts?.forget(slot);
    this.context.release(slot);
  }

  /** It cannot be read back from disk. Nothing is written: the next start tries again. */
  setAside(slot: number): void {
    this.context.counters.dropped.corrupt++;
    this.attempts?.forget(slot);
    this.context.release(slot);
  }

  private putBack(slot: number): void {
    const count = (this.attempts?.countOf(slot) ?? 0) + 1;
    const limit = this.deliveryLimit;
    if (limit >= 0 && count > limit) {
      this.context.discard(this, slot, "delivery_limit");
      return;
    }
    const attempts = this.failures();
    attempts.note(slot, count);
    if (limit >= 0) attempts.record(slot, count, 0);
    this.context.counters.requeued++;
    this.makeReady(slot);
    if (this.limit.set) this.dropOverLength();
  }

  private retry(slot: number, reason: DeathReason): void {
    const policy = this.declaration.options.retry;
    const count = (this.attempts?.countOf(slot) ?? 0) + 1;
    if (policy === undefined || count > policy.attempts) {
      this.context.discard(this, slot, reason);
      return;
    }
    const attempts = this.failures();
    attempts.note(slot, count);
    const dueAt = this.context.clock.now() + backoffMs(policy, count, this.context.random());
    attempts.record(slot, count, dueAt);
    this.context.counters.retried++;
    attempts.wait(slot, dueAt);
  }

  private failures(): Attempts {
    this.attempts ??= new Attempts(this, this.context);
    return this.attempts;
  }

  /** Its wait for the next attempt is over. */
  tryAgain(slot: number): void {
    this.makeReady(slot);
  }

  attemptOf(slot: number): { deliveryCount: number; dueAt: number } | null {
    return this.attempts?.of(slot) ?? null;
  }

  /** True when this queue still holds the message, ready, waiting or handed out. */
  holds(slot: number): boolean {
    if (this.order.has(slot) || this.inTransit?.has(slot) === true || this.attempts?.waits(slot) === true)
      return true;
    return unsettledOf(this, this.context.ledgers).includes(slot);
  }

  /** Lets go of what has expired at the head. */
  expireHead(): void {
    const { expiry } = this;
    if (expiry === null || !expiry.active) return;
    const expired: number[] = [];
    this.order.visitOldest((slot) => {
      if (expired.length === PUMP_MESSAGES_MAX || !expiry.isDue(slot)) return false;
      expired.push(slot);
      return true;
    });
    for (const slot of expired) this.expireOne(slot);
    expiry.rearm(this.order);
  }

  /** What is to know of a message that comes in; null when it does not matter. */
  private expiryOf(slot: number): HeadExpiry | null {
    const needed = this.expiry === null && this.context.store.table.expiresAt(slot) !== 0;
    if (needed) this.expiry = new HeadExpiry(undefined, this.context, this);
    return this.expiry;
  }

  private expireOne(slot: number): void {
    this.leaveReady(slot);
    this.context.discard(this, slot, "expired");
  }

  private leaveReady(slot: number): void {
    this.readyBytes -= this.context.store.table.bodyBytes(slot);
  }

  // --- consumers ----------------------------------------------------------------------------------

  /** @throws BrokerError queue-exclusive-use */
  addConsumer(options: ConsumeOptions, sink: ConsumerSink, ledger: Ledger): Consumer {
    if (!this.consumers.admits(options.exclusive)) {
      const detail = { kind: "queue", name: this.name, namespace: this.namespace };
      throw new BrokerError("queue-exclusive-use", `queue '${this.name}' in exclusive use`, detail);
    }
    const consumer = new Consumer(this, ledger, sink, options);
    if (this.consumers === NOBODY) this.consumers = new ConsumerGroup(false);
    this.consumers.add(consumer);
    ledger.addConsumer(consumer);
    this.unused?.touch();
    this.wake();
    return consumer;
  }

  removeConsumer(consumer: Consumer): void {
    this.consumers.remove(consumer);
    this.unused?.touch();
    const abandoned = this.consumers.count === 0 && !this.deleted;
    if (abandoned && this.declaration.autoDelete) this.hooks.unused(this);
    else if (abandoned && this.declaration.options.volatile === true) this.empty("offline");
    else this.wake();
  }

  /** Deliveries older than the queue's acknowledgement timeout go back. */
  returnLate(): void {
    const timeoutMs = this.consumerTimeoutMs;
    if (timeoutMs === null || this.unackedCount === 0) return;
    const before = this.context.clock.monotonic() - timeoutMs;
    for (const ledger of this.context.ledgers) ledger.returnLate(this, before);
  }

  touch(): void {
    this.unused?.touch();
  }

  /** The queue was not used for its x-expires time. */
  unusedFor(): void {
    if (this.consumers.count === 0 && !this.deleted) this.hooks.unused(this);
    else this.unused?.touch();
  }

  /** The broker is closing: no timer may fire any more. */
  stop(): void {
    this.expiry?.stop();
    this.unused?.stop();
    this.attempts?.drain();
  }

  purge(): number {
    const count = this.order.length + this.pending.purge();
    const { store } = this.context;
    if (this.logged && count > 0) {
      store.journal.heads.purge(this.id, store.lastId, this.unackedIds());
      store.journal.commit(false);
    }
    this.attempts?.forgetAll((slot) => this.order.has(slot));
    this.empty("purged");
    return count;
  }

  /** Drops everything and cancels the consumers. The topology has forgotten the queue already. */
  delete(): number {
    const count = this.readyCount;
    this.deleted = true;
    this.expiry?.stop();
    this.unused?.stop();
    for (const consumer of this.consumers.all()) {
      this.consumers.remove(consumer);
      consumer.cancelledByQueue();
    }
    this.empty("deleted");
    for (const slot of this.attempts?.drain() ?? []) this.context.release(slot);
    return count;
  }

  private empty(reason: DropReason): void {
    const lists = this.order.detach();
    this.readyBytes = 0;
    this.context.dispose(lists, reason);
  }

  private unackedIds(): number[] {
    const waiting = this.attempts?.waiting() ?? [];
    const slots = [...unsettledOf(this, this.context.ledgers), ...waiting, ...(this.inTransit ?? [])];
    return slots.map((slot) => this.context.store.table.id(slot));
  }
}
