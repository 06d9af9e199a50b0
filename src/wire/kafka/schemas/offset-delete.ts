import { defineApi } from "../codec/api.ts";
import { array, int16, int32, string } from "../codec/schema.ts";

export const offsetDelete = defineApi({
  key: 47,
  name: "OffsetDelete",
  versions: [0, 0],
  request: { groupId: string, topics: array({ name: string, partitions: array({ partitionIndex: int32 }) }) },
  response: {
    errorCode: int16,
    throttleTimeMs: int32,
    topics: array({ name: string, partitions: array({ partitionIndex: int32, errorCode: int16 }) }),
  },
});
