import { BrokerError } from "../../base/errors.ts";
import type { ExchangeDeclaration } from "../types.ts";
import { ConsistentHashRouter } from "./consistent-hash.ts";
import { DelayedRouter } from "./delayed.ts";
import { DirectRouter } from "./direct.ts";
import type { CreateRouter, Router } from "./exchange-type.ts";
import { FanoutRouter } from "./fanout.ts";
import { HeadersRouter } from "./headers.ts";
import { ModulusHashRouter } from "./modulus-hash.ts";
import { RandomRouter } from "./random.ts";
import { TopicRouter } from "./topic.ts";

/** All exchange types, by the names that users declare them with. */
export const EXCHANGE_TYPES: ReadonlyMap<string, CreateRouter> = new Map<string, CreateRouter>([
  ["direct", () => new DirectRouter()],
  ["fanout", () => new FanoutRouter()],
  ["topic", () => new TopicRouter()],
  ["headers", () => new HeadersRouter()],
  ["x-consistent-hash", (declaration, namespace) => new ConsistentHashRouter(declaration, namespace)],
  ["x-modulus-hash", () => new ModulusHashRouter()],
  ["x-random", () => new RandomRouter()],
  ["x-local-random", () => new RandomRouter()], // one node: every queue is local
  ["x-delayed-message", (declaration, namespace) => new DelayedRouter(declaration, namespace, createRouter)],
]);

/** @throws BrokerError exchange-type-unknown, argument-invalid */
export function createRouter(declaration: ExchangeDeclaration, namespace: string): Router {
  const create = EXCHANGE_TYPES.get(declaration.type);
  if (create === undefined) {
    const { name, type } = declaration;
    throw new BrokerError("exchange-type-unknown", `unknown exchange type '${type}'`, {
      kind: "exchange",
      name,
      namespace,
      type,
    });
  }
  return create(declaration, namespace);
}
