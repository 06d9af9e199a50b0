import { bytesValue, utf8Text } from "../../message/conversions.ts";
import { type Header, type Pivot, replyAddress, replyName } from "../../message/pivot.ts";
import type { RecordView } from "../../message/record.ts";
import type { TypedValue } from "../../message/values.ts";
import { CLASS_BASIC } from "./codec/frame.ts";
import {
  APP_ID,
  CONTENT_ENCODING,
  CONTENT_TYPE,
  CORRELATION_ID,
  DELIVERY_MODE,
  EXPIRATION,
  flagOf,
  HEADERS,
  MESSAGE_ID,
  PRIORITY,
  type PropertyMap,
  REPLY_TO,
  TIMESTAMP,
  TYPE,
  USER_ID,
} from "./codec/properties.ts";
import { Reader } from "./codec/reader.ts";
import { readFields, writeField } from "./codec/table.ts";
import { Writer } from "./codec/writer.ts";
import { type Content, locateContent } from "./content-location.ts";

const SHORTSTR_BYTES_MAX = 255;
const KEY_HEADER = "x-key";
const CORRELATION_HEADER = "x-correlation-id";

type Properties = { -readonly [K in keyof Pivot]?: Pivot[K] };

/** A message that came in by AMQP 0-9-1, in neutral terms. `map` has its properties located. */
export function pivotOf(record: RecordView, map: PropertyMap): Pivot {
  const { bytes } = record;
  const text = (property: number): string | undefined =>
    map.has(property) ? new Reader(bytes, map.start(property), map.end(property)).shortstr() : undefined;
  const found: Properties = {};
  const set = <K extends keyof Pivot>(name: K, value: Pivot[K] | undefined): void => {
    if (value !== undefined) found[name] = value;
  };
  set("contentType", text(CONTENT_TYPE));
  set("contentEncoding", text(CONTENT_ENCODING));
  set("correlationId", text(CORRELATION_ID));
  set("messageId", text(MESSAGE_ID));
  set("type", text(TYPE));
  set("userId", text(USER_ID));
  set("appId", text(APP_ID));
  const replyTo = text(REPLY_TO);
  if (replyTo !== undefined) set("replyTo", replyAddress(replyTo));
  const expiration = text(EXPIRATION);
  const expired = record.annotationsLength > 0 && record.annotations()?.expirationRemoved === true;
  if (expiration !== undefined && !expired) set("expirationMs", Number(expiration));
  if (map.has(PRIORITY)) set("priority", bytes[map.start(PRIORITY)]);
  if (map.has(TIMESTAMP)) {
    const seconds = new Reader(bytes, map.start(TIMESTAMP), map.end(TIMESTAMP)).longlong();
    set("timestampMs", seconds * 1000);
  }
  const fields = map.has(HEADERS) ? readFields(new Reader(bytes, map.start(HEADERS), map.end(HEADERS))) : [];
  return { ...found, ...headersOf(fields), ...placeOf(record) };
}

function placeOf(record: RecordView): Pick<Pivot, "exchange" | "routingKey" | "body" | "persistent"> {
  const content = locateContent(record.bytes, record.nativeOffset, record.bodyBytes);
  return {
    exchange: record.exchange(),
    routingKey: record.routingKey(),
    body: record.bytes.subarray(content.bodyAt, content.bodyAt + record.bodyBytes),
    persistent: record.persistent,
  };
}

/** What other protocols have a place of its own for does not stay among the headers. */
function headersOf(fields: readonly Header[]): Pick<Pivot, "headers" | "key" | "correlationId"> {
  const headers: Header[] = [];
  const found: Properties = {};
  for (const [name, typed] of fields) {
    const bytes = binaryOf(typed);
    if (name === KEY_HEADER && bytes !== undefined) found.key ??= bytes;
    else if (name === CORRELATION_HEADER && bytes !== undefined) found.correlationId ??= bytes;
    else headers.push([name, typed]);
  }
  return { ...found, headers };
}

function binaryOf({ type, value }: TypedValue): Uint8Array | undefined {
  if (type === "binary") return value as Uint8Array;
  return type === "string" ? Buffer.from(value as string) : undefined;
}

