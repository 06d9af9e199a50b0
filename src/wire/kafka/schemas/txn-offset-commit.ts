import { defineApi } from "../codec/api.ts";
import { array, int16, int32, int64, string } from "../codec/schema.ts";

export const txnOffsetCommit = defineApi({
  key: 28,
  name: "TxnOffsetCommit",
  versions: [0, 5],
  flexible: 3,
  request: {
    transactionalId: string,
    groupId: string,
    producerId: int64,
    producerEpoch: int16,
    generationId: int32.since(3).or(-1),
    memberId: string.since(3),
    groupInstanceId: string.since(3).nullable().or(null),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        committedOffset: int64,
        committedLeaderEpoch: int32.since(2).or(-1),
        committedMetadata: string.nullable(),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32,
    topics: array({ name: string, partitions: array({ partitionIndex: int32, errorCode: int16 }) }),
  },
});
