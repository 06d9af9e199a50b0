// Ids for queues that are written to as topics: newer clients send them in place of names (KIP-516). A queue has
// none of its own, so it is made of its name, and what it stands for is known from when a client was told.
import { createHash } from "node:crypto";
import type { KafkaNode } from "./api.ts";

/** Who means one that was forgotten is told so, asks for metadata anew, and has it again. */
const IDS_MAX = 10_000;
const ID_BYTES = 16;

export class QueueTopicIds {
  private readonly names = new Map<string, string>();

  /** To be told to clients. */
  idOf(queue: string): string {
    const hash = createHash("sha256").update(`queue ${queue}`).digest();
    const id = hash.toString("hex", 0, ID_BYTES);
    this.names.delete(id);
    this.names.set(id, queue);
    if (this.names.size > IDS_MAX) this.names.delete(this.names.keys().next().value as string);
    return id;
  }

  nameOf(id: string): string | null {
    return this.names.get(id) ?? null;
  }
}

export function queueTopicIds(node: KafkaNode): QueueTopicIds {
  return node.part(makeQueueTopicIds);
}

function makeQueueTopicIds(): QueueTopicIds {
  return new QueueTopicIds();
}
