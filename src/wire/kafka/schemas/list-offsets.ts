import { defineApi } from "../codec/api.ts";
import { array, int8, int16, int32, int64, string } from "../codec/schema.ts";

export const listOffsets = defineApi({
  key: 2,
  name: "ListOffsets",
  versions: [0, 11],
  flexible: 6,
  request: {
    replicaId: int32,
    isolationLevel: int8.since(2),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        currentLeaderEpoch: int32.since(4).or(-1),
        timestamp: int64,
        maxNumOffsets: int32.until(0).or(1),
      }),
    }),
    timeoutMs: int32.since(10),
  },
  response: {
    throttleTimeMs: int32.since(2),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        errorCode: int16,
        oldStyleOffsets: array(int64).until(0),
        timestamp: int64.since(1).or(-1),
        offset: int64.since(1).or(-1),
        leaderEpoch: int32.since(4).or(-1),
      }),
    }),
  },
});
