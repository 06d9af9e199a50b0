import { defineHandler } from "../api.ts";
import { CODES } from "../errors.ts";
import { codeOf } from "../group-codes.ts";
import { heartbeat } from "../schemas/heartbeat.ts";

export const heartbeatHandler = defineHandler({
  api: heartbeat,
  handle({ groupId, memberId, groupInstanceId: instanceId, generationId: generation }, { peer }) {
    const { groups } = peer.session;
    if (!peer.rights.may("read", "group", groupId)) return { errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
    return { errorCode: codeOf(groups.heartbeat(groupId, { memberId, instanceId, generation })) };
  },
});
