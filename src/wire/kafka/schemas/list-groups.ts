import { defineApi } from "../codec/api.ts";
import { array, int16, int32, string } from "../codec/schema.ts";

export const listGroups = defineApi({
  key: 16,
  name: "ListGroups",
  versions: [0, 5],
  flexible: 3,
  request: { statesFilter: array(string).since(4), typesFilter: array(string).since(5) },
  response: {
    throttleTimeMs: int32.since(1),
    errorCode: int16,
    groups: array({
      groupId: string,
      protocolType: string,
      groupState: string.since(4),
      groupType: string.since(5),
    }),
  },
});
