import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { compress, decompress } from "./compression.ts";
import { CompressionError } from "./compression-error.ts";

const TEXT = "hello hello hello hello, stream of records; ".repeat(3);

/** What the reference implementations make of TEXT. */
const VECTORS: readonly [string, number, string][] = [
  ["snappy", 2, "hAEUaGVsbG8gQgYATCwgc3RyZWFtIG9mIHJlY29yZHM7RiYACRLuLAAFLA=="],
  [
    "snappy, framed as Java does",
    2,
    "glNOQVBQWQAAAAABAAAAAQAAACuEARRoZWxsbyBCBgBMLCBzdHJlYW0gb2YgcmVjb3JkcztGJgAJEu4sAAUs",
  ],
  [
    "lz4 with content size",
    3,
    "BCJNGGhAhAAAAAAAAACrLgAAAG1oZWxsbyAGAP4FLCBzdHJlYW0gb2YgcmVjb3JkczsmAAISAA8sAClQcmRzOyAAAAAA",
  ],
  [
    "lz4 with checksums",
    3,
    "BCJNGHRAvS4AAABtaGVsbG8gBgD+BSwgc3RyZWFtIG9mIHJlY29yZHM7JgACEgAPLAApUHJkczsgokBk8wAAAADSbomC",
  ],
  ["zstd", 4, "KLUv/SCERQEA0GhlbGxvICwgc3RyZWFtIG9mIHJlY29yZHM7BAB+SgIYgKQ8lrkUAQ=="],
  ["zstd without content size", 4, "KLUv/QBYRQEA0GhlbGxvICwgc3RyZWFtIG9mIHJlY29yZHM7BAB+SgIYgKQ8lrkUAQ=="],
  ["gzip", 1, gzipSync(TEXT).toString("base64")],
  ["none", 0, Buffer.from(TEXT).toString("base64")],
];

describe("decompress", () => {
  for (const [name, codec, base64] of VECTORS) {
    it(`reads ${name}`, () => {
      const bytes = Buffer.from(base64, "base64");
      expect(Buffer.from(decompress(codec, bytes)).toString()).toBe(TEXT);
    });

    it(`never reads or writes beyond ${name} that is damaged`, () => {
      const bytes = Buffer.from(base64, "base64");
      for (let at = 0; at < bytes.length; at++) {
        for (const flip of [0x01, 0x80, 0xff]) {
          const damaged = Buffer.from(bytes);
          damaged[at] = (damaged[at] as number) ^ flip;
          for (const input of [damaged, bytes.subarray(0, at)]) {
            try {
              decompress(codec, input);
            } catch (error) {
              expect(error).toBeInstanceOf(CompressionError);
            }
          }
        }
      }
    });
  }

  it("refuses what would not fit into memory", () => {
    const bomb = gzipSync(Buffer.alloc(129 << 20));
    expect(() => decompress(1, bomb)).toThrow(CompressionError);
    // A block of zstd that repeats one byte 128 KiB times takes four bytes.
    const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38]);
    const block = Buffer.from([(1 << 1) | ((0x20000 & 0x1f) << 3), (0x20000 >> 5) & 0xff, 0x20000 >> 13, 0]);
    expect(() => decompress(4, Buffer.concat([header, ...Array(1_100).fill(block)]))).toThrow("too many");
    expect(() => decompress(2, Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]))).toThrow("too many");
  });

  it("refuses a codec that it does not know", () => {
    expect(() => decompress(5, Buffer.from("x"))).toThrow("compression 5 is unknown");
    expect(() => compress(4, Buffer.from("x"))).toThrow(CompressionError);
    expect(Buffer.from(decompress(1, compress(1, Buffer.from(TEXT)))).toString()).toBe(TEXT);
  });
});
