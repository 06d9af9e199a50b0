/**
 * Groups of readers as protocols see them: who is a member, who reads which partitions, how far each
 * partition was read. What members tell each other (metadata, assignments) is opaque bytes.
 */

/** Why a group did not do what it was asked. Neutral; each protocol has its own code for it. */
export type GroupRefusal =
  | "group-name-invalid"
  | "session-timeout-invalid"
  /** No protocol that all members speak, or members of another type. */
  | "protocols-inconsistent"
  | "member-unknown"
  /** The id to join with is in the answer. */
  | "member-id-required"
  | "group-full"
  | "generation-stale"
  | "rebalancing"
  /** Another member has taken over the static name. */
  | "instance-fenced"
  /** The static name is still held by a member that has not left. */
  | "instance-held"
  | "member-epoch-fenced"
  | "member-epoch-stale"
  | "assignor-unknown"
  | "pattern-invalid"
  | "request-invalid"
  | "group-not-empty"
  | "group-not-found"
  /** The name belongs to a group of another kind that has members. */
  | "group-kind"
  | "stream-subscribed"
  | "partition-unknown"
  | "metadata-too-large"
  /** A transaction has yet to decide about an offset. */
  | "offset-undecided"
  /** The producer of a transaction is not, or no longer, the one that may write. */
  | "producer-fenced"
  | "producer-unknown";

/** One way of dividing the work that a member can take part in, with what it tells the leader. */
export interface MemberProtocol {
  readonly name: string;
  readonly metadata: Uint8Array;
  /** Streams that the metadata subscribes to, when the wire layer can read it; else null. */
  readonly streams: readonly string[] | null;
}

export interface MemberCaller {
  readonly clientId: string;
  readonly clientHost: string;
}

export interface JoinRequest extends MemberCaller {
  /** Empty: a new member. */
  readonly memberId: string;
  /** Name of a static member, which outlives its connection; else null. */
  readonly instanceId: string | null;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  readonly protocols: readonly MemberProtocol[];
  /** A new member is told its id first, and joins with it (KIP-394). */
  readonly idRequired: boolean;
  /** A returning static leader can be told that there is nothing to assign (KIP-814). */
  readonly canSkipAssignment: boolean;
  /** What it says that it still has; null: what it says cannot be read, and the broker cannot divide for it. */
  readonly owned: readonly StreamPartitions[] | null;
}

export interface JoinedMember {
  readonly id: string;
  readonly instanceId: string | null;
  readonly metadata: Uint8Array;
}

export interface JoinResult {
  readonly refusal: GroupRefusal | null;
  readonly memberId: string;
  /** -1 when refused. */
  readonly generation: number;
  readonly protocolType: string | null;
  readonly protocol: string | null;
  readonly leader: string;
  readonly skipAssignment: boolean;
  /** For the leader; empty for others. */
  readonly members: readonly JoinedMember[];
}

/** A member, as it names itself in later requests. */
export interface MemberClaim {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly generation: number;
}

export interface SyncRequest extends MemberClaim {
  /** Null: not said. */
  readonly protocolType: string | null;
  readonly protocol: string | null;
  /** From the leader: each member's share of the work. */
  readonly assignments: ReadonlyMap<string, Uint8Array>;
  /** The same, where it can be read and says nothing beyond that. */
  readonly shares: ReadonlyMap<string, readonly StreamPartitions[]>;
}

export interface SyncResult {
  readonly refusal: GroupRefusal | null;
  readonly protocolType: string | null;
  readonly protocol: string | null;
  readonly assignment: Uint8Array;
  /** Instead of `assignment`, from a group that the broker divides; to be written as the member's metadata is. */
  readonly share: { readonly partitions: readonly StreamPartitions[]; readonly metadata: Uint8Array } | null;
}

export interface LeavingMember {
  /** Empty: whoever holds `instanceId`. */
  readonly memberId: string;
  readonly instanceId: string | null;
}

export interface MemberView extends MemberCaller {
  readonly id: string;
  readonly instanceId: string | null;
  readonly metadata: Uint8Array;
  readonly assignment: Uint8Array;
}

export type ClassicState = "empty" | "preparing" | "completing" | "stable" | "dead";

export interface ClassicView {
  readonly kind: "classic";
  readonly name: string;
  readonly state: ClassicState;
  readonly protocolType: string;
  /** Chosen protocol, or "". */
  readonly protocol: string;
  readonly members: readonly MemberView[];
}

// --- groups that the broker divides -----------------------------------------------------------

export interface StreamPartitions {
  readonly streamId: string;
  readonly partitions: readonly number[];
}

export interface AssignedHeartbeat extends MemberCaller {
  readonly memberId: string;
  /** 0: joins; -1: leaves; -2: a static member leaves and will be back. */
  readonly epoch: number;
  readonly instanceId: string | null;
  readonly rack: string | null;
  /** For giving up partitions; -1, like null below: as before. */
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  readonly streams: readonly string[] | null;
  /** A regular expression for more streams; "": none any more. */
  readonly pattern: string | null;
  readonly assignor: string | null;
  /** What the member has. */
  readonly owned: readonly StreamPartitions[] | null;
  /** It says everything, and wants to be told everything. */
  readonly full: boolean;
  /** What a pattern may find for its user. */
  readonly visible: (stream: string) => boolean;
}

