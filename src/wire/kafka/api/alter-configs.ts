import { defineHandler, type Peer } from "../api.ts";
import type { Request } from "../codec/api.ts";
import { resourceToChange } from "../configs/resources.ts";
import { durable } from "../durable.ts";
import { KafkaError, partRefusal } from "../errors.ts";
import { alterConfigs } from "../schemas/alter-configs.ts";

type Asked = Request<typeof alterConfigs>["resources"][number];

/** The old way: what is given is all that is set from now on. */
export const alterConfigsHandler = defineHandler({
  api: alterConfigs,
  async handle({ resources, validateOnly }, { peer, node }) {
    const responses = resources.map((asked) => replaceConfigs(peer, asked, validateOnly));
    await durable(node);
    return { responses };
  },
});

function replaceConfigs(peer: Peer, { resourceType, resourceName, configs }: Asked, validateOnly: boolean) {
  try {
    const resource = resourceToChange(peer, resourceType, resourceName);
    const texts = new Map<string, string>();
    for (const { name, value } of configs) {
      resource.typeOf(name);
      if (value === null) throw new KafkaError("INVALID_REQUEST", `${name} has no value`);
      texts.set(name, value);
    }
    const apply = resource.prepare(texts);
    if (!validateOnly) apply();
    return { resourceType, resourceName, errorMessage: null };
  } catch (error) {
    return { resourceType, resourceName, ...partRefusal(error) };
  }
}
