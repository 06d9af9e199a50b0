import type { Table, TypedValue, ValueType } from "../../message/values.ts";

/**
 * RabbitMQ's error texts contain Erlang terms, and people search for those texts. These functions
 * print our values as `~p` and `~w` would.
 */
const TYPE_NAMES: Readonly<Record<ValueType, string>> = {
  bool: "bool",
  int8: "byte",
  uint8: "unsignedbyte",
  int16: "short",
  uint16: "unsignedshort",
  int32: "signedint",
  uint32: "unsignedint",
  int64: "long",
  float: "float",
  double: "double",
  decimal: "decimal",
  string: "longstr",
  binary: "binary",
  timestamp: "timestamp",
  array: "array",
  table: "table",
  void: "void",
};

export function typeName(typed: TypedValue): string {
  return TYPE_NAMES[typed.type];
}

/** A binary, as `~p` prints it: text when printable, octets otherwise. */
export function binaryTerm(bytes: Uint8Array): string {
  const printable = bytes.every((octet) => octet >= 0x20 && octet < 0x7f);
  if (printable && bytes.length > 0)
    return `<<"${Buffer.from(bytes).toString("latin1").replace(/["\\]/g, "\\$&")}">>`;
  return `<<${[...bytes].join(",")}>>`;
}

function textTerm(text: string): string {
  return binaryTerm(Buffer.from(text));
}

export function valueTerm({ type, value }: TypedValue): string {
  switch (type) {
    case "string":
      return textTerm(value as string);
    case "binary":
      return binaryTerm(value as Uint8Array);
    case "void":
      return "undefined";
    case "decimal":
      return `{${(value as number[]).join(",")}}`;
    case "array":
      return `[${(value as TypedValue[]).map((item) => `{${typeName(item)},${valueTerm(item)}}`).join(",")}]`;
    case "table":
      return `[${[...(value as Table)].map(([key, item]) => `{${textTerm(key)},${typeName(item)},${valueTerm(item)}}`).join(",")}]`;
    case "float":
    case "double":
      return Number.isInteger(value) ? `${value}.0` : `${value}`;
    default:
      return `${value}`;
  }
}

/** A value alone in quotes, as an inequivalence shows it when both sides have one. */
export function bareText(typed: TypedValue): string {
  return `'${typed.type === "string" ? typed.value : valueTerm(typed)}'`;
}

/** As the text of an inequivalent argument shows it: "the value '1000' of type 'signedint'" or "none". */
export function argumentText(typed: TypedValue | undefined): string {
  if (typed === undefined) return "none";
  const shown = typed.type === "string" ? (typed.value as string) : valueTerm(typed);
  return `the value '${shown}' of type '${typeName(typed)}'`;
}
