import { stringOf, type Table } from "../../message/values.ts";
import type { Destination, Router, RouterBinding } from "../router/exchange-type.ts";
import type { ExchangeDeclaration, QueueHandle } from "../types.ts";
import { RouteCache } from "./route-cache.ts";

export const ALTERNATE_ARGUMENT = "alternate-exchange";
/** Names the stream which feeds an exchange. */
export const SOURCE_ARGUMENT = "x-source-stream";

/** A node of the routing graph, with the edges that lead from and to it. */
export class Exchange implements Destination {
  readonly kind = "exchange";
  readonly declaration: ExchangeDeclaration;
  readonly router: Router;
  /** Where messages go that match nothing here. */
  readonly alternate: string | undefined;
  /** By identity, see `bindingId`. */
  readonly outgoing = new Map<string, Binding>();
  readonly incoming = new Set<Binding>();
  readonly routes = new RouteCache();
  deleted = false;
  /** Walk in which the node was last visited; see Routing. */
  mark = 0;

  constructor(declaration: ExchangeDeclaration, router: Router) {
    this.declaration = declaration;
    this.router = router;
    this.alternate = stringOf(declaration.arguments.get(ALTERNATE_ARGUMENT));
  }

  get name(): string {
    return this.declaration.name;
  }

  get durable(): boolean {
    return this.declaration.durable;
  }
}

export class QueueEntry implements Destination {
  readonly kind = "queue";
  readonly handle: QueueHandle;
  /** Made on the first binding: most queues are reached by the default exchange only. */
  incoming: Set<Binding> | null = null;
  mark = 0;

  constructor(handle: QueueHandle) {
    this.handle = handle;
  }

  get name(): string {
    return this.handle.name;
  }

  get durable(): boolean {
    return this.handle.declaration.durable;
  }
}

export class Binding implements RouterBinding {
  readonly id: string;
  readonly source: Exchange;
  readonly to: Exchange | QueueEntry;
  readonly key: string;
  readonly args: Table;

  constructor(id: string, source: Exchange, to: Exchange | QueueEntry, key: string, args: Table) {
    this.id = id;
    this.source = source;
    this.to = to;
    this.key = key;
    this.args = args;
  }

  get durable(): boolean {
    return this.source.durable && this.to.durable;
  }
}
