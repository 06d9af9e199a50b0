import type { RecordView } from "../../message/record.ts";
import type { Writer } from "./codec/writer.ts";
import type { HeaderChange } from "./rebuild.ts";

const SHORTSTR_BYTES_MAX = 255;
/** Header with the whole of a routing key that AMQP 0-9-1 has no room for: topics of other protocols may be longer. */
const ROUTING_KEY_HEADER = "x-routing-key";

function isLong(record: RecordView): boolean {
  return record.nativeOffset - record.keyOffset > SHORTSTR_BYTES_MAX;
}

/** Writes exchange and routing key as two short strings; a longer key is cut where a character ends. */
export function writeRouting(writer: Writer, record: RecordView): void {
  const { bytes, routingOffset, keyOffset } = record;
  if (!isLong(record)) {
    writer.raw(bytes, routingOffset, record.nativeOffset);
    return;
  }
  let end = keyOffset + SHORTSTR_BYTES_MAX;
  while (((bytes[end] as number) & 0xc0) === 0x80) end--;
  writer.raw(bytes, routingOffset, keyOffset - 1);
  writer.octet(end - keyOffset);
  writer.raw(bytes, keyOffset, end);
}

/** The change, and the header that carries a long routing key. */
export function withLongKey(change: HeaderChange | null, record: RecordView): HeaderChange | null {
  if (!isLong(record)) return change;
  const add = new Map(change?.add);
  add.set(ROUTING_KEY_HEADER, { type: "string", value: record.routingKey() });
  return { ...change, add };
}
