import { beforeEach, describe, expect, it } from "vitest";
import type { Owner } from "../types.ts";
import { exchange, FakeHost, FakeMeta, type FakeQueue, queue, refusalOf, table, text } from "./fakes.ts";
import type { BindingSpec, Namespace } from "./namespace.ts";
import { Topology } from "./topology.ts";

let host: FakeHost;
let space: Namespace;
const [mine, other]: [Owner, Owner] = [{ connectionName: "mine" }, { connectionName: "other" }];

beforeEach(() => {
  host = new FakeHost();
  space = Topology.open(new FakeMeta(), host, { queuesMax: 50 }).namespace("/");
});

const fake = (name: string): FakeQueue => space.queue(name) as FakeQueue;

function edge(source: string, destination: string, more: Partial<BindingSpec> = {}): BindingSpec {
  return { source, kind: "queue", destination, key: "k", args: new Map(), ...more };
}

describe("exchanges", () => {
  it("are predeclared", () => {
    expect([...space.exchanges()].map(({ name }) => name)).toEqual([
      "",
      "amq.direct",
      "amq.fanout",
      "amq.topic",
      "amq.headers",
      "amq.match",
      "amq.rabbitmq.trace",
    ]);
    expect(space.exchange("amq.rabbitmq.trace")).toMatchObject({
      type: "topic",
      internal: true,
      durable: true,
    });
    space.exchangeDeclare(exchange("amq.topic", "topic", { durable: true }));
    space.exchangeCheck("amq.direct");
  });

  it("must be declared the same again", () => {
    const args = table({ "alternate-exchange": "ae", other: 1 });
    space.exchangeDeclare(exchange("x", "direct", { arguments: args }));
    space.exchangeDeclare(
      exchange("x", "direct", { arguments: table({ "alternate-exchange": "ae", other: 2 }) }),
    );
    const refusal = (more: object) =>
      refusalOf(() => space.exchangeDeclare(exchange("x", "direct", { arguments: args, ...more })));
    const where = { kind: "exchange", name: "x", namespace: "/" };
    for (const [option, received, current] of [
      ["type", "fanout", "direct"],
      ["durable", true, false],
      ["autoDelete", true, false],
      ["internal", true, false],
    ] as const) {
      expect(refusal({ [option]: received })).toEqual({
        code: "inequivalent",
        detail: { ...where, option, received, current },
      });
    }
    expect(refusal({ arguments: new Map() })).toEqual({
      code: "inequivalent",
      detail: { ...where, option: "alternate-exchange", received: undefined, current: text("ae") },
    });
  });

  it("refuse bad names, types and arguments", () => {
    const refusal = (name: string, type: string, args = table({})) =>
      refusalOf(() => space.exchangeDeclare(exchange(name, type, { arguments: args })));
    expect(refusal("", "direct")?.code).toBe("default-exchange");
    expect(refusal("amq.mine", "direct")).toEqual({
      code: "name-reserved",
      detail: { kind: "exchange", name: "amq.mine", namespace: "/", prefix: "amq." },
    });
    expect(refusal("x", "nope")).toMatchObject({
      code: "exchange-type-unknown",
      detail: { type: "nope", name: "x" },
    });
    expect(refusal("x", "direct", table({ "alternate-exchange": 1 }))?.code).toBe("argument-invalid");
    expect(refusalOf(() => space.exchangeCheck("x"))).toEqual({
      code: "exchange-not-found",
      detail: { kind: "exchange", name: "x", namespace: "/" },
    });
    expect(refusalOf(() => space.exchangeCheck(""))?.code).toBe("default-exchange");
  });

  it("are deleted, unless system, default or in use", () => {
    space.exchangeDelete("missing", true);
    expect(refusalOf(() => space.exchangeDelete("amq.direct", false))?.code).toBe("system-exchange");
    expect(refusalOf(() => space.exchangeDelete("", false))?.code).toBe("default-exchange");
    space.exchangeDeclare(exchange("x", "direct"));
    space.queueDeclare(queue("q"), null);
    space.bind(edge("x", "q"), null);
    expect(refusalOf(() => space.exchangeDelete("x", true))).toMatchObject({ code: "exchange-in-use" });
    space.exchangeDelete("x", false);
    expect(space.exchange("x")).toBeUndefined();
    expect([...space.bindings()]).toEqual([]);
  });

  it("that delete themselves go with their last binding, and take others along", () => {
    for (const name of ["a", "b", "c"]) space.exchangeDeclare(exchange(name, "fanout", { autoDelete: true }));
    space.queueDeclare(queue("q"), null);
    space.bind(edge("a", "b", { kind: "exchange" }), null);
    space.bind(edge("b", "a", { kind: "exchange" }), null);
    space.bind(edge("b", "q"), null);
    space.unbind(edge("b", "a", { kind: "exchange" }), null);
    expect(space.exchange("b")).toBeDefined();
    space.queueDelete("q", false, false, null);
    expect([space.exchange("a"), space.exchange("b")]).toEqual([undefined, undefined]);
    expect(space.exchange("c")).toBeDefined();
  });
});

