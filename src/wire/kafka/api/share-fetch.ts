import { defineHandler, LATER } from "../api.ts";
import { CODES } from "../errors.ts";
import { shareFetch } from "../schemas/share-fetch.ts";
import { ShareFetchWork } from "../share/fetch-work.ts";
import { NEW_SESSION, shareSessions } from "../share/sessions.ts";

/** Records for a member of a share group, and what it says of those that it had (KIP-932). */
export const shareFetchHandler = defineHandler({
  api: shareFetch,
  handle(request, call) {
    const { node, peer } = call;
    const { groupId, memberId, shareSessionEpoch, topics } = request;
    if (!peer.rights.may("read", "group", groupId ?? ""))
      return { errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
    const opens = shareSessionEpoch === NEW_SESSION;
    if (
      opens &&
      topics.some(({ partitions }) => partitions.some((one) => one.acknowledgementBatches.length > 0))
    ) {
      return { errorCode: CODES.INVALID_REQUEST, errorMessage: "A new session has nothing to acknowledge." };
    }
    const sessions = node.part(shareSessions);
    const session = sessions.enter(groupId, memberId, shareSessionEpoch, true, peer);
    new ShareFetchWork(call, request, session, sessions).start();
    return LATER;
  },
  refuse: ({ errorCode, errorMessage }) => ({ errorCode, errorMessage }),
});
