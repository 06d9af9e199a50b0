/**
 * A record of a stream and a message of a queue are two forms of one thing. This is where one becomes
 * the other, in neutral terms (headers by name, as every producer and consumer of streams sees them).
 *
 * What a record cannot say of a message (types of headers, which of its properties are empty and which
 * are absent) goes along in one header more, `polymq-native`, which a reader of the same protocol gets
 * its message back from, byte by byte:
 *
 *     u8 1 | u8 origin | u8 flags | u16 routing length | routing
 *          | u32 prefix length | prefix | suffix
 *     u8 2 | u8 origin | u8 flags | u16 routing length | routing | u32 annotations length | annotations
 *          | u32 prefix length | prefix | suffix
 *
 * prefix and suffix are the protocol's own bytes before and behind the body; annotations is JSON of
 * `Annotations`, where the broker has something to say about the message, e.g. that it is a dead letter.
 */
import { annotationsOf, lastingAnnotations } from "./annotations.ts";
import { identifierText, utf8Text, valueText } from "./conversions.ts";
import { type Header, type Pivot, replyAddress, replyName } from "./pivot.ts";
import type { RecordReader } from "./reader.ts";
import {
  type Annotations,
  asBuffer,
  encodeRouting,
  FLAG_PERSISTENT,
  ORIGIN_KAFKA,
  RECORD_ANNOTATIONS_LENGTH_OFFSET,
  RECORD_BODY_BYTES_OFFSET,
  RECORD_FLAGS_OFFSET,
  RECORD_HEADER_BYTES,
  RECORD_ORIGIN_OFFSET,
  RECORD_ROUTING_LENGTH_OFFSET,
  type RecordView,
} from "./record.ts";
import type { Table } from "./values.ts";

export const NATIVE_HEADER = "polymq-native";
const NATIVE_PLAIN = 1;
const NATIVE_ANNOTATED = 2;

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** A record, decoded. Null and empty are different. */
export interface StreamRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly (readonly [name: string, value: Uint8Array | null])[];
  /** ms since the epoch; -1: none. */
  readonly timestampMs: number;
}

// --- from a message to a record ------------------------------------------------------------------

/** A stored message as a record. `pivot` is what its protocol's reader made of it. */
export function recordOfMessage(record: RecordView, pivot: Pivot, nowMs: number): StreamRecord {
  const headers: [string, Uint8Array | null][] = [];
  const add = (name: string, value: string | Uint8Array | number | undefined): void => {
    if (value === undefined) return;
    headers.push([name, typeof value === "object" ? value : Buffer.from(`${value}`)]);
  };
  add("content-type", pivot.contentType);
  add("content-encoding", pivot.contentEncoding);
  add("correlation-id", pivot.correlationId);
  if (pivot.replyTo !== undefined) add("reply-to", replyName(pivot.replyTo));
  add("message-id", pivot.messageId);
  add("expiration", pivot.expirationMs);
  add("priority", pivot.priority);
  add("type", pivot.type);
  add("user-id", pivot.userId);
  add("app-id", pivot.appId);
  for (const [name, typed] of pivot.headers) {
    if (typed.type === "binary") add(name, typed.value as Uint8Array);
    else if (typed.type === "void") headers.push([name, null]);
    else add(name, valueText(typed));
  }
  const annotations = record.annotationsLength === 0 ? null : record.annotations();
  if (annotations !== null) addDeaths(headers, annotations);
  const lasting = lastingAnnotations(annotations);
  if (record.origin !== ORIGIN_KAFKA || lasting !== null)
    headers.push([NATIVE_HEADER, nativeOf(record, pivot, lasting)]);
  const { key = null, body: value, timestampMs = nowMs } = pivot;
  return { key, value, headers, timestampMs };
}

/** Where a dead letter comes from, for who reads records: in place of what its sender may have said. */
function addDeaths(headers: [string, Uint8Array | null][], { firstDeath, lastDeath }: Annotations): void {
  const said: [string, string][] = [];
  for (const [which, death] of Object.entries({ first: firstDeath, last: lastDeath })) {
    if (death === undefined) continue;
    const { exchange, queue, reason } = death;
    for (const [what, value] of Object.entries({ exchange, queue, reason })) {
      said.push([`x-${which}-death-${what}`, value]);
    }
  }
  if (said.length === 0) return;
  const kept = headers.filter(([name]) => !said.some(([other]) => other === name));
  headers.splice(0, headers.length, ...kept);
  for (const [name, value] of said) headers.push([name, Buffer.from(value)]);
}