describe("queues", () => {
  it("get names of their own on demand", () => {
    const { name } = space.queueDeclare(queue(""), null);
    expect(name).toMatch(/^amq\.gen-[A-Za-z0-9_-]{22}$/);
    expect(refusalOf(() => space.queueDeclare(queue(name), null))?.code).toBe("name-reserved");
    expect(space.queueCheck(name, null)).toEqual({ name, ready: 0, consumers: 0 });
  });

  it("must be declared the same again, and count that as use", () => {
    const options = {
      messageTtlMs: 1000,
      retry: { attempts: 3, initialMs: 1, multiplier: 2, ceilingMs: 9, jitter: 0 },
    };
    space.queueDeclare(queue("q", { options }), null);
    fake("q").readyCount = 3;
    const again = { ...options, type: "classic" as const, retry: { ...options.retry } };
    expect(space.queueDeclare(queue("q", { options: again }), null)).toEqual({
      name: "q",
      ready: 3,
      consumers: 0,
    });
    expect(fake("q").touched).toBe(1);
    const refusal = (more: object) =>
      refusalOf(() => space.queueDeclare(queue("q", { options, ...more }), null));
    expect(refusal({ durable: true })?.detail).toMatchObject({
      option: "durable",
      received: true,
      current: false,
    });
    expect(refusal({ autoDelete: true })?.detail).toMatchObject({ option: "autoDelete" });
    expect(refusal({ options: { ...options, messageTtlMs: undefined } })).toEqual({
      code: "inequivalent",
      detail: {
        kind: "queue",
        name: "q",
        namespace: "/",
        option: "messageTtlMs",
        received: undefined,
        current: 1000,
      },
    });
    expect(
      refusal({ options: { ...options, retry: { ...options.retry, attempts: 4 } } })?.detail,
    ).toMatchObject({ option: "retry" });
    expect(refusal({ options: { ...options, type: "quorum" } })?.detail).toMatchObject({
      option: "type",
      received: "quorum",
      current: "classic",
    });
  });

  it("that are exclusive serve their owner alone and end with it", () => {
    const exclusive = queue("e", { exclusive: true, durable: true });
    space.queueDeclare(exclusive, mine);
    space.queueDeclare(exclusive, mine);
    expect(fake("e").declaration.durable).toBe(false);
    space.queueDeclare(queue("shared"), null);
    for (const use of [
      () => space.queueDeclare(exclusive, other),
      () => space.queueDeclare(queue("e", { durable: true }), mine),
      () => space.queueDeclare(queue("shared", { exclusive: true }), mine),
      () => space.queueCheck("e", other),
      () => space.queueDelete("e", false, false, other),
      () => space.queuePurge("e", other),
      () => space.queueFor("e", other),
      () => space.bind(edge("amq.direct", "e"), other),
    ]) {
      expect(refusalOf(use)?.code).toBe("queue-locked");
    }
    space.bind(edge("amq.direct", "e"), mine);
    expect(refusalOf(() => space.unbind(edge("amq.direct", "e"), other))?.code).toBe("queue-locked");
    expect(space.queueFor("e", mine)).toBe(fake("e"));
    const handle = fake("e");
    space.ownerGone(mine);
    expect([handle.deleted, space.queue("e")]).toEqual([true, undefined]);
    expect([...space.bindings()]).toEqual([]);
  });

  it("are deleted unless in use or not empty, and purged", () => {
    expect(space.queueDelete("missing", true, true, null)).toBe(0);
    space.queueDeclare(queue("q"), null);
    Object.assign(fake("q"), { readyCount: 5, consumerCount: 1 });
    expect(refusalOf(() => space.queueDelete("q", false, true, null))?.code).toBe("queue-not-empty");
    expect(refusalOf(() => space.queueDelete("q", true, false, null))?.code).toBe("queue-in-use");
    expect(space.queuePurge("q", null)).toBe(5);
    fake("q").readyCount = 2;
    expect(space.queueDelete("q", false, false, null)).toBe(2);
    expect(refusalOf(() => space.queueCheck("q", null))?.code).toBe("queue-not-found");
    expect(refusalOf(() => space.queuePurge("q", null))?.code).toBe("queue-not-found");
  });

  it("delete themselves when unused, but not one that took the name", () => {
    space.queueDeclare(queue("q"), null);
    const first = fake("q");
    first.hooks.unused(first);
    expect(first.deleted).toBe(true);
    space.queueDeclare(queue("q"), null);
    first.hooks.unused(first);
    expect(fake("q").deleted).toBe(false);
    expect(fake("q").id).toBeGreaterThan(first.id);
  });

  it("of other types than classic must last", () => {
    const options = { type: "quorum" as const };
    const refusal = (more: object) =>
      refusalOf(() => space.queueDeclare(queue("q", { durable: true, options, ...more }), mine));
    expect(refusal({ name: "" })?.detail).toMatchObject({ argument: "name" });
    expect(refusal({ exclusive: true })?.detail).toMatchObject({ argument: "exclusive" });
    expect(refusal({ autoDelete: true })?.detail).toMatchObject({ argument: "autoDelete" });
    expect(refusal({ durable: false })?.detail).toMatchObject({ argument: "durable" });
    expect(refusal({})).toBeNull();
  });

  it("are limited in number", () => {
    for (let n = 0; n < 50; n++) space.queueDeclare(queue(`q${n}`), null);
    expect(refusalOf(() => space.queueDeclare(queue("one more"), null))).toMatchObject({
      code: "limit-reached",
      detail: { what: "queues", limit: 50 },
    });
    space.queueDeclare(queue("q1"), null);
    space.queueDelete("q1", false, false, null);
    space.queueDeclare(queue("one more"), null);
  });
});

