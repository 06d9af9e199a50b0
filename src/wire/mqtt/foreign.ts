import { isUtf8 } from "node:buffer";
import { copyBytes } from "../../base/copy-bytes.ts";
import type { Counters, StoredMessage } from "../../broker/index.ts";
import { valueText } from "../../message/conversions.ts";
import type { Pivot, ReplyAddress } from "../../message/pivot.ts";
import type { RecordReader, RecordReaders } from "../../message/reader.ts";
import { ORIGIN_MQTT } from "../../message/record.ts";
import type { TypedValue } from "../../message/values.ts";
import { type Properties, propertyBlock } from "./codec/properties.ts";
import { Content, nativeBytes } from "./message.ts";
import { SYS_PREFIX, swapSeparators, topicOfQueue } from "./topic.ts";

const TEXT_BYTES_MAX = 65_535;
const EMPTY = new Uint8Array(0);

/** Stored messages as MQTT content: those that came in by MQTT as they are, others through their pivot. */
export class Translator {
  private readonly readers: RecordReaders;
  private readonly counters: Counters;
  private readonly content = new Content();
  /** The last message that was translated: it may go to thousands. */
  private readonly translated = new Content();
  private translatedId = 0;
  private translatable = false;

  constructor(readers: RecordReaders, counters: Counters) {
    this.readers = readers;
    this.counters = counters;
  }

  /**
   * Null for a message that MQTT cannot name, which is counted: one whose topic would be a wildcard, or nothing, or
   * one of the broker's own.
   */
  contentOf(message: StoredMessage): Content | null {
    const { record } = message;
    // What the broker has moved (dead letters) has another routing than it was published with.
    if (record.origin === ORIGIN_MQTT && record.annotationsLength === 0) {
      this.content.locate(record.bytes, record.nativeOffset, record.end);
      return this.content;
    }
    if (message.id !== this.translatedId) {
      this.translatedId = message.id;
      this.translatable = this.translate(message);
    }
    if (this.translatable) return this.translated;
    this.counters.dropped.untranslatable++;
    return null;
  }

  private translate({ record }: StoredMessage): boolean {
    const topic = swapSeparators(record.routingKey());
    if (!isText(topic) || isUnspeakable(topic)) return false;
    const parts = {
      qos: record.persistent ? 1 : 0,
      retain: false,
      publisher: null,
      topic: Buffer.from(topic),
    };
    if (record.origin === ORIGIN_MQTT) {
      this.translated.locate(record.bytes, record.nativeOffset, record.end);
      const { bytes, propertiesAt, payloadAt, hasExpiry } = this.translated;
      const properties = copyBytes(bytes, propertiesAt, payloadAt);
      const payload = copyBytes(bytes, payloadAt, record.end);
      const native = nativeBytes({ ...parts, qos: this.translated.qos, properties, hasExpiry, payload });
      this.translated.locate(native, 0, native.length);
      return true;
    }
    const pivot = (this.readers.get(record.origin) as RecordReader).pivot(record);
    const properties = propertyBlock(propertiesOf(pivot));
    const native = nativeBytes({ ...parts, properties, hasExpiry: false, payload: pivot.body ?? EMPTY });
    this.translated.locate(native, 0, native.length);
    return true;
  }
}

/** Neutral properties as MQTT 5 says them; its expiry is added when it is sent, with what is left of it. */
export function propertiesOf(pivot: Pivot): Properties {
  const user: [string, string][] = [];
  const add = (name: string, value: string | undefined): void => {
    if (value !== undefined && isText(name) && isText(value)) user.push([name, value]);
  };
  if (pivot.key !== undefined) add("x-key", textOf(pivot.key));
  if (pivot.body === null) add("x-tombstone", "true");
  add("content-encoding", pivot.contentEncoding);
  add("message-id", pivot.messageId);
  add("type", pivot.type);
  add("user-id", pivot.userId);
  add("app-id", pivot.appId);
  for (const [name, value] of pivot.headers) add(name, headerText(value));
  const response = pivot.replyTo === undefined ? null : responseTopic(pivot.replyTo);
  const correlation = pivot.correlationId === undefined ? null : Buffer.from(pivot.correlationId as string);
  return {
    ...(pivot.contentType !== undefined && isText(pivot.contentType) && { contentType: pivot.contentType }),
    ...(response !== null && { responseTopic: response }),
    ...(correlation !== null && correlation.length <= TEXT_BYTES_MAX && { correlationData: correlation }),
    ...(user.length > 0 && { user }),
  };
}

function responseTopic({ kind, name }: ReplyAddress): string | null {
  const topic = kind === "queue" ? topicOfQueue(name) : swapSeparators(name);
  return isText(topic) && !/[+#]/.test(topic) && topic !== "" ? topic : null;
}

/** No topic name (4.7.3), or one that only the broker writes. */
function isUnspeakable(topic: string): boolean {
  return topic === "" || /[+#]/.test(topic) || topic === SYS_PREFIX || topic.startsWith(`${SYS_PREFIX}/`);
}

function isText(text: string): boolean {
  return !text.includes("\0") && Buffer.byteLength(text) <= TEXT_BYTES_MAX;
}

/** Bytes that are no text stay readable as base64. */
function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString(isUtf8(bytes) ? "utf8" : "base64");
}

/** Bytes that are no text are not lost, unlike elsewhere: MQTT's own clients can read them back. */
function headerText(typed: TypedValue): string | undefined {
  return typed.type === "binary" ? textOf(typed.value as Uint8Array) : valueText(typed);
}
