import { type Call, defineHandler, LATER } from "../api.ts";
import type { Request } from "../codec/api.ts";
import { CODES } from "../errors.ts";
import { shareAcknowledge } from "../schemas/share-acknowledge.ts";
import { LAST_REQUEST, type ShareSession, shareSessions } from "../share/sessions.ts";
import { leaseOf, settle, sharePolicy } from "../share/verdicts.ts";

type Topics = Request<typeof shareAcknowledge>["topics"];

/** What a member of a share group says of records, answered when that is durable (KIP-932). */
export const shareAcknowledgeHandler = defineHandler({
  api: shareAcknowledge,
  handle(request, call) {
    const { node, peer } = call;
    const { groupId, memberId, shareSessionEpoch, topics } = request;
    if (!peer.rights.may("read", "group", groupId ?? ""))
      return { errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
    const sessions = node.part(shareSessions);
    const session = sessions.enter(groupId, memberId, shareSessionEpoch, false, peer);
    const responses = settleAll(topics, session, call);
    if (shareSessionEpoch === LAST_REQUEST) sessions.close(session);
    const acquisitionLockTimeoutMs = sharePolicy(peer, session.group).leaseMs;
    peer.session.shares.durable(() => call.answer({ responses, acquisitionLockTimeoutMs }));
    return LATER;
  },
  refuse: ({ errorCode, errorMessage }) => ({ errorCode, errorMessage }),
});

function settleAll(topics: Topics, session: ShareSession, { peer, version }: Call) {
  const policy = sharePolicy(peer, session.group);
  return topics.map(({ topicId, partitions }) => ({
    topicId,
    partitions: partitions.map(({ partitionIndex, acknowledgementBatches }) => {
      const lease = leaseOf(peer, session.group, topicId, partitionIndex, policy);
      const errorCode =
        typeof lease === "number" ? lease : settle(lease, session, acknowledgementBatches, version);
      return { partitionIndex, errorCode };
    }),
  }));
}
