import { defineApi } from "../codec/api.ts";
import { array, int16, int32, string } from "../codec/schema.ts";

export const deleteGroups = defineApi({
  key: 42,
  name: "DeleteGroups",
  versions: [0, 2],
  flexible: 2,
  request: { groupsNames: array(string) },
  response: { throttleTimeMs: int32, results: array({ groupId: string, errorCode: int16 }) },
});
