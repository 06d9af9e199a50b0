import type { MetaStore } from "../../engine/engine.ts";
import { stringOf } from "../../message/values.ts";
import type { TopologyChange } from "../topology/change.ts";
import { SOURCE_ARGUMENT } from "../topology/graph.ts";
import type { ExchangeDeclaration } from "../types.ts";
import type { Stream } from "./stream.ts";
import { type FeedContext, StreamFeed } from "./stream-feed.ts";

/** Places in the metadata store: JSON {stream id, offsets by partition}, by namespace and exchange. */
const KEY_PREFIX = "streams/feed/";

interface StoredPlace {
  readonly stream: string;
  readonly offsets: readonly number[];
}

export interface FeedsParts extends Omit<FeedContext, "save"> {
  readonly meta: MetaStore;
  exchange(namespace: string, name: string): ExchangeDeclaration | undefined;
  stream(namespace: string, name: string): Stream | null;
}

/** Which streams feed which exchanges: kept up with the topology as it changes. */
export class StreamFeeds {
  private readonly parts: FeedsParts;
  private readonly context: FeedContext;
  /** Name of the stream that an exchange asks for, by namespace and exchange. */
  private readonly wanted = new Map<string, { namespace: string; exchange: string; stream: string }>();
  private readonly feeds = new Map<string, StreamFeed>();

  constructor(parts: FeedsParts) {
    this.parts = parts;
    this.context = {
      turn: parts.turn,
      clock: parts.clock,
      logger: parts.logger,
      get pressed() {
        return parts.pressed;
      },
      publish: (namespace, exchange, message, key, from) =>
        parts.publish(namespace, exchange, message, key, from),
      whenCommitted: (waiter) => parts.whenCommitted(waiter),
      save: (feed, offsets) => this.save(feed, offsets),
    };
  }

  /** An exchange is there; at a start, or because it was declared. */
  entered(namespace: string, exchange: string): void {
    const declaration = this.parts.exchange(namespace, exchange);
    const stream = stringOf(declaration?.arguments.get(SOURCE_ARGUMENT));
    if (stream === undefined) return;
    this.wanted.set(keyOf(namespace, exchange), { namespace, exchange, stream });
    this.begin(namespace, exchange, stream);
  }

  changed({ kind, action, namespace, name }: TopologyChange): void {
    if (kind === "exchange" && action === "created") this.entered(namespace, name);
    else if (kind === "exchange") this.left(namespace, name);
    else if (kind === "queue" && this.wanted.size > 0) {
      for (const { exchange, stream, ...at } of this.wanted.values()) {
        if (stream !== name || at.namespace !== namespace) continue;
        if (action === "created") this.begin(namespace, exchange, stream);
        else this.end(namespace, exchange);
      }
    }
  }

  stop(): void {
    for (const feed of this.feeds.values()) feed.stop();
    this.feeds.clear();
  }

  private begin(namespace: string, exchange: string, name: string): void {
    const key = keyOf(namespace, exchange);
    const stream = this.parts.stream(namespace, name);
    if (stream === null || this.feeds.has(key)) return;
    const stored = this.parts.meta.get(key);
    const place = stored === undefined ? null : (JSON.parse(Buffer.from(stored).toString()) as StoredPlace);
    // A new exchange begins with what comes from now on; another stream of the same name at its beginning.
    const now = (): number[] => stream.partitions.map(({ stableOffset }) => stableOffset);
    const offsets = place === null ? now() : place.stream === stream.id ? place.offsets : [];
    const feed = new StreamFeed(this.context, namespace, exchange, stream, offsets);
    this.feeds.set(key, feed);
    if (place === null) this.save(feed, offsets);
  }

  private end(namespace: string, exchange: string): void {
    const key = keyOf(namespace, exchange);
    this.feeds.get(key)?.stop();
    this.feeds.delete(key);
  }

  private left(namespace: string, exchange: string): void {
    if (!this.wanted.delete(keyOf(namespace, exchange))) return;
    this.end(namespace, exchange);
    this.parts.meta.delete(keyOf(namespace, exchange));
  }

  private save({ namespace, exchange, stream }: StreamFeed, offsets: readonly number[]): void {
    const place: StoredPlace = { stream: stream.id, offsets };
    const value = new TextEncoder().encode(JSON.stringify(place));
    this.parts.meta.put(keyOf(namespace, exchange), value);
  }
}

function keyOf(namespace: string, exchange: string): string {
  const escaped = (text: string) => text.replace(/[%/]/g, encodeURIComponent);
  return `${KEY_PREFIX}${escaped(namespace)}/${escaped(exchange)}`;
}
