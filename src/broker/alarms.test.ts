import { beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../base/clock.ts";
import { silentLogger } from "../base/logger.ts";
import type { Engine } from "../engine/engine.ts";
import { Alarms } from "./alarms.ts";

const MARK = 1000;
let resident: number;
let share: number;
let clock: ManualClock;
let alarms: Alarms;

function start(): void {
  clock = new ManualClock();
  alarms = new Alarms({
    engine: { freeBytes: async () => Number.POSITIVE_INFINITY } as Engine,
    clock,
    logger: silentLogger,
    messagesPress: () => false,
    messagesShare: () => share,
    residentBytes: () => resident,
    memoryBytesMax: MARK,
    diskFreeBytesMin: 0,
  });
  alarms.start();
}

function kindsAfter(time: string): readonly string[] {
  clock.advance(time);
  return alarms.kinds;
}

beforeEach(() => {
  resident = 500;
  share = 0;
});

describe("memory that the process does not give back", () => {
  beforeEach(() => {
    start();
    resident = 1100;
    share = 1;
    expect(kindsAfter("1s")).toEqual(["memory"]);
  });

  it("is an alarm while there is something to drain", () => {
    share = 0.3;
    expect(kindsAfter("10m")).toEqual(["memory"]);
  });

  it("is none any more when all has been drained for a while", () => {
    share = 0.1;
    expect(kindsAfter("4s")).toEqual(["memory"]);
    expect(kindsAfter("2s")).toEqual([]);
    expect(kindsAfter("10m")).toEqual([]);
  });

  it("is one again when messages fill it, or when it grows", () => {
    share = 0;
    expect(kindsAfter("6s")).toEqual([]);
    share = 0.4;
    expect(kindsAfter("6s")).toEqual([]);
    share = 0.6;
    expect(kindsAfter("1s")).toEqual(["memory"]);
    share = 0;
    expect(kindsAfter("6s")).toEqual([]);
    resident = 1300;
    expect(kindsAfter("1s")).toEqual(["memory"]);
    expect(kindsAfter("6s")).toEqual([]);
  });

  it("is forgotten when it is given back after all", () => {
    share = 0;
    expect(kindsAfter("6s")).toEqual([]);
    resident = 800;
    expect(kindsAfter("1s")).toEqual([]);
    resident = 1050;
    expect(kindsAfter("1s")).toEqual(["memory"]);
  });

  it("needs no such thing when it is given back: a tenth below the mark is enough", () => {
    resident = 899;
    expect(kindsAfter("1s")).toEqual([]);
  });
});

it("a mark below what the empty broker takes is an alarm for good", () => {
  resident = 2000;
  start();
  expect(kindsAfter("10m")).toEqual(["memory"]);
});
