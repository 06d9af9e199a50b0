import { defineApi } from "../codec/api.ts";
import { array, int16, int32, string, struct, uuid } from "../codec/schema.ts";

const topicPartitions = { topicId: uuid, partitions: array(int32) };

export const shareGroupHeartbeat = defineApi({
  key: 76,
  name: "ShareGroupHeartbeat",
  versions: [1, 1],
  flexible: 0,
  request: {
    groupId: string,
    memberId: string,
    memberEpoch: int32,
    rackId: string.nullable().or(null),
    subscribedTopicNames: array(string).nullable().or(null),
  },
  response: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: string.nullable().or(null),
    memberId: string.nullable().or(null),
    memberEpoch: int32,
    heartbeatIntervalMs: int32,
    assignment: struct({ topicPartitions: array(topicPartitions) })
      .nullable()
      .or(null),
  },
});
