import { beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { FakeMeta } from "../topology/fakes.ts";
import { Access } from "./access.ts";
import { type AccessRule, CLUSTER_RESOURCE, type Rights } from "./types.ts";

const meta = new FakeMeta();
let access: Access;
let boss: Rights;

const open = async () => {
  access = await Access.open(meta, { clock: new ManualClock() });
  await access.ready;
};

beforeEach(async () => {
  meta.map.clear();
  await open();
  boss = access.rights("guest", "/", "127.0.0.1");
  for (const user of ["ann", "bob"]) await access.putUser(user, null, []);
  access.setPermissions("ann", "/", { configure: "^own", write: "^(own|out)", read: "^(own|in)" });
});

const rights = (user: string, address = "10.0.0.1") => access.rights(user, "/", address);
const rule = (given: Partial<AccessRule>): AccessRule => ({
  user: "ann",
  address: "*",
  resource: "stream",
  name: "in.1",
  prefix: false,
  operation: "read",
  effect: "allow",
  ...given,
});
const add = (given: Partial<AccessRule>) => boss.addRules([rule(given)]);

describe("without rules", () => {
  it("the patterns decide", () => {
    const ann = rights("ann");
    const may = (...asked: Parameters<Rights["may"]>) => ann.may(...asked);
    expect(may("read", "stream", "in.1")).toBe(true);
    expect(may("write", "stream", "in.1")).toBe(false);
    expect(may("describe", "stream", "in.1")).toBe(true);
    expect(may("describe", "stream", "else")).toBe(false);
    expect(may("create", "stream", "own.1")).toBe(true);
    expect(may("alter-configs", "stream", "out.1")).toBe(false);
    expect(may("read", "group", "in.group")).toBe(true);
    expect(may("read", "group", "group")).toBe(false);
    expect(may("write", "transactional-id", "own.t")).toBe(true);
    expect(may("idempotent-write", "cluster", CLUSTER_RESOURCE)).toBe(false);
    expect(ann.mayAny("write", "stream")).toBe(true);
    expect(() => ann.check("write", "stream", "in.1")).toThrow(
      expect.objectContaining({
        code: "access-refused",
        detail: expect.objectContaining({ name: "in.1", user: "ann" }),
      }),
    );
  });

  it("whoever has no permission does not come in", () => {
    expect(() => rights("bob")).toThrow(expect.objectContaining({ code: "namespace-refused" }));
  });

  it("only administrators have the cluster", () => {
    expect(boss.may("alter", "cluster", CLUSTER_RESOURCE)).toBe(true);
    const refused = expect.objectContaining({ code: "access-refused" });
    expect(() => rights("ann").rules({})).toThrow(refused);
    expect(() => rights("ann").addRules([rule({})])).toThrow(refused);
    expect(() => rights("ann").removeRules({})).toThrow(refused);
    expect(() => rights("ann").scramCredentials()).toThrow(refused);
    access.setTags("guest", []);
    expect(() => boss.rules({})).toThrow(refused);
  });
});

describe("a rule", () => {
  it("that allows lets in who has no permissions, and gives what it says and no more", () => {
    add({ user: "bob", name: "t.", prefix: true });
    const bob = rights("bob");
    expect(bob.may("read", "stream", "t.1")).toBe(true);
    expect(bob.may("describe", "stream", "t.1")).toBe(true);
    expect(bob.may("write", "stream", "t.1")).toBe(false);
    expect(bob.may("read", "stream", "u.1")).toBe(false);
    expect(bob.may("read", "group", "t.1")).toBe(false);
    expect(bob.mayAny("read", "stream")).toBe(true);
    expect(bob.mayAny("write", "stream")).toBe(false);
    add({ user: "*", operation: "all", name: "*" });
    expect(bob.may("write", "stream", "u.1")).toBe(true);
    boss.removeRules({ user: "*" });
    expect(bob.may("write", "stream", "u.1")).toBe(false);
  });

  it("that denies wins over rules and patterns, but not over an administrator", () => {
    add({ name: "in.", prefix: true });
    add({ effect: "deny" });
    const ann = rights("ann");
    expect(ann.may("read", "stream", "in.1")).toBe(false);
    expect(ann.may("read", "stream", "in.2")).toBe(true);
    add({ user: "guest", effect: "deny", operation: "all" });
    expect(boss.may("read", "stream", "in.1")).toBe(true);
    add({ effect: "deny", operation: "write", name: "*" });
    expect(ann.mayAny("write", "stream")).toBe(false);
  });

  it("to create in the cluster is one to create any stream", () => {
    add({ user: "bob", resource: "cluster", name: CLUSTER_RESOURCE, operation: "create" });
    const bob = rights("bob");
    expect(bob.may("create", "stream", "x")).toBe(true);
    expect(bob.may("delete", "stream", "x")).toBe(false);
    add({ user: "bob", operation: "create", effect: "deny", name: "x" });
    expect(bob.may("create", "stream", "x")).toBe(false);
  });

  it("for an address acts there", () => {
    add({ effect: "deny", address: "10.0.0.1" });
    add({ name: "x", address: "10.0.0.2" });
    expect(rights("ann", "10.0.0.1").may("read", "stream", "in.1")).toBe(false);
    expect(rights("ann", "10.0.0.2").may("read", "stream", "in.1")).toBe(true);
    expect(rights("ann", "10.0.0.1").may("read", "stream", "x")).toBe(false);
    expect(rights("ann", "10.0.0.2").may("read", "stream", "x")).toBe(true);
  });

  it("for a stream acts on what reads and declares the queue of that name", () => {
    const grants = access.grants("ann", "/");
    const { revision } = grants;
    grants.check("read", "queue", "in.1");
    add({ effect: "deny" });
    expect(grants.revision).toBeGreaterThan(revision);
    expect(() => grants.check("read", "queue", "in.1")).toThrow();
    grants.check("read", "exchange", "in.1");
    add({ name: "x", operation: "all" });
    for (const kind of ["read", "write", "configure"] as const) grants.check(kind, "queue", "x");
    add({ name: "x", operation: "delete", effect: "deny" });
    expect(() => grants.check("configure", "queue", "x")).toThrow();
    add({ name: "y", operation: "create" });
    expect(grants.allowsQueue("configure", "y")).toBe(false);
  });

  it("lasts over a restart, and goes with its user or namespace", async () => {
    add({});
    add({});
    add({ user: "bob" });
    add({ user: "bob", name: "a/b%", prefix: true, operation: "all" });
    const before = boss.rules({});
    expect(before).toHaveLength(3);
    await open();
    const again = access.rights("guest", "/", "127.0.0.1");
    expect(again.rules({})).toEqual(expect.arrayContaining(before));
    access.deleteUser("ann");
    expect(again.rules({}).map(({ user }) => user)).toEqual(["bob", "bob"]);
    expect(access.rulesOf("/other").find({})).toEqual([]);
    access.forgetNamespace("/");
    await open();
    expect(access.rulesOf("/").find({})).toEqual([]);
  });

  it("must say whom and what it is about", () => {
    for (const wrong of [{ user: "" }, { name: "" }, { address: "" }, { name: "x".repeat(1025) }]) {
      expect(() => add(wrong)).toThrow(expect.objectContaining({ code: "argument-invalid" }));
    }
    expect(boss.rules({})).toEqual([]);
  });
});

it("filters find rules by every part of theirs", () => {
  add({ name: "in.1" });
  add({ name: "in", prefix: true, operation: "write" });
  add({ name: "*", user: "*", effect: "deny", operation: "all" });
  add({ name: "in.1", resource: "group", address: "10.0.0.9" });
  const found = (filter: Parameters<Rights["rules"]>[0]) => boss.rules(filter).length;
  expect(found({})).toBe(4);
  expect(found({ resource: "stream" })).toBe(3);
  expect(found({ name: "in.1" })).toBe(2);
  expect(found({ name: "in.1", resource: "stream", pattern: "match" })).toBe(3);
  expect(found({ name: "in", pattern: "exact" })).toBe(0);
  expect(found({ name: "in", pattern: "prefix" })).toBe(1);
  expect(found({ pattern: "prefix" })).toBe(1);
  expect(found({ user: "*" })).toBe(1);
  expect(found({ effect: "deny" })).toBe(1);
  expect(found({ operation: "write" })).toBe(1);
  expect(found({ address: "10.0.0.9" })).toBe(1);
  expect(boss.removeRules({ user: "ann" })).toHaveLength(3);
  expect(found({})).toBe(1);
});
