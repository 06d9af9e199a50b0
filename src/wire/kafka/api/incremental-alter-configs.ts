import { defineHandler, type Peer } from "../api.ts";
import type { Request } from "../codec/api.ts";
import { applyChanges, resourceToChange } from "../configs/resources.ts";
import { durable } from "../durable.ts";
import { KafkaError, partRefusal } from "../errors.ts";
import { repeated } from "../repeated.ts";
import { incrementalAlterConfigs } from "../schemas/incremental-alter-configs.ts";

type Asked = Request<typeof incrementalAlterConfigs>["resources"][number];

/** Sets, resets, appends to and subtracts from single configurations; all of a resource's changes or none. */
export const incrementalAlterConfigsHandler = defineHandler({
  api: incrementalAlterConfigs,
  async handle({ resources, validateOnly }, { peer, node }) {
    const key = ({ resourceType, resourceName }: Asked) => `${resourceType} ${resourceName}`;
    const twice = repeated(resources.map(key));
    const responses = resources.map((asked) =>
      changeConfigs(peer, asked, twice.has(key(asked)), validateOnly),
    );
    await durable(node);
    return { responses };
  },
});

function changeConfigs(peer: Peer, asked: Asked, twice: boolean, validateOnly: boolean) {
  const { resourceType, resourceName, configs } = asked;
  try {
    if (twice) throw new KafkaError("INVALID_REQUEST", "A resource is changed more than once.");
    const resource = resourceToChange(peer, resourceType, resourceName);
    const apply = resource.prepare(applyChanges(resource, configs));
    if (!validateOnly) apply();
    return { resourceType, resourceName, errorMessage: null };
  } catch (error) {
    return { resourceType, resourceName, ...partRefusal(error) };
  }
}
