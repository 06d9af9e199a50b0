import type { RoutedMessage } from "../types.ts";
import type { Destination, Router, RouterBinding } from "./exchange-type.ts";
import { hashText } from "./hash.ts";

/** One binding chosen by the hash of the routing key modulo their number. */
export class ModulusHashRouter implements Router {
  readonly dynamic = false;
  readonly keys = "first";
  readonly delaying = false;
  private readonly bindings = new Set<RouterBinding>();
  /** By name, so that the order of binding does not matter and a restart moves nothing; null: to be sorted. */
  private sorted: RouterBinding[] | null = null;

  scope(): null {
    return null;
  }

  check(): null {
    return null;
  }

  add(binding: RouterBinding): void {
    this.bindings.add(binding);
    this.sorted = null;
  }

  remove(binding: RouterBinding): void {
    this.bindings.delete(binding);
    this.sorted = null;
  }

  route(key: string, _message: RoutedMessage | null, into: Destination[]): void {
    this.sorted ??= [...this.bindings].sort(byName);
    const binding = this.sorted[hashText(key) % this.sorted.length];
    if (binding !== undefined) into.push(binding.to);
  }
}

function byName(a: RouterBinding, b: RouterBinding): number {
  return compare(a.to.name, b.to.name) || compare(a.to.kind, b.to.kind) || compare(a.key, b.key);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
