import type { Table } from "../../message/values.ts";
import { createRouter } from "../router/types.ts";
import type {
  ExchangeDeclaration,
  Owner,
  QueueCounts,
  QueueDeclaration,
  QueueHandle,
  QueueHooks,
  Route,
  RoutedMessage,
} from "../types.ts";
import type { DeclareGuard, TopologyContext } from "./context.ts";
import {
  checkExchangeDeclaration,
  checkQueueDeclaration,
  checkSameExchange,
  checkSameQueue,
  DEFAULT_EXCHANGE,
  effectiveDeclaration,
  generatedQueueName,
  isExchangeType,
  PREDECLARED_EXCHANGES,
  REPLY_NAME,
  REPLY_PREFIX,
  RESERVED_PREFIX,
  replyQueueDeclaration,
} from "./declarations.ts";
import { DefaultRouter } from "./default-exchange.ts";
import { Edges } from "./edges.ts";
import { type Binding, Exchange, QueueEntry } from "./graph.ts";
import {
  inUse,
  limitReached,
  namespaceNotFound,
  notEmpty,
  notFound,
  onDefaultExchange,
  queueLocked,
  reservedName,
  streamExists,
  systemExchange,
} from "./refusals.ts";
import { Routing } from "./routing.ts";
import type { StoredBinding } from "./store.ts";

/** A binding as it is asked for, and listed. */
export interface BindingSpec {
  readonly source: string;
  readonly kind: "queue" | "exchange";
  readonly destination: string;
  readonly key: string;
  readonly args: Table;
}

/**
 * One world of names: exchanges, queues and the bindings between them. Knows nothing of users; who
 * may do what is asked by ControlSession before it comes here.
 */
export class Namespace implements QueueHooks {
  readonly name: string;
  private readonly context: TopologyContext;
  private readonly exchangeMap = new Map<string, Exchange>();
  private readonly queueMap = new Map<string, QueueEntry>();
  /** Queues for direct replies: reached by their name alone, never listed or bound. */
  private readonly replies = new Map<string, QueueEntry>();
  private readonly owned = new Map<Owner, Set<QueueEntry>>();
  private readonly routing: Routing;
  private readonly edges: Edges;
  private readonly defaultExchange: Exchange;
  private gone = false;

  constructor(name: string, context: TopologyContext) {
    this.name = name;
    this.context = context;
    this.routing = new Routing(this.exchangeMap);
    this.edges = new Edges(name, context, this.routing, (exchange) => this.removeExchange(exchange));
    const router = new DefaultRouter((queue) => this.queueMap.get(queue) ?? this.replies.get(queue));
    this.defaultExchange = new Exchange(DEFAULT_EXCHANGE, router);
    this.exchangeMap.set("", this.defaultExchange);
    for (const declaration of PREDECLARED_EXCHANGES) this.addExchange(declaration);
  }

  /** The namespace was deleted; nothing can be declared in it any more. */
  get deleted(): boolean {
    return this.gone;
  }

  // --- exchanges ------------------------------------------------------------------------------

  exchangeDeclare(declaration: ExchangeDeclaration, guard?: DeclareGuard): void {
    const { name, type } = declaration;
    // Also names the type of an exchange that exists, hence before the look-up.
    if (!isExchangeType(type)) createRouter(declaration, this.name);
    this.refuseDefault(name);
    guard?.declare(name);
    const exchange = this.exchangeMap.get(name);
    if (exchange !== undefined) {
      checkSameExchange(exchange.declaration, declaration, this.name);
      return;
    }
    this.refuseReserved("exchange", name);
    checkExchangeDeclaration(declaration, this.name);
    guard?.create(name);
    this.refuseDeleted();
    this.addExchange(declaration);
    if (declaration.durable) this.context.store.putExchange(this.name, declaration);
    this.context.changed("exchange", "created", this.name, name);
  }

  /** @throws BrokerError exchange-not-found, default-exchange */
  exchangeCheck(name: string): void {
    this.refuseDefault(name);
    this.requireExchange(name);
  }

  /** Deleting what is not there is no error. */
  exchangeDelete(name: string, ifUnused: boolean): void {
    this.refuseDefault(name);
    if (name.startsWith(RESERVED_PREFIX)) throw systemExchange(name, this.name);
    const exchange = this.exchangeMap.get(name);
    if (exchange === undefined) return;
    if (ifUnused && exchange.outgoing.size > 0) throw inUse("exchange", name, this.name);
    this.removeExchange(exchange);
  }

