import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readU32 } from "../../../message/record.ts";
import { type Table, type TypedValue, tablesEqual } from "../../../message/values.ts";
import { type MethodName, methodById, methodId, readArguments, writeMethod } from "./method.ts";
import { METHODS } from "./methods.ts";
import { flagOf, PROPERTY_COUNT, PropertyMap } from "./properties.ts";
import { MalformedError, Reader } from "./reader.ts";
import { readTable, skipValue, writeTable } from "./table.ts";
import { Writer } from "./writer.ts";

function encode(table: Table): Buffer {
  const writer = new Writer(4);
  writeTable(writer, table);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

function decode(bytes: Uint8Array): Table {
  return readTable(new Reader(bytes, 0, bytes.length));
}

function tableOf(hex: string): Buffer {
  const body = Buffer.from(hex.replace(/\s/g, ""), "hex");
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const { value: anyValue } = fc.letrec<{ value: TypedValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.boolean().map((value): TypedValue => ({ type: "bool", value })),
    fc.integer({ min: -128, max: 127 }).map((value): TypedValue => ({ type: "int8", value })),
    fc.integer({ min: 0, max: 255 }).map((value): TypedValue => ({ type: "uint8", value })),
    fc.integer({ min: -32768, max: 32767 }).map((value): TypedValue => ({ type: "int16", value })),
    fc.integer({ min: 0, max: 65535 }).map((value): TypedValue => ({ type: "uint16", value })),
    fc.integer().map((value): TypedValue => ({ type: "int32", value })),
    fc.nat({ max: 2 ** 32 - 1 }).map((value): TypedValue => ({ type: "uint32", value })),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value): TypedValue => {
      const safe = value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER;
      return { type: "int64", value: safe ? Number(value) : value };
    }),
    fc.float({ noNaN: true }).map((value): TypedValue => ({ type: "float", value })),
    fc.double({ noNaN: true }).map((value): TypedValue => ({ type: "double", value })),
    fc
      .tuple(fc.nat(255), fc.nat(2 ** 32 - 1))
      .map((value): TypedValue => ({ type: "decimal", value: [...value] })),
    text.map((value): TypedValue => ({ type: "string", value })),
    fc.uint8Array({ maxLength: 20 }).map((value): TypedValue => ({ type: "binary", value })),
    fc.nat(2 ** 31).map((value): TypedValue => ({ type: "timestamp", value })),
    fc.constant<TypedValue>({ type: "void", value: null }),
    fc.array(tie("value"), { maxLength: 4 }).map((value): TypedValue => ({ type: "array", value })),
    fc
      .array(fc.tuple(text, tie("value")), { maxLength: 4 })
      .map((value): TypedValue => ({ type: "table", value: new Map(value) })),
  ),
}));
const anyTable = fc
  .array(fc.tuple(text, anyValue), { maxLength: 6 })
  .map((entries): Table => new Map(entries));

