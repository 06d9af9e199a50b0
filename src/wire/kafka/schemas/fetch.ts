import { defineApi } from "../codec/api.ts";
import { array, int8, int16, int32, int64, records, string, struct, uuid } from "../codec/schema.ts";

export const fetch = defineApi({
  key: 1,
  name: "Fetch",
  versions: [0, 18],
  flexible: 12,
  request: {
    clusterId: string.since(12).nullable().tagged(0).or(null),
    replicaId: int32.until(14).or(-1),
    replicaState: struct({ replicaId: int32.or(-1), replicaEpoch: int64.or(-1) })
      .since(15)
      .tagged(1),
    maxWaitMs: int32,
    minBytes: int32,
    maxBytes: int32.since(3).or(0x7fffffff),
    isolationLevel: int8.since(4),
    sessionId: int32.since(7),
    sessionEpoch: int32.since(7).or(-1),
    topics: array({
      topic: string.until(12),
      topicId: uuid.since(13),
      partitions: array({
        partition: int32,
        currentLeaderEpoch: int32.since(9).or(-1),
        fetchOffset: int64,
        lastFetchedEpoch: int32.since(12).or(-1),
        logStartOffset: int64.since(5).or(-1),
        partitionMaxBytes: int32,
        replicaDirectoryId: uuid.since(17).tagged(0),
        highWatermark: int64
          .since(18)
          .tagged(1)
          .or(2 ** 63),
      }),
    }),
    forgottenTopicsData: array({
      topic: string.until(12),
      topicId: uuid.since(13),
      partitions: array(int32),
    }).since(7),
    rackId: string.since(11),
  },
  response: {
    throttleTimeMs: int32.since(1),
    errorCode: int16.since(7),
    sessionId: int32.since(7),
    responses: array({
      topic: string.until(12),
      topicId: uuid.since(13),
      partitions: array({
        partitionIndex: int32,
        errorCode: int16,
        highWatermark: int64,
        lastStableOffset: int64.since(4).or(-1),
        logStartOffset: int64.since(5).or(-1),
        divergingEpoch: struct({ epoch: int32.or(-1), endOffset: int64.or(-1) })
          .since(12)
          .tagged(0),
        currentLeader: struct({ leaderId: int32.or(-1), leaderEpoch: int32.or(-1) })
          .since(12)
          .tagged(1),
        snapshotId: struct({ endOffset: int64.or(-1), epoch: int32.or(-1) })
          .since(12)
          .tagged(2),
        abortedTransactions: array({ producerId: int64, firstOffset: int64 }).since(4).nullable(),
        preferredReadReplica: int32.since(11).or(-1),
        records: records.nullable(),
      }),
    }),
    nodeEndpoints: array({ nodeId: int32, host: string, port: int32, rack: string.nullable().or(null) })
      .since(16)
      .tagged(0),
  },
});
