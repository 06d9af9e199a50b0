import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MalformedError } from "./codec/reader.ts";
import { FramePool, FrameReader } from "./frames.ts";

class Sink {
  ready = true;
  frameBytesMax = 1 << 20;
  readonly frames: Buffer[] = [];

  frame(bytes: Uint8Array, start: number, end: number): void {
    this.frames.push(Buffer.from(bytes.subarray(start, end)));
  }
}

function framed(...sizes: number[]): Buffer {
  return Buffer.concat(
    sizes.flatMap((size, i) => {
      const head = Buffer.alloc(4);
      head.writeInt32BE(size);
      return [head, Buffer.alloc(size, i + 1)];
    }),
  );
}

/** Feeds `bytes` in pieces; what is left over is shown again, in front of the next piece. */
function feed(reader: FrameReader, bytes: Buffer, pieces: readonly number[]): Buffer {
  let left = Buffer.alloc(0);
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const next = Math.min(bytes.length, at + (pieces[i % pieces.length] as number));
    const shown = Buffer.concat([left, bytes.subarray(at, next)]);
    left = shown.subarray(reader.read(shown, 0, shown.length));
    at = next;
  }
  return left;
}

test("frames of all sizes in pieces of all sizes are what was sent", () => {
  const size = fc.oneof(fc.nat(20), fc.nat(10_000), fc.integer({ min: 60_000, max: 200_000 }));
  fc.assert(
    fc.property(
      fc.array(size, { minLength: 1, maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 5 }),
      (sizes, pieces) => {
        const sink = new Sink();
        const pool = new FramePool(1 << 20);
        // A byte at a time through megabytes proves nothing that pieces of a few hundred do not.
        const coarse = pieces.map((piece) => Math.max(piece, Math.ceil(Math.max(...sizes) / 500)));
        expect(feed(new FrameReader(pool, sink), framed(...sizes), coarse).length).toBe(0);
        expect(sink.frames.map((frame) => [frame.length, frame[0]])).toEqual(
          sizes.map((length, i) => [length, length === 0 ? undefined : i + 1]),
        );
        expect(sink.frames.every((frame) => frame.every((octet) => octet === frame[0]))).toBe(true);
        // Everything was given back.
        expect(pool.reserve(1 << 20)).toBe(true);
      },
    ),
    { numRuns: 200 },
  );
});

test("a size that no frame may have is malformed", () => {
  const read = (hex: string) => () =>
    new FrameReader(new FramePool(1), new Sink()).read(Buffer.from(hex, "hex"), 0, 4);
  expect(read("ffffffff")).toThrow(MalformedError);
  expect(read("7fffffff")).toThrow(MalformedError);
  expect(read("00100001")).toThrow(MalformedError);
});

describe("memory for frames in pieces", () => {
  test("is had whole or waited for, and who waits hears of it", () => {
    const pool = new FramePool(100_000);
    const [first, second] = [new Sink(), new Sink()];
    const [one, two] = [new FrameReader(pool, first), new FrameReader(pool, second)];
    const bytes = framed(80_000);
    expect(one.read(bytes, 0, 1000)).toBe(1000);
    expect(one.unfinished).toBe(true);
    expect(two.read(bytes, 0, 1000)).toBe(0);
    expect(two.starved).toBe(80_000);
    let told = 0;
    pool.wait(() => told++);
    expect(one.read(bytes, 1000, bytes.length)).toBe(bytes.length);
    expect(first.frames.length).toBe(1);
    expect(told).toBe(1);
    expect(two.read(bytes, 0, bytes.length)).toBe(bytes.length);
    expect(second.frames.length).toBe(1);
  });

  test("is given back when the connection ends in the middle", () => {
    const pool = new FramePool(100_000);
    const reader = new FrameReader(pool, new Sink());
    reader.read(framed(80_000), 0, 1000);
    expect(pool.reserve(80_000)).toBe(false);
    reader.close();
    expect(pool.reserve(80_000)).toBe(true);
  });

  test("may be as much as one frame, though that is more than all should have", () => {
    const pool = new FramePool(10_000);
    const sink = new Sink();
    feed(new FrameReader(pool, sink), framed(500_000), [60_000]);
    expect(sink.frames.map(({ length }) => length)).toEqual([500_000]);
  });

  test("is not taken for what has not come", () => {
    const sink = new Sink();
    sink.frameBytesMax = 1 << 30;
    const before = process.memoryUsage().arrayBuffers;
    const reader = new FrameReader(new FramePool(1 << 30), sink);
    const head = Buffer.alloc(4);
    head.writeInt32BE(1 << 30);
    reader.read(head, 0, 4);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 << 20);
    reader.close();
  });
});

test("a sink that is not ready gets nothing more", () => {
  const sink = new Sink();
  const reader = new FrameReader(new FramePool(1000), sink);
  sink.frame = () => {
    sink.ready = false;
  };
  const bytes = framed(10, 10, 10);
  expect(reader.read(bytes, 0, bytes.length)).toBe(14);
});
