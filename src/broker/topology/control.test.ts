import { beforeEach, describe, expect, it } from "vitest";
import { Grants } from "../access/grants.ts";
import { Rules } from "../access/rules.ts";
import { ControlSession } from "./control.ts";
import { exchange, FakeHost, FakeMeta, queue, refusalOf, table } from "./fakes.ts";
import type { Namespace } from "./namespace.ts";
import { Topology } from "./topology.ts";

let space: Namespace;
let grants: Grants;
let session: ReadingSession;
const none = new Map();

class ReadingSession extends ControlSession {
  read = (name: string): string => this.queueForReading(name).name;
}

beforeEach(() => {
  space = Topology.open(new FakeMeta(), new FakeHost()).namespace("/");
  grants = new Grants("ann", "/", { rules: new Rules(), isAdministrator: () => false });
  session = new ReadingSession({
    topology: { namespace: () => space },
    access: { grants: () => grants },
    principal: { user: "ann", tags: [] },
    namespace: "/",
    owner: { connectionName: "c" },
  });
  space.exchangeDeclare(exchange("x", "direct"));
  space.exchangeDeclare(exchange("t", "topic"));
  space.queueDeclare(queue("q"), null);
});

/** Names the permissions that an action asks for, by taking them away one after the other. */
function needs(action: () => unknown): string[] {
  const missing: string[] = [];
  const granted: Record<"configure" | "write" | "read", string[]> = { configure: [], write: [], read: [] };
  for (;;) {
    const pattern = (names: string[]) => (names.length === 0 ? "" : `^(${names.join("|")})$`);
    grants.set({
      configure: pattern(granted.configure),
      write: pattern(granted.write),
      read: pattern(granted.read),
    });
    const refusal = refusalOf(action);
    if (refusal?.code !== "access-refused") return missing;
    const { access, kind, name } = refusal.detail as { access: "read"; kind: string; name: string };
    missing.push(`${access} ${kind} ${name}`);
    granted[access].push(name.replaceAll(".", "\\."));
  }
}

describe("ControlSession asks", () => {
  it("to configure what is declared or deleted", () => {
    expect(needs(() => session.exchangeDeclare(exchange("new", "fanout")))).toEqual([
      "configure exchange new",
    ]);
    expect(needs(() => session.exchangeDeclare(exchange("x", "direct")))).toEqual(["configure exchange x"]);
    expect(needs(() => session.queueDeclare(queue("new")))).toEqual(["configure queue new"]);
    expect(needs(() => session.exchangeDelete("new", false))).toEqual(["configure exchange new"]);
    expect(needs(() => session.queueDelete("new", false, false))).toEqual(["configure queue new"]);
  });

  it("for both ends of a way that messages will take", () => {
    const alternate = exchange("a", "fanout", { arguments: table({ "alternate-exchange": "x" }) });
    const all = ["configure exchange a", "read exchange a", "write exchange x"];
    expect(needs(() => session.exchangeDeclare(alternate))).toEqual(all);
    expect(needs(() => session.exchangeDeclare(alternate))).toEqual(["configure exchange a"]);
    const dead = queue("d", { options: { deadLetterExchange: "" } });
    expect(needs(() => session.queueDeclare(dead))).toEqual([
      "configure queue d",
      "read queue d",
      "write exchange amq.default",
    ]);
    const ends = ["write queue q", "read exchange x"];
    expect(needs(() => session.queueBind("q", "x", "k", none))).toEqual(ends);
    expect(needs(() => session.queueUnbind("q", "x", "k", none))).toEqual(ends);
    const edges = ["write exchange t", "read exchange x"];
    expect(needs(() => session.exchangeBind("t", "x", "k", none))).toEqual(edges);
    expect(needs(() => session.exchangeUnbind("t", "x", "k", none))).toEqual(edges);
  });

  it("to write for publishing, to read for purging, and nothing for looking", () => {
    expect(needs(() => session.route("x", "k"))).toEqual(["write exchange x"]);
    expect(needs(() => session.route("", "q"))).toEqual(["write exchange amq.default"]);
    expect(needs(() => session.queuePurge("q"))).toEqual(["read queue q"]);
    expect(needs(() => session.read("q"))).toEqual(["read queue q"]);
    const reply = session.openReplyQueue();
    expect(needs(() => session.read(reply))).toEqual([]);
    expect(needs(() => session.queueCheck("q"))).toEqual([]);
    expect(needs(() => session.exchangeCheck("x"))).toEqual([]);
  });

  it("for topics of topic exchanges", () => {
    grants.set({ configure: ".*", write: ".*", read: ".*" });
    grants.setTopic("t", { write: "^w", read: "^r" });
    session.route("t", "w1");
    expect(refusalOf(() => session.route("t", "r1"))?.detail).toMatchObject({
      kind: "topic",
      access: "write",
    });
    session.queueBind("q", "t", "r1", none);
    expect(refusalOf(() => session.queueBind("q", "t", "w1", none))?.detail).toMatchObject({
      access: "read",
    });
  });
});

describe("ControlSession", () => {
  beforeEach(() => grants.set({ configure: ".*", write: ".*", read: ".*" }));

  it("does not let clients publish to internal exchanges", () => {
    expect(refusalOf(() => session.route("amq.rabbitmq.trace", "k"))).toEqual({
      code: "internal-exchange",
      detail: { kind: "exchange", name: "amq.rabbitmq.trace", namespace: "/" },
    });
    expect(refusalOf(() => session.route("missing", "k"))?.code).toBe("exchange-not-found");
  });

  it("refuses the default exchange as such, without permissions too", () => {
    grants.set({ configure: "", write: "", read: "" });
    for (const action of [
      () => session.exchangeDelete("", false),
      () => session.queueBind("q", "", "q", none),
      () => session.exchangeBind("", "x", "k", none),
      () => session.exchangeDeclare(exchange("", "direct")),
    ]) {
      expect(refusalOf(action)?.code).toBe("default-exchange");
    }
  });

  it("shows declared arguments", () => {
    session.queueDeclare(queue("d", { arguments: table({ a: 1 }) }));
    expect(session.declaredArguments("queue", "d")).toEqual(table({ a: 1 }));
    expect(session.declaredArguments("exchange", "x")).toEqual(new Map());
    expect(session.declaredArguments("exchange", "missing")).toBeNull();
  });

  it("takes its exclusive queues along", () => {
    const { name } = session.queueDeclare(queue("", { exclusive: true }));
    const reply = session.openReplyQueue();
    session.close();
    expect([space.queue(name), space.route("", reply).queues]).toEqual([undefined, []]);
  });
});
