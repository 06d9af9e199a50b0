import type { Destination, Router, RouterBinding } from "../router/exchange-type.ts";
import type { RoutedMessage } from "../types.ts";

/** Every queue is bound to the default exchange by its name: nothing is kept for that but the queues themselves. */
export class DefaultRouter implements Router {
  readonly dynamic = false;
  readonly keys = "all";
  readonly delaying = false;
  private readonly find: (name: string) => Destination | undefined;

  constructor(find: (name: string) => Destination | undefined) {
    this.find = find;
  }

  scope(binding: RouterBinding): string {
    return binding.key;
  }

  check(): null {
    return null;
  }

  add(): void {
    throw new Error("the default exchange takes no bindings");
  }

  remove(): void {
    throw new Error("the default exchange takes no bindings");
  }

  route(key: string, _message: RoutedMessage | null, into: Destination[]): void {
    const queue = this.find(key);
    if (queue !== undefined) into.push(queue);
  }
}
