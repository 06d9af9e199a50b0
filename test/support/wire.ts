// A second, independent AMQP 0-9-1 codec for the tests. It shares nothing with src/ on purpose:
// a mistake in the broker's codec must not be cancelled out by the same mistake here.

export type FieldValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | Buffer
  | Date
  | FieldValue[]
  | Tagged
  | FieldTable;
export interface FieldTable {
  [key: string]: FieldValue;
}
/** Sends a value under an exact wire type, e.g. `{ "!": "s", value: 5 }` for a 16-bit integer. */
export interface Tagged {
  "!": string;
  value: FieldValue;
}
// biome-ignore lint/suspicious/noExplicitAny: arguments differ by method and tests assert on them.
export type Args = Record<string, any>;

type ArgType = "octet" | "short" | "long" | "longlong" | "shortstr" | "longstr" | "table" | "bit";
export interface MethodSpec {
  name: string;
  classId: number;
  methodId: number;
  args: { name: string; type: ArgType }[];
}

const SPEC = `
connection.start 10 10 major:octet minor:octet serverProperties:table mechanisms:longstr locales:longstr
connection.start-ok 10 11 clientProperties:table mechanism:shortstr response:longstr locale:shortstr
connection.secure 10 20 challenge:longstr
connection.secure-ok 10 21 response:longstr
connection.tune 10 30 channelMax:short frameMax:long heartbeat:short
connection.tune-ok 10 31 channelMax:short frameMax:long heartbeat:short
connection.open 10 40 virtualHost:shortstr reserved1:shortstr reserved2:bit
connection.open-ok 10 41 reserved1:shortstr
connection.close 10 50 replyCode:short replyText:shortstr classId:short methodId:short
connection.close-ok 10 51
connection.blocked 10 60 reason:shortstr
connection.unblocked 10 61
connection.update-secret 10 70 newSecret:longstr reason:shortstr
connection.update-secret-ok 10 71
channel.open 20 10 reserved1:shortstr
channel.open-ok 20 11 reserved1:longstr
channel.flow 20 20 active:bit
channel.flow-ok 20 21 active:bit
channel.close 20 40 replyCode:short replyText:shortstr classId:short methodId:short
channel.close-ok 20 41
access.request 30 10 realm:shortstr exclusive:bit passive:bit active:bit write:bit read:bit
access.request-ok 30 11 ticket:short
exchange.declare 40 10 ticket:short exchange:shortstr type:shortstr passive:bit durable:bit autoDelete:bit internal:bit nowait:bit arguments:table
exchange.declare-ok 40 11
exchange.delete 40 20 ticket:short exchange:shortstr ifUnused:bit nowait:bit
exchange.delete-ok 40 21
exchange.bind 40 30 ticket:short destination:shortstr source:shortstr routingKey:shortstr nowait:bit arguments:table
exchange.bind-ok 40 31
exchange.unbind 40 40 ticket:short destination:shortstr source:shortstr routingKey:shortstr nowait:bit arguments:table
exchange.unbind-ok 40 51
queue.declare 50 10 ticket:short queue:shortstr passive:bit durable:bit exclusive:bit autoDelete:bit nowait:bit arguments:table
queue.declare-ok 50 11 queue:shortstr messageCount:long consumerCount:long
queue.bind 50 20 ticket:short queue:shortstr exchange:shortstr routingKey:shortstr nowait:bit arguments:table
queue.bind-ok 50 21
queue.purge 50 30 ticket:short queue:shortstr nowait:bit
queue.purge-ok 50 31 messageCount:long
queue.delete 50 40 ticket:short queue:shortstr ifUnused:bit ifEmpty:bit nowait:bit
queue.delete-ok 50 41 messageCount:long
queue.unbind 50 50 ticket:short queue:shortstr exchange:shortstr routingKey:shortstr arguments:table
queue.unbind-ok 50 51
basic.qos 60 10 prefetchSize:long prefetchCount:short global:bit
basic.qos-ok 60 11
basic.consume 60 20 ticket:short queue:shortstr consumerTag:shortstr noLocal:bit noAck:bit exclusive:bit nowait:bit arguments:table
basic.consume-ok 60 21 consumerTag:shortstr
basic.cancel 60 30 consumerTag:shortstr nowait:bit
basic.cancel-ok 60 31 consumerTag:shortstr
basic.publish 60 40 ticket:short exchange:shortstr routingKey:shortstr mandatory:bit immediate:bit
basic.return 60 50 replyCode:short replyText:shortstr exchange:shortstr routingKey:shortstr
basic.deliver 60 60 consumerTag:shortstr deliveryTag:longlong redelivered:bit exchange:shortstr routingKey:shortstr
basic.get 60 70 ticket:short queue:shortstr noAck:bit
basic.get-ok 60 71 deliveryTag:longlong redelivered:bit exchange:shortstr routingKey:shortstr messageCount:long
basic.get-empty 60 72 clusterId:shortstr
basic.ack 60 80 deliveryTag:longlong multiple:bit
basic.reject 60 90 deliveryTag:longlong requeue:bit
basic.recover-async 60 100 requeue:bit
basic.recover 60 110 requeue:bit
basic.recover-ok 60 111
basic.nack 60 120 deliveryTag:longlong multiple:bit requeue:bit
confirm.select 85 10 nowait:bit
confirm.select-ok 85 11
tx.select 90 10
tx.select-ok 90 11
tx.commit 90 20
tx.commit-ok 90 21
tx.rollback 90 30
tx.rollback-ok 90 31
`;

