import { defineHandler, type Peer } from "../api.ts";
import type { Request } from "../codec/api.ts";
import { durable } from "../durable.ts";
import { CODES, KafkaError, partRefusal } from "../errors.ts";
import { entityFrom, QUOTA_KEYS, type QuotaKey, quotaStore } from "../quotas/quota-store.ts";
import { alterClientQuotas } from "../schemas/alter-client-quotas.ts";

type Asked = Request<typeof alterClientQuotas>["entries"][number];

/** Sets and removes quotas; of one entity all that is asked, or nothing. */
export const alterClientQuotasHandler = defineHandler({
  api: alterClientQuotas,
  async handle({ entries, validateOnly }, { peer, node }) {
    const answered = entries.map((asked) => {
      const { entity } = asked;
      try {
        alter(peer, asked, validateOnly);
        return { entity, errorCode: CODES.NONE, errorMessage: null };
      } catch (error) {
        return { entity, ...partRefusal(error) };
      }
    });
    await durable(node);
    return { entries: answered };
  },
});

function alter({ rights, node }: Peer, { entity: components, ops }: Asked, validateOnly: boolean): void {
  rights.check("alter-configs", "cluster", "cluster");
  const entity = entityFrom(components);
  const store = quotaStore(node);
  const values = { ...store.get(entity) };
  for (const { key, value, remove } of ops) {
    if (!isQuota(key)) throw new KafkaError("INVALID_REQUEST", `Quota ${key} is not supported`);
    if (remove) {
      delete values[key];
      continue;
    }
    if (!(value > 0)) throw new KafkaError("INVALID_REQUEST", `Quota ${key} must be greater than 0`);
    if (key !== "request_percentage" && !Number.isInteger(value)) {
      throw new KafkaError("INVALID_REQUEST", `Quota ${key} must be a whole number of bytes`);
    }
    values[key] = value;
  }
  if (!validateOnly) store.put(entity, values);
}

function isQuota(key: string): key is QuotaKey {
  return (QUOTA_KEYS as readonly string[]).includes(key);
}
