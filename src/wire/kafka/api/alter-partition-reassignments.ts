import { defineHandler, type Peer } from "../api.ts";
import { CODES, KafkaError, partRefusal } from "../errors.ts";
import { alterPartitionReassignments } from "../schemas/alter-partition-reassignments.ts";

/** A partition can be moved to where it is. */
export const alterPartitionReassignmentsHandler = defineHandler({
  api: alterPartitionReassignments,
  handle({ topics }, { peer }) {
    peer.rights.check("alter", "cluster", "cluster");
    const responses = topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, replicas }) => ({
        partitionIndex,
        ...reassign(peer, name, partitionIndex, replicas),
      })),
    }));
    return { errorMessage: null, responses };
  },
  refuse: ({ errorCode, errorMessage }) => ({ errorCode, errorMessage }),
});

function reassign({ node, session }: Peer, name: string, index: number, replicas: readonly number[] | null) {
  try {
    if (session.streams.find(name)?.partitions[index] === undefined) {
      throw new KafkaError("UNKNOWN_TOPIC_OR_PARTITION");
    }
    if (replicas === null) throw new KafkaError("NO_REASSIGNMENT_IN_PROGRESS");
    const { nodeId } = node.settings;
    if (replicas.length !== 1 || replicas[0] !== nodeId) {
      const text = `There is broker ${nodeId} only: [${replicas.join(", ")}] cannot hold the partition.`;
      throw new KafkaError("INVALID_REPLICA_ASSIGNMENT", text);
    }
    return { errorCode: CODES.NONE, errorMessage: null };
  } catch (error) {
    return partRefusal(error);
  }
}
