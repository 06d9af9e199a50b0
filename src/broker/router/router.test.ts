import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BrokerError } from "../../base/errors.ts";
import type { Table, TypedValue } from "../../message/values.ts";
import type { RoutedMessage } from "../types.ts";
import type { Destination, Router, RouterBinding } from "./exchange-type.ts";
import { RandomRouter } from "./random.ts";
import { createRouter, EXCHANGE_TYPES } from "./types.ts";

const NONE: Table = new Map();

function router(type: string, args: Table = NONE): Router {
  const declaration = { name: "x", type, durable: true, autoDelete: false, internal: false, arguments: args };
  return createRouter(declaration, "/");
}

const to = (name: string): Destination => ({ kind: "queue", name });
const bind = (name: string, key = "", args: Table = NONE): RouterBinding => ({ key, args, to: to(name) });

function message(headers: Table | null, properties: Record<string, string> = {}): RoutedMessage {
  return { headers: () => headers, property: (name) => properties[name] ?? null };
}

function reached(from: Router, key: string, about: RoutedMessage | null = null): string[] {
  const into: Destination[] = [];
  from.route(key, about, into);
  return into.map(({ name }) => name).sort();
}

const s = (value: string): TypedValue => ({ type: "string", value });
const i = (value: number): TypedValue => ({ type: "int32", value });

describe("direct, fanout and topic", () => {
  it("route by key, to all, by pattern; and forget what is removed", () => {
    for (const [type, key, expected] of [
      ["direct", "a.b", ["one", "two"]],
      ["fanout", "other", ["one", "three", "two"]],
      ["topic", "a.b", ["one", "three", "two"]],
    ] as const) {
      const it = router(type);
      const bindings = [bind("one", "a.b"), bind("two", "a.b"), bind("three", "a.*")];
      for (const binding of bindings) it.add(binding);
      expect(reached(it, key)).toEqual(expected);
      for (const binding of bindings) it.remove(binding);
      expect(reached(it, key)).toEqual([]);
    }
  });

  it("name the one key that a binding can change, when there is one", () => {
    expect(router("direct").scope(bind("q", "a"))).toBe("a");
    expect(router("topic").scope(bind("q", "a.b"))).toBe("a.b");
    expect(router("topic").scope(bind("q", "a.#"))).toBeNull();
    expect(router("fanout").scope(bind("q", "a"))).toBeNull();
  });
});

describe("headers", () => {
  const matches = (args: Record<string, TypedValue>, headers: Record<string, TypedValue> | null): boolean => {
    const it = router("headers");
    it.add(bind("q", "", new Map(Object.entries(args))));
    return reached(it, "", message(headers === null ? null : new Map(Object.entries(headers)))).length > 0;
  };
  const both = { a: s("1"), b: s("2") };
  const anyVoid: TypedValue = { type: "void", value: null };

  it.each([
    ["all", both, both, true],
    ["all", both, { ...both, c: s("3") }, true],
    ["all", both, { a: s("1") }, false],
    ["all", both, { a: s("1"), b: s("x") }, false],
    ["any", both, { b: s("2") }, true],
    ["any", both, { b: s("x") }, false],
    ["any", both, null, false],
    ["all", {}, null, true],
    ["any", {}, both, false],
    ["all", { "x-a": s("1") }, {}, true],
    ["any", { "x-a": s("1") }, { "x-a": s("1") }, false],
    ["all-with-x", { "x-a": s("1") }, {}, false],
    ["all-with-x", { "x-a": s("1") }, { "x-a": s("1") }, true],
    ["any-with-x", { "x-a": s("1"), b: s("2") }, { "x-a": s("1") }, true],
    ["all", { a: anyVoid }, { a: i(7) }, true],
    ["all", { a: anyVoid }, {}, false],
    ["all", { a: i(7) }, { a: { type: "int64", value: 7n } as TypedValue }, true],
    ["all", { a: i(7) }, { a: { type: "double", value: 7 } as TypedValue }, true],
    ["all", { a: i(7) }, { a: s("7") }, false],
    ["all", { a: s("é") }, { a: { type: "binary", value: Buffer.from("é") } as TypedValue }, true],
    ["all", { a: { type: "bool", value: true } as TypedValue }, { a: i(1) }, false],
  ])("%s %o against %o", (mode, args, headers, expected) => {
    expect(matches({ "x-match": s(mode), ...args }, headers)).toBe(expected);
    if (mode === "all") expect(matches(args, headers)).toBe(expected);
  });

  it("refuses modes that it does not know", () => {
    const it = router("headers");
    expect(it.check("", new Map([["x-match", s("some")]]))).toMatchObject({ argument: "x-match" });
    expect(it.check("", new Map([["x-match", i(1)]]))).toMatchObject({ argument: "x-match" });
    expect(it.check("", new Map([["x-match", s("any-with-x")]]))).toBeNull();
  });
});

