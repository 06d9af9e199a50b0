import { expect, test } from "vitest";
import { apiVersions } from "../schemas/api-versions.ts";
import { heartbeat } from "../schemas/heartbeat.ts";
import type { Api } from "./api.ts";
import { readClientId, readHeader, writeResponseHeader } from "./header.ts";
import { MalformedError, Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

test("a request's header, with tagged fields where it is flexible", () => {
  const reader = new Reader(Buffer.from("000c00040000000700036162630105032a2a2a", "hex"));
  expect(readHeader(reader)).toEqual({ key: 12, version: 4, correlationId: 7 });
  expect(readClientId(reader, true)).toBe("abc");
  expect(reader.remaining).toBe(0);
  expect(readClientId(new Reader(Buffer.from("ffff", "hex")), false)).toBeNull();
  expect(() => readClientId(new Reader(Buffer.from("fffe", "hex")), false)).toThrow(MalformedError);
});

test("an answer's header has tagged fields where it is flexible, but never that of ApiVersions", () => {
  const header = (api: Api, version: number): string => {
    const writer = new Writer();
    writeResponseHeader(writer, api, version, 7);
    return writer.buffer.toString("hex", 0, writer.length);
  };
  expect(header(heartbeat as unknown as Api, 3)).toBe("00000007");
  expect(header(heartbeat as unknown as Api, 4)).toBe("0000000700");
  expect(header(apiVersions as unknown as Api, 4)).toBe("00000007");
});