export interface AssignedResult {
  readonly refusal: GroupRefusal | null;
  readonly memberId: string;
  readonly epoch: number;
  /** Null: as before. */
  readonly assignment: readonly StreamPartitions[] | null;
  /** It has not all that it should have: it does well to ask again soon. */
  readonly unsettled: boolean;
}

export type AssignedState = "empty" | "reconciling" | "stable";

export interface AssignedMemberView extends MemberCaller {
  readonly id: string;
  readonly instanceId: string | null;
  readonly rack: string | null;
  readonly epoch: number;
  readonly streams: readonly string[];
  readonly pattern: string | null;
  readonly assigned: readonly StreamPartitions[];
  readonly target: readonly StreamPartitions[];
  /** It speaks as the members of classic groups do. */
  readonly isGuest: boolean;
}

export interface AssignedView {
  readonly kind: "assigned" | "share";
  readonly name: string;
  readonly state: AssignedState;
  readonly epoch: number;
  readonly assignor: string;
  readonly members: readonly AssignedMemberView[];
}

/** Bounds and waits of all groups. */
export interface GroupSettings {
  readonly sessionTimeoutMsMin: number;
  readonly sessionTimeoutMsMax: number;
  /** How long a new group waits for more members before its first generation, again with each that comes. */
  readonly initialDelayMs: number;
  readonly membersMax: number;
  /** A join that waits so long without its member being known to live is given up. */
  readonly newMemberTimeoutMs: number;
  /** Offsets of a group that has been empty for so long are forgotten. */
  readonly offsetRetentionMs: number;
  readonly offsetMetadataBytesMax: number;
  readonly expiryCheckMs: number;
}

export const DEFAULT_GROUP_SETTINGS: GroupSettings = {
  sessionTimeoutMsMin: 6000,
  sessionTimeoutMsMax: 1_800_000,
  initialDelayMs: 100,
  membersMax: Number.POSITIVE_INFINITY,
  newMemberTimeoutMs: 300_000,
  offsetRetentionMs: 7 * 86_400_000,
  offsetMetadataBytesMax: 4096,
  expiryCheckMs: 600_000,
};

// --- offsets ----------------------------------------------------------------------------------

export interface OffsetCommit {
  readonly stream: string;
  readonly partition: number;
  /** Of the next record to read. */
  readonly offset: number;
  /** Leader epoch of the record before; -1: not said. */
  readonly epoch: number;
  readonly metadata: string;
  /** How long to keep it, ms; -1: as the group's retention has it. */
  readonly retentionMs: number;
}

export interface PartitionName {
  readonly stream: string;
  readonly partition: number;
}

export interface OffsetQuery {
  /** Null: all that there are. */
  readonly partitions: readonly PartitionName[] | null;
  /** Refuse partitions that a transaction has yet to decide about. */
  readonly decidedOnly: boolean;
  /** Who asks, when the group has to know; generation is the member's epoch. */
  readonly claim: MemberClaim | null;
}

export interface FetchedOffset extends PartitionName {
  readonly refusal: GroupRefusal | null;
  /** -1: none. */
  readonly offset: number;
  readonly epoch: number;
  readonly metadata: string;
}

export interface OffsetAnswer {
  readonly refusal: GroupRefusal | null;
  readonly offsets: readonly FetchedOffset[];
}

// --- management -------------------------------------------------------------------------------

/** Members divide the work among themselves; the broker does; or all share all of it. */
export type GroupKind = "classic" | "assigned" | "share";

export type GroupView = ClassicView | AssignedView;

export interface GroupListing {
  readonly name: string;
  readonly kind: GroupKind;
  readonly state: ClassicState | AssignedState;
  /** Of a classic group; else "". */
  readonly protocolType: string;
}

/**
 * What a protocol can do with the groups of its session's namespace. Nothing here asks for permission:
 * that is for the protocol to do, of `Rights`, since each operation has its own answer for it.
 */
export interface GroupControl {
  join(group: string, request: JoinRequest, done: (result: JoinResult) => void): void;
  /** Whoever waits for `done` of a join has gone, and will never hear it. */
  abandonJoin(group: string, done: (result: JoinResult) => void): void;
  sync(group: string, request: SyncRequest, done: (result: SyncResult) => void): void;
  heartbeat(group: string, claim: MemberClaim): GroupRefusal | null;
  /** Everything that a member of a group which the broker divides ever says. Answered when it is durable. */
  assignedHeartbeat(
    group: string,
    kind: "assigned" | "share",
    request: AssignedHeartbeat,
    done: (result: AssignedResult) => void,
  ): void;
  leave(group: string, members: readonly LeavingMember[]): readonly (GroupRefusal | null)[];

  /** `done` is called when everything is durable, with one answer for each. */
  commitOffsets(
    group: string,
    claim: MemberClaim,
    offsets: readonly OffsetCommit[],
    done: (refusals: readonly (GroupRefusal | null)[]) => void,
  ): void;
  fetchOffsets(group: string, query: OffsetQuery): OffsetAnswer;
  deleteOffsets(
    group: string,
    partitions: readonly PartitionName[],
    done: (refusal: GroupRefusal | null, refusals: readonly (GroupRefusal | null)[]) => void,
  ): void;

  /** Null: there is no such group. */
  describe(group: string): GroupView | null;
  list(): GroupListing[];
  delete(group: string, done: (refusal: GroupRefusal | null) => void): void;
}
