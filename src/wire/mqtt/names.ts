import { createHash } from "node:crypto";
import type { Filter } from "./topic.ts";

const NAME_BYTES_MAX = 255;

/** Queue of a client's QoS 1 and 2, as RabbitMQ calls it. */
export function ownQueue(clientId: string): string {
  return fitting(`mqtt-subscription-${clientId}`, "qos1");
}

/** Of its QoS 0, which waits for nobody. */
export function volatileQueue(clientId: string): string {
  return fitting(`mqtt-subscription-${clientId}`, "qos0");
}

/** Of a group of clients that share a subscription. */
export function sharedQueue({ share, pattern }: Filter): string {
  return fitting(`mqtt-share-${share}/${pattern}`, "");
}

/** What is too long for a queue's name is told apart by its hash. */
function fitting(text: string, end: string): string {
  const name = text + end;
  if (Buffer.byteLength(name) <= NAME_BYTES_MAX) return name;
  const hash = createHash("sha256").update(text).digest("base64url");
  return `${text.slice(0, 40).replace(/[^ -~]/g, "_")}-${hash}${end}`;
}
