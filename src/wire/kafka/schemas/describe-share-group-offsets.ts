import { defineApi } from "../codec/api.ts";
import { array, int16, int32, int64, string, uuid } from "../codec/schema.ts";

export const describeShareGroupOffsets = defineApi({
  key: 90,
  name: "DescribeShareGroupOffsets",
  versions: [0, 1],
  flexible: 0,
  request: {
    groups: array({
      groupId: string,
      topics: array({ topicName: string, partitions: array(int32) }).nullable(),
    }),
  },
  response: {
    throttleTimeMs: int32,
    groups: array({
      groupId: string,
      topics: array({
        topicName: string,
        topicId: uuid,
        partitions: array({
          partitionIndex: int32,
          startOffset: int64,
          leaderEpoch: int32,
          lag: int64.since(1).or(-1),
          errorCode: int16,
          errorMessage: string.nullable().or(null),
        }),
      }),
      errorCode: int16,
      errorMessage: string.nullable().or(null),
    }),
  },
});
