import { defineApi } from "../codec/api.ts";
import { array, int16, int32, string, struct, uuid } from "../codec/schema.ts";

const topicPartitions = { topicId: uuid, partitions: array(int32) };

export const consumerGroupHeartbeat = defineApi({
  key: 68,
  name: "ConsumerGroupHeartbeat",
  versions: [0, 1],
  flexible: 0,
  request: {
    groupId: string,
    memberId: string,
    memberEpoch: int32,
    instanceId: string.nullable().or(null),
    rackId: string.nullable().or(null),
    rebalanceTimeoutMs: int32.or(-1),
    subscribedTopicNames: array(string).nullable().or(null),
    subscribedTopicRegex: string.since(1).nullable().or(null),
    serverAssignor: string.nullable().or(null),
    topicPartitions: array({ topicId: uuid, partitions: array(int32) })
      .nullable()
      .or(null),
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
