// Configurations of topics. What a stream acts on is part of its StreamConfig; what this protocol acts on is an
// attribute; what can only be one way is told, and refused any other way. What would have nothing to act on is
// not there.
import type { StreamConfig, StreamControl } from "../../../broker/index.ts";
import { KafkaError } from "../errors.ts";
import {
  boundedLong,
  type ConfigValue,
  double,
  elementsOf,
  int,
  LONG_MAX,
  long,
  oneOf,
  readValue,
  type ShownConfig,
  SOURCES,
  TYPES,
  type ValueKind,
} from "./values.ts";

/** A stream's settings, as far as they differ from the defaults. */
export interface TopicSettings {
  readonly overrides: Partial<StreamConfig>;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Where the defaults of topics come from. */
export interface TopicDefaults extends Pick<StreamControl, "initialDefaults"> {
  /** What was set while the broker ran, under the name that the broker has for it, what counts first. */
  changed(name: string): ConfigValue[];
  /** Values of a configuration that the broker itself has, what counts first; null: it has none of that name. */
  ofBroker(name: string): ConfigValue[] | null;
}

interface TopicConfig {
  readonly name: string;
  /** Who is it that acts on it; "nobody": it cannot be changed. */
  readonly actor: "stream" | "protocol" | "nobody";
  readonly type: number;
  readonly documentation: string;
  /** What the default is called among a broker's configurations; null: it has none. */
  readonly brokerName: string | null;
  /** Default of the protocol's own broker. */
  readonly usual: string;
  set(given: string, into: { overrides: Record<string, unknown>; attributes: Record<string, string> }): void;
  /** Null: not set for this topic. */
  own(topic: TopicSettings): string | null;
  default(defaults: StreamConfig): string;
}

interface Description {
  readonly name: string;
  readonly broker: string | null;
  readonly usual: string;
  readonly doc: string;
}

function acting<K extends keyof StreamConfig>(
  key: K,
  kind: ValueKind<StreamConfig[K]>,
  { name, broker, usual, doc }: Description,
): TopicConfig {
  return {
    name,
    actor: "stream",
    type: kind.type,
    documentation: doc,
    brokerName: broker,
    usual,
    set: (given, into) => {
      into.overrides[key] = readValue(kind, name, given);
    },
    own: ({ overrides }) => {
      const value = overrides[key];
      return value === undefined ? null : kind.show(value as StreamConfig[K]);
    },
    default: (defaults) => kind.show(defaults[key]),
  };
}

function attribute<T>(kind: ValueKind<T>, { name, broker, usual, doc }: Description): TopicConfig {
  return {
    name,
    actor: "protocol",
    type: kind.type,
    documentation: doc,
    brokerName: broker,
    usual,
    set: (given, into) => {
      into.attributes[name] = kind.show(readValue(kind, name, given));
    },
    own: ({ attributes }) => attributes[name] ?? null,
    default: () => usual,
  };
}

/** It can be as it is, and not otherwise. `why` it cannot stands behind "must be ...: ". */
function fixed(type: number, why: string, description: Description): TopicConfig {
  const { usual } = description;
  const read = (given: string): string => {
    if (given === usual) return given;
    throw new RangeError(`must be ${usual}: ${why}`);
  };
  return { ...attribute({ type, read, show: (value) => value }, description), actor: "nobody" };
}

const cleanup: ValueKind<StreamConfig["cleanup"]> = {
  type: TYPES.LIST,
  read: (given) => {
    const policies = elementsOf(given);
    const unknown = policies.some((policy) => policy !== "delete" && policy !== "compact");
    if (unknown || policies.length === 0) throw new RangeError("must be delete, compact or both");
    return policies.length === 2 ? "compact+delete" : (policies[0] as "delete" | "compact");
  },
  show: (value) => (value === "compact+delete" ? "compact,delete" : value),
};

const timestampType: ValueKind<StreamConfig["timestamps"]> = {
  type: TYPES.STRING,
  read: (given) => (oneOf("CreateTime", "LogAppendTime").read(given) === "CreateTime" ? "create" : "append"),
  show: (value) => (value === "create" ? "CreateTime" : "LogAppendTime"),
};

/** Batches are kept as they come: the broker compresses nothing anew. */
const compression: ValueKind<string> = {
  type: TYPES.STRING,
  read: (given) => {
    if (given === "producer") return given;
    throw new RangeError("must be producer: batches are kept as their producer compressed them");
  },
  show: (value) => value,
};

const durability = oneOf("fsync", "os", "memory");

/** As in Kafka since 4.0, no more are waited for than a topic has: one. */
export const MIN_IN_SYNC = "min.insync.replicas";

const TOPIC_CONFIGS: readonly TopicConfig[] = [
  acting("cleanup", cleanup, {
    name: "cleanup.policy",
    broker: "log.cleanup.policy",
    usual: "delete",
    doc: "What becomes of old records: delete forgets them by age and size, compact keeps the last of each key.",
  }),
  attribute(compression, {
    name: "compression.type",
    broker: "compression.type",
    usual: "producer",
    doc: "Compression of what is stored: as the producer chose it.",
  }),
  acting("tombstoneRetentionMs", boundedLong(0), {
    name: "delete.retention.ms",
    broker: "log.cleaner.delete.retention.ms",
    usual: "86400000",
    doc: "How long a record that deletes its key can still be read after compaction.",
  }),
  attribute(boundedLong(1), {
    name: "flush.messages",
    broker: "log.flush.interval.messages",
    usual: LONG_MAX,
    doc: "Records after which a log is synced. Met by durability fsync, with which all that is acknowledged is synced, and not to be had with less.",
  }),
  attribute(boundedLong(0), {
    name: "flush.ms",
    broker: "log.flush.interval.ms",
    usual: LONG_MAX,
    doc: "Time after which a log is synced. Met by durability fsync, with which all that is acknowledged is synced, and not to be had with less.",
  }),
  acting("compactionLagMaxMs", long(1, LONG_MAX), {
    name: "max.compaction.lag.ms",
    broker: "log.cleaner.max.compaction.lag.ms",
    usual: LONG_MAX,
    doc: "Longest time that a record stays out of compaction.",
  }),
  acting("batchBytesMax", int(0), {
    name: "max.message.bytes",
    broker: "message.max.bytes",
    usual: "1048588",
    doc: "Largest batch of records, as sent.",
  }),
  acting("timestampAfterMaxMs", long(0, LONG_MAX), {
    name: "message.timestamp.after.max.ms",
    broker: "log.message.timestamp.after.max.ms",
    usual: "3600000",
    doc: "How far in the future a record's timestamp may lie.",
  }),
  acting("timestampBeforeMaxMs", long(0, LONG_MAX), {
    name: "message.timestamp.before.max.ms",
    broker: "log.message.timestamp.before.max.ms",
    usual: LONG_MAX,
    doc: "How far in the past a record's timestamp may lie.",
  }),
  acting("timestamps", timestampType, {
    name: "message.timestamp.type",
    broker: "log.message.timestamp.type",
    usual: "CreateTime",
    doc: "Whether records carry their producer's timestamps or the broker's.",
  }),
  acting("dirtyRatioMin", double(0, 1), {
    name: "min.cleanable.dirty.ratio",
    broker: "log.cleaner.min.cleanable.ratio",
    usual: "0.5",
    doc: "Share of the log that must not have been compacted yet for compaction to begin.",
  }),
  acting("compactionLagMinMs", boundedLong(0), {
    name: "min.compaction.lag.ms",
    broker: "log.cleaner.min.compaction.lag.ms",
    usual: "0",
    doc: "Time for which a record is left alone by compaction.",
  }),
  attribute(int(1), {
    name: MIN_IN_SYNC,
    broker: MIN_IN_SYNC,
    usual: "1",
    doc: "Replicas that must have a record before acks=all is answered, and no more than the topic has: one.",
  }),
  acting("durability", durability, {
    name: "polymq.durability",
    broker: null,
    usual: "fsync",
    doc: "How far a record has come when it is acknowledged: fsync, os or memory.",
  }),
  acting("retentionCount", long(-1), {
    name: "polymq.retention.records",
    broker: null,
    usual: "-1",
    doc: "Records kept in a partition; -1 is no bound.",
  }),
  fixed(TYPES.BOOLEAN, "files grow as they are written", {
    name: "preallocate",
    broker: "log.preallocate",
    usual: "false",
    doc: "Files of a partition grow as they are written.",
  }),
  fixed(TYPES.BOOLEAN, "there is no remote storage", {
    name: "remote.storage.enable",
    broker: null,
    usual: "false",
    doc: "There is no remote storage.",
  }),
  acting("retentionBytes", long(-1), {
    name: "retention.bytes",
    broker: "log.retention.bytes",
    usual: "-1",
    doc: "Bytes kept in a partition; -1 is no bound.",
  }),
  acting("retentionMs", long(-1), {
    name: "retention.ms",
    broker: "log.retention.ms",
    usual: "604800000",
    doc: "How long records are kept; -1 is for ever.",
  }),
  acting("segmentBytes", int(14), {
    name: "segment.bytes",
    broker: "log.segment.bytes",
    usual: "1073741824",
    doc: "Size at which a new segment is begun; old records go by whole segments.",
  }),
  fixed(TYPES.LONG, "segments are begun on time", {
    name: "segment.jitter.ms",
    broker: "log.roll.jitter.ms",
    usual: "0",
    doc: "Segments are begun when they are as old as segment.ms says.",
  }),
  acting("segmentMs", long(1, LONG_MAX), {
    name: "segment.ms",
    broker: "log.roll.ms",
    usual: "604800000",
    doc: "Age at which a new segment is begun.",
  }),
  fixed(TYPES.BOOLEAN, "there is no other replica to become leader", {
    name: "unclean.leader.election.enable",
    broker: "unclean.leader.election.enable",
    usual: "false",
    doc: "There is one replica, which is in sync.",
  }),
];

/** Their defaults stand under other names, in hours, which are no synonyms: none is told, as by Kafka. */
const WITHOUT_DEFAULT = ["log.retention.ms", "log.roll.ms", "log.roll.jitter.ms"];

const BY_NAME = new Map(TOPIC_CONFIGS.map((config) => [config.name, config]));

/** @throws KafkaError INVALID_CONFIG when there is no such configuration */
export function topicConfigType(name: string): number {
  return find(name).type;
}

/** What is set, by name. @throws KafkaError INVALID_CONFIG */
export function readTopicConfigs(
  texts: ReadonlyMap<string, string>,
  { initialDefaults }: Pick<StreamControl, "initialDefaults">,
): TopicSettings {
  const into = { overrides: {} as Record<string, unknown>, attributes: {} as Record<string, string> };
  for (const [name, given] of texts) find(name).set(given, into);
  const settings = into as TopicSettings;
  checkFlushing(settings, settings.overrides.durability ?? initialDefaults.durability);
  return settings;
}

/** A log that must be synced sooner or later is synced at once, or not at all. */
function checkFlushing({ attributes }: TopicSettings, level: StreamConfig["durability"]): void {
  if (level === "fsync") return;
  for (const name of ["flush.messages", "flush.ms"]) {
    if ((attributes[name] ?? LONG_MAX) === LONG_MAX) continue;
    throw new KafkaError("INVALID_CONFIG", `${name} takes durability fsync; the topic's is ${level}`);
  }
}

/** The reverse: what a topic has set for itself. */
export function topicTexts(topic: TopicSettings): Map<string, string> {
  const texts = new Map<string, string>();
  for (const config of TOPIC_CONFIGS) {
    const own = config.own(topic);
    if (own !== null) texts.set(config.name, own);
  }
  return texts;
}

export function showTopicConfigs(topic: TopicSettings, from: TopicDefaults): ShownConfig[] {
  return TOPIC_CONFIGS.map((config) => {
    const { name, type, documentation, actor } = config;
    const own = config.own(topic);
    const synonyms = defaultsOf(config, from);
    if (own !== null) synonyms.unshift({ name, value: own, source: SOURCES.TOPIC });
    const { value, source } = synonyms[0] as ConfigValue;
    const told = synonyms.filter(
      (one) => one.source !== SOURCES.DEFAULT || !WITHOUT_DEFAULT.includes(one.name),
    );
    return { name, value, source, type, documentation, readOnly: actor === "nobody", synonyms: told };
  });
}

/** A name among the broker's configurations for the default of topics. */
function findDefault(name: string): TopicConfig | undefined {
  return TOPIC_CONFIGS.find(({ brokerName, actor }) => actor === "stream" && brokerName === name);
}

/** One of TYPES, or null when nothing that can be changed has the name. */
export function topicDefaultType(name: string): number | null {
  return findDefault(name)?.type ?? null;
}

/** Changed defaults, by their names among the broker's configurations. @throws KafkaError INVALID_CONFIG */
export function readTopicDefaults(texts: ReadonlyMap<string, string>): Partial<StreamConfig> {
  const into = { overrides: {} as Record<string, unknown>, attributes: {} };
  for (const [name, given] of texts) findDefault(name)?.set(given, into);
  return into.overrides as Partial<StreamConfig>;
}

/** The reverse. */
export function topicDefaultTexts(changed: Partial<StreamConfig>): Map<string, string> {
  const texts = new Map<string, string>();
  for (const { brokerName, own } of TOPIC_CONFIGS) {
    const text = own({ overrides: changed, attributes: {} });
    if (text !== null && brokerName !== null) texts.set(brokerName, text);
  }
  return texts;
}

/** Defaults of topics under the names that they have among a broker's configurations. */
export function showTopicDefaults(from: TopicDefaults): ShownConfig[] {
  return TOPIC_CONFIGS.flatMap((config) => {
    const { type, documentation, brokerName, actor } = config;
    if (brokerName === null || from.ofBroker(brokerName) !== null) return [];
    const synonyms = defaultsOf(config, from);
    const { value, source } = synonyms[0] as ConfigValue;
    const readOnly = actor !== "stream";
    return [{ name: brokerName, value, source, type, documentation, readOnly, synonyms }];
  });
}

/** What counts first; never empty. */
function defaultsOf(config: TopicConfig, from: TopicDefaults): ConfigValue[] {
  const name = config.brokerName ?? config.name;
  const known = from.ofBroker(name);
  if (known !== null) return known;
  const value = config.default(from.initialDefaults);
  const source = value === config.usual ? SOURCES.DEFAULT : SOURCES.STATIC_BROKER;
  return [...from.changed(name), { name, value, source }];
}

function find(name: string): TopicConfig {
  const config = BY_NAME.get(name);
  if (config === undefined) throw new KafkaError("INVALID_CONFIG", `Unknown topic config name: ${name}`);
  return config;
}