function nativeOf(record: RecordView, pivot: Pivot, annotations: Uint8Array | null): Uint8Array {
  const { bytes, nativeOffset, end, routingOffset, routingLength } = record;
  // The body lies within the native bytes: what is around it is kept.
  const body = pivot.body ?? bytes.subarray(end, end);
  const bodyAt = body.length === 0 ? end : body.byteOffset - bytes.byteOffset;
  const prefixBytes = bodyAt - nativeOffset;
  const suffixAt = bodyAt + body.length;
  const annotated = annotations === null ? 0 : 4 + annotations.length;
  const native = Buffer.alloc(9 + routingLength + annotated + prefixBytes + end - suffixAt);
  native[0] = annotations === null ? NATIVE_PLAIN : NATIVE_ANNOTATED;
  native[1] = record.origin;
  native[2] = record.persistent ? FLAG_PERSISTENT : 0;
  native.writeUInt16BE(routingLength, 3);
  native.set(bytes.subarray(routingOffset, routingOffset + routingLength), 5);
  if (annotations !== null) {
    native.writeUInt32BE(annotations.length, 5 + routingLength);
    native.set(annotations, 9 + routingLength);
  }
  const prefixAt = 9 + routingLength + annotated;
  native.writeUInt32BE(prefixBytes, prefixAt - 4);
  native.set(bytes.subarray(nativeOffset, bodyAt), prefixAt);
  native.set(bytes.subarray(suffixAt, end), prefixAt + prefixBytes);
  return native;
}

// --- from a record to a message ------------------------------------------------------------------

/**
 * The bytes of a message as a queue would hold it (see `record.ts`): the very one that was published,
 * when the record says so, else one of the stream's own kind, from `stream`.
 */
export function messageOfRecord(record: StreamRecord, stream: string): Uint8Array {
  const native = record.headers.find(([name]) => name === NATIVE_HEADER)?.[1];
  const version = native?.[0];
  if (native && native.length >= 9 && (version === NATIVE_PLAIN || version === NATIVE_ANNOTATED)) {
    const restored = restore(asBuffer(native), record.value ?? new Uint8Array(0));
    if (restored !== null) return restored;
  }
  const routing = encodeRouting("", stream);
  const encoded = encodeRecord(record);
  return frame(
    ORIGIN_KAFKA,
    FLAG_PERSISTENT,
    NO_BYTES,
    routing,
    [encoded, record.value ?? new Uint8Array(0)],
    record.value?.length ?? 0,
  );
}

function restore(native: Buffer, body: Uint8Array): Uint8Array | null {
  const routingLength = native.readUInt16BE(3);
  let prefixAt = 9 + routingLength;
  if (prefixAt > native.length) return null;
  let annotations = NO_BYTES;
  if (native[0] === NATIVE_ANNOTATED) {
    const at = prefixAt;
    prefixAt += native.readUInt32BE(at - 4) + 4;
    if (prefixAt > native.length) return null;
    annotations = lastingAnnotations(annotationsOf(native.subarray(at, prefixAt - 4))) ?? NO_BYTES;
  }
  const prefixBytes = native.readUInt32BE(prefixAt - 4);
  if (prefixAt + prefixBytes > native.length) return null;
  const routing = native.subarray(5, 5 + routingLength);
  const parts = [
    native.subarray(prefixAt, prefixAt + prefixBytes),
    body,
    native.subarray(prefixAt + prefixBytes),
  ];
  return frame(native[1] as number, native[2] as number, annotations, routing, parts, body.length);
}

function frame(
  origin: number,
  flags: number,
  annotations: Uint8Array,
  routing: Uint8Array,
  native: readonly Uint8Array[],
  bodyBytes: number,
): Uint8Array {
  const head = Buffer.alloc(RECORD_HEADER_BYTES);
  head[RECORD_ORIGIN_OFFSET] = origin;
  head[RECORD_FLAGS_OFFSET] = flags;
  head.writeUInt16BE(routing.length, RECORD_ROUTING_LENGTH_OFFSET);
  head.writeUInt32BE(annotations.length, RECORD_ANNOTATIONS_LENGTH_OFFSET);
  head.writeUInt32BE(bodyBytes, RECORD_BODY_BYTES_OFFSET);
  return Buffer.concat([head, annotations, routing, ...native]);
}

/*
 * Native bytes of a record as a message: everything but its value, which follows as the body.
 *
 *     u8 flags (1: value is null) | f64 timestamp | i32 key length, -1 = null | key
 *     | u32 headers | each: u16 name length | name | i32 value length, -1 = null | value
 */
const FLAG_NULL_VALUE = 1;

/** Everything of a record but its value; the value follows as a message's body. */
export function encodeRecord(record: StreamRecord): Uint8Array {
  const parts: Uint8Array[] = [];
  const head = Buffer.alloc(13);
  head[0] = record.value === null ? FLAG_NULL_VALUE : 0;
  head.writeDoubleBE(record.timestampMs, 1);
  head.writeInt32BE(record.key?.length ?? -1, 9);
  parts.push(head);
  if (record.key !== null) parts.push(record.key);
  const count = Buffer.alloc(4);
  count.writeUInt32BE(record.headers.length);
  parts.push(count);
  for (const [name, value] of record.headers) {
    const nameBytes = Buffer.from(name);
    const lengths = [Buffer.alloc(2), Buffer.alloc(4)] as const;
    lengths[0].writeUInt16BE(nameBytes.length);
    lengths[1].writeInt32BE(value?.length ?? -1);
    parts.push(lengths[0], nameBytes, lengths[1]);
    if (value !== null) parts.push(value);
  }
  return Buffer.concat(parts);
}

