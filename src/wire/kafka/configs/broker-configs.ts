// Configurations of the broker: what it is set to, some of which can be changed while it runs.
import { advertisedAddress } from "../address.ts";
import type { KafkaNode, Peer } from "../api.ts";
import { KafkaError } from "../errors.ts";
import {
  MIN_IN_SYNC,
  readTopicDefaults,
  showTopicDefaults,
  type TopicDefaults,
  topicDefaultTexts,
} from "./topic-configs.ts";
import {
  boolean,
  type ConfigValue,
  int,
  readValue,
  type ShownConfig,
  SOURCES,
  TYPES,
  type ValueKind,
} from "./values.ts";

/** Scope of what is kept in the broker's settings, and the name for all brokers. */
const SCOPE = "kafka-broker";
const ALL_BROKERS = "";
/** Likewise, of the defaults of topics: what was set for all brokers and what for one. What acts, the streams keep. */
const TOPICS_SCOPE = "kafka-broker-topics";

interface DynamicConfig {
  readonly name: string;
  readonly kind: ValueKind<unknown>;
  readonly documentation: string;
  readonly usual: string;
  /** As the broker was started. */
  initial(node: KafkaNode): string;
}

const DYNAMIC: readonly DynamicConfig[] = [
  {
    name: "auto.create.topics.enable",
    kind: boolean,
    documentation: "Create topics that do not exist when a client asks for them and allows it.",
    usual: "true",
    initial: ({ settings }) => String(settings.autoCreateTopics),
  },
  {
    name: "delete.topic.enable",
    kind: boolean,
    documentation: "Whether topics can be deleted by clients of this protocol.",
    usual: "true",
    initial: () => "true",
  },
  {
    name: MIN_IN_SYNC,
    kind: int(1),
    documentation:
      "Replicas that must have a record before acks=all is answered, where a topic does not say; no more than it has: one.",
    usual: "1",
    initial: () => "1",
  },
  {
    name: "num.partitions",
    kind: int(1, 100_000),
    documentation: "Partitions of a topic that does not say how many.",
    usual: "1",
    initial: ({ settings }) => String(settings.partitionsDefault),
  },
];

const BY_NAME = new Map(DYNAMIC.map((config) => [config.name, config]));

/** What the broker does now. */
export class BrokerConfigs {
  private readonly node: KafkaNode;
  private revision = -1;
  private values = new Map<string, string>();

  constructor(node: KafkaNode) {
    this.node = node;
  }

  get autoCreateTopics(): boolean {
    return this.current("auto.create.topics.enable") === "true";
  }

  get deleteTopics(): boolean {
    return this.current("delete.topic.enable") === "true";
  }

  get partitionsDefault(): number {
    return Number(this.current("num.partitions"));
  }

  /** What was changed while it ran; `broker` "" is all brokers. */
  changed(broker: string): Map<string, string> {
    const { settings } = this.node.context.broker;
    return new Map(Object.entries(settings.get(SCOPE, broker) ?? {}));
  }

  /** Brokers for which something was changed. */
  changedBrokers(): string[] {
    return this.node.context.broker.settings.entries(SCOPE).map(([name]) => name);
  }

  /** @throws KafkaError INVALID_REQUEST when it cannot be changed */
  typeOf(name: string): number {
    return find(name).kind.type;
  }

  /** @throws KafkaError INVALID_CONFIG for a value, INVALID_REQUEST for what cannot be changed */
  check(texts: ReadonlyMap<string, string>): Record<string, string> {
    const checked: Record<string, string> = {};
    for (const [name, given] of texts) {
      const config = find(name);
      checked[name] = config.kind.show(readValue(config.kind, name, given));
    }
    return checked;
  }

  change(broker: string, checked: Readonly<Record<string, string>>): void {
    this.node.context.broker.settings.put(SCOPE, broker, checked);
  }

