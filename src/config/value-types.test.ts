import { describe, expect, test } from "vitest";
import { ENGINE_URL } from "./engine-url.ts";
import { BOOLEAN, BYTES, choice, duration, integer, orOff, PORT } from "./value-types.ts";

describe("sizes", () => {
  test.each([
    ["4096", 4096],
    ["64KiB", 65_536],
    ["256MiB", 268_435_456],
    ["1.5 GiB", 1_610_612_736],
    ["10MB", 10_000_000],
    ["2gb", 2_000_000_000],
  ])("%s is %i bytes", (text, bytes) => expect(BYTES.parse(text)).toBe(bytes));

  test.each(["", "MiB", "-1", "3XB", "1e9", "1 2MiB"])("'%s' is refused", (text) => {
    expect(() => BYTES.parse(text)).toThrow(/not a size \(try/);
  });

  test("are shown in the largest unit that is exact", () => {
    expect([1, 1024, 1536, 268_435_456].map(BYTES.format)).toEqual(["1", "1KiB", "1536", "256MiB"]);
  });
});

describe("times", () => {
  const type = duration(100, 3_600_000);

  test("are read with their unit and kept within bounds", () => {
    expect(["250ms", "5s", "1m", "1h"].map(type.parse)).toEqual([250, 5000, 60_000, 3_600_000]);
    expect(() => type.parse("99ms")).toThrow("'99ms' is not between 100ms and 1h");
    expect(() => type.parse("soon")).toThrow("not a duration");
  });

  test("are shown as they would be written", () => {
    expect([250, 5000, 90_000, 3_600_000].map(type.format)).toEqual(["250ms", "5s", "90s", "1h"]);
  });
});

test("a number is whole and within bounds", () => {
  const type = integer(1, 10);
  expect(type.parse("10")).toBe(10);
  for (const text of ["0", "11", "1.5", "x", "", "1e1"]) {
    expect(() => type.parse(text)).toThrow("is not a whole number from 1 to 10");
  }
});

test("a port may be off", () => {
  const type = orOff(PORT);
  expect([type.parse("0"), type.parse("off"), type.parse("false")]).toEqual([0, null, null]);
  expect(type.format(null)).toBe("off");
  expect(() => type.parse("65536")).toThrow("from 0 to 65535, or 'off'");
});

test("a choice is refused with the nearest one", () => {
  const type = choice("fsync", "os", "memory");
  expect(type.parse("FSYNC")).toBe("fsync");
  expect(() => type.parse("fsnyc")).toThrow("is none of fsync, os, memory; did you mean 'fsync'?");
});

test("yes and no have several names", () => {
  expect(["yes", "true", "on", "1"].map(BOOLEAN.parse)).toEqual([true, true, true, true]);
  expect(["no", "FALSE", "off", "0"].map(BOOLEAN.parse)).toEqual([false, false, false, false]);
  expect(() => BOOLEAN.parse("maybe")).toThrow("neither yes nor no");
});

describe("engine URLs", () => {
  test.each([
    ["file:", { scheme: "file", path: null }],
    ["file:/var/lib/polymq", { scheme: "file", path: "/var/lib/polymq" }],
    ["file:///var/lib/polymq", { scheme: "file", path: "/var/lib/polymq" }],
    ["file:data%20here", { scheme: "file", path: "data here" }],
    ["memory:", { scheme: "memory", checkpointDir: null, checkpointIntervalMs: null }],
    [
      "memory:?checkpoint-dir=/tmp/c&checkpoint-interval=1s",
      { scheme: "memory", checkpointDir: "/tmp/c", checkpointIntervalMs: 1000 },
    ],
  ])("%s", (text, url) => {
    expect(ENGINE_URL.parse(text)).toMatchObject(url);
    expect(ENGINE_URL.parse(ENGINE_URL.format(ENGINE_URL.parse(text)))).toEqual(ENGINE_URL.parse(text));
  });

  test.each([
    ["fiel:", "did you mean 'file:'?"],
    ["jetstream:", "is none of file:, memory:"],
    ["./data", "is none of file:, memory:"],
    ["memory:/tmp", "takes no path"],
    ["memory:?checkpoint-dri=/tmp", "did you mean 'checkpoint-dir'?"],
    ["memory:?checkpoint-interval=1ms", "is not between 10ms and 24h"],
    ["file:/x?checkpoint-dir=/tmp", "file: has no parameter 'checkpoint-dir'"],
    ["file:/bad%", "URI malformed"],
  ])("%s is refused", (text, reason) => expect(() => ENGINE_URL.parse(text)).toThrow(reason));
});
