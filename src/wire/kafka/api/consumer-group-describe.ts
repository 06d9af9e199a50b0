import type { AssignedView, StreamPartitions } from "../../../broker/index.ts";
import { defineHandler, type Peer } from "../api.ts";
import { CODES } from "../errors.ts";
import { STATE_NAMES } from "../group-names.ts";
import { allowedOperations } from "../operations.ts";
import { consumerGroupDescribe } from "../schemas/consumer-group-describe.ts";

/** Whether the member speaks this protocol, or the one before it. */
const MEMBER_TYPES = { classic: 0, consumer: 1 } as const;

export const consumerGroupDescribeHandler = defineHandler({
  api: consumerGroupDescribe,
  handle({ groupIds, includeAuthorizedOperations }, { peer }) {
    return {
      groups: groupIds.map((groupId) => {
        if (!peer.rights.may("describe", "group", groupId)) {
          return { groupId, errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
        }
        const view = peer.session.groups.describe(groupId);
        if (view?.kind !== "assigned") {
          const why = view === null ? "not found" : "is not a consumer group";
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
    groupState: STATE_NAMES[state],
    groupEpoch: epoch,
    assignmentEpoch: epoch,
    assignorName: assignor,
    members: members.map((member) => ({
      memberId: member.id,
      instanceId: member.instanceId,
      rackId: member.rack,
      memberEpoch: member.epoch,
      clientId: member.clientId,
      clientHost: member.clientHost,
      subscribedTopicNames: member.streams,
      subscribedTopicRegex: member.pattern,
      assignment: shareOf(member.assigned, peer),
      targetAssignment: shareOf(member.target, peer),
      memberType: member.isGuest ? MEMBER_TYPES.classic : MEMBER_TYPES.consumer,
    })),
  };
}

/** Partitions under the names of their topics; of those that are gone there is nothing to say. */
export function shareOf(all: readonly StreamPartitions[], { session }: Peer) {
  return {
    topicPartitions: all.flatMap(({ streamId, partitions }) => {
      const topicName = session.streams.findById(streamId)?.name;
      return topicName === undefined ? [] : [{ topicId: streamId, topicName, partitions }];
    }),
  };
}
