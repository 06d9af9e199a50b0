// Configurations of groups: what their members are told, and what holds for their reading.
import type { KafkaNode } from "../api.ts";
import { KafkaError } from "../errors.ts";
import { consumerGroupHeartbeat } from "../schemas/consumer-group-heartbeat.ts";
import { shareGroupHeartbeat } from "../schemas/share-group-heartbeat.ts";
import {
  type ConfigValue,
  int,
  oneOf,
  readValue,
  type ShownConfig,
  SOURCES,
  text,
  type ValueKind,
} from "./values.ts";

const SCOPE = "kafka-group";

interface GroupConfig {
  readonly name: string;
  readonly kind: ValueKind<unknown>;
  readonly documentation: string;
  readonly usual: string;
}

const GROUP_CONFIGS: readonly GroupConfig[] = [
  {
    name: "consumer.heartbeat.interval.ms",
    kind: int(1),
    documentation: "How often members of a consumer group report.",
    usual: "5000",
  },
  {
    name: "consumer.session.timeout.ms",
    kind: int(1),
    documentation: "After how much silence a member of a consumer group is given up.",
    usual: "45000",
  },
  {
    name: "share.auto.offset.reset",
    kind: oneOf("latest", "earliest"),
    documentation: "Where a share group begins to read a partition.",
    usual: "latest",
  },
  {
    name: "share.delivery.count.limit",
    kind: int(1, 32_767),
    documentation: "After so many failed deliveries a share group gives a record up.",
    usual: "5",
  },
  {
    name: "share.retry.backoff.ms",
    kind: int(0, 86_400_000),
    documentation:
      "How long a record that failed waits for its second delivery; doubled with each further one.",
    usual: "0",
  },
  {
    name: "share.retry.backoff.max.ms",
    kind: int(0, 86_400_000),
    documentation: "The longest that a record which failed waits for its next delivery.",
    usual: "60000",
  },
  {
    name: "errors.deadletterqueue.topic.name",
    kind: text,
    documentation: "Where records are copied that a share group gives up; empty: nowhere.",
    usual: "",
  },
  {
    name: "share.heartbeat.interval.ms",
    kind: int(1),
    documentation: "How often members of a share group report.",
    usual: "5000",
  },
  {
    name: "share.isolation.level",
    kind: oneOf("read_uncommitted", "read_committed"),
    documentation: "Whether a share group reads what transactions may still take back.",
    usual: "read_uncommitted",
  },
  {
    name: "share.record.lock.duration.ms",
    kind: int(1000, 3_600_000),
    documentation: "How long a member of a share group has a record for itself.",
    usual: "30000",
  },
  {
    name: "share.session.timeout.ms",
    kind: int(1),
    documentation: "After how much silence a member of a share group is given up.",
    usual: "45000",
  },
];

/** The API without which there are no groups of a kind, and nothing for their configurations to act on. */
const HEARTBEATS: Readonly<Record<string, number>> = {
  consumer: consumerGroupHeartbeat.key,
  share: shareGroupHeartbeat.key,
  errors: shareGroupHeartbeat.key,
};

const BY_NAME = new Map(GROUP_CONFIGS.map((config) => [config.name, config]));

export class GroupConfigs {
  private readonly node: KafkaNode;
  private revision = -1;
  private readonly known = new Map<string, ReadonlyMap<string, string>>();

  constructor(node: KafkaNode) {
    this.node = node;
  }

  /** What holds for the group; whatever was set is a valid value. */
  number(group: string, name: string): number {
    return Number(this.text(group, name));
  }

  text(group: string, name: string): string {
    return this.changed(group).get(name) ?? (BY_NAME.get(name) as GroupConfig).usual;
  }

  /** What was set for the group. */
  changed(group: string): ReadonlyMap<string, string> {
    const { settings } = this.node.context.broker;
    if (settings.revision !== this.revision) {
      this.known.clear();
      this.revision = settings.revision;
    }
    let values = this.known.get(group);
    if (values === undefined) {
      values = new Map(Object.entries(settings.get(SCOPE, group) ?? {}));
      this.known.set(group, values);
    }
    return values;
  }

  /** Groups for which something was set. */
  groups(): string[] {
    return this.node.context.broker.settings.entries(SCOPE).map(([name]) => name);
  }

  /** @throws KafkaError INVALID_CONFIG when there is no such configuration */
  typeOf(name: string): number {
    return this.find(name).kind.type;
  }

  /** @throws KafkaError INVALID_CONFIG */
  check(texts: ReadonlyMap<string, string>): Record<string, string> {
    const checked: Record<string, string> = {};
    for (const [name, given] of texts) {
      const config = this.find(name);
      checked[name] = config.kind.show(readValue(config.kind, name, given));
    }
    for (const kind of ["consumer", "share"]) {
      const [heartbeat, session] = [`${kind}.heartbeat.interval.ms`, `${kind}.session.timeout.ms`];
      const milliseconds = (name: string) =>
        Number(checked[name] ?? (BY_NAME.get(name) as GroupConfig).usual);
      if (milliseconds(session) > milliseconds(heartbeat)) continue;
      throw new KafkaError("INVALID_CONFIG", `${session} must be greater than ${heartbeat}`);
    }
    return checked;
  }

  change(group: string, checked: Readonly<Record<string, string>>): void {
    this.node.context.broker.settings.put(SCOPE, group, checked);
  }

  show(group: string): ShownConfig[] {
    const changed = this.changed(group);
    return GROUP_CONFIGS.filter((config) => this.acts(config)).map(({ name, kind, documentation, usual }) => {
      const own = changed.get(name);
      const shown: ConfigValue =
        own === undefined
          ? { name, value: usual, source: SOURCES.DEFAULT }
          : { name, value: own, source: SOURCES.GROUP };
      return { ...shown, type: kind.type, documentation, readOnly: false, synonyms: [shown] };
    });
  }

  private find(name: string): GroupConfig {
    const config = BY_NAME.get(name);
    if (config !== undefined && this.acts(config)) return config;
    throw new KafkaError("INVALID_CONFIG", `Unknown group config name: ${name}`);
  }

  private acts({ name }: GroupConfig): boolean {
    const heartbeat = HEARTBEATS[name.slice(0, name.indexOf("."))];
    return this.node.served.some(({ api }) => api.key === heartbeat);
  }
}

export function groupConfigs(node: KafkaNode): GroupConfigs {
  return node.part(makeGroupConfigs);
}

function makeGroupConfigs(node: KafkaNode): GroupConfigs {
  return new GroupConfigs(node);
}
