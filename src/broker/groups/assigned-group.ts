import type { Deadlines } from "../../base/deadlines.ts";
import {
  AssignedMember,
  type AssignedSpec,
  AWAY_EPOCH,
  type GuestSpec,
  isSame,
  isSubset,
  JOIN_EPOCH,
  type PartitionKey,
  partitionKey,
} from "./assigned-member.ts";
import { ASSIGNORS, type AssignableStream, type Assignee, shared } from "./assignors.ts";
import { type GuestHouse, Guests } from "./guests.ts";
import type { Subscriptions } from "./subscriptions.ts";
import type {
  AssignedHeartbeat,
  AssignedResult,
  AssignedState,
  AssignedView,
  GroupRefusal,
  GroupSettings,
  MemberClaim,
  StreamPartitions,
} from "./types.ts";

export interface AssignedHost {
  readonly deadlines: Deadlines;
  readonly settings: GroupSettings;
  readonly subscriptions: Subscriptions;
  /** Wall clock, ms. */
  now(): number;
  /** A name that nobody has had. */
  newId(): string;
  /** Runs `done` when the group as it is now is durable. */
  save(group: AssignedGroup, done: () => void): void;
  /** Nobody is left but guests: the group is to be put in the place of this one in which they divide the work. */
  onlyGuests(group: AssignedGroup): void;
}

/** A heartbeat, or what a guest's request comes to. */
type Heartbeat = AssignedHeartbeat & { readonly guest?: GuestSpec };

export interface AssignedSnapshot {
  readonly epoch: number;
  readonly emptySinceMs: number;
  readonly members: readonly {
    readonly id: string;
    readonly spec: AssignedSpec;
    readonly epoch: number;
    readonly previousEpoch: number;
    readonly phase: AssignedMember["phase"];
    readonly assigned: readonly StreamPartitions[];
    readonly revoking: readonly StreamPartitions[];
    readonly target: readonly StreamPartitions[];
  }[];
}

export const LEAVE_EPOCH = -1;
/** Streams are looked at again when a heartbeat comes and this has passed. */
const REFRESH_MS = 1000;
const DEFAULT_ASSIGNOR = "uniform";

/**
 * A group whose work the broker divides. Everything happens in heartbeats: a member says what it wants
 * and what it has, and is told what it should have. Whenever who is there, or what they read, changes,
 * the group's epoch rises and everybody has a new target; each member goes there by itself, giving up
 * before it is given, and nobody waits for all. In an exclusive group (KIP-848) a partition has one
 * reader at most; in a shared one (KIP-932) any number.
 */
export class AssignedGroup implements GuestHouse {
  readonly kind: "assigned" | "share";
  readonly name: string;
  epoch = 0;
  /** Wall clock; counts only while the group is empty. */
  emptySinceMs: number;
  readonly members = new Map<string, AssignedMember>();
  private readonly instances = new Map<string, AssignedMember>();
  /** Who holds each partition, where only one may. */
  private readonly holders = new Map<PartitionKey, AssignedMember>();
  readonly guests: Guests;
  private readonly host: AssignedHost;
  /** Null: as a broker that went down saw them. */
  private streamsSeen: string | null = "";
  private refreshedMs = Number.NEGATIVE_INFINITY;

  constructor(name: string, kind: "assigned" | "share", host: AssignedHost) {
    this.name = name;
    this.kind = kind;
    this.host = host;
    this.guests = new Guests(this, host);
    this.emptySinceMs = host.now();
  }

  get vacant(): boolean {
    return this.members.size === 0;
  }

  get state(): AssignedState {
    if (this.members.size === 0) return "empty";
    for (const { phase, epoch } of this.members.values()) {
      if (epoch !== AWAY_EPOCH && (phase !== "settled" || epoch !== this.epoch)) return "reconciling";
    }
    return "stable";
  }

  // --- heartbeats -----------------------------------------------------------------------------

