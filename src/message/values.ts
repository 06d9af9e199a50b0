/**
 * Typed values as they appear in declaration arguments and message headers: the neutral form that
 * every protocol can read and write without losing the sender's types.
 */
export type ValueType =
  | "bool"
  | "int8"
  | "uint8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "float"
  | "double"
  | "decimal" // value: [scale, unscaled]
  | "string"
  | "binary"
  | "timestamp" // value: seconds since the epoch
  | "array"
  | "table"
  | "void";

export interface TypedValue {
  readonly type: ValueType;
  /** boolean | number | bigint (int64 beyond 2^53) | string | Uint8Array | [number, number] | TypedValue[] | Table | null */
  readonly value: unknown;
}

/** Insertion-ordered. A wire format that allows duplicate keys keeps the last one here; the native bytes keep all. */
export type Table = Map<string, TypedValue>;

const INTEGERS: ReadonlySet<ValueType> = new Set([
  "int8",
  "uint8",
  "int16",
  "uint16",
  "int32",
  "uint32",
  "int64",
]);

/** The value as a safe integer, or undefined when it is not one. */
export function integerOf(typed: TypedValue | undefined): number | undefined {
  if (typed === undefined || !INTEGERS.has(typed.type)) return undefined;
  const value = Number(typed.value as number | bigint);
  return Number.isSafeInteger(value) ? value : undefined;
}

export function stringOf(typed: TypedValue | undefined): string | undefined {
  return typed?.type === "string" ? (typed.value as string) : undefined;
}

export function isInteger(typed: TypedValue): boolean {
  return INTEGERS.has(typed.type);
}

/** Equal as a user would say: integers by value whatever their width, everything else by type and content. */
export function valuesEqual(a: TypedValue, b: TypedValue): boolean {
  if (INTEGERS.has(a.type) && INTEGERS.has(b.type)) {
    return BigInt(a.value as number | bigint) === BigInt(b.value as number | bigint);
  }
  if ((a.type === "float" || a.type === "double") && (b.type === "float" || b.type === "double")) {
    return a.value === b.value;
  }
  if (a.type !== b.type) return false;
  if (a.type === "binary") return Buffer.compare(a.value as Uint8Array, b.value as Uint8Array) === 0;
  if (a.type === "decimal") {
    const [x, y] = [a.value as number[], b.value as number[]];
    return x[0] === y[0] && x[1] === y[1];
  }
  if (a.type === "array") {
    const [x, y] = [a.value as TypedValue[], b.value as TypedValue[]];
    return x.length === y.length && x.every((item, i) => valuesEqual(item, y[i] as TypedValue));
  }
  if (a.type === "table") return tablesEqual(a.value as Table, b.value as Table);
  return a.value === b.value;
}

export function tablesEqual(a: Table, b: Table): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) {
    const other = b.get(key);
    if (other === undefined || !valuesEqual(value, other)) return false;
  }
  return true;
}

type JsonValue = [ValueType, unknown];

/** A form that JSON can carry, for the metadata store. */
export function tableToJson(table: Table): [string, JsonValue][] {
  return [...table].map(([key, typed]) => [key, valueToJson(typed)]);
}

export function tableFromJson(json: [string, JsonValue][]): Table {
  return new Map(json.map(([key, value]) => [key, valueFromJson(value)]));
}

function valueToJson({ type, value }: TypedValue): JsonValue {
  if (type === "table") return [type, tableToJson(value as Table)];
  if (type === "array") return [type, (value as TypedValue[]).map(valueToJson)];
  if (type === "binary") return [type, Buffer.from(value as Uint8Array).toString("base64")];
  if (typeof value === "bigint") return [type, `${value}`];
  return [type, value];
}

function valueFromJson([type, value]: JsonValue): TypedValue {
  if (type === "table") return { type, value: tableFromJson(value as [string, JsonValue][]) };
  if (type === "array") return { type, value: (value as JsonValue[]).map(valueFromJson) };
  if (type === "binary") return { type, value: new Uint8Array(Buffer.from(value as string, "base64")) };
  if (type === "int64" && typeof value === "string") return { type, value: BigInt(value) };
  return { type, value };
}
