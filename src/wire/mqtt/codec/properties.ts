import { MqttError, malformed, protocolError, REASON } from "../reasons.ts";
import {
  AUTH,
  CONNACK,
  CONNECT,
  DISCONNECT,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
  varintBytes,
} from "./packet.ts";
import type { Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

/** Properties of a packet (MQTT 5, 2.2.2.2). Absent is undefined. */
export interface Properties {
  payloadFormat?: number;
  /** Seconds. */
  messageExpiry?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Uint8Array;
  subscriptionIds?: number[];
  /** Seconds; 0xFFFFFFFF = never. */
  sessionExpiry?: number;
  assignedClientId?: string;
  /** Seconds. */
  serverKeepAlive?: number;
  authenticationMethod?: string;
  authenticationData?: Uint8Array;
  requestProblem?: number;
  /** Seconds. */
  willDelay?: number;
  requestResponse?: number;
  responseInformation?: string;
  serverReference?: string;
  reasonString?: string;
  receiveMax?: number;
  topicAliasMax?: number;
  topicAlias?: number;
  qosMax?: number;
  retainAvailable?: number;
  /** In the sender's order, duplicates kept. */
  user?: [name: string, value: string][];
  packetBytesMax?: number;
  wildcardAvailable?: number;
  subscriptionIdAvailable?: number;
  sharedAvailable?: number;
}

type Kind = "flag" | "u8" | "u16" | "u32" | "varint" | "text" | "binary" | "pair";

interface Property {
  readonly id: number;
  readonly name: keyof Properties;
  readonly kind: Kind;
  /** Packets that may carry it. */
  readonly packets: readonly number[];
  readonly least?: number;
}

/** Stands for the properties of a will, which no packet type of its own has. */
export const WILL = 0;

const REPLIES = [CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH];

/** In the order of table 2-4, but for user properties: they come last, being as many as one likes. */
const TABLE: readonly Property[] = [
  { id: 0x01, name: "payloadFormat", kind: "flag", packets: [PUBLISH, WILL] },
  { id: 0x02, name: "messageExpiry", kind: "u32", packets: [PUBLISH, WILL] },
  { id: 0x03, name: "contentType", kind: "text", packets: [PUBLISH, WILL] },
  { id: 0x08, name: "responseTopic", kind: "text", packets: [PUBLISH, WILL] },
  { id: 0x09, name: "correlationData", kind: "binary", packets: [PUBLISH, WILL] },
  { id: 0x0b, name: "subscriptionIds", kind: "varint", packets: [PUBLISH, SUBSCRIBE], least: 1 },
  { id: 0x11, name: "sessionExpiry", kind: "u32", packets: [CONNECT, CONNACK, DISCONNECT] },
  { id: 0x12, name: "assignedClientId", kind: "text", packets: [CONNACK] },
  { id: 0x13, name: "serverKeepAlive", kind: "u16", packets: [CONNACK] },
  { id: 0x15, name: "authenticationMethod", kind: "text", packets: [CONNECT, CONNACK, AUTH] },
  { id: 0x16, name: "authenticationData", kind: "binary", packets: [CONNECT, CONNACK, AUTH] },
  { id: 0x17, name: "requestProblem", kind: "flag", packets: [CONNECT] },
  { id: 0x18, name: "willDelay", kind: "u32", packets: [WILL] },
  { id: 0x19, name: "requestResponse", kind: "flag", packets: [CONNECT] },
  { id: 0x1a, name: "responseInformation", kind: "text", packets: [CONNACK] },
  { id: 0x1c, name: "serverReference", kind: "text", packets: [CONNACK, DISCONNECT] },
  { id: 0x1f, name: "reasonString", kind: "text", packets: REPLIES },
  { id: 0x21, name: "receiveMax", kind: "u16", packets: [CONNECT, CONNACK], least: 1 },
  { id: 0x22, name: "topicAliasMax", kind: "u16", packets: [CONNECT, CONNACK] },
  { id: 0x23, name: "topicAlias", kind: "u16", packets: [PUBLISH] },
  { id: 0x24, name: "qosMax", kind: "flag", packets: [CONNACK] },
  { id: 0x25, name: "retainAvailable", kind: "flag", packets: [CONNACK] },
  { id: 0x27, name: "packetBytesMax", kind: "u32", packets: [CONNECT, CONNACK], least: 1 },
  { id: 0x28, name: "wildcardAvailable", kind: "flag", packets: [CONNACK] },
  { id: 0x29, name: "subscriptionIdAvailable", kind: "flag", packets: [CONNACK] },
  { id: 0x2a, name: "sharedAvailable", kind: "flag", packets: [CONNACK] },
  {
    id: 0x26,
    name: "user",
    kind: "pair",
    packets: [...REPLIES, CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, WILL],
  },
];

const BY_ID: readonly (Property | undefined)[] = Array.from({ length: 0x2b }, (_, id) =>
  TABLE.find((property) => property.id === id),
);

/**
 * Reads the properties of a packet of `type` (or WILL).
 * @throws MqttError malformed: unknown, or not of this packet; protocol error: twice, or a value that is not allowed
 */
export function readProperties(reader: Reader, type: number): Properties {
  const length = reader.varint();
  const end = reader.at + length;
  if (end > reader.end) throw malformed("properties are longer than the packet");
  const properties: Properties = {};
  while (reader.at < end) {
    const id = reader.varint();
    const property = BY_ID[id];
    if (property === undefined) throw malformed(`unknown property ${id}`);
    if (!property.packets.includes(type)) throw malformed(`property ${id} does not belong to this packet`);
    readProperty(reader, property, properties);
  }
  if (reader.at !== end) throw malformed("properties are longer than they say");
  return properties;
}

function readProperty(reader: Reader, property: Property, into: Properties): void {
  const { name } = property;
  if (name === "user") {
    into.user ??= [];
    into.user.push([reader.text(), reader.text()]);
    return;
  }
  if (into[name] !== undefined) throw protocolError(`property ${property.id} twice`);
  const value = readValue(reader, property.kind);
  if (property.kind === "flag" && (value as number) > 1) throw outOfRange(property, value);
  if (property.least !== undefined && (value as number) < property.least) throw outOfRange(property, value);
  (into as Record<string, unknown>)[name] = name === "subscriptionIds" ? [value] : value;
}

function outOfRange({ id }: Property, value: unknown): MqttError {
  return new MqttError(REASON.protocolError, `property ${id} must not be ${value}`);
}

function readValue(reader: Reader, kind: Kind): number | string | Uint8Array {
  switch (kind) {
    case "flag":
    case "u8":
      return reader.octet();
    case "u16":
      return reader.u16();
    case "u32":
      return reader.u32();
    case "varint":
      return reader.varint();
    case "text":
      return reader.text();
    default:
      return reader.binary();
  }
}

/** Writes them with their length in front. */
export function writeProperties(writer: Writer, properties: Properties): void {
  const block = propertyBlock(properties);
  writer.varint(block.length);
  writer.raw(block);
}

/** Without the length. */
export function propertyBlock(properties: Properties): Uint8Array {
  const writer = new Writer(64);
  for (const property of TABLE) {
    const value = properties[property.name];
    if (value === undefined) continue;
    const values =
      property.name === "user" || property.name === "subscriptionIds" ? (value as unknown[]) : [value];
    for (const one of values) {
      writer.octet(property.id);
      writeValue(writer, property.kind, one);
    }
  }
  return writer.written;
}

function writeValue(writer: Writer, kind: Kind, value: unknown): void {
  if (kind === "flag" || kind === "u8") writer.octet(value as number);
  else if (kind === "u16") writer.u16(value as number);
  else if (kind === "u32") writer.u32(value as number);
  else if (kind === "varint") writer.varint(value as number);
  else if (kind === "text") writer.text(value as string);
  else if (kind === "binary") writer.binary(value as Uint8Array);
  else for (const text of value as string[]) writer.text(text);
}

/** Bytes of a user property or a reason string, with its id. */
export function pairBytes(name: string, value: string): number {
  return 5 + Buffer.byteLength(name) + Buffer.byteLength(value);
}

/** Bytes that a property block takes with its length. */
export function withLength(blockBytes: number): number {
  return varintBytes(blockBytes) + blockBytes;
}
