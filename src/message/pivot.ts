import type { TypedValue } from "./values.ts";

/**
 * A message in neutral terms: what crosses from one protocol to another. Each protocol makes one of
 * its own stored bytes (`RecordReader.pivot`) and writes one in its own words; nobody translates
 * from one protocol straight to another. A property that is absent is undefined; one that is empty is empty.
 */
export interface Pivot {
  /** Where it was published. */
  readonly exchange: string;
  readonly routingKey: string;
  /** Key of a record; decides its partition and what compaction keeps. */
  readonly key?: Uint8Array;
  /** Null: a record without a value (tombstone). Valid as long as the record it was made of. */
  readonly body: Uint8Array | null;
  readonly persistent: boolean;
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly correlationId?: string | Uint8Array;
  readonly replyTo?: ReplyAddress;
  readonly messageId?: string;
  readonly timestampMs?: number;
  /** Time to live as published, in ms. */
  readonly expirationMs?: number;
  readonly priority?: number;
  readonly type?: string;
  readonly userId?: string;
  readonly appId?: string;
  /** In the sender's order, duplicates kept. */
  readonly headers: readonly Header[];
}

export type Header = readonly [name: string, value: TypedValue];

/** Where an answer goes: a queue (or stream) by name, or a routing key of the namespace's topic exchange. */
export interface ReplyAddress {
  readonly kind: "queue" | "topic";
  readonly name: string;
}

const REPLY_TOPIC_PREFIX = "amq.reply-topic.";

/**
 * The address as one word that the default exchange takes as a routing key, so that a service that
 * only knows queues can answer to a topic. Made of letters, digits, '.', '-', '_' alone: legal
 * wherever names are restricted. What else is in a topic becomes '_' and two hex digits a byte.
 */
export function replyName(address: ReplyAddress): string {
  if (address.kind === "queue") return address.name;
  const escaped = Array.from(Buffer.from(address.name), (byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9.-]/.test(character) ? character : `_${byte.toString(16).padStart(2, "0")}`;
  });
  return REPLY_TOPIC_PREFIX + escaped.join("");
}

/** The reverse of `replyName`; any other name is a queue's. */
export function replyAddress(name: string): ReplyAddress {
  const escaped = name.startsWith(REPLY_TOPIC_PREFIX) ? name.slice(REPLY_TOPIC_PREFIX.length) : null;
  if (escaped === null || !/^(?:[A-Za-z0-9.-]|_[0-9a-f]{2})*$/.test(escaped)) return { kind: "queue", name };
  const bytes = escaped.replace(/_([0-9a-f]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  return { kind: "topic", name: Buffer.from(bytes, "latin1").toString() };
}
