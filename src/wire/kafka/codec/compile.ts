// From a table of schema.ts to functions that read and write one version of a message.
import { type ByteRange, MalformedError, type Reader } from "./reader.ts";
import { type Field, type Shape, zeroOf } from "./schema.ts";
import type { Writer } from "./writer.ts";

interface Codec {
  read(reader: Reader): unknown;
  write(writer: Writer, value: unknown): void;
  /** Fewest bytes that a value takes: no array has more elements than would fit. */
  readonly bytesMin: number;
}

interface TaggedField {
  readonly name: string;
  readonly tag: number;
  readonly codec: Codec;
  isDefault(value: unknown): boolean;
}

interface Step {
  readonly name: string;
  /** Null: not an ordinary field of this version; it is read as `fallback` at first. */
  readonly codec: Codec | null;
  readonly fallback: unknown;
}

type Values = Record<string, unknown>;

/** The body of a message in one version. */
export function compile(shape: Shape, version: number, flexible: boolean): Codec {
  const steps: Step[] = [];
  const tagged: TaggedField[] = [];
  let bytesMin = flexible ? 1 : 0;
  for (const [name, field] of Object.entries(shape)) {
    const here = field.isIn(version);
    const isTagged = here && field.traits.tag >= 0;
    const codec = here ? compileField(field, version, flexible) : null;
    const { fallback } = field;
    if (isTagged && codec !== null) {
      const isDefault = (value: unknown): boolean => isSame(value, fallback);
      tagged.push({ name, tag: field.traits.tag, codec, isDefault });
    } else if (codec !== null) bytesMin += codec.bytesMin;
    steps.push({ name, codec: isTagged ? null : codec, fallback });
  }
  tagged.sort((a, b) => a.tag - b.tag);
  return {
    bytesMin,
    read(reader) {
      const values: Values = {};
      for (let i = 0; i < steps.length; i++) {
        const step = steps[i]!;
        values[step.name] = step.codec === null ? step.fallback : step.codec.read(reader);
      }
      if (flexible) readTagged(reader, tagged, values);
      return values;
    },
    write(writer, value) {
      const values = value as Values;
      for (let i = 0; i < steps.length; i++) {
        const { name, codec, fallback } = steps[i]!;
        if (codec === null) continue;
        const given = values[name];
        codec.write(writer, given === undefined ? fallback : given);
      }
      if (flexible) writeTagged(writer, tagged, values);
    },
  };
}

function readTagged(reader: Reader, tagged: readonly TaggedField[], values: Values): void {
  for (let count = reader.uvarint(); count > 0; count--) {
    const tag = reader.uvarint();
    const size = reader.uvarint();
    const start = reader.take(size);
    const field = tagged.find((known) => known.tag === tag);
    if (field === undefined) continue;
    const { end } = reader;
    reader.at = start;
    reader.end = start + size;
    values[field.name] = field.codec.read(reader);
    if (reader.at !== reader.end) throw new MalformedError("a tagged field is longer than its value");
    reader.end = end;
  }
}

function writeTagged(writer: Writer, tagged: readonly TaggedField[], values: Values): void {
  let count = 0;
  for (let i = 0; i < tagged.length; i++) if (isWritten(tagged[i]!, values)) count++;
  writer.uvarint(count);
  if (count === 0) return;
  for (const field of tagged) {
    if (!isWritten(field, values)) continue;
    writer.uvarint(field.tag);
    const start = writer.length;
    field.codec.write(writer, values[field.name]);
    writer.prefixLength(start);
  }
}

function isWritten(field: TaggedField, values: Values): boolean {
  const value = values[field.name];
  return value !== undefined && !field.isDefault(value);
}

/** Deep; what a structure leaves out has its default. */
function isSame(value: unknown, fallback: unknown): boolean {
  if (value === fallback) return true;
  if (typeof value !== "object" || value === null || typeof fallback !== "object" || fallback === null)
    return false;
  if (Array.isArray(fallback) || fallback instanceof Uint8Array)
    return (value as { length: number }).length === 0 && fallback.length === 0;
  return Object.entries(value).every(([name, inner]) => {
    return inner === undefined || isSame(inner, (fallback as Values)[name]);
  });
}

function compileField(field: Field<unknown>, version: number, flexible: boolean): Codec {
  const nullable = field.isNullableIn(version);
  switch (field.kind) {
    case "string":
      return stringCodec(nullable, flexible);
    case "bytes":
      return bytesCodec(nullable, flexible);
    case "records":
      return recordsCodec(nullable, flexible);
    case "array": {
      const element = compileField(field.element as Field<unknown>, version, flexible);
      return arrayCodec(element, nullable, flexible);
    }
    case "struct": {
      const inner = compile(field.shape as Shape, version, flexible);
      return nullable ? nullableStructCodec(inner) : { ...inner, write: orZero(inner, zeroOf(field)) };
    }
    default:
      return FIXED[field.kind];
  }
}

