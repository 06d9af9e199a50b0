import type { Delivery } from "../../broker/index.ts";
import { type Annotations, type Death, readU32, writeU32 } from "../../message/record.ts";
import type { Table, TypedValue } from "../../message/values.ts";
import { FRAME_END, FRAME_HEAD_BYTES, FRAME_HEADER, writeFrameHead } from "./codec/frame.ts";
import {
  EXPIRATION,
  flagOf,
  HEADER_FLAGS_OFFSET,
  HEADERS,
  PROPERTY_COUNT,
  PropertyMap,
  REPLY_TO,
} from "./codec/properties.ts";
import { MalformedError } from "./codec/reader.ts";
import { skipValue, writeField } from "./codec/table.ts";
import type { Writer } from "./codec/writer.ts";

/** How a content header differs from the one that the publisher sent. */
export interface HeaderChange {
  /** Headers to leave out, by name. */
  readonly drop?: ReadonlySet<string>;
  /** Headers to add; they replace those of the same name. */
  readonly add?: Table;
  readonly expirationRemoved?: boolean;
  readonly replyTo?: string;
}

const map = new PropertyMap();

/**
 * Writes a content header frame that repeats the payload at [at, end) of `bytes` with `change`
 * applied. Octets that are not touched are copied, so no type tag or duplicate key is lost.
 */
export function rebuildHeaderFrame(
  writer: Writer,
  channel: number,
  bytes: Uint8Array,
  at: number,
  end: number,
  change: HeaderChange,
): void {
  map.locate(bytes, at + HEADER_FLAGS_OFFSET, end);
  const frameAt = writer.room(FRAME_HEAD_BYTES);
  writer.raw(bytes, at, at + HEADER_FLAGS_OFFSET);
  writer.short(flagsAfter(map, change));
  for (let property = 0; property < PROPERTY_COUNT; property++) {
    const present = map.has(property);
    if (property === HEADERS && (present || change.add !== undefined)) {
      const tableAt = present ? map.start(HEADERS) : -1;
      writeHeaders(writer, bytes, tableAt, change);
    } else if (property === REPLY_TO && change.replyTo !== undefined) writer.shortstr(change.replyTo);
    else if (present && !(property === EXPIRATION && change.expirationRemoved === true)) {
      writer.raw(bytes, map.start(property), map.end(property));
    }
  }
  const size = writer.length - frameAt - FRAME_HEAD_BYTES;
  writeFrameHead(writer.buffer, frameAt, FRAME_HEADER, channel, size);
  writer.octet(FRAME_END);
}

function flagsAfter(located: PropertyMap, change: HeaderChange): number {
  let flags = located.flags;
  if (change.add !== undefined) flags |= flagOf(HEADERS);
  if (change.expirationRemoved === true) flags &= ~flagOf(EXPIRATION);
  if (change.replyTo !== undefined) flags |= flagOf(REPLY_TO);
  return flags;
}

function writeHeaders(writer: Writer, bytes: Uint8Array, tableAt: number, change: HeaderChange): void {
  const lengthAt = writer.room(4);
  if (tableAt >= 0) {
    const end = tableAt + 4 + readU32(bytes, tableAt);
    let at = tableAt + 4;
    while (at < end) {
      const nameEnd = at + 1 + (bytes[at] as number);
      const next = skipValue(bytes, nameEnd, end);
      if (next < 0) throw new MalformedError("malformed headers table");
      const name = Buffer.from(bytes.buffer, bytes.byteOffset + at + 1, nameEnd - at - 1).toString();
      if (change.drop?.has(name) !== true && change.add?.has(name) !== true) writer.raw(bytes, at, next);
      at = next;
    }
  }
  if (change.add !== undefined) for (const [name, typed] of change.add) writeField(writer, name, typed);
  writeU32(writer.buffer, lengthAt, writer.length - lengthAt - 4);
}

const longstr = (value: string): TypedValue => ({ type: "string", value });
const long = (value: number): TypedValue => ({ type: "int64", value });

/** One line of x-death, its fields as RabbitMQ names them. */
function deathTable(death: Death): TypedValue {
  const table: Table = new Map<string, TypedValue>([
    ["count", long(death.count)],
    ["reason", longstr(death.reason)],
    ["queue", longstr(death.queue)],
    ["time", { type: "timestamp", value: death.firstTime }],
    ["exchange", longstr(death.exchange)],
    ["routing-keys", { type: "array", value: death.routingKeys.map(longstr) }],
  ]);
  if (death.originalExpiration !== undefined) {
    table.set("original-expiration", longstr(death.originalExpiration));
  }
  return { type: "table", value: table };
}

const CARBON_COPY: ReadonlySet<string> = new Set(["CC"]);

/** For `headerChange`: no header tells of unsuccessful deliveries. */
export const NO_DELIVERY_COUNT = -1;

/** What the broker has to say about a message, as AMQP 0-9-1 headers; null when there is nothing. */
export function headerChange(annotations: Annotations | null, deliveryCount: number): HeaderChange | null {
  if (annotations === null && deliveryCount === NO_DELIVERY_COUNT) return null;
  const add: Table = new Map();
  if (annotations?.deaths !== undefined) {
    add.set("x-death", { type: "array", value: annotations.deaths.map(deathTable) });
  }
  for (const which of ["first", "last"] as const) {
    const death = which === "first" ? annotations?.firstDeath : annotations?.lastDeath;
    if (death === undefined) continue;
    add.set(`x-${which}-death-exchange`, longstr(death.exchange));
    add.set(`x-${which}-death-queue`, longstr(death.queue));
    add.set(`x-${which}-death-reason`, longstr(death.reason));
  }
  // The delay that was served comes back negated, so that a second trip does not delay again.
  if (annotations?.delayServedMs !== undefined) add.set("x-delay", signed(-annotations.delayServedMs));
  if (deliveryCount !== NO_DELIVERY_COUNT) add.set("x-delivery-count", long(deliveryCount));
  return {
    ...(add.size > 0 ? { add } : {}),
    ...(annotations?.copiesRemoved === true ? { drop: CARBON_COPY } : {}),
    expirationRemoved: annotations?.expirationRemoved === true,
  };
}

/** The change, and where in a stream the message lies. */
export function withPlace(
  change: HeaderChange | null,
  { streamOffset, streamPartition }: Delivery,
): HeaderChange | null {
  if (streamOffset < 0) return change;
  const add = new Map(change?.add);
  add.set("x-stream-offset", long(streamOffset));
  if (streamPartition >= 0) add.set("x-stream-partition", long(streamPartition));
  return { ...change, add };
}

function signed(value: number): TypedValue {
  return value >= -(2 ** 31) ? { type: "int32", value } : long(value);
}
