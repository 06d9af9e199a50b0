import { defineApi } from "../codec/api.ts";
import { array, bool, int8, int16, int32, int64, string, struct, uuid } from "../codec/schema.ts";

export const shareAcknowledge = defineApi({
  key: 79,
  name: "ShareAcknowledge",
  versions: [1, 2],
  flexible: 0,
  request: {
    groupId: string.nullable().or(null),
    memberId: string.nullable(),
    shareSessionEpoch: int32,
    isRenewAck: bool.since(2),
    topics: array({
      topicId: uuid,
      partitions: array({
        partitionIndex: int32,
        acknowledgementBatches: array({
          firstOffset: int64,
          lastOffset: int64,
          acknowledgeTypes: array(int8),
        }),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: string.nullable().or(null),
    acquisitionLockTimeoutMs: int32.since(2),
    responses: array({
      topicId: uuid,
      partitions: array({
        partitionIndex: int32,
        errorCode: int16,
        errorMessage: string.nullable().or(null),
        currentLeader: struct({ leaderId: int32, leaderEpoch: int32 }),
      }),
    }),
    nodeEndpoints: array({ nodeId: int32, host: string, port: int32, rack: string.nullable().or(null) }),
  },
});
