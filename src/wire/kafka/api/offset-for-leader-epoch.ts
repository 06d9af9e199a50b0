import { defineHandler } from "../api.ts";
import { CODES } from "../errors.ts";
import { epochError, findPartition } from "../partitions.ts";
import { offsetForLeaderEpoch } from "../schemas/offset-for-leader-epoch.ts";

/** Where an epoch ended, so that clients notice when a log was cut. Ours has one epoch, and is never cut. */
export const offsetForLeaderEpochHandler = defineHandler({
  api: offsetForLeaderEpoch,
  handle({ topics }, { peer }) {
    return {
      topics: topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition: index, currentLeaderEpoch, leaderEpoch }) => {
          const found = findPartition(peer, "describe", topic, index);
          if (typeof found === "number") return { partition: index, errorCode: found };
          const errorCode = epochError(found, currentLeaderEpoch);
          // An epoch that there has never been: undefined, -1.
          const known = errorCode === CODES.NONE && leaderEpoch >= found.epoch;
          if (!known || leaderEpoch > found.epoch) return { partition: index, errorCode };
          return { partition: index, leaderEpoch: found.epoch, endOffset: found.committedOffset };
        }),
      })),
    };
  },
});
