import { expect, it } from "vitest";
import { MetaSettings } from "./settings.ts";
import { FakeMeta } from "./topology/fakes.ts";

it("keeps texts by scope and name, also over a restart", () => {
  const meta = new FakeMeta();
  const settings = new MetaSettings(meta);
  settings.put("a", "x/y%", { one: "1" });
  settings.put("a", "z", { two: "2" });
  settings.put("ab", "z", { three: "3" });
  settings.put("a", "z", { four: "4" });
  settings.put("ab", "z", {});
  const again = new MetaSettings(meta);
  expect(again.get("a", "x/y%")).toEqual({ one: "1" });
  expect(again.entries("a")).toEqual([
    ["x/y%", { one: "1" }],
    ["z", { four: "4" }],
  ]);
  expect(again.get("ab", "z")).toBeNull();
  expect(again.entries("ab")).toEqual([]);
});

it("says that something changed", () => {
  const settings = new MetaSettings(new FakeMeta());
  const { revision } = settings;
  settings.put("a", "b", { c: "d" });
  expect(settings.revision).toBeGreaterThan(revision);
});

it("refuses what a newer program has written", () => {
  const meta = new FakeMeta();
  meta.put("settings/format", new TextEncoder().encode('{"version":2}'));
  expect(() => new MetaSettings(meta)).toThrow("version 2");
});
