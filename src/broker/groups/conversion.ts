// Groups that change their kind while they run (KIP-848, online migration): the broker takes over the dividing when
// the first member joins that leaves it to him, and hands it back when the last one of those goes.
import type { AssignedGroup, AssignedSnapshot } from "./assigned-group.ts";
import type { ClassicGroup } from "./classic-group.ts";
import { type ClassicSnapshot, NOTHING, type StoredMember } from "./classic-member.ts";

/** What its members read and have can be told, so that the broker can go on dividing for them. */
export function isReadable({ members }: ClassicGroup): boolean {
  for (const { share, protocols } of members.values()) {
    if (share === null || protocols.some(({ streams }) => streams === null)) return false;
  }
  return true;
}

/** Its members as guests, with what they have. Who has not been in a generation has yet to join. */
export function asAssigned(group: ClassicGroup): AssignedSnapshot {
  const { generation, emptySinceMs, members } = group.snapshot();
  const settled = members.filter(({ id }) => group.members.get(id)?.fresh === false);
  return {
    epoch: group.generationAtMost,
    emptySinceMs,
    members: settled.map((member) => ({
      id: member.id,
      spec: specOf(member),
      epoch: generation,
      previousEpoch: generation,
      phase: "settled",
      assigned: member.share ?? [],
      revoking: [],
      target: member.share ?? [],
    })),
  };
}

function specOf(member: StoredMember): AssignedSnapshot["members"][number]["spec"] {
  const { instanceId, clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs } = member;
  const { protocolType, protocols } = member;
  return {
    ...{ instanceId, clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs },
    rack: null,
    streams: protocols[0]?.streams ?? [],
    pattern: null,
    assignor: null,
    guest: { protocolType, protocols },
  };
}

/** Its guests, who have yet to divide the work: whoever takes this up has them join. */
export function asClassic(group: AssignedGroup): ClassicSnapshot {
  const members = [...group.members.values()].flatMap((member): StoredMember[] => {
    const { spec, id } = member;
    const { instanceId, clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs, guest } = spec;
    if (guest === undefined) return [];
    const who = { instanceId, clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs };
    const share = group.shareOf(member);
    return [{ id, ...who, ...guest, assignment: NOTHING, share, formerGeneration: member.epoch }];
  });
  const [first] = members;
  return {
    generation: group.epoch,
    protocolType: first?.protocolType ?? "",
    protocol: null,
    leader: first?.id ?? "",
    emptySinceMs: group.emptySinceMs,
    members,
  };
}
