import type { ClassicState, GroupView, Operation, Rights } from "../../../broker/index.ts";
import { defineHandler } from "../api.ts";
import { CODES } from "../errors.ts";
import { describeGroups } from "../schemas/describe-groups.ts";

/** From here on a group that is not there is an error; before, it is dead. */
const FIRST_WITH_NOT_FOUND = 6;

const OPERATIONS: readonly (readonly [number: number, operation: Operation])[] = [
  [3, "read"],
  [6, "delete"],
  [8, "describe"],
];

export const STATE_NAMES: Readonly<Record<ClassicState, string>> = {
  empty: "Empty",
  preparing: "PreparingRebalance",
  completing: "CompletingRebalance",
  stable: "Stable",
  dead: "Dead",
};

export const describeGroupsHandler = defineHandler({
  api: describeGroups,
  handle({ groups: names, includeAuthorizedOperations }, { version, peer }) {
    const { groups } = peer.session;
    return {
      groups: names.map((groupId) => {
        if (!peer.rights.may("describe", "group", groupId))
          return { groupId, errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
        const authorizedOperations = includeAuthorizedOperations
          ? operationBits(peer.rights, groupId)
          : undefined;
        const view = groups.describe(groupId);
        if (view === null) return { ...missing(groupId, version), authorizedOperations };
        return { ...described(view), authorizedOperations };
      }),
    };
  },
});

function missing(groupId: string, version: number) {
  if (version < FIRST_WITH_NOT_FOUND) return { groupId, groupState: STATE_NAMES.dead };
  const errorMessage = `Group ${groupId} not found.`;
  return { groupId, groupState: STATE_NAMES.dead, errorCode: CODES.GROUP_ID_NOT_FOUND, errorMessage };
}

function described({ name, state, protocolType, protocol, members }: GroupView) {
  return {
    groupId: name,
    groupState: STATE_NAMES[state],
    protocolType,
    protocolData: protocol,
    members: members.map((member) => ({
      memberId: member.id,
      groupInstanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata: member.metadata,
      memberAssignment: member.assignment,
    })),
  };
}

/** A bit for each operation that the user may do to the group, by its number. */
export function operationBits(rights: Rights, group: string): number {
  return OPERATIONS.reduce(
    (bits, [number, operation]) => (rights.may(operation, "group", group) ? bits | (1 << number) : bits),
    0,
  );
}