  heartbeat(request: Heartbeat, done: (result: AssignedResult) => void): void {
    const refuse = (refusal: GroupRefusal): void => done(refusedHeartbeat(refusal, request.memberId));
    if (request.epoch < JOIN_EPOCH) {
      const refusal = this.leave(request);
      if (refusal !== null) refuse(refusal);
      else {
        this.host.save(this, () =>
          done({ ...refusedHeartbeat(null, request.memberId), epoch: request.epoch }),
        );
        this.dissolveIfOnlyGuests();
      }
      return;
    }
    const refusal = this.refusalOf(request);
    if (refusal !== null) {
      refuse(refusal);
      return;
    }
    const member =
      request.epoch === JOIN_EPOCH
        ? this.joining(request)
        : (this.members.get(request.memberId) as AssignedMember);
    const before = member.assigned;
    const subscribed = this.update(member, request) || (request.epoch === JOIN_EPOCH && member.epoch === 0);
    const divided = this.divideAgain(subscribed);
    const isNew = request.epoch === JOIN_EPOCH && request.guest === undefined;
    const owned = isNew ? new Set<PartitionKey>() : keysOf(request.owned);
    const moved = this.advance(member, owned);
    this.host.deadlines.set(member.session, member.spec.sessionTimeoutMs);
    const full = request.epoch === JOIN_EPOCH || request.full || !isSame(before, member.assigned);
    const result: AssignedResult = {
      refusal: null,
      memberId: member.id,
      epoch: member.epoch,
      assignment: full ? partitionsOf(member.assigned) : null,
      unsettled: member.phase !== "settled",
    };
    if (subscribed || divided || moved) this.host.save(this, () => done(result));
    else done(result);
  }

  /** Why it would be refused; null: it would not. */
  refusalOf(request: Heartbeat): GroupRefusal | null {
    const { memberId, epoch, instanceId, assignor, pattern } = request;
    const { membersMax } = this.host.settings;
    if (assignor !== null && !ASSIGNORS.has(assignor)) return "assignor-unknown";
    if (pattern !== null && pattern !== "" && !this.host.subscriptions.isValid(pattern))
      return "pattern-invalid";
    const member = this.members.get(memberId);
    const holder = instanceId === null ? undefined : this.instances.get(instanceId);
    if (epoch === JOIN_EPOCH) {
      // Who goes over to the other way of speaking starts anew, and has not said goodbye.
      const goesOver = request.guest !== undefined || holder?.spec.guest !== undefined;
      if (holder !== undefined && holder.id !== memberId && holder.epoch !== AWAY_EPOCH && !goesOver)
        return "instance-held";
      const comes = member === undefined && holder === undefined;
      return comes && this.members.size >= membersMax ? "group-full" : null;
    }
    if (instanceId !== null && holder === undefined) return "member-unknown";
    if (holder !== undefined && holder.id !== memberId) return "instance-fenced";
    if (member === undefined) return "member-unknown";
    if (epoch === member.epoch) return null;
    // The answer with its present epoch was lost: fine, if it has nothing that it should not have.
    const owned = keysOf(request.owned) ?? new Set();
    const behind = epoch === member.previousEpoch && epoch < member.epoch;
    return behind && (this.kind === "share" || isSubset(owned, member.assigned))
      ? null
      : "member-epoch-fenced";
  }

  private joining(request: Heartbeat): AssignedMember {
    const { memberId, instanceId } = request;
    const known = this.members.get(memberId);
    if (known !== undefined) return known;
    const away = instanceId === null ? undefined : this.instances.get(instanceId);
    const member = new AssignedMember(memberId, specOf(request, away?.spec), (gone) => this.expired(gone));
    if (away !== undefined) {
      // It is back: what it had is still its own.
      this.forget(away);
      member.assigned = away.assigned;
      member.target = away.target;
    }
    this.admit(member);
    return member;
  }

  private admit(member: AssignedMember): void {
    this.members.set(member.id, member);
    if (member.spec.instanceId !== null) this.instances.set(member.spec.instanceId, member);
    this.hold(member);
  }