  exchange(name: string): ExchangeDeclaration | undefined {
    return this.exchangeMap.get(name)?.declaration;
  }

  *exchanges(): Iterable<ExchangeDeclaration> {
    for (const { declaration } of this.exchangeMap.values()) yield declaration;
  }

  // --- queues ---------------------------------------------------------------------------------

  /** An empty name is replaced by a generated one. `owner` is whose an exclusive queue will be. */
  queueDeclare(declaration: QueueDeclaration, owner: Owner | null, guard?: DeclareGuard): QueueCounts {
    if (isReplyName(declaration.name)) return this.checkReply(declaration.name);
    const generated = declaration.name === "";
    const name = generated ? generatedQueueName() : declaration.name;
    if (!generated) this.refuseReserved("queue", name);
    guard?.declare(name);
    const effective = effectiveDeclaration(declaration, name);
    const entry = this.queueMap.get(name);
    if (entry !== undefined) {
      checkSameQueue(entry.handle, effective, owner, this.name);
      return this.used(entry);
    }
    checkQueueDeclaration(declaration, this.name);
    guard?.create(name);
    this.refuseDeleted();
    return countsOf(this.addQueue(effective, owner).handle);
  }

  /** Whether a stream may be called so. @throws BrokerError stream-exists, name-reserved, namespace-not-found */
  checkStreamName(name: string): void {
    this.refuseReserved("queue", name);
    this.refuseDeleted();
    if (this.queueMap.has(name)) throw streamExists(name, this.name);
  }

  /** A stream was made: from here on it is a queue as well. */
  enterStream(declaration: QueueDeclaration): void {
    this.enterQueue(this.context.store.takeQueueId(), declaration, null);
    this.context.changed("queue", "created", this.name, declaration.name);
  }

  /** @throws BrokerError queue-not-found, queue-locked */
  queueCheck(name: string, owner: Owner | null): QueueCounts {
    if (isReplyName(name)) return this.checkReply(name);
    return this.used(this.requireQueue(name, owner));
  }

  /** Returns how many messages were ready; 0 when there is no such queue. */
  queueDelete(name: string, ifUnused: boolean, ifEmpty: boolean, owner: Owner | null): number {
    if (!this.queueMap.has(name)) return 0;
    const entry = this.requireQueue(name, owner);
    if (ifEmpty && entry.handle.readyCount > 0) throw notEmpty(name, this.name);
    if (ifUnused && entry.handle.consumerCount > 0) throw inUse("queue", name, this.name);
    return this.removeQueue(entry);
  }

  queuePurge(name: string, owner: Owner | null): number {
    return this.context.host.purgeQueue(this.requireQueue(name, owner).handle);
  }

  /**
   * The queue to consume or get from; an owner's reply queue too.
   * @throws BrokerError queue-not-found, queue-locked
   */
  queueFor(name: string, owner: Owner | null): QueueHandle {
    if (this.isReplyQueueOf(name, owner)) return (this.replies.get(name) as QueueEntry).handle;
    return this.requireQueue(name, owner).handle;
  }

  isReplyQueueOf(name: string, owner: Owner | null): boolean {
    const reply = this.replies.get(name);
    return reply !== undefined && reply.handle.owner === owner;
  }

  queue(name: string): QueueHandle | undefined {
    return this.queueMap.get(name)?.handle;
  }

  *queues(): Iterable<QueueHandle> {
    for (const { handle } of this.queueMap.values()) yield handle;
  }

  get queueCount(): number {
    return this.queueMap.size;
  }

  /** A queue for direct replies to this owner. Returns its name. */
  openReplyQueue(owner: Owner): string {
    this.refuseDeleted();
    return this.addQueue(replyQueueDeclaration(), owner).name;
  }

  closeReplyQueue(name: string, owner: Owner): void {
    if (this.isReplyQueueOf(name, owner)) this.removeQueue(this.replies.get(name) as QueueEntry);
  }

  /** Deletes what was exclusive to the owner. */
  ownerGone(owner: Owner): void {
    const entries = this.owned.get(owner);
    if (entries === undefined) return;
    for (const entry of [...entries]) if (!entry.handle.deleted) this.removeQueue(entry);
    this.owned.delete(owner);
  }

  /** The queue found that nobody needs it. */
  unused(queue: QueueHandle): void {
    const entry = this.queueMap.get(queue.name) ?? this.replies.get(queue.name);
    if (entry?.handle === queue) this.removeQueue(entry);
  }

