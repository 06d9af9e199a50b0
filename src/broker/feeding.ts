import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Turn } from "../base/turn.ts";
import type { MetaStore } from "../engine/engine.ts";
import type { RecordReaders } from "../message/reader.ts";
import { type Annotations, encodeRouting, type RecordView } from "../message/record.ts";
import type { QueueFinder } from "./dead-letter.ts";
import type { PublishTarget } from "./publisher.ts";
import type { Shard } from "./shard.ts";
import { StreamFeeds } from "./stream/stream-feeds.ts";
import type { Streams } from "./stream/streams.ts";
import type { Topology } from "./topology/topology.ts";

export interface FeedingParts {
  readonly shard: Shard;
  readonly streams: Streams;
  readonly topology: Topology;
  readonly finder: QueueFinder;
  readonly readers: RecordReaders;
  readonly meta: MetaStore;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly logger: Logger;
}

const KEY_BYTES_MAX = 255;

/** Joins streams to the exchanges that they feed. Everything must have been recovered. */
export function startFeeding(parts: FeedingParts): StreamFeeds {
  const { shard, streams, topology, meta, turn, clock, logger } = parts;
  const feeds = new StreamFeeds({
    meta,
    turn,
    clock,
    logger,
    get pressed() {
      return shard.store.pressed;
    },
    exchange: (namespace, name) => topology.namespace(namespace).exchange(name),
    stream: (namespace, name) => streams.find(namespace, name),
    whenCommitted: (waiter) => shard.store.journal.waitFor(waiter),
    publish: (namespace, exchange, message, key, from) => {
      const short = Buffer.byteLength(key) > KEY_BYTES_MAX ? "" : key;
      publish(parts, namespace, exchange, message, short, from.name);
    },
  });
  for (const space of topology.namespaces()) {
    for (const { name } of space.exchanges()) feeds.entered(space.name, name);
  }
  topology.onChange((change) => feeds.changed(change));
  return feeds;
}

/** What the message came through, this stream included. */
function annotated(
  message: RecordView,
  fed: readonly string[],
  targets: readonly PublishTarget[],
): Annotations | null {
  const old = message.annotations();
  // Only from a stream, or by way of a dead letter, can it come back: others are spared the longer way out.
  const returns = ({ apart, declaration }: PublishTarget): boolean =>
    apart === true || declaration.options.deadLetterExchange !== undefined;
  return targets.some(returns) ? { ...old, fed } : old;
}

function publish(
  { shard, finder, readers }: FeedingParts,
  namespace: string,
  exchange: string,
  message: RecordView,
  key: string,
  stream: string,
): void {
  const { dropped } = shard.counters;
  const before = message.annotations()?.fed ?? [];
  // Streams that fed themselves or each other would never come to an end.
  if (before.includes(stream)) {
    dropped.cycle++;
    return;
  }
  const fed = [...before, stream];
  const reader = readers.get(message.origin);
  const found = finder.find(namespace, exchange, [key], {
    headers: () => reader?.headers(message) ?? null,
    property: (name) => reader?.property(message, name) ?? null,
  });
  const targets = found.filter((target) => !(target.apart === true && fed.includes(target.name)));
  dropped.cycle += found.length - targets.length;
  if (targets.length === 0) return;
  const annotations = annotated(message, fed, targets);
  const routing = encodeRouting(exchange, key);
  const source = {
    origin: message.origin,
    bytes: message.bytes,
    routing,
    routingStart: 0,
    routingEnd: routing.length,
    nativeStart: message.nativeOffset,
    nativeEnd: message.end,
    bodyBytes: message.bodyBytes,
    // The stream has it for good, and the feed's place says that it was passed on: it must not be lost here.
    persistent: true,
    priority: 0,
  };
  shard.publisher.store(targets, source, annotations && Buffer.from(JSON.stringify(annotations)), -1);
}
