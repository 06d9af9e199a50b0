import type { Deadlines } from "../../base/deadlines.ts";
import { type AssignedMember, type GuestSpec, JOIN_EPOCH } from "./assigned-member.ts";
import { type JoinDone, NOTHING, refusedJoin, refusedSync, type SyncDone } from "./classic-member.ts";
import type {
  AssignedHeartbeat,
  AssignedResult,
  GroupRefusal,
  GroupSettings,
  JoinRequest,
  MemberClaim,
  StreamPartitions,
  SyncRequest,
} from "./types.ts";

export interface GuestHost {
  readonly deadlines: Deadlines;
  readonly settings: GroupSettings;
  /** A name that nobody has had. */
  newId(): string;
}

/** A group, as its guests need it. */
export interface GuestHouse {
  readonly epoch: number;
  readonly members: ReadonlyMap<string, AssignedMember>;
  readonly hasOnlyGuests: boolean;
  heartbeat(
    request: AssignedHeartbeat & { readonly guest: GuestSpec },
    done: (result: AssignedResult) => void,
  ): void;
  holderOf(instanceId: string): AssignedMember | undefined;
  shareOf(member: AssignedMember): StreamPartitions[];
  /** Others have yet to give up what it waits for. */
  isBlocked(member: AssignedMember): boolean;
  /** Looks for streams that came, went or grew. */
  refresh(): void;
  /** To be called last: there is another group in its place then. */
  dissolveIfOnlyGuests(): void;
}

interface Guest extends AssignedMember {
  readonly spec: AssignedMember["spec"] & { readonly guest: GuestSpec };
}

/**
 * Members of an assigned group who speak as those of a classic group do (KIP-848, online migration). They join
 * whenever there is something new for them, and nobody waits for anybody: a join is a step towards the member's
 * target, its generation is the member's epoch, and the share that it then asks for is what it has got so far.
 * They are told to join in the answers to their heartbeats.
 */
export class Guests {
  private readonly group: GuestHouse;
  private readonly host: GuestHost;

  constructor(group: GuestHouse, host: GuestHost) {
    this.group = group;
    this.host = host;
  }

  join(request: JoinRequest, done: JoinDone): void {
    const refusal = this.joinRefusal(request);
    const { instanceId, protocols, protocolType, owned } = request;
    const named = request.memberId !== "" || (instanceId === null && request.idRequired);
    const memberId = request.memberId === "" ? this.newId(request) : request.memberId;
    if (refusal !== null || (named && request.memberId === "")) {
      // Who has to know its id first need not be remembered: any id will do.
      const asked = refusal === null ? memberId : request.memberId;
      done(refusedJoin(refusal ?? "member-id-required", asked));
      return;
    }
    const { clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs } = request;
    const heartbeat = {
      ...{ memberId, instanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs, owned },
      epoch: JOIN_EPOCH,
      rack: null,
      streams: protocols[0]?.streams ?? [],
      pattern: "",
      assignor: null,
      full: true,
      visible: () => true,
      guest: { protocolType, protocols },
    };
    this.group.heartbeat(heartbeat, (result) => {
      if (result.refusal !== null) {
        done(refusedJoin(result.refusal, memberId));
        return;
      }
      const member = this.group.members.get(memberId);
      // Its share is what it asks for next.
      if (member !== undefined) this.host.deadlines.set(member.patience, rebalanceTimeoutMs);
      done({
        refusal: null,
        memberId,
        generation: result.epoch,
        protocolType,
        protocol: protocols[0]?.name ?? null,
        leader: "",
        skipAssignment: false,
        members: [],
      });
    });
  }

  private newId({ instanceId, clientId }: JoinRequest): string {
    return `${instanceId ?? clientId}-${this.host.newId()}`;
  }

