import { defineHandler } from "../api.ts";
import { listGroups } from "../schemas/list-groups.ts";
import { STATE_NAMES } from "./describe-groups.ts";

export const listGroupsHandler = defineHandler({
  api: listGroups,
  handle({ statesFilter, typesFilter }, { peer }) {
    const states = new Set(statesFilter.map((state) => state.toLowerCase()));
    const types = new Set(typesFilter.map((type) => type.toLowerCase()));
    const all = peer.session.groups
      .list()
      .filter(({ name }) => peer.rights.may("describe", "group", name))
      .map(({ name, kind, state, protocolType }) => {
        return { groupId: name, protocolType, groupState: STATE_NAMES[state], groupType: kind };
      });
    return {
      groups: all.filter(
        ({ groupState, groupType }) =>
          (states.size === 0 || states.has(groupState.toLowerCase())) &&
          (types.size === 0 || types.has(groupType)),
      ),
    };
  },
});
