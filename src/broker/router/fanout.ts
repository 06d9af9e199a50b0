import type { RoutedMessage } from "../types.ts";
import type { Destination, Router, RouterBinding } from "./exchange-type.ts";

export class FanoutRouter implements Router {
  readonly dynamic = false;
  readonly keys = "none";
  readonly delaying = false;
  private readonly bindings = new Set<RouterBinding>();

  scope(): null {
    return null;
  }

  check(): null {
    return null;
  }

  add(binding: RouterBinding): void {
    this.bindings.add(binding);
  }

  remove(binding: RouterBinding): void {
    this.bindings.delete(binding);
  }

  route(_key: string, _message: RoutedMessage | null, into: Destination[]): void {
    for (const binding of this.bindings) into.push(binding.to);
  }
}
