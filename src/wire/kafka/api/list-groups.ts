import { defineHandler } from "../api.ts";
import { KIND_NAMES, STATE_NAMES } from "../group-names.ts";
import { listGroups } from "../schemas/list-groups.ts";

export const listGroupsHandler = defineHandler({
  api: listGroups,
  handle({ statesFilter, typesFilter }, { peer }) {
    const states = new Set(statesFilter.map((state) => state.toLowerCase()));
    const types = new Set(typesFilter.map((type) => type.toLowerCase()));
    const all = peer.session.groups
      .list()
      .filter(({ name }) => peer.rights.may("describe", "group", name))
      .map(({ name, kind, state, protocolType }) => {
        const groupType = KIND_NAMES[kind];
        const shownType = kind === "classic" ? protocolType : groupType;
        return { groupId: name, protocolType: shownType, groupState: STATE_NAMES[state], groupType };
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
