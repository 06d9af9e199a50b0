import type { Table } from "../../message/values.ts";
import type { ExchangeDeclaration, RoutedMessage } from "../types.ts";
import type { Destination, Flaw, Router, RouterBinding } from "./exchange-type.ts";
import { HashSource, hashText, mix } from "./hash.ts";

interface Share {
  readonly to: Destination;
  readonly seed: number;
  /** In the order they came; the first gives the weight. */
  readonly bindings: RouterBinding[];
  weight: number;
}

/**
 * Weighted rendezvous hashing: every destination draws a number from the key, scaled by its
 * weight, and the highest wins. A binding that comes or goes moves only the keys that it wins or
 * had won, shares follow weights exactly, and placement depends on names alone, so that it is the
 * same after a restart. Costs a pass over the destinations, which the route cache pays once per key.
 */
export class ConsistentHashRouter implements Router {
  readonly dynamic: boolean;
  readonly keys = "first";
  readonly delaying = false;
  private readonly source: HashSource;
  private readonly shares = new Map<Destination, Share>();

  constructor(declaration: ExchangeDeclaration, namespace: string) {
    this.source = new HashSource(declaration, namespace);
    this.dynamic = this.source.dynamic;
  }

  scope(): null {
    return null;
  }

  check(key: string, _args: Table): Flaw | null {
    if (!/^[+-]?\d+$/.test(key)) return { argument: "routing-key", reason: `must be an integer: '${key}'` };
    return Number(key) >= 1 ? null : { argument: "routing-key", reason: "must be greater than 0" };
  }

  add(binding: RouterBinding): void {
    const share = this.shares.get(binding.to);
    if (share !== undefined) {
      share.bindings.push(binding);
      return;
    }
    const seed = hashText(`${binding.to.kind}:${binding.to.name}`);
    this.shares.set(binding.to, { to: binding.to, seed, bindings: [binding], weight: Number(binding.key) });
  }

  remove(binding: RouterBinding): void {
    const share = this.shares.get(binding.to);
    const index = share?.bindings.indexOf(binding) ?? -1;
    if (share === undefined || index < 0) return;
    share.bindings.splice(index, 1);
    if (share.bindings.length === 0) this.shares.delete(binding.to);
    else share.weight = Number((share.bindings[0] as RouterBinding).key);
  }

  route(key: string, message: RoutedMessage | null, into: Destination[]): void {
    const hash = hashText(this.source.textOf(key, message));
    let best: Destination | null = null;
    let bestScore = -1;
    for (const share of this.shares.values()) {
      // Uniform in (0, 1); -weight / ln(uniform) makes the chance to be highest follow the weight.
      const uniform = (mix(hash ^ share.seed) + 0.5) / 2 ** 32;
      const score = -share.weight / Math.log(uniform);
      if (score > bestScore) {
        best = share.to;
        bestScore = score;
      }
    }
    if (best !== null) into.push(best);
  }
}
