import { beforeEach, describe, expect, test } from "vitest";
import { LeaseWindow, type WindowRules } from "./lease-window.ts";

let left: string[];
let elsewhere: boolean;
let retry: number;
let window: LeaseWindow;

const rules: WindowRules = {
  leaseMs: 1000,
  deliveriesMax: 3,
  retryMs: (deliveries) => retry * deliveries,
  leaves: (offset, deliveries, why) => {
    left.push(`${offset} after ${deliveries}: ${why}`);
    return elsewhere;
  },
};

beforeEach(() => {
  left = [];
  elsewhere = false;
  retry = 0;
  window = new LeaseWindow(10, rules);
  window.extend(20);
});

const lease = (owner: string, nowMs = 0, first = 0, last = 100, max = 100) =>
  window
    .lease(first, last, owner, max, nowMs)
    .map((range) => `${range.first}-${range.last}x${range.deliveries}`);

describe("leasing", () => {
  test("gives what is ready, and to nobody else until it comes back", () => {
    expect(lease("a", 0, 10, 100, 4)).toEqual(["10-13x1"]);
    expect(lease("b")).toEqual(["14-19x1"]);
    expect(lease("c")).toEqual([]);
    expect(window.firstReady()).toBe(-1);
  });

  test("tells apart what was delivered more often", () => {
    lease("a", 0, 12, 13);
    window.settle(12, 13, "a", ["release"], 0);
    expect(lease("b")).toEqual(["10-11x1", "12-13x2", "14-19x1"]);
  });

  test("leaves out what is for nobody", () => {
    window.skip(12, 14);
    expect(lease("a")).toEqual(["10-11x1", "15-19x1"]);
  });
});

describe("verdicts", () => {
  test("what is done with from the front on leaves the window", () => {
    lease("a");
    expect(window.settle(12, 13, "a", ["accept"], 0)).toBe(true);
    expect(window.start).toBe(10);
    window.settle(10, 11, "a", ["accept", "gap"], 0);
    expect([window.start, window.size]).toEqual([14, 6]);
  });

  test("one for each record", () => {
    lease("a", 0, 10, 13);
    window.settle(10, 13, "a", ["accept", "release", "reject", "renew"], 500);
    expect(left).toEqual(["12 after 1: rejected"]);
    expect(window.firstReady()).toBe(11);
    window.tick(1400);
    expect(lease("b", 1400, 13, 13)).toEqual([]);
    window.tick(1500);
    expect(lease("b", 1500, 13, 13)).toEqual(["13-13x2"]);
  });

  test("about what is another's, done with, not leased or beyond: nothing is done", () => {
    lease("a", 0, 10, 12);
    lease("b", 0, 13, 13);
    const refused = (first: number, last: number, owner: string) =>
      !window.settle(first, last, owner, ["accept"], 0);
    expect([refused(10, 13, "a"), refused(10, 12, "b"), refused(14, 14, "a"), refused(5, 10, "a")]).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(window.settle(10, 12, "a", ["accept", "accept"], 0)).toBe(false);
    expect(window.start).toBe(10);
    expect(window.settle(10, 12, "a", ["accept"], 0)).toBe(true);
    expect(refused(10, 12, "a")).toBe(true);
  });

  test("a record that failed too often leaves", () => {
    for (let delivery = 1; delivery <= 3; delivery++) {
      expect(lease("a", 0, 10, 10)).toEqual([`10-10x${delivery}`]);
      window.settle(10, 10, "a", ["release"], 0);
    }
    expect(left).toEqual(["10 after 3: delivery-limit"]);
    expect(window.start).toBe(11);
  });

  test("one that goes elsewhere is in the way until it has arrived", () => {
    elsewhere = true;
    lease("a", 0, 10, 10);
    window.settle(10, 10, "a", ["reject"], 0);
    expect([window.start, window.firstReady()]).toEqual([10, 11]);
    window.left(10);
    expect(window.start).toBe(11);
  });
});

describe("time", () => {
  test("a lease ends, and that counts as a failed delivery", () => {
    lease("a", 0);
    expect(window.nextDueMs).toBe(1000);
    expect(window.tick(999)).toBe(false);
    expect(window.tick(1000)).toBe(true);
    expect(lease("b", 1000, 10, 10)).toEqual(["10-10x2"]);
    expect(window.settle(10, 10, "a", ["accept"], 1000)).toBe(false);
  });

  test("a failed record waits, longer each time", () => {
    retry = 100;
    lease("a", 0, 10, 10);
    window.settle(10, 10, "a", ["release"], 50);
    expect(window.nextDueMs).toBe(150);
    expect(lease("a", 149, 10, 10)).toEqual([]);
    window.tick(150);
    lease("a", 150, 10, 10);
    window.settle(10, 10, "a", ["release"], 150);
    expect(window.nextDueMs).toBe(350);
  });

  test("what a member that has gone had is ready at once, as if it had not had it", () => {
    retry = 100;
    lease("a", 0, 10, 14);
    lease("b", 0, 15, 19);
    expect(window.release("a")).toBe(true);
    expect(lease("c", 1)).toEqual(["10-14x1"]);
    expect(window.release("nobody")).toBe(false);
    for (let times = 0; times < 10; times++) {
      window.release("c");
      expect(lease("c", 1)).toEqual(["10-14x1"]);
    }
    expect(window.settle(10, 14, "c", ["release"], 1)).toBe(true);
    window.tick(101);
    expect(lease("d", 101)).toEqual(["10-14x2"]);
    window.release("d");
    expect(lease("e", 101)).toEqual(["10-14x2"]);
  });
});

test("records that are no more leave the window, whatever their state", () => {
  lease("a", 0, 10, 14);
  window.trim(12);
  expect(window.start).toBe(12);
  expect(window.settle(10, 12, "a", ["accept"], 0)).toBe(false);
  expect(window.settle(12, 14, "a", ["accept"], 0)).toBe(true);
  window.trim(100);
  expect([window.start, window.size]).toEqual([100, 0]);
});

test("comes back from the store with its counts; leases do not outlive the broker", () => {
  lease("a", 0, 10, 13);
  window.settle(11, 11, "a", ["accept"], 0);
  window.settle(12, 12, "a", ["release"], 0);
  const stored = window.snapshot();
  expect(stored).toEqual({ start: 10, runs: [1, 0, 1, -1, 1, 1, 7, 0] });
  const restored = new LeaseWindow(0, rules);
  restored.restore(JSON.parse(JSON.stringify(stored)));
  expect(restored.snapshot()).toEqual(stored);
  expect([restored.start, restored.end, restored.unfinished]).toEqual([10, 20, 9]);
  expect(restored.lease(0, 100, "b", 100, 0)).toEqual([
    { first: 10, last: 10, deliveries: 1 },
    { first: 12, last: 12, deliveries: 2 },
    { first: 13, last: 19, deliveries: 1 },
  ]);
});
