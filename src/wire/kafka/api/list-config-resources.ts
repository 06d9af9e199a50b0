import { defineHandler } from "../api.ts";
import { brokerConfigs } from "../configs/broker-configs.ts";
import { groupConfigs } from "../configs/group-configs.ts";
import { RESOURCES } from "../configs/values.ts";
import { KafkaError } from "../errors.ts";
import { listConfigResources } from "../schemas/list-config-resources.ts";

const ALL = [RESOURCES.TOPIC, RESOURCES.BROKER, RESOURCES.GROUP];

/** Version 0 asks for subscriptions to metrics, of which there are none. */
export const listConfigResourcesHandler = defineHandler({
  api: listConfigResources,
  handle({ resourceTypes }, { version, peer, node }) {
    const { rights, session } = peer;
    rights.check("describe-configs", "cluster", "cluster");
    if (version === 0) return { configResources: [] };
    const asked: readonly number[] = resourceTypes.length === 0 ? ALL : resourceTypes;
    const names = (type: number): string[] => {
      if (type === RESOURCES.TOPIC) return Array.from(session.streams.all(), ({ name }) => name);
      if (type === RESOURCES.BROKER) return [...new Set([`${node.settings.nodeId}`, ...brokers()])];
      if (type === RESOURCES.GROUP) return groupConfigs(node).groups();
      if (type === RESOURCES.BROKER_LOGGER || type === RESOURCES.CLIENT_METRICS) return [];
      throw new KafkaError("UNSUPPORTED_VERSION", `There are no resources of type ${type}`);
    };
    const brokers = () => brokerConfigs(node).changedBrokers();
    return {
      configResources: asked.flatMap((resourceType) =>
        names(resourceType).map((resourceName) => ({ resourceType, resourceName })),
      ),
    };
  },
  refuse: ({ errorCode }) => ({ errorCode }),
});