function orZero(codec: Codec, zero: unknown): Codec["write"] {
  return (writer, value) => codec.write(writer, value ?? zero);
}

const FIXED: Record<
  Exclude<Field<unknown>["kind"], "string" | "bytes" | "records" | "array" | "struct">,
  Codec
> = {
  bool: { bytesMin: 1, read: (r) => r.bool(), write: (w, value) => w.bool(value as boolean) },
  int8: { bytesMin: 1, read: (r) => r.int8(), write: (w, value) => w.int8(value as number) },
  int16: { bytesMin: 2, read: (r) => r.int16(), write: (w, value) => w.int16(value as number) },
  uint16: { bytesMin: 2, read: (r) => r.uint16(), write: (w, value) => w.int16(value as number) },
  int32: { bytesMin: 4, read: (r) => r.int32(), write: (w, value) => w.int32(value as number) },
  int64: { bytesMin: 8, read: (r) => r.int64(), write: (w, value) => w.int64(value as number) },
  float64: { bytesMin: 8, read: (r) => r.float64(), write: (w, value) => w.float64(value as number) },
  uuid: { bytesMin: 16, read: (r) => r.uuid(), write: (w, value) => w.uuid(value as string) },
};

/** Lengths of strings, byte strings and arrays: -1 is null; compact ones are one more, and 0 is null. */
function readLength(reader: Reader, nullable: boolean, flexible: boolean, short: boolean): number {
  const length = flexible ? reader.uvarint() - 1 : short ? reader.int16() : reader.int32();
  if (length < 0 && !nullable) throw new MalformedError("null where there must be a value");
  return length;
}

function writeLength(writer: Writer, length: number, flexible: boolean, short: boolean): void {
  if (flexible) writer.uvarint(length + 1);
  else if (short) writer.int16(length);
  else writer.int32(length);
}

function stringCodec(nullable: boolean, flexible: boolean): Codec {
  return {
    bytesMin: flexible ? 1 : 2,
    read(reader) {
      const length = readLength(reader, nullable, flexible, true);
      if (length > 0x7fff) throw new MalformedError("a string is longer than 32767 bytes");
      return length < 0 ? null : reader.text(length);
    },
    write(writer, value) {
      if (value === null && nullable) {
        writeLength(writer, -1, flexible, true);
        return;
      }
      const text = (value ?? "") as string;
      const length = Buffer.byteLength(text);
      if (length > 0x7fff) throw new RangeError("a string is longer than 32767 bytes");
      writeLength(writer, length, flexible, true);
      writer.text(text, length);
    },
  };
}

function bytesCodec(nullable: boolean, flexible: boolean): Codec {
  return {
    bytesMin: flexible ? 1 : 4,
    read(reader) {
      const length = readLength(reader, nullable, flexible, false);
      return length < 0 ? null : reader.copy(length);
    },
    write(writer, value) {
      if (value === null && nullable) {
        writeLength(writer, -1, flexible, false);
        return;
      }
      const given = value as Uint8Array | null;
      writeLength(writer, given?.length ?? 0, flexible, false);
      if (given !== null) writer.raw(given);
    },
  };
}

function recordsCodec(nullable: boolean, flexible: boolean): Codec {
  return {
    bytesMin: flexible ? 1 : 4,
    read(reader) {
      const length = readLength(reader, nullable, flexible, false);
      return length < 0 ? null : reader.range(length);
    },
    write(writer, value) {
      const range = value as ByteRange | null;
      const length = range === null ? (nullable ? -1 : 0) : range.end - range.start;
      writeLength(writer, length, flexible, false);
      if (range !== null) writer.raw(range.bytes, range.start, range.end);
    },
  };
}

function arrayCodec(element: Codec, nullable: boolean, flexible: boolean): Codec {
  const bytesMin = Math.max(1, element.bytesMin);
  return {
    bytesMin: flexible ? 1 : 4,
    read(reader) {
      const length = readLength(reader, nullable, flexible, false);
      if (length < 0) return null;
      if (length * bytesMin > reader.remaining)
        throw new MalformedError("an array is longer than the message");
      const values: unknown[] = [];
      for (let i = 0; i < length; i++) values.push(element.read(reader));
      return values;
    },
    write(writer, value) {
      const values = value as readonly unknown[] | null;
      writeLength(writer, values?.length ?? (nullable ? -1 : 0), flexible, false);
      if (values === null) return;
      for (let i = 0; i < values.length; i++) element.write(writer, values[i]);
    },
  };
}

/** KIP-893: one byte before it, negative for null. */
function nullableStructCodec(inner: Codec): Codec {
  return {
    bytesMin: 1,
    read: (reader) => (reader.int8() < 0 ? null : inner.read(reader)),
    write(writer, value) {
      writer.int8(value === null ? -1 : 1);
      if (value !== null) inner.write(writer, value);
    },
  };
}
