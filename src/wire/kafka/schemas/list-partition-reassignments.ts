import { defineApi } from "../codec/api.ts";
import { array, int16, int32, string } from "../codec/schema.ts";

export const listPartitionReassignments = defineApi({
  key: 46,
  name: "ListPartitionReassignments",
  versions: [0, 0],
  flexible: 0,
  request: {
    timeoutMs: int32.or(60000),
    topics: array({ name: string, partitionIndexes: array(int32) })
      .nullable()
      .or(null),
  },
  response: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: string.nullable(),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        replicas: array(int32),
        addingReplicas: array(int32),
        removingReplicas: array(int32),
      }),
    }),
  },
});
