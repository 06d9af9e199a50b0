import { defineApi } from "../codec/api.ts";
import { array, bytes, int16, int32, string } from "../codec/schema.ts";

export const syncGroup = defineApi({
  key: 14,
  name: "SyncGroup",
  versions: [0, 5],
  flexible: 4,
  request: {
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: string.since(3).nullable().or(null),
    protocolType: string.since(5).nullable().or(null),
    protocolName: string.since(5).nullable().or(null),
    assignments: array({ memberId: string, assignment: bytes }),
  },
  response: {
    throttleTimeMs: int32.since(1),
    errorCode: int16,
    protocolType: string.since(5).nullable().or(null),
    protocolName: string.since(5).nullable().or(null),
    assignment: bytes,
  },
});
