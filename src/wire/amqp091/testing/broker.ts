import { BrokerError } from "../../../base/errors.ts";
import type {
  AlarmListener,
  Broker,
  CommitWaiter,
  ConsumeOptions,
  Consumer,
  ConsumerSink,
  Delivery,
  Incoming,
  Ledger,
  Principal,
  QueueDeclaration,
  Route,
  Session,
  StreamControl,
} from "../../../broker/index.ts";
import { Counters } from "../../../broker/stats.ts";
import {
  FLAG_PERSISTENT,
  ORIGIN_AMQP091,
  RECORD_HEADER_BYTES,
  RecordView,
  writeU32,
} from "../../../message/record.ts";
import type { Table } from "../../../message/values.ts";

/** A broker of the smallest kind, for tests of the wire layer: queues of copies, default exchange only. */
export class FakeBroker implements Broker {
  readonly counters = new Counters();
  readonly crowded = false;
  alarm: string | null = null;
  readonly sessions: FakeSession[] = [];
  readonly listeners = new Set<AlarmListener>();
  /** Set to hold back `durable`. */
  undurable: (() => void)[] | null = null;

  async authenticate({ user, password }: { user: string; password: string }): Promise<Principal> {
    if (password !== "guest") throw new BrokerError("login-refused", "no");
    return { user, tags: user === "boss" ? ["impersonator"] : [] };
  }

  async principalOf(user: string): Promise<Principal> {
    return { user, tags: [] };
  }

  readonly acceptsTokens = false;
  readonly settings = { revision: 0, get: notHere, put: notHere, entries: notHere };
  readonly scram = notHere;
  readonly authenticateToken = notHere;
  readonly rights = notHere;
  readonly ownSession = notHere;
  readonly namespaces = notHere;
  readonly newestMessageId = 0;
  readonly now = notHere;

  openSession(principal: Principal, namespace: string, owner: { connectionName: string }): Session {
    if (namespace !== "/") throw new BrokerError("namespace-not-found", "no", { name: namespace });
    const session = new FakeSession(principal.user, namespace, owner);
    this.sessions.push(session);
    return session;
  }

  durable(done: () => void): void {
    if (this.undurable === null) done();
    else this.undurable.push(done);
  }

  addAlarmListener(listener: AlarmListener): void {
    this.listeners.add(listener);
  }

  removeAlarmListener(listener: AlarmListener): void {
    this.listeners.delete(listener);
  }

  raise(reason: string | null): void {
    this.alarm = reason;
    for (const listener of this.listeners) listener.alarm(reason);
  }
}

function notHere(): never {
  throw new Error("this protocol has no business with that");
}

interface FakeQueue {
  readonly name: string;
  readonly args: Table;
  readonly messages: Uint8Array[];
  readonly consumers: FakeConsumer[];
}

class FakeConsumer implements Consumer {
  readonly tag: string;
  readonly queueName: string;
  private readonly queue: FakeQueue;
  private readonly sink: ConsumerSink;
  private readonly ledger: FakeLedger;
  private readonly noAck: boolean;

  constructor(queue: FakeQueue, options: ConsumeOptions, sink: ConsumerSink, ledger: FakeLedger) {
    this.queue = queue;
    this.tag = options.tag;
    this.queueName = queue.name;
    this.noAck = options.noAck;
    this.sink = sink;
    this.ledger = ledger;
  }

  resume(): void {
    while (this.sink.writable && this.queue.messages.length > 0) {
      this.sink.deliver(this.ledger.enter(this.queue.messages.shift() as Uint8Array, this.queue, this.noAck));
    }
  }

  cancel(): void {
    this.queue.consumers.splice(this.queue.consumers.indexOf(this), 1);
  }

  lose(): void {
    this.sink.cancelled();
  }
}

export class FakeLedger implements Ledger {
  prefetchMax = 0;
  private tag = 0;
  /** Overrides for the next deliveries. */
  redelivered = false;
  deliveryCount = 0;
  readonly open = new Map<number, Uint8Array>();
  readonly log: string[] = [];

