import { defineApi } from "../codec/api.ts";
import { array, bool, int8, int16, int32, string, uuid } from "../codec/schema.ts";

export const createTopics = defineApi({
  key: 19,
  name: "CreateTopics",
  versions: [0, 7],
  flexible: 5,
  request: {
    topics: array({
      name: string,
      numPartitions: int32,
      replicationFactor: int16,
      assignments: array({ partitionIndex: int32, brokerIds: array(int32) }),
      configs: array({ name: string, value: string.nullable() }),
    }),
    timeoutMs: int32.or(60000),
    validateOnly: bool.since(1),
  },
  response: {
    throttleTimeMs: int32.since(2),
    topics: array({
      name: string,
      topicId: uuid.since(7),
      errorCode: int16,
      errorMessage: string.since(1).nullable(),
      topicConfigErrorCode: int16.since(5).tagged(0),
      numPartitions: int32.since(5).or(-1),
      replicationFactor: int16.since(5).or(-1),
      configs: array({
        name: string,
        value: string.nullable(),
        readOnly: bool,
        configSource: int8.or(-1),
        isSensitive: bool,
      })
        .since(5)
        .nullable(),
    }),
  },
});
