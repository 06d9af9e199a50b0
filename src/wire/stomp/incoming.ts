import type { Incoming } from "../../broker/index.ts";
import { ORIGIN_STOMP } from "../../message/record.ts";
import type { Table } from "../../message/values.ts";
import { type Frame, FrameError, FrameWriter, type Version } from "./codec/frame.ts";
import type { Dialect } from "./destination.ts";
import { NATIVE_HEAD_BYTES, nativeFlags, StompContent, writeNativeHead } from "./native.ts";

/** Ten years, like everywhere. */
const EXPIRY_MS_MAX = 315_360_000_000;
const BACKSLASH = 0x5c;
const COLON = 0x3a;

/** A message that waits for its transaction: native bytes, and what the broker has to know. */
export interface KeptMessage {
  readonly bytes: Uint8Array;
  readonly bodyBytes: number;
  readonly persistent: boolean;
  readonly priority: number;
  readonly expirationMs: number;
  readonly delayMs: number;
}

/** A message on its way in. One per connection, filled anew for each SEND. */
export class StompIncoming implements Incoming {
  origin = ORIGIN_STOMP;
  bytes: Uint8Array = new Uint8Array(0);
  routingStart = 0;
  routingEnd = 0;
  nativeStart = 0;
  nativeEnd = 0;
  bodyBytes = 0;
  persistent = false;
  priority = 0;
  expirationMs = -1;
  delayMs = 0;
  copies: readonly string[] | null = null;
  blindCopies: readonly string[] | null = null;
  private readonly writer = new FrameWriter();
  private readonly content = new StompContent();
  private plain = true;

  /**
   * Takes over a SEND frame: [routing][native] are built anew in memory of our own.
   * @param replyTo replaces the header of this name
   * @param nowMs for ActiveMQ's absolute expiry
   * @throws FrameError
   */
  fill(
    frame: Frame,
    version: Version,
    dialect: Dialect,
    routing: Uint8Array,
    replyTo: string | null,
    nowMs: number,
  ): void {
    this.persistent = false;
    this.priority = 0;
    this.expirationMs = -1;
    this.delayMs = 0;
    this.plain = version !== 0;
    const { writer } = this;
    writer.length = 0;
    writer.raw(routing, 0, routing.length);
    const nativeAt = writer.length;
    for (let i = 0; i < NATIVE_HEAD_BYTES; i++) writer.octet(0);
    for (let i = 0; i < frame.headerCount; i++) {
      if (!this.takes(frame, i, version, dialect, nowMs)) continue;
      if (replyTo !== null && frame.isNamed(i, "reply-to")) {
        writer.header("reply-to", replyTo, version);
        continue;
      }
      const start = frame.nameAt(i);
      const end = frame.valueEnd(i);
      if (!isPlain(frame.bytes, start, end, frame.nameEnd(i))) {
        this.plain = false;
        if (version !== 0) {
          // Escapes are looked into now: who sent a wrong one is told, not who is to receive it.
          writer.header(frame.headerName(i, version), frame.value(i, version), version);
          continue;
        }
      }
      writer.raw(frame.bytes, start, end);
      writer.octet(0x0a);
    }
    const headerBytes = writer.length - nativeAt - NATIVE_HEAD_BYTES;
    const flags = nativeFlags(version, this.plain, frame.sized, dialect === "activemq");
    writer.raw(frame.bytes, frame.bodyAt, frame.bodyEnd);
    writeNativeHead(writer.buffer, nativeAt, flags, headerBytes);
    this.bytes = writer.buffer;
    this.routingStart = 0;
    this.routingEnd = routing.length;
    this.nativeStart = nativeAt;
    this.nativeEnd = writer.length;
    this.bodyBytes = frame.bodyEnd - frame.bodyAt;
  }

  /** Becomes a message that was kept, addressed to `routing`. */
  restore(kept: KeptMessage, routing: Uint8Array): void {
    const { writer } = this;
    writer.length = 0;
    writer.raw(routing, 0, routing.length);
    writer.raw(kept.bytes, 0, kept.bytes.length);
    this.bytes = writer.buffer;
    this.routingStart = 0;
    this.routingEnd = routing.length;
    this.nativeStart = routing.length;
    this.nativeEnd = writer.length;
    this.bodyBytes = kept.bodyBytes;
    this.persistent = kept.persistent;
    this.priority = kept.priority;
    this.expirationMs = kept.expirationMs;
    this.delayMs = kept.delayMs;
  }

  /** Notes what a header tells the broker. False: it is not kept with the message. */
  private takes(frame: Frame, index: number, version: Version, dialect: Dialect, nowMs: number): boolean {
    switch (frame.nameEnd(index) - frame.nameAt(index)) {
      case 7:
        if (frame.isNamed(index, "receipt")) return false;
        if (frame.isNamed(index, "x-delay")) this.delayMs = duration(frame.value(index, version), "x-delay");
        else if (dialect === "activemq" && frame.isNamed(index, "expires")) {
          const at = duration(frame.value(index, version), "expires", Number.MAX_SAFE_INTEGER);
          if (at > 0) this.expirationMs = Math.max(0, at - nowMs);
        }
        return true;
      case 8:
        if (frame.isNamed(index, "priority"))
          this.priority = Math.min(255, duration(frame.value(index, version), "priority"));
        return true;
      case 10:
        if (frame.isNamed(index, "persistent")) this.persistent = frame.value(index, version) === "true";
        else if (frame.isNamed(index, "expiration"))
          this.expirationMs = duration(frame.value(index, version), "expiration");
        else if (dialect === "activemq" && frame.isNamed(index, "message-id")) return false;
        return true;
      case 11:
        return !frame.isNamed(index, "destination") && !frame.isNamed(index, "transaction");
      case 14:
        return !frame.isNamed(index, "content-length");
      case 19:
        if (dialect === "activemq" && frame.isNamed(index, "AMQ_SCHEDULED_DELAY"))
          this.delayMs = duration(frame.value(index, version), "AMQ_SCHEDULED_DELAY");
        return true;
      default:
        return true;
    }
  }

  headers(): Table | null {
    const table: Table = new Map();
    for (const [name, value] of this.located().headers()) {
      if (!table.has(name)) table.set(name, { type: "string", value });
    }
    return table.size === 0 ? null : table;
  }

  property(name: string): string | null {
    const header = PROPERTIES[name];
    if (header === undefined) return null;
    return (
      this.located()
        .headers()
        .find(([key]) => key === header)?.[1] ?? null
    );
  }

  private located(): StompContent {
    return this.content.locateIn(this.bytes, this.nativeStart, this.nativeEnd);
  }
}

/** The broker's names for what it may ask of a message. */
export const PROPERTIES: Readonly<Record<string, string>> = {
  message_id: "amqp-message-id",
  correlation_id: "correlation-id",
  timestamp: "timestamp",
  expiration: "expiration",
};

/** No backslash, and no colon in the value: the same line in every version. */
function isPlain(bytes: Uint8Array, start: number, end: number, colon: number): boolean {
  for (let i = start; i < end; i++) {
    const octet = bytes[i];
    if (octet === BACKSLASH || octet === 0x0d || (octet === COLON && i !== colon)) return false;
  }
  return true;
}

/** @throws FrameError */
function duration(value: string, name: string, max = EXPIRY_MS_MAX): number {
  const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!(number <= max)) throw new FrameError(`malformed ${name}: '${value}'`);
  return number;
}
