import { defineApi } from "../codec/api.ts";
import { bool, int16, int32, int64, string } from "../codec/schema.ts";

export const endTxn = defineApi({
  key: 26,
  name: "EndTxn",
  versions: [0, 5],
  flexible: 3,
  request: { transactionalId: string, producerId: int64, producerEpoch: int16, committed: bool },
  response: {
    throttleTimeMs: int32,
    errorCode: int16,
    producerId: int64.since(5).or(-1),
    producerEpoch: int16.since(5).or(-1),
  },
});
