import { defineApi } from "../codec/api.ts";
import { array, int16, int32, string, uuid } from "../codec/schema.ts";

export const deleteTopics = defineApi({
  key: 20,
  name: "DeleteTopics",
  versions: [0, 6],
  flexible: 4,
  request: {
    topics: array({ name: string.nullable().or(null), topicId: uuid }).since(6),
    topicNames: array(string).until(5),
    timeoutMs: int32,
  },
  response: {
    throttleTimeMs: int32.since(1),
    responses: array({
      name: string.nullable(6),
      topicId: uuid.since(6),
      errorCode: int16,
      errorMessage: string.since(5).nullable().or(null),
    }),
  },
});
