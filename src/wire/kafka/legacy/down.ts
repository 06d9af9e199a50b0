import { crc32 } from "node:zlib";
import { ATTRIBUTE_CONTROL, ATTRIBUTES_AT, batchBytes, readI16 } from "../../../message/record-batch.ts";
import { RecordCursor } from "../../../message/record-cursor.ts";
import { Writer } from "../codec/writer.ts";
import { MESSAGE_LEAD_BYTES } from "./up.ts";

type Magic = 0 | 1;

const cursor = new RecordCursor();
const writer = new Writer();

/**
 * Whole batches as a set of single messages (drawn in up.ts), for clients from before Kafka 0.11. From
 * `offset` on; without headers, control records and compression, which those clients would have to be
 * asked about. @throws MalformedRecords
 */
export function convertDown(
  pieces: readonly { readonly bytes: Uint8Array; readonly start: number; readonly end: number }[],
  offset: number,
  magic: Magic,
): Uint8Array {
  writer.reset();
  for (const { bytes, start, end } of pieces) {
    for (let at = start; at < end; ) {
      const next = at + batchBytes(bytes, at);
      if ((readI16(bytes, at + ATTRIBUTES_AT) & ATTRIBUTE_CONTROL) === 0) {
        cursor.open(bytes, at, next);
        while (cursor.next()) if (cursor.offset >= offset) writeMessage(magic);
      }
      at = next;
    }
  }
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

function writeMessage(magic: Magic): void {
  const start = writer.length;
  writer.int64(cursor.offset);
  writer.int32(0);
  writer.int32(0);
  writer.int8(magic);
  writer.int8(0);
  if (magic === 1) writer.int64(cursor.timestampMs);
  writeField(cursor.keyStart, cursor.keyEnd);
  writeField(cursor.valueStart, cursor.valueEnd);
  const { buffer, length } = writer;
  buffer.writeInt32BE(length - start - MESSAGE_LEAD_BYTES, start + 8);
  const summed = buffer.subarray(start + MESSAGE_LEAD_BYTES + 4, length);
  buffer.writeUInt32BE(crc32(summed), start + MESSAGE_LEAD_BYTES);
}

function writeField(start: number, end: number): void {
  writer.int32(start < 0 ? -1 : end - start);
  if (start >= 0) writer.raw(cursor.bytes, start, end);
}
