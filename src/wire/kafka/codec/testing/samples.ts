// Messages for tests: for every shape the same ones each time, without a table of them.
import type { ByteRange } from "../reader.ts";
import { type Field, type Shape, ZERO_UUID } from "../schema.ts";

type Random = () => number;

/** mulberry32: small, and the same everywhere. */
function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x100000000;
  };
}

const TEXTS = ["", "a", "orders", "größer-als-ascii", "日本", "x".repeat(130)];
/** Their defaults do not come back as they went: 0 is no float in JSON, and no records are none. */
const DEFAULT_LESS = new Set(["records", "float64", "struct"]);
const WIDTHS = { int8: 8, int16: 16, int32: 32, int64: 54, uint16: 16 };

/** A message of this version with something in every field. */
export function sampleOf(shape: Shape, version: number, seed: number): Record<string, unknown> {
  return structOf(shape, version, randomOf(seed));
}

function structOf(shape: Shape, version: number, random: Random): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(shape).map(([name, field]) => [
      name,
      field.isIn(version) ? sampleField(field, version, random) : field.fallback,
    ]),
  );
}

function sampleField(field: Field<unknown>, version: number, random: Random): unknown {
  const pick = random();
  if (field.isNullableIn(version) && pick < 0.2) return null;
  if (pick > 0.9 && !DEFAULT_LESS.has(field.kind)) return field.fallback;
  switch (field.kind) {
    case "bool":
      return random() < 0.5;
    case "float64":
      return Math.floor(random() * 1000) + 0.5;
    case "uuid":
      return random() < 0.1 ? ZERO_UUID : Buffer.from(octets(16, random)).toString("hex");
    case "string":
      return TEXTS[Math.floor(random() * random() * TEXTS.length)];
    case "bytes":
      return octets(Math.floor(random() * 6), random);
    case "records":
      return rangeOf(octets(Math.floor(random() * 6), random));
    case "array":
      return Array.from({ length: Math.floor(random() * 3) }, () =>
        sampleField(field.element as Field<unknown>, version, random),
      );
    case "struct":
      return structOf(field.shape as Shape, version, random);
    default:
      return integer(WIDTHS[field.kind], field.kind !== "uint16", random);
  }
}

function integer(bits: number, signed: boolean, random: Random): number {
  const range = random() < 0.5 ? Math.min(2 ** bits, 200) : 2 ** bits;
  return Math.floor(random() * range) - (signed ? range / 2 : 0);
}

function octets(length: number, random: Random): Uint8Array {
  return Uint8Array.from({ length }, () => Math.floor(random() * 256));
}

function rangeOf(bytes: Uint8Array): ByteRange {
  return { bytes, start: 0, end: bytes.length };
}

/** As Kafka's own JSON converters expect it. */
export function toJson(shape: Shape, version: number, values: Record<string, unknown>): unknown {
  return Object.fromEntries(
    Object.entries(shape)
      .filter(([, field]) => field.isIn(version))
      .map(([name, field]) => [name, jsonOf(field, version, values[name])]),
  );
}

function jsonOf(field: Field<unknown>, version: number, value: unknown): unknown {
  if (value === null) return field.kind === "records" && !field.isNullableIn(version) ? "" : null;
  if (field.kind === "uuid") return Buffer.from(value as string, "hex").toString("base64url");
  if (field.kind === "bytes") return Buffer.from(value as Uint8Array).toString("base64");
  if (field.kind === "records") {
    const { bytes, start, end } = value as ByteRange;
    return Buffer.from(bytes.subarray(start, end)).toString("base64");
  }
  if (field.kind === "array")
    return (value as unknown[]).map((one) => jsonOf(field.element as Field<unknown>, version, one));
  if (field.kind === "struct") return toJson(field.shape as Shape, version, value as Record<string, unknown>);
  return value;
}

/** For comparison: what a range holds in place of where it lies. */
export function settled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(settled);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (typeof value !== "object" || value === null) return value;
  if ("start" in value) {
    const { bytes, start, end } = value as ByteRange;
    return settled(bytes.subarray(start, end));
  }
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, settled(inner)]));
}