  // --- bindings -------------------------------------------------------------------------------

  /** Has no effect when the binding is there already. */
  bind(spec: BindingSpec, owner: Owner | null): void {
    this.refuseDefaultIn(spec);
    const source = this.requireExchange(spec.source);
    const to = this.destinationOf(spec);
    if (to === undefined) throw notFound(spec.kind, spec.destination, this.name);
    this.edges.check(source, spec.key, spec.args);
    this.refuseLocked(to, owner);
    this.edges.add(source, to, spec.key, spec.args, false);
  }

  /** Removing a binding that is not there, or whose ends are not, is no error. */
  unbind(spec: BindingSpec, owner: Owner | null): void {
    this.refuseDefaultIn(spec);
    const source = this.exchangeMap.get(spec.source);
    const to = this.destinationOf(spec);
    if (source === undefined || to === undefined) return;
    const binding = this.edges.find(source, to, spec.key, spec.args);
    if (binding === undefined) return;
    this.refuseLocked(to, owner);
    this.edges.remove(binding);
  }

  /** All bindings but the implicit ones of the default exchange. */
  *bindings(): Iterable<BindingSpec> {
    for (const exchange of this.exchangeMap.values()) yield* specsOf(exchange.outgoing.values());
  }

  bindingsFrom(exchange: string): Iterable<BindingSpec> {
    return specsOf(this.exchangeMap.get(exchange)?.outgoing.values() ?? []);
  }

  bindingsTo(kind: "queue" | "exchange", name: string): Iterable<BindingSpec> {
    const node = kind === "queue" ? this.queueMap.get(name) : this.exchangeMap.get(name);
    return specsOf(node?.incoming ?? []);
  }

  // --- routing --------------------------------------------------------------------------------

  /** @throws BrokerError exchange-not-found */
  route(exchange: string, key: string): Route {
    return this.routing.route(this.requireExchange(exchange), key);
  }

  /**
   * Fills `into`, emptied first, with the distinct queues that this message goes to. `route` is one
   * of this namespace; `copies` are further routing keys. With `delays` it goes no further than to the
   * delaying exchanges on its way, whose names are put there.
   */
  destinations(
    route: Route,
    message: RoutedMessage,
    copies: readonly string[],
    into: QueueHandle[],
    delays: string[] | null = null,
  ): void {
    this.routing.destinations(route, message, copies, into, delays);
  }

  // --- life -----------------------------------------------------------------------------------

  /** Fills a new namespace from the store. Returns bindings that have lost an end. */
  restore(): StoredBinding[] {
    const { store } = this.context;
    for (const declaration of store.exchanges(this.name)) this.addExchange(declaration);
    for (const { id, declaration } of store.queues(this.name)) this.enterQueue(id, declaration, null);
    for (const declaration of this.context.streams.declared(this.name)) this.enterStream(declaration);
    const dangling: StoredBinding[] = [];
    for (const spec of store.bindings(this.name)) {
      const source = this.exchangeMap.get(spec.source);
      const to = this.destinationOf(spec);
      if (source === undefined || to === undefined) dangling.push(spec);
      else this.edges.add(source, to, spec.key, spec.args, true);
    }
    return dangling;
  }

  /** Deletes everything; the store forgets the namespace as a whole. */
  dispose(): void {
    this.gone = true;
    for (const entry of [...this.queueMap.values(), ...this.replies.values()]) this.removeQueue(entry);
    for (const exchange of [...this.exchangeMap.values()]) {
      if (exchange !== this.defaultExchange && !exchange.deleted) this.removeExchange(exchange);
    }
    this.exchangeMap.clear();
    this.defaultExchange.routes.clear();
  }

  private addExchange(declaration: ExchangeDeclaration): void {
    const exchange = new Exchange(declaration, createRouter(declaration, this.name));
    this.exchangeMap.set(declaration.name, exchange);
    this.routing.added(exchange);
  }

  private removeExchange(exchange: Exchange): void {
    // First, so that the loss of its own bindings does not delete it once more.
    exchange.deleted = true;
    this.exchangeMap.delete(exchange.name);
    this.routing.removed(exchange);
    this.edges.detach(exchange);
    if (exchange.durable) this.context.store.deleteExchange(this.name, exchange.name);
    this.context.changed("exchange", "deleted", this.name, exchange.name);
  }

