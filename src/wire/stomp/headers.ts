import { identifierText, utf8Text, valueText } from "../../message/conversions.ts";
import { type Header, type Pivot, replyAddress } from "../../message/pivot.ts";
import type { RecordReader } from "../../message/reader.ts";
import type { Annotations, RecordView } from "../../message/record.ts";
import type { Table } from "../../message/values.ts";
import { type Dialect, replyDestination, replyTargetOf } from "./destination.ts";
import { PROPERTIES } from "./incoming.ts";
import { StompContent } from "./native.ts";

const content = new StompContent();
const NUMBER = /^\d{1,15}$/;

/** What the broker, and other protocols, may ask of a message that came in by STOMP. */
export const stompReader: RecordReader = {
  headers(record: RecordView): Table | null {
    const table: Table = new Map();
    for (const [name, value] of content.locate(record).headers()) {
      if (!table.has(name)) table.set(name, { type: "string", value });
    }
    return table.size === 0 ? null : table;
  },

  property(record: RecordView, name: string): string | null {
    const header = PROPERTIES[name];
    if (header === undefined) return null;
    return (
      content
        .locate(record)
        .headers()
        .find(([key]) => key === header)?.[1] ?? null
    );
  },

  pivot(record: RecordView): Pivot {
    const { activemq, bytes, headersEnd, bodyEnd } = content.locate(record);
    return {
      exchange: record.exchange(),
      routingKey: record.routingKey(),
      body: bytes.subarray(headersEnd, bodyEnd),
      persistent: record.persistent,
      ...properties(content.headers(), activemq ? "activemq" : "rabbitmq"),
    };
  },
};

type Properties = Omit<Pivot, "exchange" | "routingKey" | "body" | "persistent">;

/** Header name -> property that it is, when the protocols have a word for it. */
const TEXTS = {
  "content-type": "contentType",
  "content-encoding": "contentEncoding",
  "correlation-id": "correlationId",
  "amqp-message-id": "messageId",
  type: "type",
  "user-id": "userId",
  "app-id": "appId",
} as const;

function properties(lines: readonly [string, string][], dialect: Dialect): Properties {
  const found: { -readonly [K in keyof Properties]: Properties[K] } = { headers: [] };
  const headers: Header[] = [];
  for (const [name, value] of lines) {
    if (Object.hasOwn(TEXTS, name)) found[TEXTS[name as keyof typeof TEXTS]] ??= value;
    else if (name === "x-key") found.key ??= Buffer.from(value);
    else if (name === "priority" && NUMBER.test(value)) found.priority ??= Math.min(255, Number(value));
    else if (name === "expiration" && NUMBER.test(value)) found.expirationMs ??= Number(value);
    // RabbitMQ's is AMQP's, in seconds; ActiveMQ's is JMS's, in milliseconds.
    else if (name === "timestamp" && NUMBER.test(value))
      found.timestampMs ??= Number(value) * (dialect === "rabbitmq" ? 1000 : 1);
    else if (name === "reply-to") {
      const target = replyTargetOf(value, dialect);
      if (target !== undefined) found.replyTo ??= replyAddress(target);
      else headers.push([name, { type: "string", value }]);
    } else if (name !== "persistent") headers.push([name, { type: "string", value }]);
  }
  return { ...found, headers };
}

/** A message of another protocol as STOMP headers, in RabbitMQ's order. */
export function headersOf(pivot: Pivot, dialect: Dialect): [string, string][] {
  const lines: [string, string][] = [];
  const add = (name: string, value: string | number | undefined): void => {
    if (value !== undefined && isHeader(name, `${value}`)) lines.push([name, `${value}`]);
  };
  add("content-type", pivot.contentType);
  add("content-encoding", pivot.contentEncoding);
  if (pivot.persistent) add("persistent", "true");
  add("priority", pivot.priority);
  add("correlation-id", identifierText(pivot.correlationId));
  if (pivot.replyTo !== undefined)
    add("reply-to", replyDestination(pivot.replyTo.kind, pivot.replyTo.name, dialect));
  add("expiration", pivot.expirationMs);
  add("amqp-message-id", pivot.messageId);
  if (pivot.timestampMs !== undefined)
    add("timestamp", dialect === "rabbitmq" ? Math.floor(pivot.timestampMs / 1000) : pivot.timestampMs);
  add("type", pivot.type);
  add("user-id", pivot.userId);
  add("app-id", pivot.appId);
  if (pivot.key !== undefined) add("x-key", utf8Text(pivot.key));
  if (pivot.body === null) add("x-tombstone", "true");
  for (const [name, typed] of pivot.headers) if (!SERVER_HEADERS.has(name)) add(name, valueText(typed));
  return lines;
}

/** What the broker says itself: who else said it must not be believed. */
const SERVER_HEADERS: ReadonlySet<string> = new Set([
  "subscription",
  "destination",
  "message-id",
  "ack",
  "redelivered",
  "content-length",
]);

/** A name needs a character; a NUL would be the end of the frame for many a client. */
function isHeader(name: string, value: string): boolean {
  return name !== "" && !name.includes("\0") && !value.includes("\0");
}

/** What the broker itself has to say about a message. */
export function annotationHeaders(
  annotations: Annotations | null,
  deliveryCount: number,
): [string, string][] {
  const lines: [string, string][] = [];
  for (const which of ["first", "last"] as const) {
    const death = which === "first" ? annotations?.firstDeath : annotations?.lastDeath;
    if (death === undefined) continue;
    lines.push([`x-${which}-death-exchange`, death.exchange]);
    lines.push([`x-${which}-death-queue`, death.queue], [`x-${which}-death-reason`, death.reason]);
  }
  if (annotations?.delayServedMs !== undefined) lines.push(["x-delay", `${-annotations.delayServedMs}`]);
  if (deliveryCount > 0) lines.push(["x-delivery-count", `${deliveryCount}`]);
  return lines;
}
