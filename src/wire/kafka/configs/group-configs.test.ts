import { beforeEach, describe, expect, it } from "vitest";
import { MetaSettings } from "../../../broker/settings.ts";
import { FakeMeta } from "../../../broker/topology/fakes.ts";
import type { KafkaNode } from "../api.ts";
import { KafkaError } from "../errors.ts";
import { GroupConfigs } from "./group-configs.ts";
import { SOURCES } from "./values.ts";

const CONSUMER_GROUP_HEARTBEAT = 68;
const SHARE_GROUP_HEARTBEAT = 76;
let settings: MetaSettings;

beforeEach(() => {
  settings = new MetaSettings(new FakeMeta());
});

const serving = (...keys: number[]): GroupConfigs => {
  const served = keys.map((key) => ({ api: { key } }));
  return new GroupConfigs({ served, context: { broker: { settings } } } as unknown as KafkaNode);
};
const check = (configs: GroupConfigs, texts: Record<string, string>) =>
  configs.check(new Map(Object.entries(texts)));

describe("configurations of groups", () => {
  it("hold for the group that they were set for", () => {
    const configs = serving(CONSUMER_GROUP_HEARTBEAT);
    configs.change("g", check(configs, { "consumer.session.timeout.ms": "30000" }));
    expect(configs.number("g", "consumer.session.timeout.ms")).toBe(30_000);
    expect(configs.number("other", "consumer.session.timeout.ms")).toBe(45_000);
    expect(configs.show("g").find(({ source }) => source === SOURCES.GROUP)).toMatchObject({
      value: "30000",
    });
    expect(configs.groups()).toEqual(["g"]);
    configs.change("g", {});
    expect(configs.number("g", "consumer.session.timeout.ms")).toBe(45_000);
    expect(configs.groups()).toEqual([]);
  });

  it("that have nothing to act on are not there", () => {
    const configs = serving(CONSUMER_GROUP_HEARTBEAT);
    expect(configs.show("g").map(({ name }) => name.split(".")[0])).not.toContain("share");
    expect(() => check(configs, { "share.auto.offset.reset": "earliest" })).toThrow(KafkaError);
    const both = serving(CONSUMER_GROUP_HEARTBEAT, SHARE_GROUP_HEARTBEAT);
    expect(check(both, { "share.auto.offset.reset": "earliest" })).toEqual({
      "share.auto.offset.reset": "earliest",
    });
    expect(serving().show("g")).toEqual([]);
  });

  it.each([
    ["consumer.session.timeout.ms", "4000"],
    ["consumer.heartbeat.interval.ms", "50000"],
    ["consumer.heartbeat.interval.ms", "0"],
    ["share.isolation.level", "read_all"],
    ["no.such", "1"],
  ])("%s=%s is refused", (name, text) => {
    const configs = serving(CONSUMER_GROUP_HEARTBEAT, SHARE_GROUP_HEARTBEAT);
    expect(() => check(configs, { [name]: text })).toThrow(KafkaError);
  });
});
