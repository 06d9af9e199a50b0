import { defineApi } from "../codec/api.ts";
import { int16, int32, string } from "../codec/schema.ts";

export const heartbeat = defineApi({
  key: 12,
  name: "Heartbeat",
  versions: [0, 4],
  flexible: 4,
  request: {
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: string.since(3).nullable().or(null),
  },
  response: { throttleTimeMs: int32.since(1), errorCode: int16 },
});
