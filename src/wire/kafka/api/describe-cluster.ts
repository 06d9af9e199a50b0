import { advertisedAddress } from "../address.ts";
import { defineHandler } from "../api.ts";
import { clusterId } from "../cluster-id.ts";
import { CODES } from "../errors.ts";
import { allowedOperations, OPERATIONS_UNASKED } from "../operations.ts";
import { describeCluster } from "../schemas/describe-cluster.ts";

const ENDPOINT_BROKERS = 1;

export const describeClusterHandler = defineHandler({
  api: describeCluster,
  handle(request, { peer, node }) {
    if (request.endpointType !== ENDPOINT_BROKERS) {
      // There are no controllers of their own to be asked for.
      return { errorCode: CODES.MISMATCHED_ENDPOINT_TYPE, errorMessage: "this listener is for brokers" };
    }
    const { nodeId } = node.settings;
    return {
      clusterId: node.part(clusterId),
      controllerId: nodeId,
      brokers: [{ brokerId: nodeId, ...advertisedAddress(peer) }],
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
        ? allowedOperations(peer.rights, "cluster")
        : OPERATIONS_UNASKED,
    };
  },
  refuse: ({ errorCode, errorMessage }) => ({ errorCode, errorMessage }),
});
