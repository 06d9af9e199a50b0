import type { Shard } from "./shard.ts";
import { StreamQueue } from "./stream/stream-queue.ts";
import type { StreamQueues } from "./stream/stream-queues.ts";
import type { Owner, QueueDeclaration, QueueHandle, QueueHooks, QueueHost } from "./types.ts";

/** Where queues live: in the shard, or as streams. */
export class QueueRooms implements QueueHost {
  private readonly shard: Shard;
  private readonly streams: StreamQueues;

  constructor(shard: Shard, streams: StreamQueues) {
    this.shard = shard;
    this.streams = streams;
  }

  createQueue(
    id: number,
    namespace: string,
    declaration: QueueDeclaration,
    owner: Owner | null,
    hooks: QueueHooks,
  ): QueueHandle {
    if (declaration.options.type === "stream") return this.streams.open(id, namespace, declaration);
    return this.shard.createQueue(id, namespace, declaration, owner, hooks);
  }

  deleteQueue(queue: QueueHandle): number {
    return queue instanceof StreamQueue ? this.streams.delete(queue) : this.shard.deleteQueue(queue);
  }

  purgeQueue(queue: QueueHandle): number {
    return queue instanceof StreamQueue ? queue.purge() : this.shard.purgeQueue(queue);
  }

  forgetNamespace(name: string): void {
    this.shard.forgetNamespace(name);
  }

  touchQueue(queue: QueueHandle): void {
    if (!(queue instanceof StreamQueue)) this.shard.touchQueue(queue);
  }
}
