import type { AssignedView } from "../../../broker/index.ts";
import { defineHandler, type Peer } from "../api.ts";
import { CODES } from "../errors.ts";
import { STATE_NAMES } from "../group-names.ts";
import { allowedOperations } from "../operations.ts";
import { shareGroupDescribe } from "../schemas/share-group-describe.ts";
import { shareOf } from "./consumer-group-describe.ts";

export const shareGroupDescribeHandler = defineHandler({
  api: shareGroupDescribe,
  handle({ groupIds, includeAuthorizedOperations }, { peer }) {
    return {
      groups: groupIds.map((groupId) => {
        if (!peer.rights.may("describe", "group", groupId)) {
          return { groupId, errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
        }
        const view = peer.session.groups.describe(groupId);
        if (view?.kind !== "share") {
          const why = view === null ? "not found" : "is not a share group";
          const errorMessage = `Group ${groupId} ${why}.`;
          return { groupId, errorCode: CODES.GROUP_ID_NOT_FOUND, errorMessage };
        }
        const authorizedOperations = includeAuthorizedOperations
          ? allowedOperations(peer.rights, "group", groupId)
          : undefined;
        return { ...described(view, peer), authorizedOperations };
      }),
    };
  },
});

function described({ name, state, epoch, assignor, members }: AssignedView, peer: Peer) {
  return {
    groupId: name,
    // Nobody has to give anything up in a share group.
    groupState: state === "reconciling" ? STATE_NAMES.stable : STATE_NAMES[state],
    groupEpoch: epoch,
    assignmentEpoch: epoch,
    assignorName: assignor,
    members: members.map((member) => ({
      memberId: member.id,
      rackId: member.rack,
      memberEpoch: member.epoch,
      clientId: member.clientId,
      clientHost: member.clientHost,
      subscribedTopicNames: member.streams,
      assignment: shareOf(member.assigned, peer),
    })),
  };
}
