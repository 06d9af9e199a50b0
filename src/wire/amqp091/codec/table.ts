import { asBuffer, readU32, writeU32 } from "../../../message/record.ts";
import type { Table, TypedValue, ValueType } from "../../../message/values.ts";
import { MalformedError, Reader } from "./reader.ts";
import type { Writer } from "./writer.ts";

/**
 * Field tables, with the type tags that RabbitMQ and Qpid agreed on (the 0-9-1 specification's own
 * list was never implemented by either: https://www.rabbitmq.com/amqp-0-9-1-errata, section 3).
 *
 *     table = u32 length, *( shortstr name, tag, value )        array = u32 length, *( tag, value )
 */
const TAGS: Readonly<Record<ValueType, string>> = {
  bool: "t",
  int8: "b",
  uint8: "B",
  int16: "s",
  uint16: "u",
  int32: "I",
  uint32: "i",
  int64: "l",
  float: "f",
  double: "d",
  decimal: "D",
  string: "S",
  binary: "x",
  timestamp: "T",
  array: "A",
  table: "F",
  void: "V",
};

/** Deeper nesting than this is an attack on the stack, not a message. */
const DEPTH_MAX = 64;
const BIGINT_LOW = BigInt(Number.MIN_SAFE_INTEGER);
const BIGINT_HIGH = BigInt(Number.MAX_SAFE_INTEGER);

/** @throws MalformedError */
export function readTable(reader: Reader, depth = 0): Table {
  const inside = nested(reader, depth);
  const table: Table = new Map();
  while (inside.at < inside.end) {
    const name = inside.shortstr();
    table.set(name, readValue(inside, depth));
  }
  return table;
}

/** The fields of a table in the sender's order, duplicates kept. @throws MalformedError */
export function readFields(reader: Reader): [name: string, value: TypedValue][] {
  const inside = nested(reader, 0);
  const fields: [string, TypedValue][] = [];
  while (inside.at < inside.end) {
    const name = inside.shortstr();
    fields.push([name, readValue(inside, 0)]);
  }
  return fields;
}

function nested(reader: Reader, depth: number): Reader {
  if (depth > DEPTH_MAX) throw new MalformedError("table nested too deeply");
  const length = reader.long();
  const at = reader.take(length);
  return new Reader(reader.bytes, at, at + length);
}

function readValue(reader: Reader, depth: number): TypedValue {
  const tag = reader.octet();
  switch (String.fromCharCode(tag)) {
    case "t":
      return { type: "bool", value: reader.octet() !== 0 };
    case "b":
      return { type: "int8", value: (reader.octet() << 24) >> 24 };
    case "B":
      return { type: "uint8", value: reader.octet() };
    case "s":
      return { type: "int16", value: (reader.short() << 16) >> 16 };
    case "u":
      return { type: "uint16", value: reader.short() };
    case "I":
      return { type: "int32", value: reader.long() | 0 };
    case "i":
      return { type: "uint32", value: reader.long() };
    case "l":
    case "L":
      return { type: "int64", value: readInt64(reader) };
    case "f":
      return { type: "float", value: asBuffer(reader.bytes).readFloatBE(reader.take(4)) };
    case "d":
      return { type: "double", value: asBuffer(reader.bytes).readDoubleBE(reader.take(8)) };
    case "D":
      return { type: "decimal", value: [reader.octet(), reader.long()] };
    case "S":
      return { type: "string", value: reader.longstr() };
    case "x":
      return { type: "binary", value: reader.raw(reader.long()) };
    case "T":
      return { type: "timestamp", value: reader.longlong() };
    case "A":
      return { type: "array", value: readArray(reader, depth + 1) };
    case "F":
      return { type: "table", value: readTable(reader, depth + 1) };
    case "V":
      return { type: "void", value: null };
    default:
      throw new MalformedError(`unknown field type ${tag}`);
  }
}

function readInt64(reader: Reader): number | bigint {
  const value = asBuffer(reader.bytes).readBigInt64BE(reader.take(8));
  return value >= BIGINT_LOW && value <= BIGINT_HIGH ? Number(value) : value;
}

function readArray(reader: Reader, depth: number): TypedValue[] {
  const inside = nested(reader, depth);
  const items: TypedValue[] = [];
  while (inside.at < inside.end) items.push(readValue(inside, depth));
  return items;
}

export function writeTable(writer: Writer, table: Table): void {
  const lengthAt = writer.room(4);
  for (const [name, typed] of table) writeField(writer, name, typed);
  writeU32(writer.buffer, lengthAt, writer.length - lengthAt - 4);
}

export function writeField(writer: Writer, name: string, typed: TypedValue): void {
  writer.shortstr(name);
  writeValue(writer, typed);
}

function writeValue(writer: Writer, { type, value }: TypedValue): void {
  writer.octet(TAGS[type].charCodeAt(0));
  switch (type) {
    case "bool":
      writer.octet(value === true ? 1 : 0);
      break;
    case "int8":
    case "uint8":
      writer.octet(value as number);
      break;
    case "int16":
    case "uint16":
      writer.short(value as number);
      break;
    case "int32":
    case "uint32":
      writer.long(value as number);
      break;
    case "int64":
      writeInt64(writer, value as number | bigint);
      break;
    case "float":
      writeFloat(writer, value as number);
      break;
    case "double":
      writeDouble(writer, value as number);
      break;
    case "decimal":
      writer.octet((value as number[])[0] as number);
      writer.long((value as number[])[1] as number);
      break;
    case "string":
      writer.longstr(value as string);
      break;
    case "binary":
      writer.long((value as Uint8Array).length);
      writer.raw(value as Uint8Array);
      break;
    case "timestamp":
      writer.longlong(value as number);
      break;
    case "array":
      writeArray(writer, value as TypedValue[]);
      break;
    case "table":
      writeTable(writer, value as Table);
      break;
    case "void":
      return;
  }
}

// `room` may replace the buffer, so it has to be called before the buffer is looked up.
function writeInt64(writer: Writer, value: number | bigint): void {
  const at = writer.room(8);
  writer.buffer.writeBigInt64BE(BigInt(value), at);
}

function writeFloat(writer: Writer, value: number): void {
  const at = writer.room(4);
  writer.buffer.writeFloatBE(value, at);
}

function writeDouble(writer: Writer, value: number): void {
  const at = writer.room(8);
  writer.buffer.writeDoubleBE(value, at);
}

function writeArray(writer: Writer, items: TypedValue[]): void {
  const lengthAt = writer.room(4);
  for (const item of items) writeValue(writer, item);
  writeU32(writer.buffer, lengthAt, writer.length - lengthAt - 4);
}

/** Offset behind the value whose tag is at `at`; -1 when it does not fit before `end`. Allocates nothing. */
export function skipValue(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return -1;
  let next: number;
  switch (bytes[at]) {
    case 0x56: // V
      next = at + 1;
      break;
    case 0x74: // t
    case 0x62: // b
    case 0x42: // B
      next = at + 2;
      break;
    case 0x73: // s
    case 0x75: // u
      next = at + 3;
      break;
    case 0x49: // I
    case 0x69: // i
    case 0x66: // f
      next = at + 5;
      break;
    case 0x44: // D
      next = at + 6;
      break;
    case 0x6c: // l
    case 0x4c: // L
    case 0x64: // d
    case 0x54: // T
      next = at + 9;
      break;
    case 0x53: // S
    case 0x78: // x
    case 0x41: // A
    case 0x46: // F
      next = at + 5 <= end ? at + 5 + readU32(bytes, at + 1) : end + 1;
      break;
    default:
      return -1;
  }
  return next <= end ? next : -1;
}
