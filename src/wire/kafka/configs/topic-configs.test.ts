import { describe, expect, it, test } from "vitest";
import { STREAM_DEFAULTS } from "../../../broker/stream/config.ts";
import { KafkaError } from "../errors.ts";
import {
  readTopicConfigs,
  readTopicDefaults,
  showTopicConfigs,
  showTopicDefaults,
  type TopicDefaults,
  topicDefaultTexts,
  topicTexts,
} from "./topic-configs.ts";
import { LONG_MAX, SOURCES } from "./values.ts";

const initialDefaults = { ...STREAM_DEFAULTS, durability: "fsync" as const };
const streams: TopicDefaults = { initialDefaults, changed: () => [], ofBroker: () => null };
const read = (texts: Record<string, string>, durability: "fsync" | "os" | "memory" = "fsync") =>
  readTopicConfigs(new Map(Object.entries(texts)), { initialDefaults: { ...initialDefaults, durability } });

describe("what acts", () => {
  test.each([
    ["cleanup.policy", "compact,delete", { cleanup: "compact+delete" }],
    ["cleanup.policy", "compact", { cleanup: "compact" }],
    ["retention.ms", "-1", { retentionMs: -1 }],
    ["retention.bytes", "1048576", { retentionBytes: 1_048_576 }],
    ["segment.bytes", "1000000", { segmentBytes: 1_000_000 }],
    ["segment.ms", "60000", { segmentMs: 60_000 }],
    ["max.message.bytes", "2000000", { batchBytesMax: 2_000_000 }],
    ["message.timestamp.type", "LogAppendTime", { timestamps: "append" }],
    ["message.timestamp.before.max.ms", LONG_MAX, { timestampBeforeMaxMs: -1 }],
    ["message.timestamp.after.max.ms", "1000", { timestampAfterMaxMs: 1000 }],
    ["delete.retention.ms", "500", { tombstoneRetentionMs: 500 }],
    ["min.compaction.lag.ms", "5", { compactionLagMinMs: 5 }],
    ["max.compaction.lag.ms", LONG_MAX, { compactionLagMaxMs: -1 }],
    ["min.cleanable.dirty.ratio", "0.25", { dirtyRatioMin: 0.25 }],
    ["polymq.durability", "os", { durability: "os" }],
    ["polymq.retention.records", "100", { retentionCount: 100 }],
  ])("%s=%s is a setting of the stream, and told again as it was", (name, text, overrides) => {
    const settings = read({ [name]: text });
    expect(settings).toEqual({ overrides, attributes: {} });
    expect(topicTexts(settings)).toEqual(new Map([[name, text]]));
  });
});

describe("what this protocol acts on, or what can only be one way", () => {
  test.each([
    ["min.insync.replicas", "2"],
    ["flush.messages", "1"],
    ["flush.ms", LONG_MAX],
    ["preallocate", "false"],
    ["unclean.leader.election.enable", "false"],
    ["segment.jitter.ms", "0"],
    ["compression.type", "producer"],
    ["remote.storage.enable", "false"],
  ])("%s=%s is told again as it was", (name, text) => {
    const settings = read({ [name]: text });
    expect(settings.overrides).toEqual({});
    expect(topicTexts(settings)).toEqual(new Map([[name, text]]));
  });
});

test.each(["flush.messages", "flush.ms"])("%s takes durability fsync", (name) => {
  expect(() => read({ [name]: "1000" }, "os")).toThrow(KafkaError);
  expect(() => read({ [name]: "1000", "polymq.durability": "memory" })).toThrow(KafkaError);
  expect(read({ [name]: "1000", "polymq.durability": "fsync" }).attributes).toEqual({ [name]: "1000" });
  expect(read({ [name]: LONG_MAX }, "os").attributes).toEqual({ [name]: LONG_MAX });
});