  /** True when it now reads something else. */
  private update(member: AssignedMember, request: Heartbeat): boolean {
    const { spec } = member;
    member.spec = specOf(request, spec);
    this.host.subscriptions.allow(member, request.visible);
    return (
      spec.streams.join("/") !== member.spec.streams.join("/") ||
      spec.pattern !== member.spec.pattern ||
      spec.assignor !== member.spec.assignor
    );
  }

  /** A step towards its target; true when something changed. */
  private advance(member: AssignedMember, owned: ReadonlySet<PartitionKey> | null): boolean {
    const { deadlines } = this.host;
    if (this.kind === "share") {
      if (member.epoch === this.epoch && isSame(member.assigned, member.target)) return false;
      member.previousEpoch = member.epoch;
      member.epoch = this.epoch;
      member.assigned = member.target;
      return true;
    }
    const { phase, epoch } = member;
    this.release(member);
    const moved = member.reconcile(this.epoch, owned, (partition) => this.holders.has(partition));
    this.hold(member);
    if (member.phase !== "revoking") deadlines.clear(member.patience);
    else if (phase !== "revoking" || epoch !== member.epoch) {
      deadlines.set(member.patience, member.spec.rebalanceTimeoutMs);
    }
    return moved;
  }

  private hold(member: AssignedMember): void {
    if (this.kind === "share") return;
    for (const partition of member.assigned) this.holders.set(partition, member);
    for (const partition of member.revoking) this.holders.set(partition, member);
  }

  private release(member: AssignedMember): void {
    for (const part of [member.assigned, member.revoking]) {
      for (const partition of part) {
        if (this.holders.get(partition) === member) this.holders.delete(partition);
      }
    }
  }

  // --- dividing -------------------------------------------------------------------------------

  /** New targets, if somebody came or changed his mind, or streams changed. */
  private divideAgain(changed: boolean): boolean {
    const nowMs = this.host.now();
    if (!changed && Math.abs(nowMs - this.refreshedMs) < REFRESH_MS) return false;
    this.refreshedMs = nowMs;
    const assignees = Array.from(this.members.values(), (member): Assignee => {
      const { id, target } = member;
      return { id, target, streams: this.host.subscriptions.streamsOf(member) };
    });
    const seen = signatureOf(assignees);
    const known = seen === this.streamsSeen || (this.streamsSeen === null && isDivided(assignees));
    this.streamsSeen = seen;
    if (!changed && known) return false;
    this.epoch++;
    const divide = this.kind === "share" ? shared : ASSIGNORS.get(this.assignor);
    for (const [id, target] of divide?.(assignees) ?? []) {
      const member = this.members.get(id);
      if (member !== undefined) member.target = target;
    }
    return true;
  }

  /** What most members ask for; the default where nobody asks. */
  get assignor(): string {
    const votes = new Map<string, number>();
    for (const { spec } of this.members.values()) {
      if (spec.assignor !== null) votes.set(spec.assignor, (votes.get(spec.assignor) ?? 0) + 1);
    }
    let best = DEFAULT_ASSIGNOR;
    for (const [name, count] of votes) if (count > (votes.get(best) ?? 0)) best = name;
    return best;
  }

  // --- leaving --------------------------------------------------------------------------------

  private leave({ memberId, instanceId, epoch }: AssignedHeartbeat): GroupRefusal | null {
    const holder = instanceId === null ? undefined : this.instances.get(instanceId);
    if (instanceId !== null && holder === undefined) return "member-unknown";
    if (holder !== undefined && holder.id !== memberId) return "instance-fenced";
    const member = this.members.get(memberId);
    if (member === undefined) return "member-unknown";
    if (epoch === AWAY_EPOCH) {
      // It keeps what it has until its session ends.
      member.epoch = AWAY_EPOCH;
      member.previousEpoch = AWAY_EPOCH;
      this.release(member);
      member.revoking = new Set();
      member.phase = "settled";
      this.hold(member);
      this.host.deadlines.clear(member.patience);
    } else this.remove(member);
    return null;
  }