/** The record that a message of a stream's own kind is. */
export function decodeRecord(message: RecordView): StreamRecord {
  const bytes = asBuffer(message.bytes);
  let at = message.nativeOffset;
  const take = (count: number): number => {
    at += count;
    return at - count;
  };
  const flags = bytes[take(1)] as number;
  const timestampMs = bytes.readDoubleBE(take(8));
  const sized = (): Uint8Array | null => {
    const length = bytes.readInt32BE(take(4));
    if (length < 0) return null;
    const start = take(length);
    return bytes.subarray(start, at);
  };
  const key = sized();
  const headers: [string, Uint8Array | null][] = [];
  for (let left = bytes.readUInt32BE(take(4)); left > 0; left--) {
    const nameBytes = bytes.readUInt16BE(take(2));
    const nameAt = take(nameBytes);
    const name = bytes.toString("utf8", nameAt, at);
    headers.push([name, sized()]);
  }
  const value = (flags & FLAG_NULL_VALUE) !== 0 ? null : bytes.subarray(at, message.end);
  return { key, value, headers, timestampMs };
}

/** Header name -> property, as `recordOfMessage` writes them. */
const TEXTS = {
  "content-type": "contentType",
  "content-encoding": "contentEncoding",
  "message-id": "messageId",
  type: "type",
  "app-id": "appId",
} as const;
const NUMBERS = { expiration: "expirationMs", priority: "priority" } as const;

function pivotOf(record: StreamRecord, message: RecordView): Pivot {
  const found: { -readonly [K in keyof Pivot]?: Pivot[K] } = {};
  const headers: Header[] = [];
  for (const [name, value] of record.headers) {
    if (value === null) headers.push([name, { type: "void", value: null }]);
    else if (!takeProperty(found, name, value)) headers.push([name, headerValue(value)]);
  }
  return {
    ...found,
    ...(record.key === null ? {} : { key: record.key }),
    ...(record.timestampMs < 0 ? {} : { timestampMs: record.timestampMs }),
    exchange: message.exchange(),
    routingKey: message.routingKey(),
    body: record.value,
    persistent: true,
    headers,
  };
}

/** A header's bytes: text when they are UTF-8. */
function headerValue(value: Uint8Array): Header[1] {
  const text = utf8Text(value);
  return text === undefined ? { type: "binary", value } : { type: "string", value: text };
}

/** A user's name in a header is nobody's proof of who he is, so it stays one. */
function takeProperty(
  found: { -readonly [K in keyof Pivot]?: Pivot[K] },
  name: string,
  value: Uint8Array,
): boolean {
  if (name === NATIVE_HEADER) return true;
  if (name === "correlation-id" && found.correlationId === undefined) {
    found.correlationId = identifierText(value) ?? value;
    return true;
  }
  const text = utf8Text(value);
  if (text === undefined) return false;
  if (Object.hasOwn(TEXTS, name)) {
    const property = TEXTS[name as keyof typeof TEXTS];
    if (found[property] !== undefined) return false;
    found[property] = text;
    return true;
  }
  if (Object.hasOwn(NUMBERS, name) && /^\d{1,15}$/.test(text)) {
    const property = NUMBERS[name as keyof typeof NUMBERS];
    if (found[property] !== undefined) return false;
    found[property] = property === "priority" ? Math.min(255, Number(text)) : Number(text);
    return true;
  }
  if (name !== "reply-to" || found.replyTo !== undefined || text === "") return false;
  found.replyTo = replyAddress(text);
  return true;
}

const PROPERTY_HEADERS: Readonly<Record<string, string>> = {
  message_id: "message-id",
  correlation_id: "correlation-id",
  expiration: "expiration",
};

/** A record's headers as the broker asks for them: the first of each name. */
export function recordHeaders(record: StreamRecord): Table | null {
  const table: Table = new Map();
  for (const [name, value] of record.headers) {
    if (!table.has(name) && value !== null) table.set(name, headerValue(value));
  }
  return table.size === 0 ? null : table;
}

/** Likewise one of its properties, as text. */
export function recordProperty(record: StreamRecord, name: string): string | null {
  if (name === "timestamp") return record.timestampMs < 0 ? null : `${Math.floor(record.timestampMs / 1000)}`;
  const header = PROPERTY_HEADERS[name];
  const value = record.headers.find(([key]) => key === header)?.[1];
  return value === undefined || value === null ? null : (utf8Text(value) ?? null);
}

/** What may be asked of a record that is a message. */
export const streamRecordReader: RecordReader = {
  headers(message: RecordView): Table | null {
    return recordHeaders(decodeRecord(message));
  },

  property(message: RecordView, name: string): string | null {
    return recordProperty(decodeRecord(message), name);
  },

  pivot(message: RecordView): Pivot {
    return pivotOf(decodeRecord(message), message);
  },
};