  private addQueue(declaration: QueueDeclaration, owner: Owner | null): QueueEntry {
    const { context } = this;
    if (context.queueCount >= context.queuesMax) throw limitReached("queues", context.queuesMax, this.name);
    const id = context.store.takeQueueId();
    const entry = this.enterQueue(id, declaration, declaration.exclusive ? owner : null);
    if (declaration.durable && declaration.options.type !== "stream") {
      context.store.putQueue(this.name, id, declaration);
    }
    if (!isReplyName(declaration.name)) context.changed("queue", "created", this.name, declaration.name);
    return entry;
  }

  private enterQueue(id: number, declaration: QueueDeclaration, owner: Owner | null): QueueEntry {
    const { name } = declaration;
    const entry = new QueueEntry(this.context.host.createQueue(id, this.name, declaration, owner, this));
    (isReplyName(name) ? this.replies : this.queueMap).set(name, entry);
    this.context.queueCount++;
    if (owner !== null) {
      const entries = this.owned.get(owner);
      if (entries === undefined) this.owned.set(owner, new Set([entry]));
      else entries.add(entry);
    }
    this.routing.invalidate(this.defaultExchange, name);
    return entry;
  }

  private removeQueue(entry: QueueEntry): number {
    const { handle, name } = entry;
    const listed = this.queueMap.delete(name);
    if (!listed) this.replies.delete(name);
    this.context.queueCount--;
    if (handle.owner !== null) {
      const entries = this.owned.get(handle.owner);
      if (entries?.delete(entry) && entries.size === 0) this.owned.delete(handle.owner);
    }
    this.routing.invalidate(this.defaultExchange, name);
    this.edges.detach(entry);
    if (entry.durable) this.context.store.deleteQueue(this.name, name);
    const ready = this.context.host.deleteQueue(handle);
    if (listed) this.context.changed("queue", "deleted", this.name, name);
    return ready;
  }

  // --- look-ups and refusals ------------------------------------------------------------------

  private requireExchange(name: string): Exchange {
    const exchange = this.exchangeMap.get(name);
    if (exchange === undefined) throw notFound("exchange", name, this.name);
    return exchange;
  }

  private requireQueue(name: string, owner: Owner | null): QueueEntry {
    const entry = this.queueMap.get(name);
    if (entry === undefined) throw notFound("queue", name, this.name);
    this.refuseLocked(entry, owner);
    return entry;
  }

  private destinationOf({ kind, destination }: BindingSpec): Exchange | QueueEntry | undefined {
    return (kind === "queue" ? this.queueMap : this.exchangeMap).get(destination);
  }

  /** Asking after a queue counts as using it, for its expiry. */
  private used({ handle }: QueueEntry): QueueCounts {
    this.context.host.touchQueue(handle);
    return countsOf(handle);
  }

  /** A reply queue is open to everybody's question whether it is still there. */
  private checkReply(name: string): QueueCounts {
    if (name !== REPLY_NAME && !this.replies.has(name)) throw notFound("queue", name, this.name);
    return { name, ready: 0, consumers: 1 };
  }

  private refuseLocked(node: Exchange | QueueEntry, owner: Owner | null): void {
    if (node.kind === "exchange" || node.handle.owner === null || node.handle.owner === owner) return;
    throw queueLocked(node.name, this.name);
  }

  private refuseDefault(exchange: string): void {
    if (exchange === "") throw onDefaultExchange(this.name);
  }

  private refuseDefaultIn(spec: BindingSpec): void {
    this.refuseDefault(spec.source);
    if (spec.kind === "exchange") this.refuseDefault(spec.destination);
  }

  private refuseReserved(kind: "queue" | "exchange", name: string): void {
    if (name.startsWith(RESERVED_PREFIX)) throw reservedName(kind, name, this.name);
  }

  private refuseDeleted(): void {
    if (this.gone) throw namespaceNotFound(this.name);
  }
}

function isReplyName(name: string): boolean {
  return name === REPLY_NAME || name.startsWith(REPLY_PREFIX);
}

function countsOf({ name, readyCount, consumerCount }: QueueHandle): QueueCounts {
  return { name, ready: readyCount, consumers: consumerCount };
}

function* specsOf(bindings: Iterable<Binding>): Iterable<BindingSpec> {
  for (const { source, to, key, args } of bindings) {
    yield { source: source.name, kind: to.kind, destination: to.name, key, args };
  }
}
