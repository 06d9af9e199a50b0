import type { RecordReader, RecordReaders } from "../../message/reader.ts";
import { ORIGIN_AMQP091, type RecordView, readU32 } from "../../message/record.ts";
import type { Outbox } from "../../net/outbox.ts";
import { FRAME_BODY, FRAME_END, FRAME_HEAD_BYTES, writeFrameHead } from "./codec/frame.ts";
import { Writer } from "./codec/writer.ts";
import { type Content, locateContent } from "./content-location.ts";
import { withLongKey } from "./long-key.ts";
import { contentOf } from "./pivot.ts";
import { type HeaderChange, rebuildHeaderFrame } from "./rebuild.ts";

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

/** Sends a stored message behind the method frame in `method`; `broker`: what the broker has to add to its headers. */
export function sendRecord(
  outbox: Outbox,
  channel: number,
  partBytesMax: number,
  method: Writer,
  record: RecordView,
  broker: HeaderChange | null,
  readers: RecordReaders,
): void {
  const change = withLongKey(broker, record);
  const content =
    record.origin === ORIGIN_AMQP091
      ? locateContent(record.bytes, record.nativeOffset, record.bodyBytes)
      : contentOf((readers.get(record.origin) as RecordReader).pivot(record));
  sendContent(outbox, channel, partBytesMax, method, content, change);
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
