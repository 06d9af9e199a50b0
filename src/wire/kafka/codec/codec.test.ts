import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { APIS } from "../schemas/index.ts";
import type { Api } from "./api.ts";
import { compile } from "./compile.ts";
import { MalformedError, Reader } from "./reader.ts";
import { array, bytes, int32, int64, type Shape, string } from "./schema.ts";
import { Writer } from "./writer.ts";

const apis = new Map((APIS as unknown as readonly Api[]).map((api) => [api.name, api]));
const VECTORS = readFileSync(new URL("./fixtures/vectors.txt", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .flatMap((line) => {
    const [name, kind, version, ...samples] = line.split(" ") as [string, "request" | "response", string];
    const api = apis.get(name) as Api;
    return samples.map((text) => ({ body: api[kind](Number(version)), bytes: Buffer.from(text, "base64") }));
  });

function read(shape: Shape, hex: string, flexible = true): Record<string, unknown> {
  return compile(shape, 0, flexible).read(new Reader(Buffer.from(hex, "hex"))) as Record<string, unknown>;
}

function written(shape: Shape, value: unknown, flexible = true): string {
  const writer = new Writer(1);
  compile(shape, 0, flexible).write(writer, value);
  return writer.buffer.toString("hex", 0, writer.length);
}

describe("numbers", () => {
  test("64 bits are exact as far as a number is, and saturate beyond", () => {
    for (const value of [0, 1, -1, -2, 2 ** 32, -(2 ** 32), 2 ** 53 - 1, -(2 ** 53), 1_700_000_000_000]) {
      expect(read({ v: int64 }, written({ v: int64 }, { v: value })).v).toBe(value);
    }
    expect(read({ v: int64 }, "7fffffffffffffff00").v).toBe(2 ** 63);
    expect(written({ v: int64 }, { v: 2 ** 63 })).toBe("7fffffffffffffff00");
    expect(written({ v: int64 }, { v: -(2 ** 63) })).toBe("800000000000000000");
  });

  test("a varint of more than 32 bits is malformed", () => {
    expect(new Reader(Buffer.from("ffffffff0f", "hex")).uvarint()).toBe(0xffffffff);
    expect(() => new Reader(Buffer.from("ffffffff1f", "hex")).uvarint()).toThrow(MalformedError);
    expect(() => new Reader(Buffer.from("8080808080", "hex")).uvarint()).toThrow(MalformedError);
  });
});

describe("tagged fields", () => {
  const shape = { plain: int32, first: string.or("x").tagged(1), list: array(int32).tagged(3) };

  test("are not written where they have their default, and read as it", () => {
    expect(written(shape, { plain: 7, first: "x", list: [] })).toBe("0000000700");
    expect(read(shape, "0000000700")).toEqual({ plain: 7, first: "x", list: [] });
  });

  test("unknown ones are skipped", () => {
    expect(read(shape, "00000007" + "02" + "0003aabbcc" + "01020261")).toMatchObject({ first: "a" });
  });

  test("must be as long as they say", () => {
    expect(() => read(shape, "00000007" + "01" + "0103016100")).toThrow(MalformedError);
    expect(() => read(shape, "00000007" + "01" + "010102")).toThrow(MalformedError);
  });

  test("longer than 127 bytes have their length in two octets", () => {
    const text = "y".repeat(300);
    expect(read(shape, written(shape, { plain: 0, first: text })).first).toBe(text);
  });
});

describe("bad lengths", () => {
  test("null where it may not be", () => {
    expect(() => read({ v: string }, "ffff", false)).toThrow(MalformedError);
    expect(() => read({ v: string }, "00")).toThrow(MalformedError);
    expect(() => read({ v: array(int32) }, "ffffffff", false)).toThrow(MalformedError);
    expect(() => read({ v: bytes }, "80000000", false)).toThrow(MalformedError);
    expect(read({ v: bytes.nullable() }, "ffffffff", false).v).toBeNull();
  });

  test("an array that cannot fit is refused before anything is made of it", () => {
    const shape = { v: array({ a: int64, b: string }) };
    const before = process.memoryUsage().heapUsed;
    expect(() => read(shape, "7fffffff", false)).toThrow(MalformedError);
    expect(() => read(shape, `ffffffff07${"00".repeat(64)}`)).toThrow(MalformedError);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(1_000_000);
  });
});

describe("whatever comes", () => {
  test("a message that is cut short is malformed", () => {
    for (const { body, bytes: whole } of VECTORS) {
      for (let end = 0; end < whole.length; end++) {
        expect(() => body.read(new Reader(whole, 0, end))).toThrow(MalformedError);
      }
    }
  });

  test("a mutated one is read, or malformed", () => {
    fc.assert(
      fc.property(
        fc.nat(VECTORS.length - 1),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (index, changes) => {
          const { body, bytes: whole } = VECTORS[index]!;
          const mutated = Buffer.from(whole);
          for (const [at, octet] of changes) if (mutated.length > 0) mutated[at % mutated.length] = octet;
          try {
            body.read(new Reader(mutated));
          } catch (error) {
            expect(error).toBeInstanceOf(MalformedError);
          }
        },
      ),
      { numRuns: 20_000 },
    );
  });
});
