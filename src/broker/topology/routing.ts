import type { Destination } from "../router/exchange-type.ts";
import type { QueueHandle, Route, RoutedMessage } from "../types.ts";
import type { Binding, Exchange, QueueEntry } from "./graph.ts";
import type { CachedRoute } from "./route-cache.ts";

/** Keeps the exchange, so that a dynamic route finds it without a look-up per message. */
class ResolvedRoute implements CachedRoute {
  valid = true;
  readonly origin: Exchange;
  readonly routingKey: string;
  readonly queues: readonly QueueHandle[];
  readonly dynamic: boolean;
  readonly delaying: boolean;

  constructor(
    origin: Exchange,
    routingKey: string,
    queues: readonly QueueHandle[],
    dynamic: boolean,
    delaying: boolean,
  ) {
    this.origin = origin;
    this.routingKey = routingKey;
    this.queues = queues;
    this.dynamic = dynamic;
    this.delaying = delaying;
  }

  get exchange(): string {
    return this.origin.name;
  }
}

const NO_COPIES: readonly string[] = [];

/**
 * Walks the graph of a namespace: forwards to find a message's queues, backwards to find the routes
 * that a change makes invalid. Both mark the nodes they have seen with the number of the walk, so
 * that a cycle ends and a queue counts once, without a set per message.
 */
export class Routing {
  private readonly exchanges: ReadonlyMap<string, Exchange>;
  /** Exchanges by the name of their alternate, which need not exist (yet). */
  private readonly alternateUsers = new Map<string, Set<Exchange>>();
  private readonly work: Exchange[] = [];
  private readonly found: Destination[] = [];
  private readonly gathered: QueueHandle[] = [];
  private walk = 0;
  /** No exchange of the last evaluation looked at the routing key. */
  private keyless = false;
  /** Some exchange of the last evaluation delays. */
  private delaying = false;

  constructor(exchanges: ReadonlyMap<string, Exchange>) {
    this.exchanges = exchanges;
  }

  route(exchange: Exchange, key: string): Route {
    return exchange.routes.get(key) ?? this.resolve(exchange, key);
  }

  /**
   * Fills `into` (emptied first) with the queues that one message goes to. `route` comes from `route`.
   * With `delays`, a message with a delay goes no further than to the delaying exchanges on its way, whose
   * names are put there.
   */
  destinations(
    route: Route,
    message: RoutedMessage,
    copies: readonly string[],
    into: QueueHandle[],
    delays: string[] | null = null,
  ): void {
    into.length = 0;
    if (route.dynamic || copies.length > 0 || (delays !== null && route.delaying)) {
      this.evaluate((route as ResolvedRoute).origin, route.routingKey, copies, message, into, delays);
    } else {
      for (let i = 0; i < route.queues.length; i++) into.push(route.queues[i] as QueueHandle);
    }
  }

  /** Makes routes that pass through the exchange invalid: those of one key, or all of them (null). */
  invalidate(exchange: Exchange, key: string | null): void {
    const { work } = this;
    this.walk++;
    this.reach(exchange);
    for (let from = work.pop(); from !== undefined; from = work.pop()) {
      if (key === null) from.routes.clear();
      else from.routes.drop(key);
      for (const binding of from.incoming) this.reach(binding.source);
      this.reachAlternateUsers(from.name);
    }
  }

  /** A binding came or went. */
  invalidateBinding(binding: Binding): void {
    this.invalidate(binding.source, binding.source.router.scope(binding));
  }

  /** The exchange is in the graph now: whoever names it as alternate finds it from here on. */
  added(exchange: Exchange): void {
    const { alternate } = exchange;
    if (alternate !== undefined) {
      const users = this.alternateUsers.get(alternate);
      if (users === undefined) this.alternateUsers.set(alternate, new Set([exchange]));
      else users.add(exchange);
    }
    this.invalidate(exchange, null);
  }

  removed(exchange: Exchange): void {
    this.invalidate(exchange, null);
    const { alternate } = exchange;
    if (alternate === undefined) return;
    const users = this.alternateUsers.get(alternate);
    users?.delete(exchange);
    if (users?.size === 0) this.alternateUsers.delete(alternate);
  }

  private resolve(exchange: Exchange, key: string): Route {
    const { routes } = exchange;
    let queues = routes.everyKey;
    let fixed = true;
    this.delaying = false;
    if (queues === null) {
      this.gathered.length = 0;
      this.keyless = true;
      fixed = this.evaluate(exchange, key, NO_COPIES, null, this.gathered);
      if (!fixed) this.gathered.length = 0;
      queues = routes.share(this.gathered, fixed && this.keyless && !this.delaying);
    }
    // What lies behind an exchange that has to see the message is not known: it may delay.
    const route = new ResolvedRoute(exchange, key, queues, !fixed, this.delaying || !fixed);
    routes.put(route);
    return route;
  }

  /** Without a message, stops with false at the first exchange whose answer depends on one. */
  private evaluate(
    start: Exchange,
    key: string,
    copies: readonly string[],
    message: RoutedMessage | null,
    into: QueueHandle[],
    delays: string[] | null = null,
  ): boolean {
    const { work, found } = this;
    this.walk++;
    work.length = 0;
    this.reach(start);
    for (let exchange = work.pop(); exchange !== undefined; exchange = work.pop()) {
      const { router } = exchange;
      if (router.delaying) {
        this.delaying = true;
        if (delays !== null) {
          delays.push(exchange.name);
          continue;
        }
      }
      if (router.dynamic && message === null) return false;
      found.length = 0;
      router.route(key, message, found);
      if (router.keys !== "none") this.keyless = false;
      if (router.keys === "all") {
        for (let i = 0; i < copies.length; i++) router.route(copies[i] as string, message, found);
      }
      if (found.length === 0) this.reachAlternate(exchange);
      for (let i = 0; i < found.length; i++) this.visit(found[i] as Exchange | QueueEntry, into);
    }
    return true;
  }

  private visit(node: Exchange | QueueEntry, into: QueueHandle[]): void {
    if (node.kind === "exchange") {
      this.reach(node);
    } else if (node.mark !== this.walk) {
      node.mark = this.walk;
      into.push(node.handle);
    }
  }

  private reach(exchange: Exchange): void {
    if (exchange.mark === this.walk) return;
    exchange.mark = this.walk;
    this.work.push(exchange);
  }

  private reachAlternate({ alternate }: Exchange): void {
    const exchange = alternate === undefined ? undefined : this.exchanges.get(alternate);
    if (exchange !== undefined) this.reach(exchange);
  }

  private reachAlternateUsers(name: string): void {
    const users = this.alternateUsers.get(name);
    if (users !== undefined) for (const user of users) this.reach(user);
  }
}
