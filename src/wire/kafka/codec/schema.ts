// The language in which Kafka's messages are described: src/wire/kafka/schemas holds one file an API.
//
//   request: {
//     groupId: string,                                   in every version
//     groupInstanceId: string.since(3).nullable(3),      from version 3, where it may be null
//     retentionTimeMs: int64.since(2).until(4).or(-1),    versions 2 to 4; -1 where it is absent
//     topics: array({ name: string }),                   of structures, or of a type: array(int32)
//     clusterId: string.since(12).tagged(0),             a tagged field, number 0
//   }
//
// Fields stand in the order of the wire. The same table is the type of the decoded message.
import type { ByteRange } from "./reader.ts";

export type Kind =
  | "bool"
  | "int8"
  | "int16"
  | "uint16"
  | "int32"
  | "int64"
  | "float64"
  | "uuid"
  | "string"
  | "bytes"
  | "records"
  | "struct"
  | "array";

export type Shape = Readonly<Record<string, Field<unknown>>>;
/** A message as it is read: all fields are there, those that its version lacks with their default. */
export type Message<S extends Shape> = { -readonly [K in keyof S]: S[K]["value"] };
/** A message to be written: a field that is left out has its default; what the version lacks is not written. */
export type Draft<T> = T extends Uint8Array | ByteRange
  ? T
  : T extends readonly (infer U)[]
    ? readonly Draft<U>[]
    : T extends object
      ? { readonly [K in keyof T]?: Draft<T[K]> | undefined }
      : T;

export const ZERO_UUID = "0".repeat(32);
const NEVER = Number.POSITIVE_INFINITY;
const EMPTY: readonly never[] = Object.freeze([]);
const NO_BYTES = new Uint8Array(0);

interface Traits {
  readonly since: number;
  readonly until: number;
  readonly nullableSince: number;
  readonly nullableUntil: number;
  /** -1: not tagged. */
  readonly tag: number;
  /** What is read where the field is absent, and what a tagged field need not be written for. */
  readonly fallback: unknown;
}

const PLAIN: Traits = {
  since: 0,
  until: NEVER,
  nullableSince: NEVER,
  nullableUntil: NEVER,
  tag: -1,
  fallback: undefined,
};

/** One field of a message: what it is, and in which versions. Never changed, only copied. */
export class Field<T> {
  /** Only a type. */
  declare readonly value: T;
  readonly kind: Kind;
  /** Fields of a structure. */
  readonly shape: Shape | null;
  /** Elements of an array. */
  readonly element: Field<unknown> | null;
  readonly traits: Traits;

  constructor(kind: Kind, shape: Shape | null, element: Field<unknown> | null, traits: Traits) {
    this.kind = kind;
    this.shape = shape;
    this.element = element;
    this.traits = traits;
  }

  since(version: number): Field<T> {
    return this.with({ since: version });
  }

  /** The last version that has it. */
  until(version: number): Field<T> {
    return this.with({ until: version });
  }

  /** May be null in these versions. */
  nullable(since = 0, until = NEVER): Field<T | null> {
    return this.with({ nullableSince: since, nullableUntil: until });
  }

  /** Tagged: written only where it differs from its default. */
  tagged(tag: number): Field<T> {
    return this.with({ tag });
  }

  /** Default, where it is not 0, false, empty. */
  or(fallback: T): Field<T> {
    return this.with({ fallback });
  }

  isIn(version: number): boolean {
    return version >= this.traits.since && version <= this.traits.until;
  }

  isNullableIn(version: number): boolean {
    return version >= this.traits.nullableSince && version <= this.traits.nullableUntil;
  }

  get fallback(): T {
    const { fallback } = this.traits;
    return (fallback === undefined ? zeroOf(this) : fallback) as T;
  }

  private with<U = T>(traits: Partial<Traits>): Field<U> {
    return new Field<U>(this.kind, this.shape, this.element, { ...this.traits, ...traits });
  }
}

/** 0, false, empty: also what stands for null in a version that knows no null. */
export function zeroOf(field: Field<unknown>): unknown {
  switch (field.kind) {
    case "bool":
      return false;
    case "uuid":
      return ZERO_UUID;
    case "string":
      return "";
    case "bytes":
      return NO_BYTES;
    case "records":
      return null;
    case "array":
      return EMPTY;
    case "struct":
      return defaultsOf(field.shape as Shape);
    default:
      return 0;
  }
}

function defaultsOf(shape: Shape): unknown {
  return Object.freeze(Object.fromEntries(Object.entries(shape).map(([name, f]) => [name, f.fallback])));
}

function plain<T>(kind: Kind): Field<T> {
  return new Field<T>(kind, null, null, PLAIN);
}

export const bool = plain<boolean>("bool");
export const int8 = plain<number>("int8");
export const int16 = plain<number>("int16");
export const uint16 = plain<number>("uint16");
export const int32 = plain<number>("int32");
/** Exact up to 2^53. */
export const int64 = plain<number>("int64");
export const float64 = plain<number>("float64");
/** 32 hexadecimal digits. */
export const uuid = plain<string>("uuid");
export const string = plain<string>("string");
/** A copy, the reader's to keep. */
export const bytes = plain<Uint8Array>("bytes");
/** Record batches: not copied, see ByteRange. Null is written as none where it may not be null. */
export const records = plain<ByteRange | null>("records");

export function struct<S extends Shape>(shape: S): Field<Message<S>> {
  return new Field<Message<S>>("struct", shape, null, PLAIN);
}

export function array<T>(element: Field<T>): Field<T[]>;
export function array<S extends Shape>(element: S): Field<Message<S>[]>;
export function array(element: Field<unknown> | Shape): Field<unknown> {
  const one = element instanceof Field ? element : struct(element as Shape);
  return new Field("array", null, one, PLAIN);
}
