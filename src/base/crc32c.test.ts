import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { crc32c, crc32cScalar } from "./crc32c.ts";

describe("crc32c", () => {
  it.each([
    ["", 0x00000000],
    ["a", 0xc1d04330],
    ["123456789", 0xe3069283],
    ["The quick brown fox jumps over the lazy dog", 0x22620404],
  ])("gives the published sum of %j", (text, sum) => {
    expect(crc32c(Buffer.from(text))).toBe(sum);
  });

  it("gives the sums of RFC 3720, appendix B.4", () => {
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index))).toBe(0x46dd794e);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, index) => 31 - index))).toBe(0x113fdb5c);
  });

  it("agrees with the scalar form at every length, offset and split", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 0, maxLength: 3000 }),
        fc.nat(3000),
        fc.nat(3000),
        (bytes, a, b) => {
          const start = Math.min(a, bytes.length);
          const end = Math.max(start, Math.min(b, bytes.length));
          const sum = crc32cScalar(bytes, start, bytes.length);
          expect(crc32c(bytes, start)).toBe(sum);
          expect(crc32c(bytes, end, bytes.length, crc32c(bytes, start, end))).toBe(sum);
        },
      ),
      { numRuns: 300 },
    );
  });
});