  /** Puts members out, by their ids or their instances: for administrators. */
  putOut(
    leaving: readonly { readonly memberId: string; readonly instanceId: string | null }[],
  ): (GroupRefusal | null)[] {
    const answers = leaving.map(({ memberId, instanceId }): GroupRefusal | null => {
      const member = memberId === "" ? this.instances.get(instanceId ?? "") : this.members.get(memberId);
      if (member === undefined) return "member-unknown";
      this.remove(member);
      return null;
    });
    this.host.save(this, () => {});
    this.dissolveIfOnlyGuests();
    return answers;
  }

  private expired(member: AssignedMember): void {
    if (this.members.get(member.id) !== member) return;
    this.remove(member);
    this.host.save(this, () => {});
    this.dissolveIfOnlyGuests();
  }

  private remove(member: AssignedMember): void {
    this.forget(member);
    if (this.members.size === 0) this.emptySinceMs = this.host.now();
    // Guests who are left to themselves have their epochs for a generation: it must not be over.
    if (!this.hasOnlyGuests) this.divideAgain(true);
  }

  private forget(member: AssignedMember): void {
    const { deadlines, subscriptions } = this.host;
    deadlines.clear(member.session);
    deadlines.clear(member.patience);
    subscriptions.forget(member);
    this.release(member);
    this.members.delete(member.id);
    const { instanceId } = member.spec;
    if (instanceId !== null && this.instances.get(instanceId) === member) this.instances.delete(instanceId);
  }

  // --- guests ---------------------------------------------------------------------------------

  get hasOnlyGuests(): boolean {
    if (this.members.size === 0) return false;
    for (const { spec } of this.members.values()) if (spec.guest === undefined) return false;
    return true;
  }

  dissolveIfOnlyGuests(): void {
    if (this.hasOnlyGuests) this.host.onlyGuests(this);
  }

  holderOf(instanceId: string): AssignedMember | undefined {
    return this.instances.get(instanceId);
  }

  shareOf({ assigned }: AssignedMember): StreamPartitions[] {
    return partitionsOf(assigned);
  }

  isBlocked({ target, assigned }: AssignedMember): boolean {
    for (const partition of target) if (!assigned.has(partition) && this.holders.has(partition)) return true;
    return false;
  }

  refresh(): void {
    if (this.divideAgain(false)) this.host.save(this, () => {});
  }

  // --- questions ------------------------------------------------------------------------------

  /** May this commit offsets? */
  checkCommit(
    { memberId, instanceId, generation }: MemberClaim,
    transactional: boolean,
  ): GroupRefusal | null {
    if (generation < 0 && this.members.size === 0) return null;
    if (transactional && generation < 0 && memberId === "" && instanceId === null) return null;
    return this.checkFetch({ memberId, instanceId, generation });
  }

  /** May this ask for offsets as a member? */
  checkFetch({ memberId, generation }: MemberClaim): GroupRefusal | null {
    const member = this.members.get(memberId);
    if (member === undefined) return "member-unknown";
    if (generation === member.epoch) return null;
    return member.spec.guest === undefined ? "member-epoch-stale" : "generation-stale";
  }

  reads(stream: string): boolean {
    const { subscriptions } = this.host;
    for (const member of this.members.values()) if (subscriptions.reads(member, stream)) return true;
    return false;
  }

  destroy(): void {
    for (const member of [...this.members.values()]) this.forget(member);
  }

  describe(): AssignedView {
    const { kind, name, state, epoch, assignor } = this;
    const members = Array.from(this.members.values(), (member) => ({
      id: member.id,
      ...member.spec,
      epoch: member.epoch,
      assigned: partitionsOf(member.assigned),
      target: partitionsOf(member.target),
      isGuest: member.spec.guest !== undefined,
    }));
    return { kind, name, state, epoch, assignor: kind === "share" ? "simple" : assignor, members };
  }

  // --- restarting -----------------------------------------------------------------------------

  snapshot(): AssignedSnapshot {
    const { epoch, emptySinceMs } = this;
    const members = Array.from(this.members.values(), (member) => ({
      id: member.id,
      spec: member.spec,
      epoch: member.epoch,
      previousEpoch: member.previousEpoch,
      phase: member.phase,
      assigned: partitionsOf(member.assigned),
      revoking: partitionsOf(member.revoking),
      target: partitionsOf(member.target),
    }));
    return { epoch, emptySinceMs, members };
  }

