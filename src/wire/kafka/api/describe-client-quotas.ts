import { defineHandler } from "../api.ts";
import type { Request } from "../codec/api.ts";
import { KafkaError } from "../errors.ts";
import { componentsOf, type QuotaEntity, quotaStore } from "../quotas/quota-store.ts";
import { describeClientQuotas } from "../schemas/describe-client-quotas.ts";

const EXACT = 0;
const DEFAULT = 1;
const ANY = 2;

type Component = Request<typeof describeClientQuotas>["components"][number];

/** The quotas of those whom every component finds. */
export const describeClientQuotasHandler = defineHandler({
  api: describeClientQuotas,
  handle({ components, strict }, { peer, node }) {
    peer.rights.check("describe-configs", "cluster", "cluster");
    const types = components.map(({ entityType }) => entityType);
    if (new Set(types).size < types.length) {
      throw new KafkaError("INVALID_REQUEST", "A kind of entity is asked for more than once");
    }
    const entries = quotaStore(node)
      .entries()
      .filter(({ entity }) => components.every((component) => finds(component, entity)))
      // Strictly: nobody who is more than what was asked for.
      .filter(({ entity }) => !strict || componentsOf(entity).length === components.length)
      .map(({ entity, values }) => ({
        entity: componentsOf(entity),
        values: Object.entries(values).map(([key, value]) => ({ key, value })),
      }));
    return { errorMessage: null, entries };
  },
  refuse: ({ errorCode, errorMessage }) => ({ errorCode, errorMessage, entries: null }),
});

function finds({ entityType, matchType, match }: Component, entity: QuotaEntity): boolean {
  const found = componentsOf(entity).find((component) => component.entityType === entityType);
  if (found === undefined) return false;
  if (matchType === ANY) return true;
  if (matchType === DEFAULT) return found.entityName === null;
  if (matchType === EXACT) return found.entityName === match;
  throw new KafkaError("INVALID_REQUEST", `Unknown match type ${matchType}`);
}
