import type { Incoming } from "../../broker/index.ts";
import { asBuffer, ORIGIN_AMQP091, readU32 } from "../../message/record.ts";
import { integerOf, type Table, type TypedValue } from "../../message/values.ts";
import { EXPIRY_MS_MAX } from "./arguments.ts";
import { FRAME_END, readU16 } from "./codec/frame.ts";
import { CORRELATION_ID, MESSAGE_ID, PropertyMap, TIMESTAMP } from "./codec/properties.ts";
import { MalformedError, Reader } from "./codec/reader.ts";
import { readTable, skipValue } from "./codec/table.ts";
import { typeName } from "./erlang.ts";
import { AmqpError } from "./errors.ts";

/**
 * Native bytes of a message that came in by AMQP 0-9-1: what follows the routing in a basic.deliver,
 * so that routing and native together can be sent with one copy.
 *
 *     +------+---------------------------------+--------------------------------------------+
 *     | 0xCE | content header frame, with 0xCE | one body frame, with 0xCE (if bodyBytes>0) |
 *     +------+---------------------------------+--------------------------------------------+
 *
 * The first octet ends the method frame. Channel numbers are whatever the publisher used and are
 * patched at delivery. The body frame may be larger than any frame_max; it is split at delivery.
 */

/** Offset of the content header frame's payload, given where native bytes start. */
export function headerPayloadAt(nativeAt: number): number {
  return nativeAt + 8;
}

/** A message on its way in; one per connection, filled anew for each publish without decoding. */
export class IncomingMessage implements Incoming {
  origin = ORIGIN_AMQP091;
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
  /** Offsets of property values in `bytes`; -1 when absent. */
  headersAt = -1;
  replyToAt = -1;
  userIdAt = -1;

  headers(): Table | null {
    if (this.headersAt < 0) return null;
    return readTable(new Reader(this.bytes, this.headersAt, this.nativeEnd));
  }

  property(name: string): string | null {
    const index =
      name === "message_id"
        ? MESSAGE_ID
        : name === "correlation_id"
          ? CORRELATION_ID
          : name === "timestamp"
            ? TIMESTAMP
            : -1;
    if (index < 0) return null;
    const header = headerPayloadAt(this.nativeStart);
    const map = new PropertyMap();
    map.locate(this.bytes, header + 12, header + readU32(this.bytes, header - 4));
    if (!map.has(index)) return null;
    const reader = new Reader(this.bytes, map.start(index), map.end(index));
    return index === TIMESTAMP ? `${reader.longlong()}` : reader.shortstr();
  }

  shortstrAt(at: number): string {
    return asBuffer(this.bytes).toString("utf8", at + 1, at + 1 + (this.bytes[at] as number));
  }

  /**
   * Walks the properties in [at, end) of `bytes`, whose first two octets are the flags, and notes
   * what the broker wants to know.
   * @throws MalformedError, AmqpError
   */
  scan(bytes: Uint8Array, flagsAt: number, end: number): void {
    this.bytes = bytes;
    this.persistent = false;
    this.priority = 0;
    this.expirationMs = -1;
    this.delayMs = 0;
    this.copies = null;
    this.blindCopies = null;
    this.headersAt = -1;
    this.replyToAt = -1;
    this.userIdAt = -1;
    const flags = readU16(bytes, flagsAt);
    let at = flagsAt + 2;
    let expirationAt = -1;
    if ((flags & 0x8000) !== 0) at += 1 + (bytes[at] as number); // content-type
    if ((flags & 0x4000) !== 0) at += 1 + (bytes[at] as number); // content-encoding
    if ((flags & 0x2000) !== 0 && at + 4 <= end) {
      this.headersAt = at;
      at += 4 + readU32(bytes, at);
    }
    if ((flags & 0x1000) !== 0) this.persistent = bytes[at++] === 2;
    if ((flags & 0x0800) !== 0) this.priority = bytes[at++] as number;
    if ((flags & 0x07ff) !== 0) {
      if ((flags & 0x0400) !== 0) at += 1 + (bytes[at] as number); // correlation-id
      if ((flags & 0x0200) !== 0) {
        this.replyToAt = at;
        at += 1 + (bytes[at] as number);
      }
      if ((flags & 0x0100) !== 0) {
        expirationAt = at;
        at += 1 + (bytes[at] as number);
      }
      if ((flags & 0x0080) !== 0) at += 1 + (bytes[at] as number); // message-id
      if ((flags & 0x0040) !== 0) at += 8; // timestamp
      if ((flags & 0x0020) !== 0) at += 1 + (bytes[at] as number); // type
      if ((flags & 0x0010) !== 0) {
        this.userIdAt = at;
        at += 1 + (bytes[at] as number);
      }
      if ((flags & 0x0008) !== 0) at += 1 + (bytes[at] as number); // app-id
      if ((flags & 0x0004) !== 0) at += 1 + (bytes[at] as number); // cluster-id
      if ((flags & 0x0003) !== 0) at = -1;
    }
    if (at !== end) throw new MalformedError("malformed content header");
    if (this.headersAt >= 0) this.scanHeaders(bytes, this.headersAt);
    if (expirationAt >= 0) this.expirationMs = parseExpiration(bytes, expirationAt);
  }

