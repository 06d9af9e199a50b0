import { createHook } from "node:async_hooks";
import { beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { BrokerError } from "../../base/errors.ts";
import type { MetaStore } from "../../engine/engine.ts";
import { Access } from "./access.ts";

class FakeMeta implements MetaStore {
  readonly map = new Map<string, Uint8Array>();
  get = (key: string) => this.map.get(key);
  entries = (prefix: string) => [...this.map].filter(([key]) => key.startsWith(prefix));
  put = (key: string, value: Uint8Array) => void this.map.set(key, value);
  delete = (key: string) => void this.map.delete(key);
  flush = (done: () => void) => done();
}

let meta: FakeMeta;
let clock: ManualClock;
const guest = { user: "guest", password: "guest", loopback: true };

beforeEach(() => {
  meta = new FakeMeta();
  clock = new ManualClock();
});

const open = async (initialUser?: { name: string; password: string }): Promise<Access> => {
  const access = await Access.open(meta, initialUser === undefined ? { clock } : { clock, initialUser });
  await access.ready;
  return access;
};

async function refusal(action: () => unknown): Promise<string | null> {
  try {
    await action();
    return null;
  } catch (error) {
    if (error instanceof BrokerError) return error.code;
    throw error;
  }
}

describe("the first user", () => {
  it("is guest, an administrator over loopback only", async () => {
    const access = await open();
    expect(await access.authenticate(guest)).toEqual({ user: "guest", tags: ["administrator"] });
    expect(await refusal(() => access.authenticate({ ...guest, loopback: false }))).toBe("login-refused");
    access.grants("guest", "/").check("configure", "queue", "anything");
    expect(await refusal(() => access.grants("guest", "/other"))).toBe("namespace-refused");
  });

  it("can be named instead, and comes from everywhere", async () => {
    const access = await open({ name: "root", password: "secret" });
    await access.authenticate({ user: "root", password: "secret", loopback: false });
    expect(await refusal(() => access.authenticate(guest))).toBe("login-refused");
  });

  it("is waited for, by whatever means it is known", async () => {
    const access = await Access.open(meta, { clock });
    expect(await access.principalOf("guest")).toEqual({ user: "guest", tags: ["administrator"] });
  });

  it("stays away once deleted", async () => {
    (await open()).deleteUser("guest");
    const again = await open();
    expect(again.users()).toEqual([]);
    expect(again.permissions()).toEqual([]);
  });
});

describe("passwords", () => {
  it("are refused when wrong, empty, unknown or none", async () => {
    const access = await open();
    await access.putUser("tls-only", null, []);
    for (const credentials of [
      { ...guest, password: "wrong" },
      { ...guest, password: "" },
      { ...guest, user: "nobody" },
      { ...guest, user: "nobody", password: "" },
      { ...guest, user: "tls-only", password: "" },
    ]) {
      expect(await refusal(() => access.authenticate(credentials))).toBe("login-refused");
    }
    expect(await access.principalOf("tls-only")).toEqual({ user: "tls-only", tags: [] });
    expect(await refusal(() => access.principalOf("nobody"))).toBe("login-refused");
    expect(await refusal(() => access.putUser("a", "", []))).toBe("argument-invalid");
  });

  it("act at once when changed, in spite of remembered ones, and are stored only as hashes", async () => {
    const access = await open();
    const hash = () =>
      JSON.parse(Buffer.from(meta.get("access/user/guest") as Uint8Array).toString()).password;
    // Nobody needs to guess this one.
    expect(hash()).toMatchObject({ algorithm: "scrypt", cost: 1024 });
    await access.authenticate(guest);
    await access.setPassword("guest", "better");
    expect(await refusal(() => access.authenticate(guest))).toBe("login-refused");
    await access.authenticate({ ...guest, password: "better" });
    const again = await open();
    await again.authenticate({ ...guest, password: "better" });
    expect(hash()).toMatchObject({ algorithm: "scrypt", cost: 32_768 });
    expect(Buffer.from(meta.get("access/user/guest") as Uint8Array).toString()).not.toContain("better");
  });

  it("cost one hash for thousands of connections, for a while", async () => {
    const ann = { user: "ann", password: "swordfish", loopback: true };
    const access = await open({ name: ann.user, password: ann.password });
    const many = async () => Promise.all(Array.from({ length: 5000 }, () => access.authenticate(ann)));
    let hashes = 0;
    const watch = createHook({
      init: (_id, type) => {
        if (type === "SCRYPTREQUEST") hashes++;
      },
    }).enable();
    try {
      await many();
      await many();
      expect(hashes).toBe(1);
      clock.advance("2m");
      await access.authenticate(ann);
      expect(hashes).toBe(2);
    } finally {
      watch.disable();
    }
  });
});

describe("permissions", () => {
  it("are found anywhere in a name, and empty ones nowhere", async () => {
    const access = await open();
    access.setPermissions("guest", "v", { configure: "^mine", write: "a|b", read: "" });
    const grants = access.grants("guest", "v");
    expect(grants.allows("configure", "mine.1")).toBe(true);
    expect(grants.allows("configure", "not-mine")).toBe(false);
    expect(grants.allows("write", "xbx")).toBe(true);
    expect(grants.allows("read", "a")).toBe(false);
    expect(() => grants.check("read", "exchange", "")).toThrow(
      expect.objectContaining({
        code: "access-refused",
        detail: { access: "read", kind: "exchange", name: "amq.default", namespace: "v", user: "guest" },
      }),
    );
    access.setPermissions("guest", "v", { configure: "", write: "^amq\\.default$", read: "(?i)UPPER" });
    grants.check("write", "exchange", "");
    expect(grants.allows("read", "an upper one")).toBe(true);
    expect(grants.allows("configure", "mine.1")).toBe(false);
  });

  it("change under open sessions, and end with user and namespace", async () => {
    const access = await open();
    const grants = access.grants("guest", "/");
    expect(grants.allows("write", "x")).toBe(true);
    const { revision } = grants;
    access.clearPermissions("guest", "/");
    expect(grants.allows("write", "x")).toBe(false);
    expect(grants.revision).toBeGreaterThan(revision);
    expect(await refusal(() => access.grants("guest", "/"))).toBe("namespace-refused");
    access.setPermissions("guest", "/", { configure: "", write: "x", read: "" });
    expect(grants.allows("write", "x")).toBe(true);
    access.setTopicPermissions("guest", "/", "t", { write: "a", read: "a" });
    access.forgetNamespace("/");
    expect(access.permissions()).toEqual([]);
    expect(access.topicPermissions()).toEqual([]);
    expect(
      await refusal(() => access.setPermissions("nobody", "/", { configure: "", write: "", read: "" })),
    ).toBe("argument-invalid");
  });

  it("for topics bind only exchanges that have some, and know their user", async () => {
    const access = await open();
    const grants = access.grants("guest", "/");
    grants.checkTopic("write", "t", "any");
    access.setTopicPermissions("guest", "/", "t", { write: "^{username}\\.", read: "" });
    const again = (await open()).grants("guest", "/");
    for (const one of [grants, again]) {
      one.checkTopic("write", "t", "guest.1");
      one.checkTopic("write", "other", "any");
      expect(() => one.checkTopic("write", "t", "any")).toThrow(
        expect.objectContaining({
          detail: expect.objectContaining({ kind: "topic", name: "any", exchange: "t" }),
        }),
      );
      expect(() => one.checkTopic("read", "t", "guest.1")).toThrow(BrokerError);
    }
    access.clearTopicPermissions("guest", "/", "t");
    grants.checkTopic("write", "t", "any");
  });

  it("that are no patterns are refused, and leave the old ones", async () => {
    const access = await open();
    for (const write of ["(", "a".repeat(2000)]) {
      const set = () => access.setPermissions("guest", "/", { configure: "", write, read: "" });
      expect(await refusal(set)).toBe("argument-invalid");
    }
    expect(access.grants("guest", "/").allows("write", "x")).toBe(true);
    expect((await open()).permissions()).toHaveLength(1);
  });
});
