import { defineHandler } from "../api.ts";
import { durable } from "../durable.ts";
import { CODES, partRefusal } from "../errors.ts";
import { createAcls } from "../schemas/create-acls.ts";
import { ruleOf } from "../security/acls.ts";

/** Adds rules, each by itself. */
export const createAclsHandler = defineHandler({
  api: createAcls,
  async handle({ creations }, { peer, node }) {
    const results = creations.map((creation) => {
      try {
        peer.rights.addRules([ruleOf({ ...creation, patternType: creation.resourcePatternType })]);
        return { errorCode: CODES.NONE, errorMessage: null };
      } catch (error) {
        return partRefusal(error);
      }
    });
    await durable(node);
    return { results };
  },
});
