import { BrokerError } from "../../base/errors.ts";
import { stringOf, type Table } from "../../message/values.ts";
import type { ExchangeDeclaration, RoutedMessage } from "../types.ts";
import type { CreateRouter, Destination, Flaw, Router, RouterBinding } from "./exchange-type.ts";

const INNER_TYPE_ARGUMENT = "x-delayed-type";

/** Routes as another type does. The waiting is done by whoever publishes: a delayed message is routed when it falls due. */
export class DelayedRouter implements Router {
  readonly delaying = true;
  readonly dynamic: boolean;
  readonly keys: Router["keys"];
  private readonly inner: Router;

  constructor(declaration: ExchangeDeclaration, namespace: string, create: CreateRouter) {
    const type = stringOf(declaration.arguments.get(INNER_TYPE_ARGUMENT));
    if (type === undefined) throw refusal(declaration, namespace, "must name an exchange type");
    if (type === declaration.type)
      throw refusal(declaration, namespace, "cannot be the delaying type itself");
    try {
      this.inner = create({ ...declaration, type }, namespace);
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== "exchange-type-unknown") throw error;
      throw refusal(declaration, namespace, `names the unknown exchange type '${type}'`);
    }
    this.dynamic = this.inner.dynamic;
    this.keys = this.inner.keys;
  }

  scope(binding: RouterBinding): string | null {
    return this.inner.scope(binding);
  }

  check(key: string, args: Table): Flaw | null {
    return this.inner.check(key, args);
  }

  add(binding: RouterBinding): void {
    this.inner.add(binding);
  }

  remove(binding: RouterBinding): void {
    this.inner.remove(binding);
  }

  route(key: string, message: RoutedMessage | null, into: Destination[]): void {
    this.inner.route(key, message, into);
  }
}

function refusal({ name }: ExchangeDeclaration, namespace: string, reason: string): BrokerError {
  const detail = { kind: "exchange", name, namespace, argument: INNER_TYPE_ARGUMENT, reason };
  return new BrokerError("argument-invalid", `argument '${INNER_TYPE_ARGUMENT}' ${reason}`, detail);
}
