import type { GroupControl } from "../../../broker/index.ts";
import { defineHandler } from "../api.ts";
import { CODES } from "../errors.ts";
import { codeOf } from "../group-codes.ts";
import { deleteGroups } from "../schemas/delete-groups.ts";

export const deleteGroupsHandler = defineHandler({
  api: deleteGroups,
  async handle({ groupsNames }, { peer }) {
    const { groups } = peer.session;
    const results = groupsNames.map(async (groupId) => {
      return { groupId, errorCode: await deleteOne(groups, groupId) };
    });
    return { results: await Promise.all(results) };
  },
});

async function deleteOne(groups: GroupControl, group: string): Promise<number> {
  if (!groups.allows("configure", group)) return CODES.GROUP_AUTHORIZATION_FAILED;
  return new Promise((resolve) => groups.delete(group, (refusal) => resolve(codeOf(refusal))));
}
