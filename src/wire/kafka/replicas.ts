import type { KafkaNode } from "./api.ts";
import { KafkaError } from "./errors.ts";

/** Where a client wants a partition's replicas. @throws KafkaError INVALID_REPLICA_ASSIGNMENT */
export function checkReplicas({ settings }: KafkaNode, brokerIds: readonly number[]): void {
  const wrong = settings.replicationStrict && brokerIds.some((id) => id !== settings.nodeId);
  if (!wrong && brokerIds.length > 0 && new Set(brokerIds).size === brokerIds.length) return;
  const text = `Replicas on [${brokerIds.join(", ")}] cannot be: there is broker ${settings.nodeId} only.`;
  throw new KafkaError("INVALID_REPLICA_ASSIGNMENT", text);
}