/** Properties, in bit order, of what a pivot has; what does not fit a short string becomes a header. */
class ForeignProperties {
  private readonly values = new Map<number, string>();
  readonly headers: Header[] = [];

  text(property: number, name: string, value: string | undefined): void {
    if (value === undefined) return;
    if (Buffer.byteLength(value) <= SHORTSTR_BYTES_MAX) this.values.set(property, value);
    else this.headers.push([`x-${name}`, { type: "string", value }]);
  }

  get(property: number): string | undefined {
    return this.values.get(property);
  }
}

function foreignProperties(pivot: Pivot): ForeignProperties {
  const properties = new ForeignProperties();
  properties.text(CONTENT_TYPE, "content-type", pivot.contentType);
  properties.text(CONTENT_ENCODING, "content-encoding", pivot.contentEncoding);
  const id = pivot.correlationId;
  const idText = typeof id === "object" ? utf8Text(id) : id;
  properties.text(CORRELATION_ID, "correlation-id", idText);
  if (id !== undefined && idText === undefined)
    properties.headers.push([CORRELATION_HEADER, bytesValue(id as Uint8Array)]);
  if (pivot.replyTo !== undefined) properties.text(REPLY_TO, "reply-to", replyName(pivot.replyTo));
  if (pivot.expirationMs !== undefined) properties.text(EXPIRATION, "expiration", `${pivot.expirationMs}`);
  properties.text(MESSAGE_ID, "message-id", pivot.messageId);
  properties.text(TYPE, "type", pivot.type);
  properties.text(USER_ID, "user-id", pivot.userId);
  properties.text(APP_ID, "app-id", pivot.appId);
  if (pivot.key !== undefined) properties.headers.push([KEY_HEADER, bytesValue(pivot.key)]);
  if (pivot.body === null) properties.headers.push(["x-tombstone", { type: "bool", value: true }]);
  return properties;
}

/** A message of another protocol as the content of an AMQP 0-9-1 message: header payload, then body. */
export function contentOf(pivot: Pivot): Content {
  const properties = foreignProperties(pivot);
  const body = pivot.body ?? new Uint8Array(0);
  const writer = new Writer(256 + body.length);
  writer.short(CLASS_BASIC);
  writer.short(0);
  writer.longlong(body.length);
  const flagsAt = writer.room(2);
  let flags = 0;
  const text = (property: number): void => {
    const value = properties.get(property);
    if (value === undefined) return;
    flags |= flagOf(property);
    writer.shortstr(value);
  };
  text(CONTENT_TYPE);
  text(CONTENT_ENCODING);
  if (writeHeaders(writer, [...properties.headers, ...pivot.headers])) flags |= flagOf(HEADERS);
  writer.octet(pivot.persistent ? 2 : 1);
  flags |= flagOf(DELIVERY_MODE);
  if (pivot.priority !== undefined) {
    writer.octet(Math.min(255, pivot.priority));
    flags |= flagOf(PRIORITY);
  }
  for (const property of [CORRELATION_ID, REPLY_TO, EXPIRATION, MESSAGE_ID]) text(property);
  if (pivot.timestampMs !== undefined && pivot.timestampMs >= 0) {
    writer.longlong(Math.floor(pivot.timestampMs / 1000));
    flags |= flagOf(TIMESTAMP);
  }
  for (const property of [TYPE, USER_ID, APP_ID]) text(property);
  writer.buffer[flagsAt] = flags >>> 8;
  writer.buffer[flagsAt + 1] = flags;
  const headerEnd = writer.length;
  writer.raw(body);
  return { bytes: writer.buffer, headerAt: 0, headerEnd, bodyAt: headerEnd, bodyBytes: body.length };
}

/** The first of several headers with one name counts: a table has each once. False: there are none. */
function writeHeaders(writer: Writer, headers: readonly Header[]): boolean {
  const seen = new Set<string>();
  const lengthAt = writer.length;
  for (const [name, typed] of headers) {
    if (seen.has(name) || Buffer.byteLength(name) > SHORTSTR_BYTES_MAX) continue;
    if (seen.size === 0) writer.room(4);
    seen.add(name);
    writeField(writer, name, typed);
  }
  if (seen.size > 0) writer.buffer.writeUInt32BE(writer.length - lengthAt - 4, lengthAt);
  return seen.size > 0;
}
