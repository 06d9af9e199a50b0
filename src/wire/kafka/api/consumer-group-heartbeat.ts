import { randomUUID } from "node:crypto";
import { defineHandler, LATER, type Peer } from "../api.ts";
import type { Request } from "../codec/api.ts";
import { groupConfigs } from "../configs/group-configs.ts";
import { CODES } from "../errors.ts";
import { codeOf } from "../group-codes.ts";
import { consumerGroupHeartbeat } from "../schemas/consumer-group-heartbeat.ts";

/** Before it the broker names its members, as in classic groups. */
const FIRST_WITH_OWN_IDS = 1;
const STATIC_LEAVE_EPOCH = -2;
/** Between heartbeats of a member that waits for partitions, instead of the seconds that the group is configured for. */
const UNSETTLED_INTERVAL_MS = 500;

type Heartbeat = Request<typeof consumerGroupHeartbeat>;

/** The whole of a member's life in a group that the broker divides (KIP-848). */
export const consumerGroupHeartbeatHandler = defineHandler({
  api: consumerGroupHeartbeat,
  handle(asked, call) {
    const { node, peer, clientId, version } = call;
    const named = version >= FIRST_WITH_OWN_IDS || asked.memberEpoch !== 0 || asked.memberId !== "";
    const request = named ? asked : { ...asked, memberId: randomUUID() };
    const { groupId, memberId } = request;
    if (!peer.rights.may("read", "group", groupId)) return { errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
    const errorMessage = whatIsWrong(request);
    if (errorMessage !== null) return { errorCode: CODES.INVALID_REQUEST, errorMessage };
    const unseen = request.subscribedTopicNames?.find((topic) => !mayDescribe(peer, topic));
    if (unseen !== undefined) return { errorCode: CODES.TOPIC_AUTHORIZATION_FAILED };
    const configs = groupConfigs(node);
    const heartbeat = {
      memberId,
      epoch: request.memberEpoch,
      clientId: clientId ?? "",
      clientHost: `/${peer.remoteAddress}`,
      instanceId: request.instanceId,
      rack: request.rackId,
      rebalanceTimeoutMs: request.rebalanceTimeoutMs,
      sessionTimeoutMs: configs.number(groupId, "consumer.session.timeout.ms"),
      streams: request.subscribedTopicNames,
      pattern: request.subscribedTopicRegex,
      assignor: request.serverAssignor === "" ? null : request.serverAssignor,
      owned: ownedBy(request),
      full: saysEverything(request),
      visible: (topic: string) => mayDescribe(peer, topic),
    };
    peer.session.groups.assignedHeartbeat(groupId, "assigned", heartbeat, (result) =>
      call.answer({
        errorCode: codeOf(result.refusal),
        memberId: result.memberId,
        memberEpoch: result.epoch,
        heartbeatIntervalMs: Math.min(
          configs.number(groupId, "consumer.heartbeat.interval.ms"),
          result.unsettled ? UNSETTLED_INTERVAL_MS : Number.POSITIVE_INFINITY,
        ),
        assignment:
          result.assignment === null
            ? null
            : {
                topicPartitions: result.assignment.map(({ streamId, partitions }) => {
                  return { topicId: streamId, partitions };
                }),
              },
      }),
    );
    return LATER;
  },
});

/** What cannot be meant, whatever the state of the group. */
function whatIsWrong(request: Heartbeat): string | null {
  const { groupId, memberId, memberEpoch, instanceId, rackId, topicPartitions } = request;
  if (groupId === "") return "GroupId can't be empty.";
  if (memberId === "") return "MemberId can't be empty.";
  if (instanceId === "") return "InstanceId can't be empty.";
  if (rackId === "") return "RackId can't be empty.";
  if (memberEpoch < STATIC_LEAVE_EPOCH)
    return `MemberEpoch is ${memberEpoch}, but must be greater than or equal to -2.`;
  if (memberEpoch === STATIC_LEAVE_EPOCH && instanceId === null) return "InstanceId can't be null.";
  if (memberEpoch !== 0) return null;
  if (request.rebalanceTimeoutMs === -1) return "RebalanceTimeoutMs must be provided in first request.";
  if (topicPartitions === null || topicPartitions.length > 0) {
    return "TopicPartitions must be empty when (re-)joining.";
  }
  if (request.subscribedTopicNames === null && request.subscribedTopicRegex === null) {
    return "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.";
  }
  return null;
}

function saysEverything({
  rebalanceTimeoutMs,
  subscribedTopicNames,
  subscribedTopicRegex,
  topicPartitions,
}: Heartbeat): boolean {
  const subscribes = subscribedTopicNames !== null || subscribedTopicRegex !== null;
  return rebalanceTimeoutMs !== -1 && subscribes && topicPartitions !== null;
}

function ownedBy({ topicPartitions }: Heartbeat) {
  return topicPartitions?.map(({ topicId, partitions }) => ({ streamId: topicId, partitions })) ?? null;
}

function mayDescribe({ rights }: Peer, topic: string): boolean {
  return rights.may("describe", "stream", topic);
}
