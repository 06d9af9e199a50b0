import { copyBytes } from "../../base/copy-bytes.ts";
import type { Header, Pivot, ReplyAddress } from "../../message/pivot.ts";
import type { RecordReader } from "../../message/reader.ts";
import type { RecordView } from "../../message/record.ts";
import type { Table } from "../../message/values.ts";
import { readU16 } from "./codec/packet.ts";
import { Content, correlationText, expiryOf, textAt, userProperties, visitProperties } from "./message.ts";
import { queueOfTopic, swapSeparators } from "./topic.ts";

type Draft = { -readonly [K in keyof Pivot]: Pivot[K] };

/** User properties that stand for what MQTT has no property of its own for. */
const CANONICAL: Readonly<Record<string, "contentEncoding" | "messageId" | "type" | "appId">> = {
  "content-encoding": "contentEncoding",
  "message-id": "messageId",
  type: "type",
  "app-id": "appId",
};
const KEY = "x-key";

const content = new Content();

/** What the broker may ask of a stored message that came in by MQTT. */
export const mqttReader: RecordReader = {
  headers(record: RecordView): Table | null {
    locate(record);
    return userProperties(content);
  },

  property(record: RecordView, name: string): string | null {
    locate(record);
    if (name === "correlation_id") return correlationText(content);
    if (name !== "expiration") return null;
    const seconds = expiryOf(content);
    return seconds === undefined ? null : `${seconds * 1000}`;
  },

  pivot(record: RecordView): Pivot {
    locate(record);
    const headers: Header[] = [];
    const draft: Draft = {
      exchange: record.exchange(),
      routingKey: record.routingKey(),
      body: content.bytes.subarray(content.payloadAt, content.payloadAt + content.payloadBytes),
      persistent: record.persistent,
      headers,
    };
    const seconds = expiryOf(content);
    if (seconds !== undefined) draft.expirationMs = seconds * 1000;
    visitProperties(content, (id, at, bytes) => {
      if (id === 0x03) draft.contentType = textAt(bytes, at);
      else if (id === 0x08) draft.replyTo = replyTo(textAt(bytes, at));
      else if (id === 0x09) draft.correlationId = copyBytes(bytes, at + 2, at + 2 + readU16(bytes, at));
      else if (id === 0x26)
        userProperty(draft, headers, textAt(bytes, at), textAt(bytes, at + 2 + readU16(bytes, at)));
    });
    return draft;
  },
};

function userProperty(draft: Draft, headers: Header[], name: string, value: string): void {
  const canonical = Object.hasOwn(CANONICAL, name) ? CANONICAL[name] : undefined;
  if (canonical !== undefined && draft[canonical] === undefined) draft[canonical] = value;
  else if (name === KEY && draft.key === undefined) draft.key = Buffer.from(value);
  else headers.push([name, { type: "string", value }]);
}

function replyTo(topic: string): ReplyAddress {
  const queue = queueOfTopic(topic);
  return queue === null ? { kind: "topic", name: swapSeparators(topic) } : { kind: "queue", name: queue };
}

function locate(record: RecordView): void {
  content.locate(record.bytes, record.nativeOffset, record.end);
}