  /** Takes up a group where a broker that went down left it; members get a whole session to come back. */
  restore(stored: AssignedSnapshot): void {
    const { deadlines } = this.host;
    this.epoch = stored.epoch;
    this.emptySinceMs = stored.emptySinceMs;
    this.streamsSeen = null;
    for (const { id, spec, epoch, previousEpoch, phase, assigned, revoking, target } of stored.members) {
      const member = new AssignedMember(id, spec, (gone) => this.expired(gone));
      member.epoch = epoch;
      member.previousEpoch = previousEpoch;
      member.phase = phase;
      member.assigned = keysOf(assigned) ?? new Set();
      member.revoking = keysOf(revoking) ?? new Set();
      member.target = keysOf(target) ?? new Set();
      this.admit(member);
      deadlines.set(member.session, spec.sessionTimeoutMs);
      if (phase === "revoking") deadlines.set(member.patience, spec.rebalanceTimeoutMs);
    }
  }
}

export function refusedHeartbeat(refusal: GroupRefusal | null, memberId: string): AssignedResult {
  return { refusal, memberId, epoch: 0, assignment: null, unsettled: false };
}

/** What is not said stays as it was. */
function specOf(request: Heartbeat, before: AssignedSpec | undefined): AssignedSpec {
  const { pattern } = request;
  return {
    clientId: request.clientId,
    clientHost: request.clientHost,
    instanceId: request.instanceId ?? before?.instanceId ?? null,
    rack: request.rack ?? before?.rack ?? null,
    rebalanceTimeoutMs:
      request.rebalanceTimeoutMs >= 0 ? request.rebalanceTimeoutMs : (before?.rebalanceTimeoutMs ?? 0),
    sessionTimeoutMs: request.sessionTimeoutMs,
    streams: request.streams === null ? (before?.streams ?? []) : [...new Set(request.streams)].sort(),
    pattern: pattern === null ? (before?.pattern ?? null) : pattern === "" ? null : pattern,
    assignor: request.assignor ?? before?.assignor ?? null,
    ...(request.guest === undefined ? {} : { guest: request.guest }),
  };
}

function keysOf(partitions: readonly StreamPartitions[] | null): Set<PartitionKey> | null {
  if (partitions === null) return null;
  const keys = new Set<PartitionKey>();
  for (const { streamId, partitions: indexes } of partitions) {
    for (const index of indexes) keys.add(partitionKey(streamId, index));
  }
  return keys;
}

function partitionsOf(keys: ReadonlySet<PartitionKey>): StreamPartitions[] {
  const streams = new Map<string, number[]>();
  for (const key of keys) {
    const at = key.lastIndexOf(":");
    const streamId = key.slice(0, at);
    const indexes = streams.get(streamId);
    if (indexes === undefined) streams.set(streamId, [Number(key.slice(at + 1))]);
    else indexes.push(Number(key.slice(at + 1)));
  }
  return Array.from(streams, ([streamId, partitions]) => ({
    streamId,
    partitions: partitions.sort((a, b) => a - b),
  }));
}

/** Every partition that somebody reads is somebody's, and no others. */
function isDivided(assignees: readonly Assignee[]): boolean {
  const given = new Set(assignees.flatMap(({ target }) => [...target]));
  const streams = new Map(
    assignees.flatMap(({ streams: read }) => read.map(({ id, partitions }) => [id, partitions])),
  );
  let count = 0;
  for (const [id, partitions] of streams) {
    count += partitions;
    for (let index = 0; index < partitions; index++) if (!given.has(partitionKey(id, index))) return false;
  }
  return count === given.size;
}

/** Changes when streams that somebody reads come, go or grow. */
function signatureOf(assignees: readonly Assignee[]): string {
  const text = ({ id, streams }: { id: string; streams: readonly AssignableStream[] }): string =>
    `${id}=${streams.map((stream) => `${stream.id}:${stream.partitions}`).join(",")}`;
  return assignees.map(text).join(";");
}
