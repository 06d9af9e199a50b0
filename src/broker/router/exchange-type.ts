import type { Table } from "../../message/values.ts";
import type { ExchangeDeclaration, RoutedMessage } from "../types.ts";

/** Where a binding leads. Routers compare destinations by identity and look no deeper. */
export interface Destination {
  readonly kind: "queue" | "exchange";
  readonly name: string;
}

export interface RouterBinding {
  readonly key: string;
  readonly args: Table;
  readonly to: Destination;
}

/** What is wrong with a binding. */
export interface Flaw {
  readonly argument: string;
  readonly reason: string;
}

/** The bindings of one exchange, arranged for its type. */
export interface Router {
  /** Two messages with the same key may go to different destinations: nothing can be cached. */
  readonly dynamic: boolean;
  /** Which routing keys of a message count: those of its copies too, only its own, or none at all. */
  readonly keys: "all" | "first" | "none";
  /** Messages with a positive delay wait before they are routed. */
  readonly delaying: boolean;
  /** The only routing key whose destinations depend on the binding, or null when there may be others. */
  scope(binding: RouterBinding): string | null;
  check(key: string, args: Table): Flaw | null;
  add(binding: RouterBinding): void;
  remove(binding: RouterBinding): void;
  /** Appends the destinations; some may come twice. `message` is null only when not `dynamic`. */
  route(key: string, message: RoutedMessage | null, into: Destination[]): void;
}

/** @throws BrokerError argument-invalid, exchange-type-unknown */
export type CreateRouter = (declaration: ExchangeDeclaration, namespace: string) => Router;
