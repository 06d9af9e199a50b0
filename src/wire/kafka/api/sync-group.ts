import { defineHandler, LATER } from "../api.ts";
import { CODES } from "../errors.ts";
import { codeOf } from "../group-codes.ts";
import { assignmentBytes, sharesOf } from "../group-shares.ts";
import { syncGroup } from "../schemas/sync-group.ts";

/** Waits until the leader has handed in everybody's share, and that is durable. */
export const syncGroupHandler = defineHandler({
  api: syncGroup,
  handle(request, call) {
    const { peer } = call;
    const { session } = peer;
    const { groupId } = request;
    if (!peer.rights.may("read", "group", groupId)) return { errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
    const sync = {
      memberId: request.memberId,
      instanceId: request.groupInstanceId,
      generation: request.generationId,
      protocolType: request.protocolType,
      protocol: request.protocolName,
      assignments: new Map(request.assignments.map(({ memberId, assignment }) => [memberId, assignment])),
      shares: sharesOf(session, request.assignments),
    };
    session.groups.sync(groupId, sync, ({ refusal, protocolType, protocol, assignment, share }) =>
      call.answer({
        errorCode: codeOf(refusal),
        protocolType,
        protocolName: protocol,
        assignment: share === null ? assignment : assignmentBytes(session, share),
      }),
    );
    return LATER;
  },
});