describe("bindings", () => {
  it("are the same when ends, key and arguments are, in whatever order", () => {
    space.queueDeclare(queue("q"), null);
    const args = [table({ a: 1, b: "x" }), table({ b: "x", a: 1 }), table({ a: 1 })] as const;
    for (const one of args) space.bind(edge("amq.headers", "q", { args: one }), null);
    expect([...space.bindingsTo("queue", "q")]).toHaveLength(2);
    space.unbind(edge("amq.headers", "q", { args: args[1] }), null);
    expect([...space.bindingsFrom("amq.headers")]).toEqual([edge("amq.headers", "q", { args: args[2] })]);
    space.unbind(edge("amq.headers", "q", { key: "never" }), null);
  });

  it("need both ends to be made, and none to be removed", () => {
    space.queueDeclare(queue("q"), null);
    expect(refusalOf(() => space.bind(edge("nox", "noq"), null))?.code).toBe("exchange-not-found");
    expect(refusalOf(() => space.bind(edge("amq.direct", "noq"), null))?.detail).toEqual({
      kind: "queue",
      name: "noq",
      namespace: "/",
    });
    expect(refusalOf(() => space.bind(edge("amq.direct", "nox", { kind: "exchange" }), null))?.code).toBe(
      "exchange-not-found",
    );
    space.unbind(edge("nox", "q"), null);
    space.unbind(edge("amq.direct", "noq"), null);
  });

  it("are not for the default exchange", () => {
    space.queueDeclare(queue("q"), null);
    for (const spec of [edge("", "q"), edge("amq.direct", "", { kind: "exchange" })]) {
      expect(refusalOf(() => space.bind(spec, null))?.code).toBe("default-exchange");
      expect(refusalOf(() => space.unbind(spec, null))?.code).toBe("default-exchange");
    }
  });

  it("must make sense to the exchange's type", () => {
    space.queueDeclare(queue("q"), null);
    space.exchangeDeclare(exchange("h", "x-consistent-hash"));
    expect(refusalOf(() => space.bind(edge("h", "q", { key: "heavy" }), null))).toMatchObject({
      code: "argument-invalid",
      detail: { kind: "binding", name: "h", namespace: "/", argument: "routing-key" },
    });
  });
});

describe("reply queues", () => {
  it("are reached by name, and otherwise hidden", () => {
    const name = space.openReplyQueue(mine);
    expect(name).toMatch(/^amq\.rabbitmq\.reply-to\.[A-Za-z0-9_-]{22}$/);
    expect([...space.queues()]).toEqual([]);
    const route = space.route("", name);
    expect(route.queues).toHaveLength(1);
    expect(space.queueCheck(name, other)).toEqual({ name, ready: 0, consumers: 1 });
    expect(space.queueDeclare(queue(name), other).consumers).toBe(1);
    expect(space.queueFor(name, mine)).toBe(route.queues[0]);
    for (const use of [
      () => space.queueFor(name, other),
      () => space.bind(edge("amq.direct", name), mine),
      () => space.queuePurge(name, mine),
    ]) {
      expect(refusalOf(use)?.code).toBe("queue-not-found");
    }
    space.ownerGone(mine);
    expect(route.valid).toBe(false);
    expect(refusalOf(() => space.queueCheck(name, other))?.code).toBe("queue-not-found");
  });

  it("go when their owner says so, and nobody else", () => {
    const name = space.openReplyQueue(mine);
    const route = space.route("", name);
    space.closeReplyQueue(name, other);
    expect(route.valid).toBe(true);
    space.closeReplyQueue(name, mine);
    expect([route.valid, space.route("", name).queues]).toEqual([false, []]);
  });
});
