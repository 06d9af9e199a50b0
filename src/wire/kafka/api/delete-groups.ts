import { defineHandler, type Peer } from "../api.ts";
import { CODES } from "../errors.ts";
import { codeOf } from "../group-codes.ts";
import { deleteGroups } from "../schemas/delete-groups.ts";

export const deleteGroupsHandler = defineHandler({
  api: deleteGroups,
  async handle({ groupsNames }, { peer }) {
    const results = groupsNames.map(async (groupId) => {
      return { groupId, errorCode: await deleteOne(peer, groupId) };
    });
    return { results: await Promise.all(results) };
  },
});

async function deleteOne({ rights, session }: Peer, group: string): Promise<number> {
  if (!rights.may("delete", "group", group)) return CODES.GROUP_AUTHORIZATION_FAILED;
  return new Promise((resolve) => session.groups.delete(group, (refusal) => resolve(codeOf(refusal))));
}