const PROPERTIES: [string, ArgType | "timestamp"][] = [
  ["contentType", "shortstr"],
  ["contentEncoding", "shortstr"],
  ["headers", "table"],
  ["deliveryMode", "octet"],
  ["priority", "octet"],
  ["correlationId", "shortstr"],
  ["replyTo", "shortstr"],
  ["expiration", "shortstr"],
  ["messageId", "shortstr"],
  ["timestamp", "longlong"],
  ["type", "shortstr"],
  ["userId", "shortstr"],
  ["appId", "shortstr"],
  ["clusterId", "shortstr"],
];

function parseSpec(line: string): MethodSpec {
  const [name, classId, methodId, ...args] = line.split(" ") as [string, string, string, ...string[]];
  return {
    name,
    classId: Number(classId),
    methodId: Number(methodId),
    args: args.map((arg) => {
      const [argName, type] = arg.split(":") as [string, ArgType];
      return { name: argName, type };
    }),
  };
}

export const METHODS: MethodSpec[] = SPEC.trim().split("\n").map(parseSpec);
const BY_NAME = new Map(METHODS.map((spec) => [spec.name, spec]));
const BY_ID = new Map(METHODS.map((spec) => [spec.classId * 65536 + spec.methodId, spec]));

export class Writer {
  private parts: Buffer[] = [];

