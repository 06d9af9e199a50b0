import type { KafkaNode } from "./api.ts";
import { MIN_IN_SYNC } from "./configs/topic-configs.ts";
import { KafkaError } from "./errors.ts";

/** Where a client wants a partition's replicas. @throws KafkaError INVALID_REPLICA_ASSIGNMENT */
export function checkReplicas({ settings }: KafkaNode, brokerIds: readonly number[]): void {
  const wrong = settings.replicationStrict && brokerIds.some((id) => id !== settings.nodeId);
  if (!wrong && brokerIds.length > 0 && new Set(brokerIds).size === brokerIds.length) return;
  const text = `Replicas on [${brokerIds.join(", ")}] cannot be: there is broker ${settings.nodeId} only.`;
  throw new KafkaError("INVALID_REPLICA_ASSIGNMENT", text);
}

/** Records for the topic cannot be acknowledged by as many replicas as it wants: there is one. `usual`: where it does not say. */
export function lacksReplicas(
  { attributes }: { readonly attributes: Readonly<Record<string, string>> },
  usual: number,
): boolean {
  const wanted = attributes[MIN_IN_SYNC];
  return (wanted === undefined ? usual : Number(wanted)) > 1;
}
