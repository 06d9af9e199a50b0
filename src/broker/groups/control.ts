import { BrokerError } from "../../base/errors.ts";
import type { Grants } from "../access/grants.ts";
import type { GroupSpace } from "./space.ts";
import type {
  GroupControl,
  GroupListing,
  GroupRefusal,
  GroupView,
  JoinRequest,
  JoinResult,
  LeavingMember,
  MemberClaim,
  OffsetAnswer,
  OffsetCommit,
  OffsetQuery,
  PartitionName,
  SyncRequest,
  SyncResult,
} from "./types.ts";

/** One user's access to the groups of one namespace: asks for permission, then has it done. */
export class GroupSession implements GroupControl {
  private readonly space: GroupSpace;
  private readonly grants: Grants;

  constructor(space: GroupSpace, grants: Grants) {
    this.space = space;
    this.grants = grants;
  }

  allows(access: "configure" | "read", group: string): boolean {
    return this.grants.allows(access, group);
  }

  join(group: string, request: JoinRequest, done: (result: JoinResult) => void): void {
    this.check("read", group);
    this.space.join(group, request, done);
  }

  sync(group: string, request: SyncRequest, done: (result: SyncResult) => void): void {
    this.check("read", group);
    this.space.sync(group, request, done);
  }

  heartbeat(group: string, claim: MemberClaim): GroupRefusal | null {
    this.check("read", group);
    return this.space.heartbeat(group, claim);
  }

  leave(group: string, members: readonly LeavingMember[]): readonly (GroupRefusal | null)[] {
    this.check("read", group);
    return this.space.leave(group, members);
  }

  commitOffsets(
    group: string,
    claim: MemberClaim,
    offsets: readonly OffsetCommit[],
    done: (refusals: readonly (GroupRefusal | null)[]) => void,
  ): void {
    this.check("read", group);
    this.space.commitOffsets(group, claim, offsets, done);
  }

  fetchOffsets(group: string, query: OffsetQuery): OffsetAnswer {
    this.check("read", group);
    return this.space.fetchOffsets(group, query);
  }

  deleteOffsets(
    group: string,
    partitions: readonly PartitionName[],
    done: (refusal: GroupRefusal | null, refusals: readonly (GroupRefusal | null)[]) => void,
  ): void {
    this.check("configure", group);
    this.space.deleteOffsets(group, partitions, done);
  }

  describe(group: string): GroupView | null {
    this.check("read", group);
    return this.space.describe(group);
  }

  list(): GroupListing[] {
    return this.space.list().filter(({ name }) => this.allows("read", name));
  }

  delete(group: string, done: (refusal: GroupRefusal | null) => void): void {
    this.check("configure", group);
    this.space.delete(group, done);
  }

  private check(access: "configure" | "read", group: string): void {
    if (this.allows(access, group)) return;
    const { user, namespace } = this.grants;
    throw new BrokerError(
      "access-refused",
      `${access} access to group '${group}' in namespace '${namespace}' refused for user '${user}'`,
      { access, kind: "group", name: group, namespace, user },
    );
  }
}
