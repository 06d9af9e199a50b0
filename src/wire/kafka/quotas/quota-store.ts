// Client quotas: what was set, for whom, and which of them holds for a client.
import type { KafkaNode } from "../api.ts";
import { KafkaError } from "../errors.ts";

/** Scope of what is kept in the broker's settings; the name there is the entity. */
const SCOPE = "kafka-quota";

/** "user" and "client-id", by name; null is the default for those that have none of their own. */
export interface QuotaEntity {
  readonly user?: string | null;
  readonly clientId?: string | null;
}

export const QUOTA_KEYS = ["producer_byte_rate", "consumer_byte_rate", "request_percentage"] as const;
export type QuotaKey = (typeof QUOTA_KEYS)[number];

export type QuotaValues = Partial<Record<QuotaKey, number>>;

/** A quota that holds for a client, and who shares it. */
export interface Limit {
  readonly value: number;
  readonly sharedBy: string;
}

export class QuotaStore {
  private readonly node: KafkaNode;
  private revision = -1;
  private quotas = new Map<string, QuotaValues>();

  constructor(node: KafkaNode) {
    this.node = node;
  }

  /** Rises with every change. */
  get version(): number {
    return this.node.context.broker.settings.revision;
  }

  get isEmpty(): boolean {
    return this.all().size === 0;
  }

  entries(): { entity: QuotaEntity; values: QuotaValues }[] {
    return Array.from(this.all(), ([key, values]) => ({ entity: entityOf(key), values }));
  }

  get(entity: QuotaEntity): QuotaValues {
    return this.all().get(keyOf(entity)) ?? {};
  }

  put(entity: QuotaEntity, values: QuotaValues): void {
    const texts = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, String(value)]));
    this.node.context.broker.settings.put(SCOPE, keyOf(entity), texts);
  }

  /** The most specific one, in the order of the protocol's documentation. */
  limit(key: QuotaKey, user: string, clientId: string): Limit | null {
    const all = this.all();
    if (all.size === 0) return null;
    const candidates: QuotaEntity[] = [
      { user, clientId },
      { user, clientId: null },
      { user },
      { user: null, clientId },
      { user: null, clientId: null },
      { user: null },
      { clientId },
      { clientId: null },
    ];
    for (const entity of candidates) {
      const value = all.get(keyOf(entity))?.[key];
      if (value === undefined) continue;
      // A default holds for each of those for whom it stands by himself.
      const sharers = [
        entity.user === undefined ? null : user,
        entity.clientId === undefined ? null : clientId,
      ];
      return { value, sharedBy: JSON.stringify(sharers) };
    }
    return null;
  }

  private all(): Map<string, QuotaValues> {
    const { settings } = this.node.context.broker;
    if (settings.revision !== this.revision) {
      const parsed = settings.entries(SCOPE).map(([entity, texts]): [string, QuotaValues] => {
        const values = Object.entries(texts).map(([key, value]) => [key, Number(value)]);
        return [entity, Object.fromEntries(values)];
      });
      this.quotas = new Map(parsed);
      this.revision = settings.revision;
    }
    return this.quotas;
  }
}

export function quotaStore(node: KafkaNode): QuotaStore {
  return node.part(makeQuotaStore);
}

function makeQuotaStore(node: KafkaNode): QuotaStore {
  return new QuotaStore(node);
}

interface Component {
  readonly entityType: string;
  readonly entityName: string | null;
}

/** @throws KafkaError INVALID_REQUEST */
export function entityFrom(components: readonly Component[]): QuotaEntity {
  const entity: { user?: string | null; clientId?: string | null } = {};
  for (const { entityType, entityName } of components) {
    const part = entityType === "user" ? "user" : entityType === "client-id" ? "clientId" : null;
    if (part === null) throw new KafkaError("INVALID_REQUEST", `Quotas for ${entityType} are not supported`);
    if (part in entity) throw new KafkaError("INVALID_REQUEST", `${entityType} is named more than once`);
    if (entityName === "") throw new KafkaError("INVALID_REQUEST", `Empty ${entityType}`);
    entity[part] = entityName;
  }
  if (Object.keys(entity).length === 0) throw new KafkaError("INVALID_REQUEST", "A quota is for somebody");
  return entity;
}

export function componentsOf({ user, clientId }: QuotaEntity): Component[] {
  return [
    ...(user === undefined ? [] : [{ entityType: "user", entityName: user }]),
    ...(clientId === undefined ? [] : [{ entityType: "client-id", entityName: clientId }]),
  ];
}

function keyOf(entity: QuotaEntity): string {
  return JSON.stringify(componentsOf(entity).map(({ entityType, entityName }) => [entityType, entityName]));
}

function entityOf(key: string): QuotaEntity {
  const components = JSON.parse(key) as [string, string | null][];
  return entityFrom(components.map(([entityType, entityName]) => ({ entityType, entityName })));
}
