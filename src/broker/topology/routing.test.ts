import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cpuMsOf } from "../../base/testing/cpu-time.ts";
import type { Table } from "../../message/values.ts";
import type { QueueHandle, Route, RoutedMessage } from "../types.ts";
import { exchange, FakeHost, FakeMeta, queue, table, text } from "./fakes.ts";
import type { Namespace } from "./namespace.ts";
import { Topology } from "./topology.ts";

function open(): Namespace {
  return Topology.open(new FakeMeta(), new FakeHost()).namespace("/");
}

const plain: RoutedMessage = { headers: () => table({ kind: "a" }), property: () => null };

function names(space: Namespace, from: string, key: string, copies: string[] = [], about = plain): string[] {
  const into: QueueHandle[] = [];
  space.destinations(space.route(from, key), about, copies, into);
  return into.map(({ name }) => name).sort();
}

function bind(
  space: Namespace,
  source: string,
  destination: string,
  key = "",
  args: Table = new Map(),
): void {
  const kind = space.queue(destination) === undefined ? "exchange" : "queue";
  space.bind({ source, kind, destination, key, args }, null);
}

// --- against evaluation from the listings, without caches or tries ----------------------------

const EXCHANGES = ["d", "f", "t", "h", "x"];
const TYPES: Readonly<Record<string, string>> = {
  d: "direct",
  f: "fanout",
  t: "topic",
  h: "headers",
  x: "topic",
};
const QUEUES = ["q1", "q2", "q3", "a"];
const KEYS = ["a", "a.b", "b", "q1", ""];
const BINDING_KEYS = ["a", "a.*", "#", "b", ""];

function topicMatch(pattern: readonly string[], key: readonly string[]): boolean {
  if (pattern.length === 0) return key.length === 0;
  const [head, ...rest] = pattern;
  if (head === "#") return topicMatch(rest, key) || (key.length > 0 && topicMatch(pattern, key.slice(1)));
  return key.length > 0 && (head === "*" || head === key[0]) && topicMatch(rest, key.slice(1));
}

const wordsOf = (key: string): string[] => (key === "" ? [] : key.split("."));

function naive(space: Namespace, from: string, keys: string[]): string[] {
  const [seen, found] = [new Set<string>(), new Set<string>()];
  const walk = (name: string): void => {
    const declaration = space.exchange(name);
    if (declaration === undefined || seen.has(name)) return;
    seen.add(name);
    const hits = [...space.bindingsFrom(name)].filter(({ key, args }) => {
      if (declaration.type === "fanout") return true;
      if (declaration.type === "headers") return args.get("kind")?.value === "a";
      if (declaration.type === "direct") return keys.includes(key);
      return keys.some((k) => topicMatch(wordsOf(key), wordsOf(k)));
    });
    const direct = name === "" ? keys.filter((key) => space.queue(key) !== undefined) : [];
    for (const key of direct) found.add(key);
    for (const { kind, destination } of hits) kind === "queue" ? found.add(destination) : walk(destination);
    const alternate = declaration.arguments.get("alternate-exchange");
    if (hits.length + direct.length === 0 && alternate !== undefined) walk(alternate.value as string);
  };
  walk(from);
  return [...found].sort();
}

type Step = { op: string; a: string; b: string; key: string; toQueue: boolean; flag: boolean };

const step: fc.Arbitrary<Step> = fc.record({
  op: fc.constantFrom(
    "exchange",
    "exchange",
    "drop",
    "queue",
    "queue",
    "delete",
    "bind",
    "bind",
    "bind",
    "bind",
    "unbind",
  ),
  a: fc.constantFrom(...EXCHANGES),
  b: fc.constantFrom(...EXCHANGES, ...QUEUES, ""),
  key: fc.constantFrom(...BINDING_KEYS),
  toQueue: fc.boolean(),
  flag: fc.boolean(),
});

function apply(space: Namespace, { op, a, b, key, toQueue, flag }: Step): void {
  const queueName = QUEUES.includes(b) ? b : flag ? "q1" : "a";
  if (op === "exchange" && space.exchange(a) === undefined) {
    const args = flag ? new Map([["alternate-exchange", text(QUEUES.includes(b) ? "f" : b)]]) : new Map();
    space.exchangeDeclare(exchange(a, TYPES[a] as string, { arguments: args, autoDelete: toQueue }));
  } else if (op === "drop") {
    space.exchangeDelete(a, false);
  } else if (op === "queue") {
    space.queueDeclare(queue(queueName), null);
  } else if (op === "delete") {
    space.queueDelete(queueName, false, false, null);
  } else if (op === "bind" || op === "unbind") {
    const destination = toQueue ? queueName : EXCHANGES.includes(b) ? b : "f";
    const kind = toQueue ? ("queue" as const) : ("exchange" as const);
    const spec = { source: a, kind, destination, key, args: table({ kind: flag ? "a" : "b" }) };
    const there = kind === "queue" ? space.queue(destination) : space.exchange(destination);
    if (space.exchange(a) === undefined || there === undefined) return;
    op === "bind" ? space.bind(spec, null) : space.unbind(spec, null);
  }
}

/** Hundreds of thousands of times: expect itself would take most of the time. */
function same(actual: string[], expected: string[]): void {
  if (actual.join() !== expected.join()) expect(actual).toEqual(expected);
}

