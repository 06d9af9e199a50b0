import type { Deadlines } from "../../base/deadlines.ts";
import { AssignedGroup, type AssignedHost, refusedHeartbeat } from "./assigned-group.ts";
import { JOIN_EPOCH } from "./assigned-member.ts";
import { ClassicGroup, type ClassicHost } from "./classic-group.ts";
import { refusedJoin, refusedSync } from "./classic-member.ts";
import { asAssigned, asClassic, isReadable } from "./conversion.ts";
import type { Guests } from "./guests.ts";
import { type Offset, type OffsetRecords, Offsets } from "./offsets.ts";
import type { GroupRecord, GroupStore } from "./store.ts";
import { type StreamDirectory, Subscriptions } from "./subscriptions.ts";
import type {
  AssignedHeartbeat,
  AssignedResult,
  FetchedOffset,
  GroupControl,
  GroupListing,
  GroupRefusal,
  GroupSettings,
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

/** What groups need to know of the streams that they read. */
export interface StreamNames {
  in(namespace: string): StreamDirectory;
}

export interface GroupParts {
  readonly store: GroupStore;
  readonly deadlines: Deadlines;
  readonly settings: GroupSettings;
  readonly streams: StreamNames;
  readonly newId: () => string;
  /** A group is no more. */
  readonly removed: (namespace: string, group: string) => void;
  /** Wall clock, ms. */
  readonly now: () => number;
}

export interface GroupOffsets {
  readonly name: string;
  readonly offsets: Iterable<[stream: string, partition: number, offset: Offset]>;
}

/** A name with offsets, and with members while it has any. */
class Group {
  readonly name: string;
  readonly offsets: Offsets;
  /** Null: nobody has ever joined; it only keeps offsets. */
  members: ClassicGroup | AssignedGroup | null = null;

  constructor(name: string, records: OffsetRecords) {
    this.name = name;
    this.offsets = new Offsets(name, records);
  }

  get vacant(): boolean {
    return this.members === null || this.members.vacant;
  }
}

/** The groups of one namespace. */
export class GroupSpace implements GroupControl {
  readonly namespace: string;
  private readonly parts: GroupParts;
  private readonly records: OffsetRecords;
  private readonly groups = new Map<string, Group>();
  private readonly streams: StreamDirectory;
  private readonly host: ClassicHost;
  private readonly assignedHost: AssignedHost;

  constructor(namespace: string, parts: GroupParts) {
    this.namespace = namespace;
    this.parts = parts;
    this.records = parts.store.records(namespace);
    this.streams = parts.streams.in(namespace);
    const { deadlines, settings, newId, now } = parts;
    this.host = {
      ...{ deadlines, settings, newId, now },
      save: (group, done) => {
        this.save(group.name, { kind: "classic", classic: group.snapshot() }, done);
      },
    };
    this.assignedHost = {
      ...{ deadlines, settings, newId, now },
      subscriptions: new Subscriptions(this.streams),
      save: (group, done) => {
        this.save(group.name, { kind: group.kind, assigned: group.snapshot() }, done);
      },
      onlyGuests: (group) => this.handBack(group),
    };
  }

  // --- members --------------------------------------------------------------------------------

  join(name: string, request: JoinRequest, done: (result: JoinResult) => void): void {
    const { memberId } = request;
    const known = this.groups.get(name)?.members ?? null;
    let members = known instanceof ClassicGroup ? known : null;
    if (name === "") done(refusedJoin("group-name-invalid", memberId));
    else if (known?.kind === "assigned" && !known.vacant) known.guests.join(request, done);
    else if (known !== null && members === null && !known.vacant) done(refusedJoin("group-kind", memberId));
    else if (members === null && memberId !== "") done(refusedJoin("member-unknown", memberId));
    else {
      members ??= new ClassicGroup(name, this.host);
      members.join(request, done);
      // A name that was only tried out is not kept.
      if (members.state !== "empty" || !members.vacant) this.obtain(name).members = members;
    }
  }

  abandonJoin(name: string, done: (result: JoinResult) => void): void {
    this.classic(name)?.abandon(done);
  }

  assignedHeartbeat(
    name: string,
    kind: "assigned" | "share",
    request: AssignedHeartbeat,
    done: (result: AssignedResult) => void,
  ): void {
    const known = this.groups.get(name)?.members ?? null;
    let members = known instanceof AssignedGroup && known.kind === kind ? known : null;
    if (kind === "assigned" && known instanceof ClassicGroup && !known.vacant) {
      this.takeOver(known, request, done);
      return;
    }
    const refusal =
      name === ""
        ? "group-name-invalid"
        : members !== null
          ? null
          : this.newGroupRefusal(known, request.epoch);
    if (refusal !== null) done(refusedHeartbeat(refusal, request.memberId));
    else {
      members ??= new AssignedGroup(name, kind, this.assignedHost);
      members.heartbeat(request, done);
      if (!members.vacant && members !== known) this.obtain(name).members = members;
    }
  }

  sync(name: string, request: SyncRequest, done: (result: SyncResult) => void): void {
    const members = this.joinable(name);
    if (members === null) done(refusedSync(name === "" ? "group-name-invalid" : "member-unknown"));
    else members.sync(request, done);
  }

  heartbeat(name: string, claim: MemberClaim): GroupRefusal | null {
    const members = this.joinable(name);
    if (members === null) return name === "" ? "group-name-invalid" : "member-unknown";
    return members.heartbeat(claim);
  }

  leave(name: string, leaving: readonly LeavingMember[]): readonly (GroupRefusal | null)[] {
    const members = this.groups.get(name)?.members ?? null;
    if (members instanceof AssignedGroup) return members.putOut(leaving);
    if (members !== null) return members.leave(leaving);
    return leaving.map(() => (name === "" ? "group-name-invalid" : "member-unknown"));
  }

  // --- offsets --------------------------------------------------------------------------------

  commitOffsets(
    name: string,
    claim: MemberClaim,
    commits: readonly OffsetCommit[],
    done: (refusals: readonly (GroupRefusal | null)[]) => void,
  ): void {
    const keep = (offsets: Offsets, commit: OffsetCommit): void =>
      offsets.commit(commit.stream, commit.partition, this.offsetOf(commit));
    this.keep(name, this.commitRefusal(name, claim, false), commits, keep, done);
  }

  /** Offsets that count once the producer's transaction commits: see `decide`. One answer for each. */
  stageOffsets(
    name: string,
    claim: MemberClaim,
    producerId: number,
    commits: readonly OffsetCommit[],
    done: (refusals: readonly (GroupRefusal | null)[]) => void,
  ): void {
    const stage = (offsets: Offsets, commit: OffsetCommit): void =>
      offsets.stage(producerId, commit.stream, commit.partition, this.offsetOf(commit));
    this.keep(name, this.commitRefusal(name, claim, true), commits, stage, done);
  }

  /** The producer's transaction is over; durable with the store's next flush. */
  decide(name: string, producerId: number, commit: boolean): void {
    this.groups.get(name)?.offsets.decide(producerId, commit);
  }

  fetchOffsets(name: string, query: OffsetQuery): OffsetAnswer {
    const group = this.groups.get(name);
    const refusal = fetchRefusal(group?.members ?? null, query.claim);
    if (refusal !== null) return { refusal, offsets: [] };
    const wanted: Iterable<PartitionName> =
      query.partitions ?? (group === undefined ? [] : known(group.offsets));
    const offsets = Array.from(wanted, ({ stream, partition }) =>
      this.fetched(group, stream, partition, query.decidedOnly),
    );
    // When everything was asked for, what is left of a stream that is gone is nobody's business.
    const shown = query.partitions === null ? offsets.filter(isWorthShowing) : offsets;
    return { refusal: null, offsets: shown };
  }

  deleteOffsets(
    name: string,
    partitions: readonly PartitionName[],
    done: (refusal: GroupRefusal | null, refusals: readonly (GroupRefusal | null)[]) => void,
  ): void {
    const group = this.groups.get(name);
    const refusal = group === undefined ? "group-not-found" : opaqueRefusal(group);
    if (group === undefined || refusal !== null) {
      done(refusal, []);
      return;
    }
    const answers = partitions.map(({ stream, partition }): GroupRefusal | null => {
      if (partition >= (this.streams.find(stream)?.partitions ?? 0)) return "partition-unknown";
      if (group.members?.reads(stream) === true) return "stream-subscribed";
      group.offsets.delete(stream, partition);
      return null;
    });
    this.parts.store.flush(() => done(null, answers));
  }

  // --- management -----------------------------------------------------------------------------

  describe(name: string): GroupView | null {
    const group = this.groups.get(name);
    return group === undefined ? null : viewOf(group);
  }

  get count(): number {
    return this.groups.size;
  }

  *committed(): Iterable<GroupOffsets> {
    for (const { name, offsets } of this.groups.values()) yield { name, offsets: offsets.all() };
  }

  list(): GroupListing[] {
    return Array.from(this.groups.values(), ({ name, members }) => ({
      name,
      kind: members?.kind ?? "classic",
      state: members?.state ?? "empty",
      protocolType: members instanceof ClassicGroup ? members.protocolType : "",
    }));
  }

  delete(name: string, done: (refusal: GroupRefusal | null) => void): void {
    const group = this.groups.get(name);
    if (name === "") done("group-name-invalid");
    else if (group === undefined) done("group-not-found");
    else if (!group.vacant) done("group-not-empty");
    else {
      this.remove(group);
      this.parts.store.flush(() => done(null));
    }
  }

  /** Forgets offsets whose time is over, and groups that nothing is left of. */
  expire(): void {
    const now = this.parts.now();
    for (const group of [...this.groups.values()]) {
      group.offsets.expire((stream, offset) => this.isOver(group, stream, offset, now));
      // What a share group has read is kept until somebody deletes it.
      if (group.vacant && group.offsets.empty && group.members?.kind !== "share") this.remove(group);
    }
  }

  /** The namespace is deleted. */
  clear(): void {
    for (const group of [...this.groups.values()]) this.remove(group);
  }

  // --- starting -------------------------------------------------------------------------------

  restoreGroup(name: string, record: GroupRecord): void {
    const group = this.obtain(name);
    if (record.kind === "classic") {
      const members = new ClassicGroup(name, this.host);
      members.restore(record.classic);
      group.members = members;
    } else {
      const members = new AssignedGroup(name, record.kind, this.assignedHost);
      members.restore(record.assigned);
      group.members = members;
    }
  }

  /** The group's offsets, to put what was stored into. */
  restoring(name: string): Offsets {
    return this.obtain(name).offsets;
  }

  // --------------------------------------------------------------------------------------------

  private keep(
    name: string,
    refusal: GroupRefusal | null,
    commits: readonly OffsetCommit[],
    keep: (offsets: Offsets, commit: OffsetCommit) => void,
    done: (refusals: readonly (GroupRefusal | null)[]) => void,
  ): void {
    const answers = commits.map((commit) => refusal ?? this.offsetRefusal(commit));
    const accepted = commits.filter((_commit, index) => answers[index] === null);
    if (accepted.length === 0) {
      done(answers);
      return;
    }
    const { offsets } = this.obtain(name);
    for (const commit of accepted) keep(offsets, commit);
    this.parts.store.flush(() => done(answers));
  }

  private obtain(name: string): Group {
    let group = this.groups.get(name);
    if (group === undefined) {
      group = new Group(name, this.records);
      this.groups.set(name, group);
    }
    return group;
  }

  private classic(name: string): ClassicGroup | null {
    const members = this.groups.get(name)?.members ?? null;
    return members instanceof ClassicGroup ? members : null;
  }

  /** Whose members join and ask for their shares. */
  private joinable(name: string): ClassicGroup | Guests | null {
    const members = this.groups.get(name)?.members ?? null;
    return members instanceof AssignedGroup ? members.guests : members;
  }

  /** The first member has come that leaves the dividing to the broker. */
  private takeOver(
    classic: ClassicGroup,
    request: AssignedHeartbeat,
    done: (result: AssignedResult) => void,
  ): void {
    const members = new AssignedGroup(classic.name, "assigned", this.assignedHost);
    let refusal = this.newGroupRefusal(null, request.epoch);
    if (!isReadable(classic)) refusal = "group-not-found";
    if (refusal === null) {
      members.restore(asAssigned(classic));
      refusal = members.refusalOf(request);
    }
    if (refusal !== null) {
      members.destroy();
      done(refusedHeartbeat(refusal, request.memberId));
      return;
    }
    this.obtain(classic.name).members = members;
    classic.destroy("rebalancing");
    members.heartbeat(request, done);
  }

  /** The last of those has gone: its members have to divide the work themselves again. */
  private handBack(assigned: AssignedGroup): void {
    const members = new ClassicGroup(assigned.name, this.host);
    const snapshot = asClassic(assigned);
    assigned.destroy();
    this.obtain(assigned.name).members = members;
    members.restore(snapshot, false);
    this.save(assigned.name, { kind: "classic", classic: snapshot }, () => {});
  }

  /** A group of this kind is not there: may it be made, in place of an empty one of another kind? */
  private newGroupRefusal(known: Group["members"], epoch: number): GroupRefusal | null {
    return epoch !== JOIN_EPOCH || (known !== null && !known.vacant) ? "group-not-found" : null;
  }

  private remove(group: Group): void {
    group.members?.destroy();
    group.offsets.clear();
    this.groups.delete(group.name);
    this.parts.removed(this.namespace, group.name);
    this.parts.store.deleteGroup(this.namespace, group.name);
  }

  private save(name: string, record: GroupRecord, done: () => void): void {
    this.parts.store.putGroup(this.namespace, name, record);
    this.parts.store.flush(done);
  }

  private commitRefusal(name: string, claim: MemberClaim, transactional: boolean): GroupRefusal | null {
    const members = this.groups.get(name)?.members ?? null;
    if (members?.kind === "share" && !members.vacant) return "group-not-found";
    if (members !== null) return members.checkCommit(claim, transactional);
    return claim.generation < 0 ? null : "generation-stale";
  }

  private offsetRefusal({ stream, metadata }: OffsetCommit): GroupRefusal | null {
    const { settings } = this.parts;
    if (this.streams.find(stream) === null) return "partition-unknown";
    return Buffer.byteLength(metadata) > settings.offsetMetadataBytesMax ? "metadata-too-large" : null;
  }

  private offsetOf({ stream, offset, epoch, metadata, retentionMs }: OffsetCommit): Offset {
    const committedAtMs = this.parts.now();
    const expiresAtMs = retentionMs < 0 ? -1 : committedAtMs + retentionMs;
    const streamId = this.streams.find(stream)?.id ?? "";
    return { offset, epoch, metadata, committedAtMs, expiresAtMs, streamId };
  }

  private fetched(
    group: Group | undefined,
    stream: string,
    partition: number,
    decidedOnly: boolean,
  ): FetchedOffset {
    const refusal =
      decidedOnly && group?.offsets.isUndecided(stream, partition) === true ? "offset-undecided" : null;
    const known = group?.offsets.get(stream, partition) ?? null;
    if (refusal !== null || known === null || known.streamId !== this.streams.find(stream)?.id) {
      return { stream, partition, refusal, offset: -1, epoch: -1, metadata: "" };
    }
    const { offset, epoch, metadata } = known;
    return { stream, partition, refusal, offset, epoch, metadata };
  }

  private isOver({ members }: Group, stream: string, offset: Offset, now: number): boolean {
    const { settings } = this.parts;
    if (this.streams.find(stream)?.id !== offset.streamId) return true;
    if (members !== null && members.state !== "empty" && members.reads(stream) !== false) return false;
    if (offset.expiresAtMs >= 0) return now >= offset.expiresAtMs;
    const unusedSince = members?.state === "empty" ? members.emptySinceMs : 0;
    return now - Math.max(unusedSince, offset.committedAtMs) >= settings.offsetRetentionMs;
  }
}

function viewOf({ name, members }: Group): GroupView {
  if (members !== null) return members.describe();
  return { kind: "classic", name, state: "empty", protocolType: "", protocol: "", members: [] };
}

function fetchRefusal(members: Group["members"], claim: MemberClaim | null): GroupRefusal | null {
  if (claim === null || !(members instanceof AssignedGroup) || members.kind === "share") return null;
  return members.checkFetch(claim);
}

/** Offsets of a group whose members read nobody knows what are left alone. */
function opaqueRefusal({ members }: Group): GroupRefusal | null {
  if (members === null || members.state === "empty") return null;
  return members.reads("") === null ? "group-not-empty" : null;
}

function* known(offsets: Offsets): Iterable<PartitionName> {
  for (const [stream, partition] of offsets.all()) yield { stream, partition };
  for (const [stream, partition] of offsets.allUndecided()) {
    if (offsets.get(stream, partition) === null) yield { stream, partition };
  }
}

function isWorthShowing({ refusal, offset }: FetchedOffset): boolean {
  return refusal !== null || offset >= 0;
}
