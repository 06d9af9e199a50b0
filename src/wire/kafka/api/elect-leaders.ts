import { defineHandler } from "../api.ts";
import { CODES } from "../errors.ts";
import { electLeaders } from "../schemas/elect-leaders.ts";

const NOT_NEEDED = {
  errorCode: CODES.ELECTION_NOT_NEEDED,
  errorMessage: "Leader election not needed for topic partition.",
};
const UNKNOWN = {
  errorCode: CODES.UNKNOWN_TOPIC_OR_PARTITION,
  errorMessage: "No such topic partition.",
};

/** Every partition has the only leader that it can have. */
export const electLeadersHandler = defineHandler({
  api: electLeaders,
  handle({ topicPartitions }, { peer }) {
    const { rights, session } = peer;
    rights.check("alter", "cluster", "cluster");
    // Asked about all: those that need no election are not listed.
    const replicaElectionResults = (topicPartitions ?? []).map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((partitionId) => {
        const known = session.streams.find(topic)?.partitions[partitionId] !== undefined;
        return { partitionId, ...(known ? NOT_NEEDED : UNKNOWN) };
      }),
    }));
    return { replicaElectionResults };
  },
  refuse: ({ errorCode, errorMessage }, { topicPartitions }) => ({
    errorCode,
    replicaElectionResults: (topicPartitions ?? []).map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((partitionId) => ({ partitionId, errorCode, errorMessage })),
    })),
  }),
});
