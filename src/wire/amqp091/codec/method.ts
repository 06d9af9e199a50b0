import { isUtf8 } from "node:buffer";
import type { Table } from "../../../message/values.ts";
import { METHODS } from "./methods.ts";
import { MalformedError, MalformedTextError, type Reader } from "./reader.ts";
import { readTable, writeTable } from "./table.ts";
import type { Writer } from "./writer.ts";

export type MethodName = keyof typeof METHODS;
type ArgumentType = "bit" | "octet" | "short" | "long" | "longlong" | "shortstr" | "longstr" | "table";
type ValueOf<T> = T extends "bit"
  ? boolean
  : T extends "table"
    ? Table
    : T extends "shortstr" | "longstr"
      ? string
      : number;

/** The arguments of a method, by name. */
export type MethodArguments<N extends MethodName> = {
  -readonly [K in keyof (typeof METHODS)[N]["args"]]: ValueOf<(typeof METHODS)[N]["args"][K]>;
};

export interface MethodSpec {
  readonly name: MethodName;
  readonly id: number;
  readonly args: readonly (readonly [string, ArgumentType])[];
}

const specs = Object.entries(METHODS).map(
  ([name, { id, args }]): MethodSpec => ({
    name: name as MethodName,
    id,
    args: Object.entries(args) as [string, ArgumentType][],
  }),
);
const byId: ReadonlyMap<number, MethodSpec> = new Map(specs.map((spec) => [spec.id, spec]));
const byName: ReadonlyMap<string, MethodSpec> = new Map(specs.map((spec) => [spec.name, spec]));

export function methodById(id: number): MethodSpec | undefined {
  return byId.get(id);
}

export function methodId(name: MethodName): number {
  return METHODS[name].id;
}

/** @throws MalformedError, MalformedTextError */
export function readArguments(reader: Reader, spec: MethodSpec): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [name, type] of spec.args) values[name] = readArgument(reader, type);
  if (reader.at !== reader.end) throw new MalformedError(`octets left behind ${spec.name}`);
  return values;
}

function readArgument(reader: Reader, type: ArgumentType): unknown {
  if (type === "table") return readTable(reader);
  const at = reader.at;
  const value = reader[type]();
  // Two names of odd bytes would become the same text: that of replacement characters, which a name may hold, too.
  // Keys of messages are not read here: they are any bytes.
  const suspect = type === "shortstr" && (value as string).includes("\uFFFD");
  if (suspect && !isUtf8(reader.bytes.subarray(at + 1, reader.at))) {
    throw new MalformedTextError("Malformed UTF-8 in shortstr");
  }
  return value;
}

/** Class, method and arguments: the payload of a method frame. */
export function writeMethod<N extends MethodName>(writer: Writer, name: N, values: MethodArguments<N>): void {
  const spec = byName.get(name) as MethodSpec;
  writer.long(spec.id);
  for (const [argument, type] of spec.args) {
    writeArgument(writer, type, (values as Record<string, unknown>)[argument]);
  }
}

function writeArgument(writer: Writer, type: ArgumentType, value: unknown): void {
  switch (type) {
    case "bit":
      writer.bit(value === true);
      break;
    case "table":
      writeTable(writer, value as Table);
      break;
    case "shortstr":
    case "longstr":
      writer[type](value as string);
      break;
    default:
      writer[type](value as number);
      break;
  }
}