  get unsettled(): number {
    return this.open.size;
  }

  enter(bytes: Uint8Array, queue: FakeQueue, noAck: boolean): Delivery {
    const record = new RecordView();
    record.bytes = bytes;
    record.length = bytes.length;
    this.tag++;
    if (!noAck) this.open.set(this.tag, bytes);
    const { redelivered, deliveryCount } = this;
    const stored = { record, id: this.tag, expiresAt: 0, priority: 0, streamOffset: -1, streamPartition: -1 };
    return { ...stored, retained: false, tag: this.tag, redelivered, deliveryCount, queue: queue.name };
  }

  has(tag: number): boolean {
    return this.open.has(tag);
  }

  accept(tag: number, multiple: boolean): void {
    this.settle(tag, multiple, "accept");
  }

  reject(tag: number, multiple: boolean, requeue: boolean): void {
    this.settle(tag, multiple, requeue ? "requeue" : "reject");
  }

  recover(): void {
    this.log.push("recover");
  }

  close(): void {
    this.log.push("close");
  }

  private settle(tag: number, multiple: boolean, what: string): void {
    if (!(multiple && tag === 0) && !this.open.has(tag)) {
      throw new BrokerError("delivery-tag-unknown", "unknown");
    }
    for (const open of [...this.open.keys()]) {
      if (open === tag || (multiple && (tag === 0 || open < tag))) this.open.delete(open);
    }
    this.log.push(`${what} ${tag}${multiple ? "+" : ""}`);
  }
}

/** Publishes wait for `commit` when persistent; `refuse` makes queues full. */
export class FakeSession implements Session {
  /** This protocol has nothing to do with them. */
  readonly groups = undefined as unknown as Session["groups"];
  readonly shares = undefined as unknown as Session["shares"];
  readonly transactions = undefined as unknown as Session["transactions"];
  readonly namespace: string;
  readonly user: string;
  readonly owner: { connectionName: string };
  readonly streams = {} as StreamControl;
  accessRevision = 0;
  readonly queues = new Map<string, FakeQueue>();
  readonly declared: unknown[] = [];
  readonly ledgers: FakeLedger[] = [];
  readonly seen: { copies: readonly string[] | null; blindCopies: readonly string[] | null }[] = [];
  refuse = false;
  routesAsked = 0;
  closed = false;
  private batch = 1;
  private waiters: CommitWaiter[] = [];
  private replies = 0;

  constructor(user: string, namespace: string, owner: { connectionName: string }) {
    this.user = user;
    this.namespace = namespace;
    this.owner = owner;
  }

  exchangeDeclare(declaration: unknown): void {
    this.declared.push(declaration);
  }

  exchangeCheck(name: string): void {
    throw new BrokerError("exchange-not-found", "no", { kind: "exchange", name });
  }

  exchangeDelete(): void {}
  exchangeBind(...args: unknown[]): void {
    this.declared.push(args);
  }
  exchangeUnbind(): void {}

  queueDeclare(declaration: QueueDeclaration) {
    this.declared.push(declaration);
    const name = declaration.name === "" ? "amq.gen-fake" : declaration.name;
    const known = this.queues.get(name);
    if (known === undefined) {
      this.queues.set(name, { name, args: declaration.arguments, messages: [], consumers: [] });
    }
    return { name, ready: known?.messages.length ?? 0, consumers: known?.consumers.length ?? 0 };
  }

  queueCheck(name: string) {
    const queue = this.queue(name);
    return { name, ready: queue.messages.length, consumers: queue.consumers.length };
  }

  queueDelete(name: string): number {
    const queue = this.queues.get(name);
    this.queues.delete(name);
    for (const consumer of queue?.consumers ?? []) consumer.lose();
    return queue?.messages.length ?? 0;
  }

  queuePurge(name: string): number {
    return this.queue(name).messages.splice(0).length;
  }

