import { defineApi } from "../codec/api.ts";
import { array, int16, int32, string } from "../codec/schema.ts";

export const leaveGroup = defineApi({
  key: 13,
  name: "LeaveGroup",
  versions: [0, 5],
  flexible: 4,
  request: {
    groupId: string,
    memberId: string.until(2),
    members: array({
      memberId: string,
      groupInstanceId: string.nullable().or(null),
      reason: string.since(5).nullable().or(null),
    }).since(3),
  },
  response: {
    throttleTimeMs: int32.since(1),
    errorCode: int16,
    members: array({ memberId: string, groupInstanceId: string.nullable(), errorCode: int16 }).since(3),
  },
});