describe("routes", () => {
  it("that are valid say what a fresh evaluation says, after any changes", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 40 }), (steps) => {
        const space = open();
        const held = new Set<Route>();
        for (const one of steps) {
          apply(space, one);
          for (const route of held) {
            if (!route.valid) held.delete(route);
            else if (!route.dynamic) {
              const now = route.queues.map(({ name }) => name).sort();
              same(now, naive(space, route.exchange, [route.routingKey]));
            }
          }
          for (const { name } of space.exchanges()) {
            for (const key of KEYS) {
              held.add(space.route(name, key));
              same(names(space, name, key), naive(space, name, [key]));
            }
            same(names(space, name, "a", ["q1", "b"]), naive(space, name, ["a", "q1", "b"]));
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  it("of other keys outlive queues that come and go", () => {
    const space = open();
    for (const name of ["work", "events"]) space.queueDeclare(queue(name), null);
    space.exchangeDeclare(exchange("d", "direct"));
    bind(space, "d", "work", "job");
    bind(space, "amq.topic", "work", "job.*");
    const kept = [space.route("", "work"), space.route("d", "job"), space.route("amq.topic", "job.1")];
    const missing = space.route("", "reply");
    const owner = { connectionName: "c" };
    expect(missing.queues).toEqual([]);
    space.queueDeclare(queue("reply", { exclusive: true }), owner);
    bind(space, "d", "events", "other");
    expect(kept.map(({ valid }) => valid)).toEqual([true, true, true]);
    expect(missing.valid).toBe(false);
    const found = space.route("", "reply");
    expect(found.queues.map(({ name }) => name)).toEqual(["reply"]);
    space.ownerGone(owner);
    expect([found.valid, ...kept.map(({ valid }) => valid)]).toEqual([false, true, true, true]);
    expect(space.route("", "work")).toBe(kept[0]);
  });

  it("change upstream of the binding that changes, over exchanges and alternates", () => {
    const space = open();
    space.queueDeclare(queue("q"), null);
    space.exchangeDeclare(exchange("last", "direct"));
    space.exchangeDeclare(
      exchange("middle", "topic", { arguments: table({ "alternate-exchange": "last" }) }),
    );
    space.exchangeDeclare(exchange("first", "fanout"));
    bind(space, "first", "middle");
    const [mine, other] = [space.route("first", "k"), space.route("first", "other")];
    bind(space, "last", "q", "k");
    expect([mine.valid, other.valid]).toEqual([false, true]);
    expect(names(space, "first", "k")).toEqual(["q"]);
    expect(names(space, "first", "other")).toEqual([]);
  });

  it("find an alternate that is declared later", () => {
    const space = open();
    space.queueDeclare(queue("q"), null);
    space.exchangeDeclare(exchange("d", "direct", { arguments: table({ "alternate-exchange": "later" }) }));
    const before = space.route("d", "k");
    space.exchangeDeclare(exchange("later", "fanout"));
    expect(before.valid).toBe(false);
    bind(space, "later", "q");
    expect(names(space, "d", "k")).toEqual(["q"]);
    space.exchangeDelete("later", false);
    expect(names(space, "d", "k")).toEqual([]);
  });

  it("are dynamic when any exchange on the way asks the message, and mark delaying exchanges", () => {
    const space = open();
    space.queueDeclare(queue("q"), null);
    space.exchangeDeclare(exchange("f", "fanout"));
    expect(space.route("f", "").dynamic).toBe(false);
    bind(space, "f", "amq.headers");
    bind(space, "amq.headers", "q", "", table({ kind: "a" }));
    const route = space.route("f", "");
    // What is behind an exchange that asks the message may delay it.
    expect([route.dynamic, route.queues, route.delaying]).toEqual([true, [], true]);
    expect(names(space, "f", "")).toEqual(["q"]);
    expect(names(space, "f", "", [], { ...plain, headers: () => null })).toEqual([]);
    space.exchangeDeclare(
      exchange("later", "x-delayed-message", { arguments: table({ "x-delayed-type": "fanout" }) }),
    );
    expect(space.route("later", "").delaying).toBe(true);
    bind(space, "amq.fanout", "q");
    expect(space.route("amq.fanout", "").delaying).toBe(false);
    bind(space, "amq.fanout", "later");
    expect(["", "any other key"].map((key) => space.route("amq.fanout", key).delaying)).toEqual([true, true]);
  });

  it("share one list between the keys of a fanout, and stay bounded", () => {
    const space = open();
    for (let n = 0; n < 1000; n++) {
      space.queueDeclare(queue(`q${n}`), null);
      bind(space, "amq.fanout", `q${n}`);
    }
    const [one, two] = [space.route("amq.fanout", "1"), space.route("amq.fanout", "2")];
    expect(one.queues).toHaveLength(1000);
    expect(two.queues).toBe(one.queues);
    for (let n = 0; n < 40_000; n++) space.route("amq.fanout", `key-${n}`);
    expect(one.valid).toBe(false);
    expect(space.route("amq.fanout", "key-39999").valid).toBe(true);
  });

  it("cost microseconds when exclusive queues come and go", () => {
    const space = open();
    space.queueDeclare(queue("work"), null);
    const kept = space.route("", "work");
    const cpuMs = cpuMsOf(() => {
      for (let n = 0; n < 5000; n++) {
        const owner = { connectionName: `c${n}` };
        const { name } = space.queueDeclare(queue("", { exclusive: true }), owner);
        space.route("", name);
        space.ownerGone(owner);
      }
    });
    expect(cpuMs / 5000).toBeLessThan(0.2);
    expect(kept.valid).toBe(true);
  });
});