  private joinRefusal(request: JoinRequest): GroupRefusal | null {
    const { memberId, instanceId, sessionTimeoutMs, owned, protocols } = request;
    const { sessionTimeoutMsMin, sessionTimeoutMsMax } = this.host.settings;
    if (sessionTimeoutMs < sessionTimeoutMsMin || sessionTimeoutMs > sessionTimeoutMsMax)
      return "session-timeout-invalid";
    if (owned === null || protocols.length === 0) return "group-kind";
    if (!this.understands(request)) return "protocols-inconsistent";
    if (instanceId === null || memberId === "") return null;
    const holder = this.group.holderOf(instanceId);
    if (holder === undefined) return "member-unknown";
    return holder.id === memberId ? null : "instance-fenced";
  }

  /** All guests must be able to go on among themselves. */
  private understands({ memberId, protocolType, protocols }: JoinRequest): boolean {
    let common = new Set(protocols.map(({ name }) => name));
    for (const { id, spec } of this.group.members.values()) {
      if (spec.guest === undefined || id === memberId) continue;
      if (spec.guest.protocolType !== protocolType) return false;
      common = new Set(spec.guest.protocols.map(({ name }) => name).filter((name) => common.has(name)));
    }
    return common.size > 0;
  }

  sync(request: SyncRequest, done: SyncDone): void {
    const member = this.find(request);
    const refusal = typeof member === "string" ? member : this.syncRefusal(member, request);
    if (typeof member === "string" || refusal !== null) {
      done(refusedSync(refusal as GroupRefusal));
      return;
    }
    const { deadlines } = this.host;
    const { protocolType, protocols } = member.spec.guest;
    deadlines.set(member.session, member.spec.sessionTimeoutMs);
    // Who has to give something up joins once more when it has.
    if (member.phase === "revoking") deadlines.set(member.patience, member.spec.rebalanceTimeoutMs);
    else deadlines.clear(member.patience);
    const [protocol] = protocols;
    const share = { partitions: this.group.shareOf(member), metadata: protocol?.metadata ?? NOTHING };
    done({ refusal: null, protocolType, protocol: protocol?.name ?? null, assignment: NOTHING, share });
  }

  private syncRefusal(
    member: Guest,
    { generation, protocolType, protocol }: SyncRequest,
  ): GroupRefusal | null {
    const { guest } = member.spec;
    if (generation !== member.epoch) return "generation-stale";
    // Before its protocol is looked at: it may have joined while the members still voted for one.
    if (member.epoch < this.group.epoch && member.phase !== "revoking") {
      this.expectJoin(member);
      return "rebalancing";
    }
    if (protocolType !== null && protocolType !== guest.protocolType) return "protocols-inconsistent";
    if (protocol !== null && protocol !== guest.protocols[0]?.name) return "protocols-inconsistent";
    return null;
  }

  heartbeat(claim: MemberClaim): GroupRefusal | null {
    const member = this.find(claim);
    if (typeof member === "string") return member;
    if (claim.generation !== member.epoch) return "generation-stale";
    this.host.deadlines.set(member.session, member.spec.sessionTimeoutMs);
    this.group.refresh();
    const { phase, epoch } = member;
    const rejoins =
      epoch < this.group.epoch ||
      phase === "revoking" ||
      (phase === "waiting" && !this.group.isBlocked(member));
    if (!rejoins && !this.group.hasOnlyGuests) return null;
    this.expectJoin(member);
    // The last of the others may have been replaced, and not have left.
    this.group.dissolveIfOnlyGuests();
    return "rebalancing";
  }

  private expectJoin({ patience, spec }: Guest): void {
    if (patience.dueMs === Number.POSITIVE_INFINITY)
      this.host.deadlines.set(patience, spec.rebalanceTimeoutMs);
  }

  private find({ memberId, instanceId }: MemberClaim): Guest | GroupRefusal {
    if (instanceId !== null) {
      const holder = this.group.holderOf(instanceId);
      if (holder === undefined) return "member-unknown";
      if (holder.id !== memberId) return "instance-fenced";
    }
    const member = this.group.members.get(memberId);
    return member?.spec.guest === undefined ? "member-unknown" : (member as Guest);
  }
}
