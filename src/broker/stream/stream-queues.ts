import type { Table } from "../../message/values.ts";
import type { QueueDeclaration, QueueOptions } from "../types.ts";
import type { Stream } from "./stream.ts";
import { StreamQueue } from "./stream-queue.ts";
import type { StreamQueueContext } from "./stream-queue-context.ts";
import type { Streams } from "./streams.ts";
import type { StreamConfig } from "./types.ts";

const SEGMENT_BYTES_DEFAULT = 500_000_000;

/** Streams as queues: one of each for every stream that there is. */
export class StreamQueues {
  private readonly streams: Streams;
  private readonly context: StreamQueueContext;

  constructor(streams: Streams, context: StreamQueueContext) {
    this.streams = streams;
    this.context = context;
  }

  /** Declarations of a namespace's streams, for a start. */
  *declared(namespace: string): Iterable<QueueDeclaration> {
    for (const stream of this.streams.in(namespace)) yield declarationOf(stream);
  }

  find(namespace: string, name: string): Stream | null {
    return this.streams.find(namespace, name);
  }

  /** The queue that a stream is; a stream that does not exist is made. @throws BrokerError name-invalid, argument-invalid */
  open(id: number, namespace: string, declaration: QueueDeclaration): StreamQueue {
    const { name, options, arguments: args } = declaration;
    const existing = this.streams.find(namespace, name);
    const stream =
      existing ??
      this.streams.create(
        namespace,
        { name, partitions: options.partitions ?? 1, overrides: overridesOf(options), attributes: {} },
        { options, arguments: args },
      );
    return new StreamQueue(this.context, id, stream, declaration);
  }

  delete(queue: StreamQueue): number {
    const count = queue.delete();
    if (!queue.deleted) this.streams.delete(queue.stream);
    return count;
  }
}

/** As it was declared; a stream that was made otherwise says only that it is one. */
export function declarationOf({ name, declared }: Stream): QueueDeclaration {
  const args: Table = declared?.arguments ?? new Map([["x-queue-type", { type: "string", value: "stream" }]]);
  const options = declared?.options ?? { type: "stream" };
  return { name, durable: true, exclusive: false, autoDelete: false, options, arguments: args };
}

/** A queue keeps everything unless it was told otherwise. */
function overridesOf(options: QueueOptions): Partial<StreamConfig> {
  return {
    retentionMs: options.ageMaxMs ?? -1,
    retentionBytes: options.lengthBytesMax ?? -1,
    segmentBytes: options.segmentBytesMax ?? SEGMENT_BYTES_DEFAULT,
    ...(options.durability === undefined ? {} : { durability: options.durability }),
  };
}
