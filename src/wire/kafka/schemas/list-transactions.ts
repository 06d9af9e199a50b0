import { defineApi } from "../codec/api.ts";
import { array, int16, int32, int64, string } from "../codec/schema.ts";

export const listTransactions = defineApi({
  key: 66,
  name: "ListTransactions",
  versions: [0, 2],
  flexible: 0,
  request: {
    stateFilters: array(string),
    producerIdFilters: array(int64),
    durationFilter: int64.since(1).or(-1),
    transactionalIdPattern: string.since(2).nullable().or(null),
  },
  response: {
    throttleTimeMs: int32,
    errorCode: int16,
    unknownStateFilters: array(string),
    transactionStates: array({ transactionalId: string, producerId: int64, transactionState: string }),
  },
});
