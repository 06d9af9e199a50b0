import { defineHandler } from "../api.ts";
import { FetchSessions } from "../fetch/sessions.ts";
import { FetchWork } from "../fetch/work.ts";
import { fetch } from "../schemas/fetch.ts";

const sessionsOf = (): FetchSessions => new FetchSessions();

/** Record batches from an offset on, as they are stored; waits for them for a while when there are none. */
export const fetchHandler = defineHandler({
  api: fetch,
  handle(request, call) {
    const scope = call.node.part(sessionsOf).enter(request, call.version, call.peer);
    return new FetchWork(call, request, scope).start();
  },
  refuse: ({ errorCode }) => ({ errorCode }),
});
