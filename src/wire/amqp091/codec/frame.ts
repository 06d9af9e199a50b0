import { writeU32 } from "../../../message/record.ts";
import { type MethodArguments, type MethodName, writeMethod } from "./method.ts";
import type { Writer } from "./writer.ts";

/**
 *      0      1         3         7                  7+size
 *     +------+---------+---------+------------------+------+
 *     | type | channel | size    | payload          | 0xCE |
 *     +------+---------+---------+------------------+------+
 *       u8     u16       u32
 */
export const FRAME_METHOD = 1;
export const FRAME_HEADER = 2;
export const FRAME_BODY = 3;
export const FRAME_HEARTBEAT = 8;
export const FRAME_END = 0xce;
/** Type, channel and size. */
export const FRAME_HEAD_BYTES = 7;
/** Head and end octet: what a frame costs beside its payload. */
export const FRAME_OVERHEAD_BYTES = 8;
/** Class, weight, body size and property flags of a content header. */
export const CONTENT_HEAD_BYTES = 14;

export const CLASS_BASIC = 60;
export const BASIC_PUBLISH = 0x003c0028;
export const BASIC_ACK = 0x003c0050;

export const HEARTBEAT: Uint8Array = Uint8Array.of(FRAME_HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END);
/** "AMQP" 0 0 9 1: what a client opens with, and our answer to any other opening. */
export const PROTOCOL_HEADER: Uint8Array = Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1);

export function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

/** Writes type, channel and size; returns the offset of the payload. */
export function writeFrameHead(
  bytes: Uint8Array,
  at: number,
  type: number,
  channel: number,
  size: number,
): number {
  bytes[at] = type;
  bytes[at + 1] = channel >>> 8;
  bytes[at + 2] = channel;
  writeU32(bytes, at + 3, size);
  return at + FRAME_HEAD_BYTES;
}

export function writeMethodFrame<N extends MethodName>(
  writer: Writer,
  channel: number,
  name: N,
  values: MethodArguments<N>,
): void {
  const start = writer.room(FRAME_HEAD_BYTES);
  writeMethod(writer, name, values);
  const size = writer.length - start - FRAME_HEAD_BYTES;
  writeFrameHead(writer.buffer, start, FRAME_METHOD, channel, size);
  writer.octet(FRAME_END);
}