describe("field tables", () => {
  it.each([
    ["t", "01 61 74 01", { type: "bool", value: true }],
    ["b", "01 61 62 ff", { type: "int8", value: -1 }],
    ["B", "01 61 42 ff", { type: "uint8", value: 255 }],
    ["s", "01 61 73 8000", { type: "int16", value: -32768 }],
    ["u", "01 61 75 8000", { type: "uint16", value: 32768 }],
    ["I", "01 61 49 ffffffff", { type: "int32", value: -1 }],
    ["i", "01 61 69 ffffffff", { type: "uint32", value: 4294967295 }],
    ["l", "01 61 6c ffffffffffffffff", { type: "int64", value: -1 }],
    ["l, large", "01 61 6c 7fffffffffffffff", { type: "int64", value: 2n ** 63n - 1n }],
    ["f", "01 61 66 3fc00000", { type: "float", value: 1.5 }],
    ["d", "01 61 64 3ff8000000000000", { type: "double", value: 1.5 }],
    ["D", "01 61 44 02 0000007b", { type: "decimal", value: [2, 123] }],
    ["S", "01 61 53 00000002 c3a9", { type: "string", value: "é" }],
    ["x", "01 61 78 00000002 00ff", { type: "binary", value: new Uint8Array([0, 255]) }],
    ["T", "01 61 54 000000005f5e1000", { type: "timestamp", value: 1600000000 }],
    ["V", "01 61 56", { type: "void", value: null }],
    [
      "A",
      "01 61 41 00000003 7400 56",
      {
        type: "array",
        value: [
          { type: "bool", value: false },
          { type: "void", value: null },
        ],
      },
    ],
    [
      "F",
      "01 61 46 00000004 0162 7401",
      { type: "table", value: new Map([["b", { type: "bool", value: true }]]) },
    ],
  ] as [string, string, TypedValue][])("reads and writes type %s", (_tag, hex, typed) => {
    const bytes = tableOf(hex);
    expect(tablesEqual(decode(bytes), new Map([["a", typed]]))).toBe(true);
    expect(decode(bytes).get("a")?.type).toBe(typed.type);
    expect(encode(new Map([["a", typed]]))).toEqual(bytes);
  });

  it("reads L as l", () => {
    expect(decode(tableOf("01 61 4c 0000000000000005")).get("a")).toEqual({ type: "int64", value: 5 });
  });

  it("keeps the last of duplicate keys", () => {
    expect(decode(tableOf("01 61 7400 01 61 7401")).get("a")?.value).toBe(true);
  });

  it("survives a round trip, and skipping agrees with reading", () => {
    fc.assert(
      fc.property(anyTable, (table) => {
        const bytes = encode(table);
        expect(tablesEqual(decode(bytes), table)).toBe(true);
        let at = 4;
        while (at < bytes.length) {
          at = skipValue(bytes, at + 1 + (bytes[at] as number), bytes.length);
          expect(at).toBeGreaterThan(0);
        }
        expect(at).toBe(bytes.length);
      }),
    );
  });

  it("refuses what does not fit, and nothing worse happens", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("refuses nesting that would exhaust the stack", () => {
    let bytes: Buffer = Buffer.alloc(0);
    for (let depth = 0; depth < 5000; depth++) {
      const head = Buffer.from("016146", "hex");
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      bytes = Buffer.concat([head, length, bytes]);
    }
    expect(() => decode(tableOf(bytes.toString("hex")))).toThrow(MalformedError);
  });
});

describe("methods", () => {
  it("are those of the published description", () => {
    const here = new URL(".", import.meta.url);
    const script = new URL("spec/generate.mjs", here).pathname;
    const generated = execFileSync(process.execPath, [script, "--print"], { encoding: "utf8" });
    expect(generated).toBe(readFileSync(new URL("methods.ts", here), "utf8"));
  });

  it("have the bytes that clients send", () => {
    const writer = new Writer();
    writeMethod(writer, "queue.declare", {
      reserved1: 0,
      queue: "q",
      passive: false,
      durable: true,
      exclusive: false,
      autoDelete: true,
      noWait: true,
      arguments: new Map([["x-max-length", { type: "int32", value: 3 }]]),
    });
    expect(writer.buffer.subarray(0, writer.length).toString("hex")).toBe(
      `0032000a${"0000"}${"0171"}${"1a"}${"00000012"}0c${Buffer.from("x-max-length").toString("hex")}49${"00000003"}`,
    );
  });

  it.each(Object.keys(METHODS) as MethodName[])("%s survives a round trip", (name) => {
    const spec = methodById(methodId(name));
    if (spec === undefined) throw new Error("unknown");
    const values = {
      bit: fc.boolean(),
      octet: fc.nat(255),
      short: fc.nat(65535),
      long: fc.nat(2 ** 32 - 1),
      longlong: fc.maxSafeNat(),
      shortstr: text,
      longstr: text,
      table: anyTable,
    };
    const record = Object.fromEntries(
      spec.args.map(([key, type]) => [key, values[type] as fc.Arbitrary<unknown>]),
    );
    fc.assert(
      fc.property(fc.record(record), (args) => {
        const writer = new Writer(1);
        writeMethod(writer, name, args as never);
        expect(readU32(writer.buffer, 0)).toBe(methodId(name));
        const read = readArguments(new Reader(writer.buffer, 4, writer.length), spec);
        for (const [key, type] of spec.args) {
          if (type === "table") expect(tablesEqual(read[key] as Table, args[key] as Table)).toBe(true);
          else expect(read[key]).toEqual(args[key]);
        }
      }),
      { numRuns: 20 },
    );
  });
});

describe("properties", () => {
  it("are found wherever they are", () => {
    const sizes = [2, 3, 4, 1, 1, 4, 5, 2, 3, 8, 1, 2, 3, 1];
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(PROPERTY_COUNT - 1)), (present) => {
        const parts: Buffer[] = [];
        let flags = 0;
        for (let property = 0; property < PROPERTY_COUNT; property++) {
          if (!present.includes(property)) continue;
          flags |= flagOf(property);
          const size = sizes[property] as number;
          const part = Buffer.alloc(size);
          const isShortstr = ![2, 3, 4, 9].includes(property);
          if (isShortstr) part[0] = size - 1;
          parts.push(part);
        }
        const bytes = Buffer.concat([Buffer.of(flags >> 8, flags & 0xff), ...parts]);
        const map = new PropertyMap();
        map.locate(bytes, 0, bytes.length);
        let at = 2;
        for (let property = 0; property < PROPERTY_COUNT; property++) {
          expect(map.has(property)).toBe(present.includes(property));
          if (!map.has(property)) continue;
          expect(map.start(property)).toBe(at);
          at = map.end(property);
        }
        expect(() => map.locate(bytes, 0, bytes.length + 1)).toThrow(MalformedError);
      }),
    );
  });
});
