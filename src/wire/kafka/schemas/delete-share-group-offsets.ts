import { defineApi } from "../codec/api.ts";
import { array, int16, int32, string, uuid } from "../codec/schema.ts";

export const deleteShareGroupOffsets = defineApi({
  key: 92,
  name: "DeleteShareGroupOffsets",
  versions: [0, 0],
  flexible: 0,
  request: { groupId: string, topics: array({ topicName: string }) },
  response: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: string.nullable().or(null),
    responses: array({
      topicName: string,
      topicId: uuid,
      errorCode: int16,
      errorMessage: string.nullable().or(null),
    }),
  },
});