describe("consistent hash", () => {
  const keys = Array.from({ length: 6000 }, (_, n) => `order-${n}`);
  const placement = (from: Router): Map<string, string> =>
    new Map(keys.map((key) => [key, reached(from, key)[0] as string]));

  it("shares keys by weight, and moves only those of the binding that changes", () => {
    const it = router("x-consistent-hash");
    for (const [name, weight] of [
      ["a", "1"],
      ["b", "1"],
      ["c", "2"],
    ] as const)
      it.add(bind(name, weight));
    const before = placement(it);
    const share = (name: string): number =>
      [...before.values()].filter((at) => at === name).length / keys.length;
    expect(share("a")).toBeCloseTo(0.25, 1);
    expect(share("c")).toBeCloseTo(0.5, 1);
    const extra = bind("d", "1");
    it.add(extra);
    const during = placement(it);
    for (const key of keys) expect([before.get(key), "d"]).toContain(during.get(key));
    expect([...during.values()].filter((at) => at === "d").length / keys.length).toBeCloseTo(0.2, 1);
    it.remove(extra);
    expect(placement(it)).toEqual(before);
  });

  it("counts the first binding of a destination", () => {
    const it = router("x-consistent-hash");
    const q = to("q");
    const [first, second] = [1, 100].map((w) => ({ key: `${w}`, args: NONE, to: q })) as [
      RouterBinding,
      RouterBinding,
    ];
    it.add(first);
    it.add(second);
    it.remove(first);
    expect(reached(it, "k")).toEqual(["q"]);
    it.remove(second);
    expect(reached(it, "k")).toEqual([]);
  });

  it("hashes a header or a property instead", () => {
    const byHeader = router("x-consistent-hash", new Map([["hash-header", s("user")]]));
    const byProperty = router("x-consistent-hash", new Map([["hash-property", s("message_id")]]));
    expect([byHeader.dynamic, byProperty.dynamic, router("x-consistent-hash").dynamic]).toEqual([
      true,
      true,
      false,
    ]);
    for (const name of ["a", "b", "c", "d"]) {
      byHeader.add(bind(name, "1"));
      byProperty.add(bind(name, "1"));
    }
    const seen = new Set<string>();
    for (let n = 0; n < 100; n++) {
      const [one, two] = ["k", `k${n}`].map((key) =>
        reached(byHeader, key, message(new Map([["user", i(n)]]))),
      );
      expect(one).toEqual(two);
      seen.add(one?.[0] as string);
      expect(reached(byProperty, `k${n}`, message(null, { message_id: "m" }))).toEqual(
        reached(byProperty, "k", message(null, { message_id: "m" })),
      );
    }
    expect(seen.size).toBe(4);
  });

  it("refuses weights and arguments that mean nothing", () => {
    const it = router("x-consistent-hash");
    for (const key of ["", "x", "0", "-1", "1.5"]) expect(it.check(key, NONE)).not.toBeNull();
    expect(it.check("10", NONE)).toBeNull();
    for (const args of [
      { "hash-property": s("app_id") },
      { "hash-property": s("timestamp"), "hash-header": s("h") },
      { "hash-header": i(1) },
    ]) {
      expect(() => router("x-consistent-hash", new Map(Object.entries(args)))).toThrow(BrokerError);
    }
  });
});

describe("modulus hash and random", () => {
  it("places by name, whatever the order of binding", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 8 }),
        fc.string(),
        (names, key) => {
          const [one, two] = [router("x-modulus-hash"), router("x-modulus-hash")];
          for (const name of names) one.add(bind(name));
          for (const name of [...names].reverse()) two.add(bind(name));
          expect(reached(one, key)).toEqual(reached(two, key));
          expect(reached(one, key)).toHaveLength(1);
        },
      ),
    );
    expect(reached(router("x-modulus-hash"), "k")).toEqual([]);
  });

  it("picks any one of the bindings", () => {
    let next = 0;
    const it = new RandomRouter(() => next);
    const bindings = ["a", "b", "c"].map((name) => bind(name));
    for (const binding of bindings) it.add(binding);
    const picks = [0, 0.34, 0.99].map((value) => {
      next = value;
      return reached(it, "k")[0];
    });
    expect(picks).toEqual(["a", "b", "c"]);
    it.remove(bindings[0] as RouterBinding);
    next = 0;
    expect(reached(it, "k")).toEqual(["c"]);
  });
});

describe("delayed", () => {
  const inner = (type: TypedValue): Table => new Map([["x-delayed-type", type]]);

  it("routes as its inner type", () => {
    const it = router("x-delayed-message", inner(s("topic")));
    it.add(bind("q", "a.*"));
    expect([it.delaying, it.dynamic, it.keys]).toEqual([true, false, "all"]);
    expect(reached(it, "a.b")).toEqual(["q"]);
    expect(it.scope(bind("q", "a.*"))).toBeNull();
    expect(router("x-delayed-message", inner(s("headers"))).dynamic).toBe(true);
  });

  it("needs an inner type that exists and does not delay", () => {
    for (const args of [NONE, inner(i(1)), inner(s("nope")), inner(s("x-delayed-message"))]) {
      expect(() => router("x-delayed-message", args)).toThrow(
        expect.objectContaining({
          code: "argument-invalid",
          detail: expect.objectContaining({ argument: "x-delayed-type", name: "x" }),
        }),
      );
    }
  });
});

it("knows the types by name and no others", () => {
  expect([...EXCHANGE_TYPES.keys()]).toContain("x-local-random");
  expect(() => router("nope")).toThrow(expect.objectContaining({ code: "exchange-type-unknown" }));
});
