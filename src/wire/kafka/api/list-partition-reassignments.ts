import { defineHandler } from "../api.ts";
import { listPartitionReassignments } from "../schemas/list-partition-reassignments.ts";

/** No partition is ever on its way to another broker. */
export const listPartitionReassignmentsHandler = defineHandler({
  api: listPartitionReassignments,
  handle(_, { peer }) {
    peer.rights.check("describe", "cluster", "cluster");
    return { errorMessage: null };
  },
  refuse: ({ errorCode, errorMessage }) => ({ errorCode, errorMessage }),
});
