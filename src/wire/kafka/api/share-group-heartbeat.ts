import { defineHandler, LATER } from "../api.ts";
import type { Request } from "../codec/api.ts";
import { groupConfigs } from "../configs/group-configs.ts";
import { CODES } from "../errors.ts";
import { codeOf } from "../group-codes.ts";
import { shareGroupHeartbeat } from "../schemas/share-group-heartbeat.ts";

/** The whole of a member's life in a share group (KIP-932). */
export const shareGroupHeartbeatHandler = defineHandler({
  api: shareGroupHeartbeat,
  handle(request, call) {
    const { node, peer, clientId } = call;
    const { groupId, memberId, memberEpoch, subscribedTopicNames } = request;
    if (!peer.rights.may("read", "group", groupId)) return { errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
    const errorMessage = whatIsWrong(request);
    if (errorMessage !== null) return { errorCode: CODES.INVALID_REQUEST, errorMessage };
    const visible = (topic: string): boolean => peer.rights.may("describe", "stream", topic);
    if (subscribedTopicNames?.some((topic) => !visible(topic))) {
      return { errorCode: CODES.TOPIC_AUTHORIZATION_FAILED };
    }
    const configs = groupConfigs(node);
    const heartbeat = {
      memberId,
      epoch: memberEpoch,
      clientId: clientId ?? "",
      clientHost: `/${peer.remoteAddress}`,
      instanceId: null,
      rack: request.rackId,
      rebalanceTimeoutMs: -1,
      sessionTimeoutMs: configs.number(groupId, "share.session.timeout.ms"),
      streams: subscribedTopicNames,
      pattern: null,
      assignor: null,
      owned: null,
      full: subscribedTopicNames !== null,
      visible,
    };
    peer.session.groups.assignedHeartbeat(groupId, "share", heartbeat, ({ refusal, epoch, assignment }) =>
      call.answer({
        errorCode: codeOf(refusal),
        memberId,
        memberEpoch: epoch,
        heartbeatIntervalMs: configs.number(groupId, "share.heartbeat.interval.ms"),
        assignment:
          assignment === null
            ? null
            : {
                topicPartitions: assignment.map(({ streamId, partitions }) => {
                  return { topicId: streamId, partitions };
                }),
              },
      }),
    );
    return LATER;
  },
});

function whatIsWrong(request: Request<typeof shareGroupHeartbeat>): string | null {
  const { groupId, memberId, memberEpoch, rackId, subscribedTopicNames } = request;
  if (groupId === "") return "GroupId can't be empty.";
  if (memberId === "") return "MemberId can't be empty.";
  if (rackId === "") return "RackId can't be empty.";
  if (memberEpoch < -1) return `MemberEpoch is ${memberEpoch}, but must be greater than or equal to -1.`;
  if (memberEpoch === 0 && (subscribedTopicNames === null || subscribedTopicNames.length === 0)) {
    return "SubscribedTopicNames must be set in first request.";
  }
  return null;
}
