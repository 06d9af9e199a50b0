import { randomBytes } from "node:crypto";
import type { KafkaNode } from "./api.ts";

const SCOPE = "kafka";
const NAME = "cluster";

/** 22 characters of base64, as in Kafka: made once, and kept with the data. */
export function clusterId(node: KafkaNode): string {
  const { settings } = node.context.broker;
  const known = settings.get(SCOPE, NAME)?.id;
  if (known !== undefined) return known;
  const id = randomBytes(16).toString("base64url");
  settings.put(SCOPE, NAME, { id });
  return id;
}
