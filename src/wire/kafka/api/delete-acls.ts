import { defineHandler } from "../api.ts";
import { durable } from "../durable.ts";
import { CODES, partRefusal } from "../errors.ts";
import { deleteAcls } from "../schemas/delete-acls.ts";
import { aclOf, filterOf } from "../security/acls.ts";

/** Removes the rules that filters find, and tells which they were. */
export const deleteAclsHandler = defineHandler({
  api: deleteAcls,
  async handle({ filters }, { peer, node }) {
    const filterResults = filters.map((asked) => {
      try {
        peer.rights.check("alter", "cluster", "cluster");
        const filter = filterOf(asked);
        const removed = filter === null ? [] : peer.rights.removeRules(filter);
        const matchingAcls = removed.map((rule) => ({ ...aclOf(rule), errorMessage: null }));
        return { errorCode: CODES.NONE, errorMessage: null, matchingAcls };
      } catch (error) {
        return partRefusal(error);
      }
    });
    await durable(node);
    return { filterResults };
  },
});