  queueBind(...args: unknown[]): void {
    this.declared.push(args);
  }
  queueUnbind(): void {}

  declaredArguments(_kind: "queue" | "exchange", name: string): Table | null {
    return this.queues.get(name)?.args ?? null;
  }

  route(exchange: string, routingKey: string): Route {
    this.routesAsked++;
    if (exchange !== "") throw new BrokerError("exchange-not-found", "no", { name: exchange });
    return { valid: true, exchange, routingKey, queues: [], dynamic: false, delaying: false };
  }

  publish(route: Route, message: Incoming): number {
    this.seen.push({ copies: message.copies, blindCopies: message.blindCopies });
    if (this.refuse) return 2;
    const queue = this.queues.get(route.routingKey);
    if (queue === undefined) return 4;
    queue.messages.push(recordOf(message));
    queue.consumers[0]?.resume();
    return message.persistent ? 1 : 0;
  }

  whenCommitted(waiter: CommitWaiter): number {
    this.waiters.push(waiter);
    return this.batch;
  }

  commit(): void {
    const waiters = this.waiters;
    this.waiters = [];
    const batch = this.batch++;
    for (const waiter of waiters) waiter.committed(batch, false);
  }

  atomically(work: () => void): void {
    work();
  }

  /** Not null: messages have to be read from the disk first; call `loaded`. */
  holding: ((release: (() => void) | null) => void)[] | null = null;

  hold(_ledger: Ledger, _deliveries: unknown, done: (release: (() => void) | null) => void): void {
    if (this.holding === null) done(() => {});
    else this.holding.push(done);
  }

  openLedger(): Ledger {
    const ledger = new FakeLedger();
    this.ledgers.push(ledger);
    return ledger;
  }

  consume(queue: string, options: ConsumeOptions, sink: ConsumerSink, ledger: Ledger): Consumer {
    const found = this.queue(queue);
    const consumer = new FakeConsumer(found, options, sink, ledger as FakeLedger);
    found.consumers.push(consumer);
    return consumer;
  }

  get(
    queue: string,
    noAck: boolean,
    ledger: Ledger,
    done: (delivery: Delivery | null, ready: number) => void,
  ): void {
    const found = this.queue(queue);
    const bytes = found.messages.shift();
    if (bytes === undefined) done(null, 0);
    else done((ledger as FakeLedger).enter(bytes, found, noAck), found.messages.length);
  }

  openReplyQueue(): string {
    const name = `amq.rabbitmq.reply-to.${++this.replies}`;
    this.queues.set(name, { name, args: new Map(), messages: [], consumers: [] });
    return name;
  }

  closeReplyQueue(name: string): void {
    this.queues.delete(name);
  }

  // What this protocol has no use for.
  readonly retainedCount = 0;

  forward(): number {
    throw new Error("no forwarding");
  }

  retained(): never {
    throw new Error("no retained messages");
  }

  notebook(): never {
    throw new Error("no notes");
  }

  notebooks(): string[] {
    return [];
  }

  close(): void {
    this.closed = true;
  }

  private queue(name: string): FakeQueue {
    const queue = this.queues.get(name);
    if (queue === undefined) throw new BrokerError("queue-not-found", "no", { kind: "queue", name });
    return queue;
  }
}

export function recordOf(message: Incoming, annotations: Uint8Array = new Uint8Array(0)): Uint8Array {
  const routing = message.bytes.subarray(message.routingStart, message.routingEnd);
  const native = message.bytes.subarray(message.nativeStart, message.nativeEnd);
  const head = new Uint8Array(RECORD_HEADER_BYTES);
  head[4] = ORIGIN_AMQP091;
  head[5] = message.persistent ? FLAG_PERSISTENT : 0;
  head[6] = routing.length >>> 8;
  head[7] = routing.length;
  writeU32(head, 8, annotations.length);
  writeU32(head, 12, message.bodyBytes);
  return new Uint8Array(Buffer.concat([head, annotations, routing, native]));
}
