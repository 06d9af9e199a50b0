import { TopicTree } from "../../base/topic-tree.ts";
import type { RoutedMessage } from "../types.ts";
import type { Destination, Router, RouterBinding } from "./exchange-type.ts";

export class TopicRouter implements Router {
  readonly dynamic = false;
  readonly keys = "all";
  readonly delaying = false;
  private readonly tree = new TopicTree<RouterBinding>();
  private into: Destination[] = [];
  /** One visitor for all matches, so that a match allocates no closure. */
  private readonly visit = (binding: RouterBinding): void => {
    this.into.push(binding.to);
  };

  scope(binding: RouterBinding): string | null {
    return this.tree.isWild(binding.key) ? null : binding.key;
  }

  check(): null {
    return null;
  }

  add(binding: RouterBinding): void {
    this.tree.add(binding.key, binding);
  }

  remove(binding: RouterBinding): void {
    this.tree.remove(binding.key, binding);
  }

  route(key: string, _message: RoutedMessage | null, into: Destination[]): void {
    this.into = into;
    this.tree.match(key, this.visit);
  }
}