  /** Looks for the keys that change routing, at the top level only. */
  private scanHeaders(bytes: Uint8Array, tableAt: number): void {
    const end = tableAt + 4 + readU32(bytes, tableAt);
    let at = tableAt + 4;
    while (at < end) {
      const length = bytes[at] as number;
      const valueAt = at + 1 + length;
      const next = skipValue(bytes, valueAt, end);
      if (next < 0) throw new MalformedError("malformed headers table");
      if (length === 2 && bytes[at + 1] === 0x43 && bytes[at + 2] === 0x43) {
        this.copies = carbonCopies(bytes, "CC", at, next);
      } else if (length === 3 && bytes[at + 1] === 0x42 && bytes[at + 2] === 0x43 && bytes[at + 3] === 0x43) {
        this.blindCopies = carbonCopies(bytes, "BCC", at, next);
      } else if (length === 7 && bytes[at + 1] === 0x78 && bytes[at + 7] === 0x79) {
        this.scanDelay(bytes, at, next);
      }
      at = next;
    }
  }

  private scanDelay(bytes: Uint8Array, at: number, end: number): void {
    const typed = fieldAt(bytes, at, end, "x-delay");
    if (typed === undefined) return;
    const value = typed.type === "string" ? Number(typed.value) : Number(integerOf(typed) ?? typed.value);
    if (value > 0 && value <= DELAY_MS_MAX) this.delayMs = Math.floor(value);
  }
}

/** Exact, and so is the time at which it is over. RabbitMQ's plugin takes what is above 2^32 - 1, 50 days, for no delay. */
const DELAY_MS_MAX = 2 ** 52;

/** The field that starts at `at`, when it has the given name. */
function fieldAt(bytes: Uint8Array, at: number, end: number, name: string): TypedValue | undefined {
  // A table of this one field, so that there is one reader of values.
  const single = new Uint8Array(4 + end - at);
  single.set(bytes.subarray(at, end), 4);
  new DataView(single.buffer).setUint32(0, end - at);
  return readTable(new Reader(single, 0, single.length)).get(name);
}

/** @throws AmqpError 406 unless the header is an array of strings */
function carbonCopies(bytes: Uint8Array, header: string, at: number, end: number): readonly string[] {
  const typed = fieldAt(bytes, at, end, header) as TypedValue;
  if (typed.type !== "array") throw unacceptable(header, typed);
  return (typed.value as TypedValue[])
    .filter((item) => item.type === "string")
    .map((item) => item.value as string);
}

function unacceptable(header: string, typed: TypedValue): AmqpError {
  const reason = `{unacceptable_type_in_header,"${header}",${typeName(typed)}}`;
  return new AmqpError("PRECONDITION_FAILED", `invalid message: ${reason}`);
}

const PLUS = 0x2b;

/** Decimal milliseconds as a short string. @throws AmqpError 406 in RabbitMQ's words */
function parseExpiration(bytes: Uint8Array, at: number): number {
  const length = bytes[at] as number;
  let value = 0;
  // RabbitMQ reads a sign, too.
  const first = length > 1 && bytes[at + 1] === PLUS ? 2 : 1;
  for (let i = first; i <= length; i++) {
    const digit = (bytes[at + i] as number) - 0x30;
    if (digit < 0 || digit > 9) throw badExpiration(bytes, at);
    value = value * 10 + digit;
  }
  if (length === 0 || value > EXPIRY_MS_MAX) throw badExpiration(bytes, at);
  return value;
}

function badExpiration(bytes: Uint8Array, at: number): AmqpError {
  const text = asBuffer(bytes).toString("utf8", at + 1, at + 1 + (bytes[at] as number));
  const match = /^([+-]?\d+)(.*)$/s.exec(text);
  let term = "no_integer";
  if (match !== null) {
    if (match[2] !== "") term = `{leftover_string,"${match[2]}"}`;
    else if (Number(match[1]) < 0) term = `{value_negative,${match[1]}}`;
    else term = `{value_too_large,${match[1]}}`;
  }
  return new AmqpError("PRECONDITION_FAILED", `invalid expiration '${text}': ${term}`);
}

/** True when native bytes end as they must; for tests and for bytes that come back from a disk. */
export function nativeIsWhole(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start >= 1 && bytes[start] === FRAME_END && bytes[end - 1] === FRAME_END;
}
