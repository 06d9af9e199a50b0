import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Input } from "../input.ts";
import {
  decodeValue,
  encodeValue,
  Frame,
  FrameError,
  FrameWriter,
  INCOMPLETE,
  type Version,
} from "./frame.ts";

const LIMITS = { headersMax: 5, headerBytesMax: 200, bodyBytesMax: 1000 };

interface Plain {
  readonly command: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

function plain(frame: Frame, version: Version = 2): Plain {
  const headers = Array.from({ length: frame.headerCount }, (_, i) => {
    return [frame.headerName(i, version), frame.value(i, version)] as const;
  });
  const body = Buffer.from(frame.bytes.subarray(frame.bodyAt, frame.bodyEnd)).toString("latin1");
  return { command: frame.command, headers, body };
}

function read(text: string): { readonly next: number; readonly frame: Frame } {
  const frame = new Frame();
  const bytes = Buffer.from(text, "latin1");
  return { next: frame.read(bytes, 0, bytes.length, LIMITS), frame };
}

function written({ command, headers, body }: Plain, version: Version): Buffer {
  const writer = new FrameWriter();
  writer.begin(command);
  for (const [name, value] of headers) writer.header(name, value, version);
  writer.ascii(`content-length:${body.length}\n\n`);
  writer.ascii(body);
  writer.octet(0);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

/** What a client gets out of `chunks`, and whether it was an error in the end. */
function offered(chunks: readonly Uint8Array[]): { readonly frames: Plain[]; readonly error: string | null } {
  const frames: Plain[] = [];
  const input = new Input(new Frame(), LIMITS, {
    ready: true,
    onFrame: (frame) => frames.push(plain(frame)),
  });
  let rest = Buffer.alloc(0);
  try {
    for (const chunk of chunks) {
      const all = Buffer.concat([rest, chunk]);
      rest = all.subarray(input.read(all, 0, all.length));
    }
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    return { frames, error: error.message };
  }
  return { frames, error: null };
}

describe("a frame", () => {
  test("is command, headers in order and body", () => {
    const { next, frame } = read("SEND\na:1\na:2\nb:\n\nbody\0next");
    const headers = [
      ["a", "1"],
      ["a", "2"],
      ["b", ""],
    ];
    expect(plain(frame)).toEqual({ command: "SEND", headers, body: "body" });
    expect(next).toBe(22);
    expect(frame.get("a", 2)).toBe("1");
    expect(frame.get("c", 2)).toBeUndefined();
    expect(frame.sized).toBe(false);
  });

  test("may have CR LF, and NUL in a body of known length", () => {
    const { frame } = read("SEND\r\na:1\r\ncontent-length:3\r\n\r\nx\0y\0");
    expect(plain(frame)).toMatchObject({ command: "SEND", body: "x\0y" });
    expect(frame.get("a", 2)).toBe("1");
  });

  test.each([
    ["a line without a colon", "SEND\nabc\n\n\0", "malformed header"],
    ["a header without a name", "SEND\n:b\n\n\0", "malformed header"],
    ["too many headers", "SEND\na:1\nb:1\nc:1\nd:1\ne:1\nf:1\n\n\0", "too many headers"],
    ["headers too large", `SEND\na:${"x".repeat(200)}\n\n\0`, "headers too large"],
    ["headers without an end", "x".repeat(201), "headers too large"],
    ["a body too large", `SEND\n\n${"x".repeat(1001)}`, "body too large"],
    ["a length too large", "SEND\ncontent-length:1001\n\n", "body too large"],
    ["a length that is none", "SEND\ncontent-length:-1\n\n\0", "malformed content-length"],
    ["a length that is too short", "SEND\ncontent-length:1\n\nab\0", "no NUL behind the body"],
    ["a NUL in the command", "SE\0ND\n\n\0", "a NUL before the body"],
    ["a NUL in a header", "SEND\na:\0\n\n\0", "a NUL before the body"],
    ["an escape that is none", "SEND\na:\\t\n\n\0", 'undefined escape sequence "\\\\t"'],
  ])("%s is refused", (_, text, message) => {
    expect(() => plain(read(text).frame)).toThrow(new FrameError(message));
  });

  test.each(["", "S", "SEND\n", "SEND\na:1", "SEND\na:1\n", "SEND\n\nabc", "SEND\ncontent-length:2\n\nab"])(
    "%j is not whole",
    (text) => {
      expect(read(text).next).toBe(INCOMPLETE);
    },
  );
});

describe("escapes", () => {
  const decoded = (text: string, version: Version): string => {
    const bytes = Buffer.from(text);
    return decodeValue(bytes, 0, bytes.length, version);
  };

  test("of each version", () => {
    expect([0, 1, 2].map((version) => decoded("a\\nb", version as Version))).toEqual([
      "a\\nb",
      "a\nb",
      "a\nb",
    ]);
    expect(decoded("\\c\\\\n", 1)).toBe(":\\n");
    expect(decoded("\\r", 2)).toBe("\r");
    expect(() => decoded("\\r", 1)).toThrow(FrameError);
    expect(() => decoded("end\\", 2)).toThrow(FrameError);
  });

  test("come back as they were, where the version can say it", () => {
    const text = fc.string({ unit: "binary", maxLength: 30 });
    fc.assert(fc.property(text, (value) => decoded(encodeValue(value, 2), 2) === value));
    fc.assert(
      fc.property(text, (value) => {
        expect(decoded(encodeValue(value, 1), 1)).toBe(value.replaceAll("\r", " "));
        expect(encodeValue(value, 0)).not.toMatch(/[\r\n]/);
      }),
    );
  });

  test("a 1.0 client is not told a name that would end early", () => {
    expect(written({ command: "MESSAGE", headers: [["a:b", "c"]], body: "" }, 0).toString()).not.toContain(
      "a:b",
    );
  });
});

describe("a conversation", () => {
  const octets = fc.string({ unit: fc.constantFrom(..."aB:\\\n\r\0 ä".split("")), maxLength: 12 });
  const header = fc.tuple(
    fc.string({ unit: fc.constantFrom(..."ab:\\\n\r ".split("")), minLength: 1, maxLength: 8 }),
    fc.string({ unit: fc.constantFrom(..."ab:\\\n\r ".split("")), maxLength: 8 }),
  );
  const frames = fc.array(
    fc.record({
      command: fc.constantFrom("SEND", "ACK", "SUBSCRIBE"),
      headers: fc.array(header, { maxLength: 4 }),
      body: octets.map((body) => body.replace("ä", "\xe4")),
    }),
    { maxLength: 5 },
  );
  const cuts = fc.array(fc.nat(400), { maxLength: 12 });

  const cutAt = (bytes: Buffer, at: readonly number[]): Buffer[] => {
    const places = [0, ...at.filter((place) => place < bytes.length).sort((a, b) => a - b), bytes.length];
    return places.slice(1).map((place, i) => bytes.subarray(places[i], place));
  };

  test("is the same wherever the network cuts it", () => {
    fc.assert(
      fc.property(frames, cuts, fc.constantFrom("", "\n", "\r\n\n"), (said, at, between) => {
        const bytes = Buffer.concat(said.flatMap((frame) => [written(frame, 2), Buffer.from(between)]));
        const got = offered(cutAt(bytes, at));
        expect(got.error).toBeNull();
        expect(
          got.frames.map(({ headers, ...rest }) => ({ ...rest, headers: headers.slice(0, -1) })),
        ).toEqual(said);
      }),
      { numRuns: 500 },
    );
  });

  test("byte by byte", () => {
    const bytes = Buffer.from("\n\nSEND\ndestination:/queue/a\n\nhello\0\n\nACK\nid:1\n\n\0");
    const got = offered(Array.from(bytes, (octet) => Buffer.of(octet)));
    expect(got.frames.map(({ command }) => command)).toEqual(["SEND", "ACK"]);
  });

  test("of any octets ends in frames or in an error, the same however it is cut", () => {
    const noise = fc.array(fc.constantFrom(..."SEND\n:\\\0\r a1content-length:".split(""), "\n\n"), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(noise, cuts, (letters, at) => {
        const bytes = Buffer.from(letters.join(""), "latin1");
        expect(offered(cutAt(bytes, at))).toEqual(offered([bytes]));
      }),
      { numRuns: 2000 },
    );
  });
});