test.each([
  ["no.such", "1"],
  ["compression.type", "zstd"],
  ["remote.storage.enable", "true"],
  ["cleanup.policy", ""],
  ["cleanup.policy", "delete,burn"],
  ["retention.ms", "-2"],
  ["retention.ms", "1e3"],
  ["retention.ms", ""],
  ["segment.bytes", "99999999999"],
  ["min.cleanable.dirty.ratio", "1.5"],
  ["preallocate", "maybe"],
  ["preallocate", "true"],
  ["unclean.leader.election.enable", "true"],
  ["segment.jitter.ms", "1"],
  ["file.delete.delay.ms", "100"],
  ["index.interval.bytes", "512"],
  ["segment.index.bytes", "10485760"],
  ["message.format.version", "2.8-IV1"],
  ["leader.replication.throttled.replicas", "0:1,1:1"],
  ["follower.replication.throttled.replicas", "*"],
  ["message.timestamp.type", "createtime"],
  ["min.insync.replicas", "0"],
])("%s=%s is refused", (name, text) => {
  expect(() => read({ [name]: text })).toThrow(KafkaError);
});

describe("shown", () => {
  const shown = (name: string, texts: Record<string, string>, from = streams) =>
    showTopicConfigs(read(texts), from).find((config) => config.name === name);

  it("is who set it: the topic, the running broker, the broker's start, nobody", () => {
    const changed = {
      initialDefaults: { ...initialDefaults, retentionMs: 5 },
      changed: () => [{ name: "log.retention.ms", value: "6", source: SOURCES.DYNAMIC_DEFAULT_BROKER }],
      ofBroker: () => null,
    };
    expect(shown("retention.ms", { "retention.ms": "7" }, changed)?.synonyms).toEqual([
      { name: "retention.ms", value: "7", source: SOURCES.TOPIC },
      { name: "log.retention.ms", value: "6", source: SOURCES.DYNAMIC_DEFAULT_BROKER },
      { name: "log.retention.ms", value: "5", source: SOURCES.STATIC_BROKER },
    ]);
    expect(shown("retention.ms", {}, changed)).toMatchObject({ name: "retention.ms", value: "6" });
    expect(shown("retention.ms", {})).toMatchObject({ value: "604800000", source: SOURCES.DEFAULT });
  });

  it("has no synonym for a default that Kafka keeps in hours", () => {
    expect(shown("retention.ms", {})?.synonyms).toEqual([]);
    expect(shown("retention.ms", { "retention.ms": "7" })?.synonyms).toHaveLength(1);
    expect(shown("segment.bytes", {})?.synonyms).toHaveLength(1);
  });

  it("is the broker's where it has a configuration of the same name", () => {
    const value = { name: "min.insync.replicas", value: "3", source: SOURCES.DYNAMIC_BROKER };
    const ofBroker = (name: string) => (name === value.name ? [value] : null);
    expect(shown("min.insync.replicas", {}, { ...streams, ofBroker })).toMatchObject(value);
    expect(shown("min.insync.replicas", {})).toMatchObject({ value: "1", source: SOURCES.DEFAULT });
    expect(showTopicDefaults({ ...streams, ofBroker }).map(({ name }) => name)).not.toContain(value.name);
  });

  it("cannot be changed where it can only be one way", () => {
    const fixed = showTopicConfigs(read({}), streams).filter(({ readOnly }) => readOnly);
    expect(fixed.map(({ name, value }) => `${name}=${value}`)).toEqual([
      "preallocate=false",
      "remote.storage.enable=false",
      "segment.jitter.ms=0",
      "unclean.leader.election.enable=false",
    ]);
  });

  it("has the defaults of Kafka where nothing is set", () => {
    const other = showTopicConfigs({ overrides: {}, attributes: {} }, streams).filter(
      ({ source }) => source !== SOURCES.DEFAULT,
    );
    expect(other).toEqual([]);
  });
});

test("defaults go by their names among the broker's configurations", () => {
  const texts = new Map([
    ["log.retention.ms", "1000"],
    ["message.max.bytes", "5000"],
  ]);
  const changed = readTopicDefaults(texts);
  expect(changed).toEqual({ retentionMs: 1000, batchBytesMax: 5000 });
  expect(topicDefaultTexts(changed)).toEqual(texts);
});
