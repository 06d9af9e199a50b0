import { defineHandler } from "../api.ts";
import { CODES } from "../errors.ts";
import { describeQuorum } from "../schemas/describe-quorum.ts";

const METADATA_TOPIC = "__cluster_metadata";

/** One broker, which agrees with itself. */
export const describeQuorumHandler = defineHandler({
  api: describeQuorum,
  handle({ topics }, { peer, node }) {
    peer.rights.check("describe", "cluster", "cluster");
    const { nodeId } = node.settings;
    const revision = node.context.broker.settings.revision;
    const voter = { replicaId: nodeId, logEndOffset: revision };
    return {
      errorMessage: null,
      topics: topics.map(({ topicName, partitions }) => ({
        topicName,
        partitions: partitions.map(({ partitionIndex }) => {
          if (topicName !== METADATA_TOPIC || partitionIndex !== 0) {
            return { partitionIndex, errorCode: CODES.UNKNOWN_TOPIC_OR_PARTITION, errorMessage: null };
          }
          return {
            partitionIndex,
            errorMessage: null,
            leaderId: nodeId,
            leaderEpoch: 1,
            highWatermark: revision,
            currentVoters: [voter],
          };
        }),
      })),
      nodes: [{ nodeId, listeners: [] }],
    };
  },
  refuse: ({ errorCode, errorMessage }) => ({ errorCode, errorMessage }),
});
