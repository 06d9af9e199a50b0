import { defineHandler } from "../api.ts";
import { describeAcls } from "../schemas/describe-acls.ts";
import { type Acl, aclOf, filterOf } from "../security/acls.ts";

/** The rules that a filter finds, resource by resource. */
export const describeAclsHandler = defineHandler({
  api: describeAcls,
  handle(request, { peer }) {
    const filter = filterOf(request);
    // Asked in any case: who may not see rules is not told that there are none.
    const found = peer.rights.rules(filter ?? {});
    const byResource = new Map<string, Acl[]>();
    for (const acl of filter === null ? [] : found.map(aclOf)) {
      const key = JSON.stringify([acl.resourceType, acl.patternType, acl.resourceName]);
      byResource.set(key, [...(byResource.get(key) ?? []), acl]);
    }
    const resources = Array.from(byResource.values(), (acls) => {
      const { resourceType, resourceName, patternType } = acls[0] as Acl;
      return { resourceType, resourceName, patternType, acls };
    });
    return { errorMessage: null, resources };
  },
  refuse: ({ errorCode, errorMessage }) => ({ errorCode, errorMessage }),
});
