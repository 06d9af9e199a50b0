import type { ClassicView } from "../../../broker/index.ts";
import { defineHandler } from "../api.ts";
import { CODES } from "../errors.ts";
import { STATE_NAMES } from "../group-names.ts";
import { allowedOperations } from "../operations.ts";
import { describeGroups } from "../schemas/describe-groups.ts";

/** From here on a group that is not there is an error; before, it is dead. */
const FIRST_WITH_NOT_FOUND = 6;

export const describeGroupsHandler = defineHandler({
  api: describeGroups,
  handle({ groups: names, includeAuthorizedOperations }, { version, peer }) {
    const { groups } = peer.session;
    return {
      groups: names.map((groupId) => {
        if (!peer.rights.may("describe", "group", groupId))
          return { groupId, errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
        const authorizedOperations = includeAuthorizedOperations
          ? allowedOperations(peer.rights, "group", groupId)
          : undefined;
        const view = groups.describe(groupId);
        if (view?.kind !== "classic") return { ...missing(groupId, version), authorizedOperations };
        return { ...described(view), authorizedOperations };
      }),
    };
  },
});

function missing(groupId: string, version: number) {
  if (version < FIRST_WITH_NOT_FOUND) return { groupId, groupState: STATE_NAMES.dead };
  const errorMessage = `Group ${groupId} not found.`;
  return { groupId, groupState: STATE_NAMES.dead, errorCode: CODES.GROUP_ID_NOT_FOUND, errorMessage };
}

function described({ name, state, protocolType, protocol, members }: ClassicView) {
  return {
    groupId: name,
    groupState: STATE_NAMES[state],
    protocolType,
    protocolData: protocol,
    members: members.map((member) => ({
      memberId: member.id,
      groupInstanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata: member.metadata,
      memberAssignment: member.assignment,
    })),
  };
}