  /** `broker` "": only what was set for all brokers. */
  show(broker: string, peer: Peer): ShownConfig[] {
    const topics = showTopicDefaults(this.defaultsOfTopics(peer));
    if (broker === ALL_BROKERS) {
      const own = [...this.changed(ALL_BROKERS)].map(([name, value]) => {
        const { kind, documentation } = BY_NAME.get(name) as DynamicConfig;
        const shown = { name, value, source: SOURCES.DYNAMIC_DEFAULT_BROKER };
        return { ...shown, type: kind.type, documentation, readOnly: false, synonyms: [shown] };
      });
      const ofTopics = topics.flatMap((config) => {
        const set = config.synonyms.find(({ source }) => source === SOURCES.DYNAMIC_DEFAULT_BROKER);
        return set === undefined ? [] : [{ ...config, ...set, synonyms: [set] }];
      });
      return [...own, ...ofTopics];
    }
    const dynamic = DYNAMIC.map((config) => {
      const { name, documentation } = config;
      const synonyms = this.synonymsOf(config);
      return {
        ...(synonyms[0] as ConfigValue),
        name,
        type: config.kind.type,
        documentation,
        readOnly: false,
        synonyms,
      };
    });
    return [...dynamic, ...fixedConfigs(peer), ...topics].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Defaults of topics that were set for `broker`, or with "" for all. */
  changedOfTopics(broker: string, peer: Peer): Map<string, string> {
    const { settings } = this.node.context.broker;
    const stored = new Map(Object.entries(settings.get(TOPICS_SCOPE, broker) ?? {}));
    if (broker !== ALL_BROKERS) return stored;
    // What acts and nobody set for one broker is for all.
    const ofOne = this.changedOfTopics(`${this.node.settings.nodeId}`, peer);
    for (const [name, value] of topicDefaultTexts(peer.session.streams.changedDefaults)) {
      if (!stored.has(name) && !ofOne.has(name)) stored.set(name, value);
    }
    return stored;
  }

  /** Checks what shall be set; the result puts it into force. @throws KafkaError INVALID_CONFIG */
  prepareOfTopics(broker: string, texts: ReadonlyMap<string, string>, peer: Peer): () => void {
    const { nodeId } = this.node.settings;
    const checked = topicDefaultTexts(readTopicDefaults(texts));
    const all = broker === ALL_BROKERS ? checked : this.changedOfTopics(ALL_BROKERS, peer);
    const one = broker === ALL_BROKERS ? this.changedOfTopics(`${nodeId}`, peer) : checked;
    const acting = readTopicDefaults(new Map([...all, ...one]));
    return () => {
      peer.session.streams.alterDefaults(acting);
      const { settings } = this.node.context.broker;
      settings.put(TOPICS_SCOPE, ALL_BROKERS, Object.fromEntries(all));
      settings.put(TOPICS_SCOPE, `${nodeId}`, Object.fromEntries(one));
    };
  }

  defaultsOfTopics(peer: Peer): TopicDefaults {
    const { initialDefaults } = peer.session.streams;
    const all = this.changedOfTopics(ALL_BROKERS, peer);
    const one = this.changedOfTopics(`${this.node.settings.nodeId}`, peer);
    const changed = (name: string): ConfigValue[] => {
      const found: ConfigValue[] = [];
      const [own, shared] = [one.get(name), all.get(name)];
      if (own !== undefined) found.push({ name, value: own, source: SOURCES.DYNAMIC_BROKER });
      if (shared !== undefined) found.push({ name, value: shared, source: SOURCES.DYNAMIC_DEFAULT_BROKER });
      return found;
    };
    const ofBroker = (name: string) => {
      const config = BY_NAME.get(name);
      return config === undefined ? null : this.synonymsOf(config);
    };
    return { initialDefaults, changed, ofBroker };
  }

  private current(name: string): string | null {
    const { revision } = this.node.context.broker.settings;
    if (revision !== this.revision) {
      this.values = new Map(
        DYNAMIC.map((config) => [config.name, (this.synonymsOf(config)[0] as ConfigValue).value as string]),
      );
      this.revision = revision;
    }
    return this.values.get(name) ?? null;
  }

  private synonymsOf({ name, usual, initial }: DynamicConfig): ConfigValue[] {
    const found: ConfigValue[] = [];
    const own = this.changed(`${this.node.settings.nodeId}`).get(name);
    if (own !== undefined) found.push({ name, value: own, source: SOURCES.DYNAMIC_BROKER });
    const all = this.changed(ALL_BROKERS).get(name);
    if (all !== undefined) found.push({ name, value: all, source: SOURCES.DYNAMIC_DEFAULT_BROKER });
    const started = initial(this.node);
    if (started !== usual) found.push({ name, value: started, source: SOURCES.STATIC_BROKER });
    found.push({ name, value: usual, source: SOURCES.DEFAULT });
    return found;
  }
}

function find(name: string): DynamicConfig {
  const config = BY_NAME.get(name);
  if (config !== undefined) return config;
  throw new KafkaError("INVALID_REQUEST", `Cannot update these configs dynamically: Set(${name})`);
}

export function brokerConfigs(node: KafkaNode): BrokerConfigs {
  return node.part(makeBrokerConfigs);
}

function makeBrokerConfigs(node: KafkaNode): BrokerConfigs {
  return new BrokerConfigs(node);
}

/** What others ask for to find out what they talk to. */
function fixedConfigs(peer: Peer): ShownConfig[] {
  const { settings } = peer.node;
  const { secure, host, port } = peer.listener;
  const protocol = secure ? "SASL_SSL" : "SASL_PLAINTEXT";
  const advertised = advertisedAddress(peer);
  const hours = Math.floor(peer.session.streams.defaults.retentionMs / 3_600_000);
  const id = `${settings.nodeId}`;
  const rows: [name: string, type: number, value: string, doc: string][] = [
    [
      "advertised.listeners",
      TYPES.LIST,
      `${protocol}://${advertised.host}:${advertised.port}`,
      "Where clients are told to go.",
    ],
    ["authorizer.class.name", TYPES.STRING, "polymq", "Access control: the broker's own users and rules."],
    ["broker.id", TYPES.INT, id, "Number of this broker."],
    ["controller.quorum.voters", TYPES.LIST, "", "There is one broker."],
    ["default.replication.factor", TYPES.INT, "1", "Every partition has one replica."],
    ["inter.broker.protocol.version", TYPES.STRING, "4.0-IV3", "Release that this broker compares to."],
    ["listeners", TYPES.LIST, `${protocol}://${host}:${port}`, "Where this client was listened to."],
    ["log.retention.hours", TYPES.INT, `${hours}`, "As log.retention.ms, in whole hours."],
    ["log.dirs", TYPES.STRING, settings.logDir, "Where records are kept."],
    ["node.id", TYPES.INT, id, "Number of this broker."],
    ["offsets.topic.replication.factor", TYPES.SHORT, "1", "Offsets of groups are kept once."],
    ["process.roles", TYPES.LIST, "broker,controller", "One process is all there is."],
    ["sasl.enabled.mechanisms", TYPES.LIST, settings.saslMechanisms.join(","), "Ways to log in."],
    ["socket.request.max.bytes", TYPES.INT, `${settings.requestBytesMax}`, "Largest request."],
    ["transaction.state.log.min.isr", TYPES.INT, "1", "States of transactions are kept once."],
    ["transaction.state.log.replication.factor", TYPES.SHORT, "1", "States of transactions are kept once."],
  ];
  return rows.map(([name, type, value, documentation]) => {
    const shown = { name, value, source: SOURCES.STATIC_BROKER };
    return { ...shown, type, documentation, readOnly: true, synonyms: [shown] };
  });
}
