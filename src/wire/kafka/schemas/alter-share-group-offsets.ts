import { defineApi } from "../codec/api.ts";
import { array, int16, int32, int64, string, uuid } from "../codec/schema.ts";

export const alterShareGroupOffsets = defineApi({
  key: 91,
  name: "AlterShareGroupOffsets",
  versions: [0, 0],
  flexible: 0,
  request: {
    groupId: string,
    topics: array({ topicName: string, partitions: array({ partitionIndex: int32, startOffset: int64 }) }),
  },
  response: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: string.nullable().or(null),
    responses: array({
      topicName: string,
      topicId: uuid,
      partitions: array({
        partitionIndex: int32,
        errorCode: int16,
        errorMessage: string.nullable().or(null),
      }),
    }),
  },
});
