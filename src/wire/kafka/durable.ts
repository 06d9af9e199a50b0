import type { KafkaNode } from "./api.ts";

/** Resolves when every change of topics, users and configurations so far is durable. */
export function durable({ context }: KafkaNode): Promise<void> {
  return new Promise((resolve) => context.broker.durable(resolve));
}
