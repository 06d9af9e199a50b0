import type { Pivot } from "../../message/pivot.ts";
import type { RecordReader } from "../../message/reader.ts";
import { type RecordView, readU32 } from "../../message/record.ts";
import type { Table } from "../../message/values.ts";
import {
  CORRELATION_ID,
  EXPIRATION,
  HEADER_FLAGS_OFFSET,
  HEADERS,
  MESSAGE_ID,
  PropertyMap,
  TIMESTAMP,
} from "./codec/properties.ts";
import { Reader } from "./codec/reader.ts";
import { readTable } from "./codec/table.ts";
import { headerPayloadAt } from "./message.ts";
import { pivotOf } from "./pivot.ts";

const PROPERTIES: Readonly<Record<string, number>> = {
  message_id: MESSAGE_ID,
  correlation_id: CORRELATION_ID,
  timestamp: TIMESTAMP,
  expiration: EXPIRATION,
};

const map = new PropertyMap();

/** What the broker may ask of a stored message that came in by AMQP 0-9-1. */
export const amqp091Reader: RecordReader = {
  headers(record: RecordView): Table | null {
    locate(record);
    if (!map.has(HEADERS)) return null;
    return readTable(new Reader(record.bytes, map.start(HEADERS), map.end(HEADERS)));
  },

  property(record: RecordView, name: string): string | null {
    const index = PROPERTIES[name];
    if (index === undefined) return null;
    locate(record);
    if (!map.has(index)) return null;
    const reader = new Reader(record.bytes, map.start(index), map.end(index));
    return index === TIMESTAMP ? `${reader.longlong()}` : reader.shortstr();
  },

  pivot(record: RecordView): Pivot {
    locate(record);
    return pivotOf(record, map);
  },
};

function locate(record: RecordView): void {
  const payload = headerPayloadAt(record.nativeOffset);
  map.locate(record.bytes, payload + HEADER_FLAGS_OFFSET, payload + readU32(record.bytes, payload - 4));
}
