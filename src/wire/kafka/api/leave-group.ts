import { defineHandler } from "../api.ts";
import { CODES } from "../errors.ts";
import { codeOf } from "../group-codes.ts";
import { leaveGroup } from "../schemas/leave-group.ts";

/** From here on many members can leave at once, and each has an answer. */
const FIRST_WITH_MANY = 3;

export const leaveGroupHandler = defineHandler({
  api: leaveGroup,
  handle(request, { version, peer }) {
    const { groups } = peer.session;
    const { groupId } = request;
    if (groupId === "") return { errorCode: CODES.INVALID_GROUP_ID };
    if (!peer.rights.may("read", "group", groupId)) return { errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
    if (version < FIRST_WITH_MANY) {
      const [refusal] = groups.leave(groupId, [{ memberId: request.memberId, instanceId: null }]);
      return { errorCode: codeOf(refusal ?? null) };
    }
    const leaving = request.members.map(({ memberId, groupInstanceId }) => {
      return { memberId, instanceId: groupInstanceId };
    });
    const refusals = groups.leave(groupId, leaving);
    return {
      members: leaving.map(({ memberId, instanceId }, index) => {
        return { memberId, groupInstanceId: instanceId, errorCode: codeOf(refusals[index] ?? null) };
      }),
    };
  },
});