  int(bytes: number, value: number | bigint): this {
    const buffer = Buffer.alloc(bytes);
    if (bytes === 8) buffer.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)));
    else buffer.writeUIntBE(Number(value), 0, bytes);
    this.parts.push(buffer);
    return this;
  }
  bytes(value: Buffer): this {
    this.parts.push(value);
    return this;
  }
  shortstr(value: string | Buffer): this {
    const bytes = Buffer.from(value as string);
    if (bytes.length > 255) throw new Error("short string over 255 bytes");
    return this.int(1, bytes.length).bytes(bytes);
  }
  longstr(value: string | Buffer): this {
    const bytes = Buffer.from(value as string);
    return this.int(4, bytes.length).bytes(bytes);
  }
  table(value: FieldTable = {}): this {
    const inner = new Writer();
    for (const [key, field] of Object.entries(value)) {
      if (field !== undefined) inner.shortstr(key).field(field);
    }
    return this.longstr(inner.done());
  }
  field(value: FieldValue): this {
    if (value === null) return this.bytes(Buffer.from("V"));
    if (typeof value === "string") return this.bytes(Buffer.from("S")).longstr(value);
    if (typeof value === "boolean") return this.bytes(Buffer.from("t")).int(1, value ? 1 : 0);
    if (typeof value === "bigint") return this.tagged("l", value);
    if (typeof value === "number") return this.tagged(Number.isInteger(value) ? "I" : "d", value);
    if (Buffer.isBuffer(value)) return this.bytes(Buffer.from("x")).longstr(value);
    if (value instanceof Date) return this.tagged("T", BigInt(Math.floor(value.getTime() / 1000)));
    if (Array.isArray(value)) return this.array(value);
    if ("!" in value) return this.tagged((value as Tagged)["!"], (value as Tagged).value);
    return this.bytes(Buffer.from("F")).table(value as FieldTable);
  }
  private array(values: FieldValue[]): this {
    const inner = new Writer();
    for (const item of values) inner.field(item);
    return this.bytes(Buffer.from("A")).longstr(inner.done());
  }
  private tagged(tag: string, value: FieldValue): this {
    this.bytes(Buffer.from(tag));
    const number = value as number;
    if ("tbB".includes(tag)) return this.int(1, number & 0xff);
    if ("su".includes(tag)) return this.int(2, number & 0xffff);
    if ("Ii".includes(tag)) return this.int(4, number >>> 0);
    if ("lLT".includes(tag)) return this.int(8, value as bigint);
    if (tag === "D") return this.int(1, 0).int(4, number >>> 0);
    const buffer = Buffer.alloc(tag === "f" ? 4 : 8);
    if (tag === "f") buffer.writeFloatBE(number);
    else buffer.writeDoubleBE(number);
    return this.bytes(buffer);
  }
  done(): Buffer {
    return Buffer.concat(this.parts);
  }
}

export class Reader {
  private at = 0;
  private readonly data: Buffer;
  private readonly keepTags: boolean;

  /** `keepTags` keeps each table value's wire type, for comparing two brokers byte for byte. */
  constructor(data: Buffer, keepTags = false) {
    this.data = data;
    this.keepTags = keepTags;
  }

  int(bytes: number): number {
    this.at += bytes;
    if (bytes === 8) return Number(this.data.readBigInt64BE(this.at - 8));
    return this.data.readUIntBE(this.at - bytes, bytes);
  }
  take(length: number): Buffer {
    if (this.at + length > this.data.length) throw new Error("read past the end");
    this.at += length;
    return this.data.subarray(this.at - length, this.at);
  }
  shortstr(): string {
    return this.take(this.int(1)).toString();
  }
  longstr(): Buffer {
    return this.take(this.int(4));
  }
  // biome-ignore lint/suspicious/noExplicitAny: decoded tables hold anything.
  table(): Record<string, any> {
    const inner = new Reader(this.longstr(), this.keepTags);
    // biome-ignore lint/suspicious/noExplicitAny: decoded tables hold anything.
    const result: Record<string, any> = {};
    while (inner.at < inner.data.length) result[inner.shortstr()] = inner.field();
    return result;
  }
  private field(): unknown {
    const tag = String.fromCharCode(this.int(1));
    const value = this.value(tag);
    return this.keepTags && !"FA".includes(tag) ? `${tag}:${value}` : value;
  }
  private value(tag: string): unknown {
    switch (tag) {
      case "t":
        return this.int(1) !== 0;
      case "b":
        return this.take(1).readInt8();
      case "B":
        return this.int(1);
      case "s":
        return this.take(2).readInt16BE();
      case "u":
        return this.int(2);
      case "I":
        return this.take(4).readInt32BE();
      case "i":
        return this.int(4);
      case "l":
      case "L":
      case "T":
        return this.int(8);
      case "f":
        return this.take(4).readFloatBE();
      case "d":
        return this.take(8).readDoubleBE();
      case "D":
        return this.take(5).toString("hex");
      case "S":
        return this.longstr().toString();
      case "x":
        return Buffer.from(this.longstr());
      case "V":
        return null;
      case "F":
        return this.table();
      case "A": {
        const inner = new Reader(this.longstr(), this.keepTags);
        const items: unknown[] = [];
        while (inner.at < inner.data.length) items.push(inner.field());
        return items;
      }
      default:
        throw new Error(`unknown field type ${tag}`);
    }
  }
}

