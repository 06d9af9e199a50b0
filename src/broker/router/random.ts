import type { RoutedMessage } from "../types.ts";
import type { Destination, Router, RouterBinding } from "./exchange-type.ts";

/** One binding by chance, whatever the key. */
export class RandomRouter implements Router {
  readonly dynamic = true;
  readonly keys = "none";
  readonly delaying = false;
  private readonly bindings: RouterBinding[] = [];
  private readonly random: () => number;

  constructor(random: () => number = Math.random) {
    this.random = random;
  }

  scope(): null {
    return null;
  }

  check(): null {
    return null;
  }

  add(binding: RouterBinding): void {
    this.bindings.push(binding);
  }

  remove(binding: RouterBinding): void {
    const index = this.bindings.indexOf(binding);
    if (index < 0) return;
    const last = this.bindings.pop() as RouterBinding;
    if (index < this.bindings.length) this.bindings[index] = last;
  }

  route(_key: string, _message: RoutedMessage | null, into: Destination[]): void {
    const binding = this.bindings[Math.floor(this.random() * this.bindings.length)];
    if (binding !== undefined) into.push(binding.to);
  }
}
