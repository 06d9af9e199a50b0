import { defineApi } from "../codec/api.ts";
import { array, bool, int16, int32, string } from "../codec/schema.ts";

export const alterPartitionReassignments = defineApi({
  key: 45,
  name: "AlterPartitionReassignments",
  versions: [0, 1],
  flexible: 0,
  request: {
    timeoutMs: int32.or(60000),
    allowReplicationFactorChange: bool.since(1).or(true),
    topics: array({
      name: string,
      partitions: array({ partitionIndex: int32, replicas: array(int32).nullable().or(null) }),
    }),
  },
  response: {
    throttleTimeMs: int32,
    allowReplicationFactorChange: bool.since(1).or(true),
    errorCode: int16,
    errorMessage: string.nullable(),
    responses: array({
      name: string,
      partitions: array({ partitionIndex: int32, errorCode: int16, errorMessage: string.nullable() }),
    }),
  },
});
