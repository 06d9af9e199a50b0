import { defineApi } from "../codec/api.ts";
import { int16, int32, int64, string } from "../codec/schema.ts";

export const initProducerId = defineApi({
  key: 22,
  name: "InitProducerId",
  versions: [0, 5],
  flexible: 2,
  request: {
    transactionalId: string.nullable(),
    transactionTimeoutMs: int32,
    producerId: int64.since(3).or(-1),
    producerEpoch: int16.since(3).or(-1),
  },
  response: { throttleTimeMs: int32, errorCode: int16, producerId: int64.or(-1), producerEpoch: int16 },
});