export function frame(type: number, channel: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(7);
  head.writeUInt8(type, 0);
  head.writeUInt16BE(channel, 1);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.from([0xce])]);
}

function writeArg(writer: Writer, type: ArgType, value: FieldValue | undefined): void {
  if (type === "octet") writer.int(1, (value as number) ?? 0);
  else if (type === "short") writer.int(2, (value as number) ?? 0);
  else if (type === "long") writer.int(4, (value as number) ?? 0);
  else if (type === "longlong") writer.int(8, (value as number) ?? 0);
  else if (type === "shortstr") writer.shortstr((value as string) ?? "");
  else if (type === "longstr") writer.longstr((value as string) ?? "");
  else writer.table((value as FieldTable) ?? {});
}

export function encodeMethod(name: string, channel: number, args: Args = {}): Buffer {
  const spec = BY_NAME.get(name);
  if (!spec) throw new Error(`no method ${name}`);
  const writer = new Writer().int(2, spec.classId).int(2, spec.methodId);
  let bits = 0;
  let bitCount = 0;
  for (const [index, arg] of spec.args.entries()) {
    if (arg.type === "bit") {
      if (args[arg.name]) bits |= 1 << bitCount;
      bitCount++;
      if (spec.args[index + 1]?.type === "bit") continue;
      writer.int(1, bits);
      bits = bitCount = 0;
    } else writeArg(writer, arg.type, args[arg.name]);
  }
  return frame(1, channel, writer.done());
}

export function decodeMethod(payload: Buffer, keepTags = false): { name: string; args: Args } {
  const reader = new Reader(payload, keepTags);
  const spec = BY_ID.get(reader.int(2) * 65536 + reader.int(2));
  if (!spec) throw new Error(`unknown method ${payload.subarray(0, 4).toString("hex")}`);
  const args: Args = {};
  let bits = 0;
  let bitCount = 0;
  for (const arg of spec.args) {
    if (arg.type === "bit") {
      if (bitCount % 8 === 0) bits = reader.int(1);
      args[arg.name] = (bits & (1 << (bitCount % 8))) !== 0;
      bitCount++;
      continue;
    }
    bitCount = 0;
    args[arg.name] = readArg(reader, arg.type);
  }
  return { name: spec.name, args };
}

function readArg(reader: Reader, type: ArgType | "timestamp"): unknown {
  if (type === "octet") return reader.int(1);
  if (type === "short") return reader.int(2);
  if (type === "long") return reader.int(4);
  if (type === "shortstr") return reader.shortstr();
  if (type === "longstr") return reader.longstr().toString();
  if (type === "table") return reader.table();
  return reader.int(8);
}

export function encodeHeader(channel: number, size: number, properties: Args = {}): Buffer {
  const values = new Writer();
  let flags = 0;
  for (const [index, [name, type]] of PROPERTIES.entries()) {
    if (properties[name] === undefined) continue;
    flags |= 1 << (15 - index);
    writeArg(values, type as ArgType, properties[name]);
  }
  const writer = new Writer().int(2, 60).int(2, 0).int(8, size).int(2, flags);
  return frame(2, channel, writer.bytes(values.done()).done());
}

export function decodeHeader(payload: Buffer, keepTags = false): { size: number; properties: Args } {
  const reader = new Reader(payload, keepTags);
  reader.int(4);
  const size = reader.int(8);
  const flags = reader.int(2);
  const properties: Args = {};
  for (const [index, [name, type]] of PROPERTIES.entries()) {
    if (flags & (1 << (15 - index))) properties[name] = readArg(reader, type);
  }
  return { size, properties };
}

export function encodePublish(
  channel: number,
  args: Args,
  properties: Args,
  body: Buffer,
  frameMax = 131072,
) {
  const parts = [
    encodeMethod("basic.publish", channel, args),
    encodeHeader(channel, body.length, properties),
  ];
  for (let at = 0; at < body.length; at += frameMax - 8) {
    parts.push(frame(3, channel, body.subarray(at, at + frameMax - 8)));
  }
  return Buffer.concat(parts);
}
