import { defineApi } from "../codec/api.ts";
import { array, bool, int8, int16, int32, int64, records, string, struct, uuid } from "../codec/schema.ts";

export const shareFetch = defineApi({
  key: 78,
  name: "ShareFetch",
  versions: [1, 2],
  flexible: 0,
  request: {
    groupId: string.nullable().or(null),
    memberId: string.nullable(),
    shareSessionEpoch: int32,
    maxWaitMs: int32,
    minBytes: int32,
    maxBytes: int32.or(0x7fffffff),
    maxRecords: int32,
    batchSize: int32,
    shareAcquireMode: int8.since(2),
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
    forgottenTopicsData: array({ topicId: uuid, partitions: array(int32) }),
  },
  response: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: string.nullable().or(null),
    acquisitionLockTimeoutMs: int32,
    responses: array({
      topicId: uuid,
      partitions: array({
        partitionIndex: int32,
        errorCode: int16,
        errorMessage: string.nullable().or(null),
        acknowledgeErrorCode: int16,
        acknowledgeErrorMessage: string.nullable().or(null),
        currentLeader: struct({ leaderId: int32, leaderEpoch: int32 }),
        records,
        acquiredRecords: array({ firstOffset: int64, lastOffset: int64, deliveryCount: int16 }),
      }),
    }),
    nodeEndpoints: array({ nodeId: int32, host: string, port: int32, rack: string.nullable().or(null) }),
  },
});
