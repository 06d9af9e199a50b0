import type { RoutedMessage } from "../types.ts";
import type { Destination, Router, RouterBinding } from "./exchange-type.ts";

export class DirectRouter implements Router {
  readonly dynamic = false;
  readonly keys = "all";
  readonly delaying = false;
  private readonly byKey = new Map<string, Set<RouterBinding>>();

  scope(binding: RouterBinding): string {
    return binding.key;
  }

  check(): null {
    return null;
  }

  add(binding: RouterBinding): void {
    const bindings = this.byKey.get(binding.key);
    if (bindings === undefined) this.byKey.set(binding.key, new Set([binding]));
    else bindings.add(binding);
  }

  remove(binding: RouterBinding): void {
    const bindings = this.byKey.get(binding.key);
    if (bindings?.delete(binding) && bindings.size === 0) this.byKey.delete(binding.key);
  }

  route(key: string, _message: RoutedMessage | null, into: Destination[]): void {
    const bindings = this.byKey.get(key);
    if (bindings !== undefined) for (const binding of bindings) into.push(binding.to);
  }
}
