import { ORIGIN_AMQP091, type RecordView, readU32 } from "../../message/record.ts";
import type { Outbox } from "../../net/outbox.ts";
import { CLASS_BASIC, FRAME_BODY, FRAME_END, FRAME_HEAD_BYTES, writeFrameHead } from "./codec/frame.ts";
import { DELIVERY_MODE, flagOf } from "./codec/properties.ts";
import { Writer } from "./codec/writer.ts";
import { type HeaderChange, headerChange, rebuildHeaderFrame } from "./rebuild.ts";

/** A message's content somewhere in memory: the payload of its header and the body. */
export interface Content {
  bytes: Uint8Array;
  headerAt: number;
  headerEnd: number;
  bodyAt: number;
  bodyBytes: number;
}

/** Finds header and body in native bytes that start at `nativeAt`. */
export function locateContent(bytes: Uint8Array, nativeAt: number, bodyBytes: number): Content {
  const headerAt = nativeAt + 1 + FRAME_HEAD_BYTES;
  const headerEnd = headerAt + readU32(bytes, headerAt - 4);
  return { bytes, headerAt, headerEnd, bodyAt: headerEnd + 1 + FRAME_HEAD_BYTES, bodyBytes };
}

const header = new Writer();
const NO_CHANGE: HeaderChange = {};

/**
 * Writes a method frame that is complete in `method`, then header and body frames of at most
 * `partBytesMax`. The way of everything that the single copy of a plain delivery does not serve.
 */
export function sendContent(
  outbox: Outbox,
  channel: number,
  partBytesMax: number,
  method: Writer,
  content: Content,
  change: HeaderChange | null,
): void {
  header.reset();
  rebuildHeaderFrame(
    header,
    channel,
    content.bytes,
    content.headerAt,
    content.headerEnd,
    change ?? NO_CHANGE,
  );
  outbox.copy(method.buffer, 0, method.length);
  outbox.copy(header.buffer, 0, header.length);
  sendBody(outbox, channel, partBytesMax, content.bytes, content.bodyAt, content.bodyBytes);
}

function sendBody(
  outbox: Outbox,
  channel: number,
  partBytesMax: number,
  bytes: Uint8Array,
  bodyAt: number,
  bodyBytes: number,
): void {
  let sent = 0;
  while (sent < bodyBytes) {
    const part = Math.min(bodyBytes - sent, partBytesMax);
    writeFrameHead(outbox.bytes, outbox.reserve(FRAME_HEAD_BYTES), FRAME_BODY, channel, part);
    outbox.advance(FRAME_HEAD_BYTES);
    outbox.copy(bytes, bodyAt + sent, part);
    outbox.bytes[outbox.reserve(1)] = FRAME_END;
    outbox.advance(1);
    sent += part;
  }
}

/** Sends a stored message behind the method frame in `method`, with the broker's annotations as headers. */
export function sendRecord(
  outbox: Outbox,
  channel: number,
  partBytesMax: number,
  method: Writer,
  record: RecordView,
  deliveryCount: number,
): void {
  const change = headerChange(record.annotations(), deliveryCount);
  const content =
    record.origin === ORIGIN_AMQP091
      ? locateContent(record.bytes, record.nativeOffset, record.bodyBytes)
      : foreignContent(record);
  sendContent(outbox, channel, partBytesMax, method, content, change);
}

/**
 * A message that came in by another protocol: until its codec can say more, the last bodyBytes of its
 * native bytes are the body, and only its durability is known.
 */
function foreignContent(record: RecordView): Content {
  const bodyBytes = record.bodyBytes;
  const payload = new Writer(32);
  payload.short(CLASS_BASIC);
  payload.short(0);
  payload.longlong(bodyBytes);
  payload.short(record.persistent ? flagOf(DELIVERY_MODE) : 0);
  if (record.persistent) payload.octet(2);
  const headerBytes = payload.length;
  payload.raw(record.bytes, record.end - bodyBytes, record.end);
  return { bytes: payload.buffer, headerAt: 0, headerEnd: headerBytes, bodyAt: headerBytes, bodyBytes };
}

/**
 * Native bytes with another content header: for a publish whose properties the broker must alter.
 * Returns [routing][native], and where native starts.
 */
export function rebuildNative(
  routing: Uint8Array,
  content: Content,
  change: HeaderChange,
): { bytes: Uint8Array; nativeAt: number } {
  const writer = new Writer(routing.length + content.headerEnd - content.headerAt + content.bodyBytes + 64);
  writer.raw(routing);
  writer.octet(FRAME_END);
  rebuildHeaderFrame(writer, 0, content.bytes, content.headerAt, content.headerEnd, change);
  if (content.bodyBytes > 0) {
    const at = writer.room(FRAME_HEAD_BYTES);
    writeFrameHead(writer.buffer, at, FRAME_BODY, 0, content.bodyBytes);
    writer.raw(content.bytes, content.bodyAt, content.bodyAt + content.bodyBytes);
    writer.octet(FRAME_END);
  }
  return { bytes: writer.buffer.subarray(0, writer.length), nativeAt: routing.length };
}

/** Puts `channel` into the header and body frames of native bytes that were just copied to `nativeAt`. */
export function patchChannel(bytes: Uint8Array, nativeAt: number, channel: number, bodyBytes: number): void {
  const frameAt = nativeAt + 1;
  bytes[frameAt + 1] = channel >>> 8;
  bytes[frameAt + 2] = channel;
  if (bodyBytes === 0) return;
  const bodyFrameAt = frameAt + FRAME_HEAD_BYTES + readU32(bytes, frameAt + 3) + 1;
  bytes[bodyFrameAt + 1] = channel >>> 8;
  bytes[bodyFrameAt + 2] = channel;
}
