import type { JoinResult, MemberProtocol } from "../../../broker/index.ts";
import { defineHandler, LATER } from "../api.ts";
import { Reader } from "../codec/reader.ts";
import { CODES } from "../errors.ts";
import { codeOf } from "../group-codes.ts";
import { ownedPartitions } from "../group-shares.ts";
import { readSubscription } from "../schemas/consumer-protocol.ts";
import { joinGroup } from "../schemas/join-group.ts";

/** From here on a client takes the id that it is given and joins again with it (KIP-394). */
const FIRST_WITH_REQUIRED_ID = 4;
/** From here on a static leader that is back can be told to leave the assignment alone (KIP-814). */
const FIRST_WITH_SKIPPING = 9;

/** Waits until the generation is complete. */
export const joinGroupHandler = defineHandler({
  api: joinGroup,
  handle(request, call) {
    const { version, peer } = call;
    const { groupId, memberId, protocolType, sessionTimeoutMs } = request;
    const { session } = peer;
    const { groups } = session;
    const [first] = request.protocols;
    if (!peer.rights.may("read", "group", groupId))
      return { errorCode: CODES.GROUP_AUTHORIZATION_FAILED, memberId };
    const join = {
      memberId,
      instanceId: request.groupInstanceId,
      clientId: call.clientId ?? "",
      clientHost: `/${peer.remoteAddress}`,
      sessionTimeoutMs,
      rebalanceTimeoutMs: version === 0 ? sessionTimeoutMs : request.rebalanceTimeoutMs,
      protocolType,
      protocols: request.protocols.map(({ name, metadata }): MemberProtocol => {
        return { name, metadata, streams: protocolType === "consumer" ? subscribed(metadata) : null };
      }),
      idRequired: version >= FIRST_WITH_REQUIRED_ID,
      canSkipAssignment: version >= FIRST_WITH_SKIPPING,
      owned:
        first !== undefined && protocolType === "consumer" ? ownedPartitions(session, first.metadata) : null,
    };
    const forget = peer.onClosed(() => groups.abandonJoin(groupId, done));
    function done(result: JoinResult): void {
      forget();
      call.answer({
        errorCode: codeOf(result.refusal),
        generationId: result.generation,
        protocolType: result.protocolType,
        protocolName: result.protocol ?? "",
        leader: result.leader,
        skipAssignment: result.skipAssignment,
        memberId: result.memberId,
        members: result.members.map(({ id, instanceId, metadata }) => {
          return { memberId: id, groupInstanceId: instanceId, metadata };
        }),
      });
    }
    groups.join(groupId, join, done);
    return LATER;
  },
});

/** What a member of a consumer group reads; null where its metadata is of its own making. */
function subscribed(metadata: Uint8Array): readonly string[] | null {
  try {
    return readSubscription(new Reader(metadata)).topics;
  } catch {
    return null;
  }
}
