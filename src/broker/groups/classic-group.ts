import { Deadline, type Deadlines } from "../../base/deadlines.ts";
import {
  ClassicMember,
  type ClassicSnapshot,
  electProtocol,
  type JoinDone,
  NOTHING,
  rebalanceTimeoutMsOf,
  refusedJoin,
  refusedSync,
  type SyncDone,
} from "./classic-member.ts";
import type {
  ClassicState,
  ClassicView,
  GroupRefusal,
  GroupSettings,
  JoinRequest,
  JoinResult,
  LeavingMember,
  MemberClaim,
  SyncRequest,
} from "./types.ts";

export interface ClassicHost {
  readonly deadlines: Deadlines;
  readonly settings: GroupSettings;
  /** A name that nobody has had. */
  newId(): string;
  /** Wall clock, ms. */
  now(): number;
  /** Runs `done` when the group as it is now is durable. */
  save(group: ClassicGroup, done: () => void): void;
}

/**
 * A generation may have been announced and not been stored when the broker went down. A group that was
 * read back skips so many numbers, and none is ever used twice.
 */
const RESTORED_GENERATION_GAP = 100;

/**
 * A group whose members divide the work among themselves: all join, one of them (the leader) is told
 * who is there and hands back a share for each, and everybody fetches his share (sync). One such round
 * is a generation.
 *
 *     empty -> preparing    somebody joins; the first generation waits a little for others
 *     preparing -> completing   all known members have joined, or the time for it is over
 *     completing -> stable      the leader has handed in the shares
 *     stable, completing -> preparing   somebody came, went, or changed his mind
 */
export class ClassicGroup {
  readonly kind = "classic";
  readonly name: string;
  state: ClassicState = "empty";
  generation = 0;
  protocolType = "";
  protocol: string | null = null;
  leader = "";
  /** Wall clock at which the last member went; only counts in state empty. */
  emptySinceMs: number;
  readonly members = new Map<string, ClassicMember>();
  private readonly instances = new Map<string, string>();
  /** Ids given out to members that have yet to join with them. */
  private readonly promised = new Map<string, Deadline>();
  /** Joined this generation and have yet to ask for their share. */
  private readonly unsynced = new Set<string>();
  /** How many members speak each protocol. */
  private readonly speakers = new Map<string, number>();
  private readonly host: ClassicHost;
  private readonly phase = new Deadline(() => this.phaseOver());
  private joining = 0;
  /** The generation being prepared is the first since the group was empty. */
  private opening = false;
  private openingLeftMs = 0;
  private newcomers = false;
  private restored = false;

  constructor(name: string, host: ClassicHost) {
    this.name = name;
    this.host = host;
    this.emptySinceMs = host.now();
  }

  /** Takes up a group where a broker that went down, or another group, left it; members get a whole session. */
  restore(stored: ClassicSnapshot, wasDown = true): void {
    for (const { id, assignment, share, formerGeneration, ...request } of stored.members) {
      const member = new ClassicMember(id, request, (gone) => this.expired(gone));
      member.fresh = false;
      member.assignment = assignment;
      member.share = share ?? null;
      member.formerGeneration = formerGeneration ?? -1;
      this.admit(member);
      this.alive(member);
    }
    this.generation = stored.generation;
    this.protocolType = stored.protocolType;
    this.protocol = stored.protocol;
    this.leader = stored.leader;
    this.emptySinceMs = stored.emptySinceMs;
    this.state = stored.members.length === 0 ? "empty" : "stable";
    this.restored = wasDown;
    // Taken over from the broker, and not divided since.
    if (this.state === "stable" && this.protocol === null) this.prepare();
  }

  /** One that was announced may be higher than what was stored. */
  get generationAtMost(): number {
    return this.generation + (this.restored ? RESTORED_GENERATION_GAP : 0);
  }

  /** What `restore` wants to know. */
  snapshot(): ClassicSnapshot {
    const { generation, protocolType, protocol, leader, emptySinceMs } = this;
    const members = Array.from(this.members.values(), (member) => ({
      id: member.id,
      instanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      sessionTimeoutMs: member.sessionTimeoutMs,
      rebalanceTimeoutMs: member.rebalanceTimeoutMs,
      protocolType,
      protocols: member.protocols,
      assignment: member.assignment,
      share: member.share,
    }));
    return { generation, protocolType, protocol, leader, emptySinceMs, members };
  }

  get vacant(): boolean {
    return this.state === "empty" && this.promised.size === 0;
  }

  // --- joining --------------------------------------------------------------------------------

  join(request: JoinRequest, done: JoinDone): void {
    const { memberId } = request;
    const refusal = this.joinRefusal(request);
    if (refusal !== null) done(refusedJoin(refusal, memberId));
    else if (memberId === "") this.joinNew(request, done);
    else this.joinAgain(request, done);
  }

  private joinRefusal(request: JoinRequest): GroupRefusal | null {
    const { sessionTimeoutMsMin, sessionTimeoutMsMax, membersMax } = this.host.settings;
    const { memberId, sessionTimeoutMs } = request;
    if (this.state === "dead") return "group-not-found";
    if (sessionTimeoutMs < sessionTimeoutMsMin || sessionTimeoutMs > sessionTimeoutMsMax) {
      return "session-timeout-invalid";
    }
    const known = this.members.get(memberId);
    if (this.state === "preparing") {
      if ((known?.join ?? null) === null && this.joining >= membersMax) return "group-full";
    } else if (this.state !== "empty" && known === undefined && this.members.size >= membersMax) {
      return "group-full";
    }
    return this.understands(request) ? null : "protocols-inconsistent";
  }

  private understands({ protocolType, protocols }: JoinRequest): boolean {
    if (protocolType === "" || protocols.length === 0) return false;
    if (this.members.size === 0) return true;
    if (protocolType !== this.protocolType) return false;
    return protocols.some(({ name }) => this.speakers.get(name) === this.members.size);
  }

  private joinNew(request: JoinRequest, done: JoinDone): void {
    const { instanceId } = request;
    const id = `${instanceId ?? request.clientId}-${this.host.newId()}`;
    if (instanceId !== null) {
      const holder = this.members.get(this.instances.get(instanceId) ?? "");
      if (holder === undefined) this.enter(id, request, done);
      else this.returnStatic(holder, id, request, done);
    } else if (request.idRequired) {
      const promise = new Deadline(() => this.forgetPromise(id));
      this.promised.set(id, promise);
      this.host.deadlines.set(promise, request.sessionTimeoutMs);
      done(refusedJoin("member-id-required", id));
    } else this.enter(id, request, done);
  }

  private joinAgain(request: JoinRequest, done: JoinDone): void {
    const { memberId, instanceId, protocols } = request;
    const promise = this.promised.get(memberId);
    if (promise !== undefined) {
      this.host.deadlines.clear(promise);
      this.promised.delete(memberId);
      this.enter(memberId, request, done);
      return;
    }
    const member = this.memberOf(memberId, instanceId);
    if (typeof member === "string") {
      done(refusedJoin(member, memberId));
      return;
    }
    const same = member.offers(protocols);
    const restless = this.state === "stable" && memberId === this.leader;
    if (same && !restless && (this.state === "completing" || this.state === "stable")) {
      // He did not get the answer the first time.
      this.alive(member);
      done(this.joined(member, this.state === "completing" && memberId === this.leader));
      return;
    }
    this.update(member, request);
    this.waitForOthers(member, done);
    this.alive(member);
    this.rebalanceOrComplete();
  }

  private enter(id: string, request: JoinRequest, done: JoinDone): void {
    const member = new ClassicMember(id, request, (gone) => this.expired(gone));
    this.admit(member);
    if (this.opening) this.newcomers = true;
    this.waitForOthers(member, done);
    this.alive(member);
    this.rebalanceOrComplete();
  }

  private admit(member: ClassicMember): void {
    if (this.members.size === 0) this.protocolType = member.protocolType;
    this.members.set(member.id, member);
    this.count(member, 1);
    if (member.instanceId !== null) this.instances.set(member.instanceId, member.id);
    if (this.leader === "") this.leader = member.id;
  }

  /** A static member is back, under a new id: whoever held its name before is fenced. */
  private returnStatic(member: ClassicMember, id: string, request: JoinRequest, done: JoinDone): void {
    const before = member.id;
    this.answerJoin(member, refusedJoin("instance-fenced", before));
    this.answerSync(member, "instance-fenced");
    const leaderBefore = this.leader;
    this.members.delete(before);
    this.unsynced.delete(before);
    member.id = id;
    this.members.set(id, member);
    this.instances.set(member.instanceId as string, id);
    if (leaderBefore === before) this.leader = id;
    const reads = member.readsLike(request.protocols);
    this.update(member, request);
    this.alive(member);
    if (this.state !== "stable" || !reads || electProtocol(this.members.values()) !== this.protocol) {
      this.waitForOthers(member, done);
      this.rebalanceOrComplete();
      return;
    }
    // Nothing to divide anew. A leader that cannot be told so must not take himself for the leader.
    const leads = this.leader === id;
    const { canSkipAssignment } = request;
    const result = {
      ...this.joined(member, leads && canSkipAssignment),
      leader: canSkipAssignment ? this.leader : leaderBefore,
      skipAssignment: leads && canSkipAssignment,
    };
    this.host.save(this, () => done(result));
  }

  private update(member: ClassicMember, request: JoinRequest): void {
    this.count(member, -1);
    member.protocols = request.protocols;
    member.formerGeneration = -1;
    this.count(member, 1);
    member.sessionTimeoutMs = request.sessionTimeoutMs;
    member.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
  }

  private count({ protocols }: ClassicMember, by: 1 | -1): void {
    for (const name of new Set(protocols.map((protocol) => protocol.name))) {
      const count = (this.speakers.get(name) ?? 0) + by;
      if (count > 0) this.speakers.set(name, count);
      else this.speakers.delete(name);
    }
  }

  private waitForOthers(member: ClassicMember, done: JoinDone): void {
    this.answerJoin(member, refusedJoin("rebalancing", member.id));
    member.join = done;
    this.joining++;
  }

  private answerJoin(member: ClassicMember, result: JoinResult): void {
    const { join } = member;
    if (join === null) return;
    member.join = null;
    this.joining--;
    join(result);
  }

  private joined(member: ClassicMember, leads: boolean): JoinResult {
    const { protocol } = this;
    const all = leads ? [...this.members.values()] : [];
    return {
      refusal: null,
      memberId: member.id,
      generation: this.generation,
      protocolType: this.protocolType,
      protocol,
      leader: this.leader,
      skipAssignment: false,
      members: all.map((one) => ({
        id: one.id,
        instanceId: one.instanceId,
        metadata: one.metadata(protocol),
      })),
    };
  }

  // --- generations ----------------------------------------------------------------------------

  private rebalanceOrComplete(): void {
    if (this.state === "preparing") this.completeIfAllJoined();
    else this.prepare();
  }

  private prepare(): void {
    const { deadlines, settings } = this.host;
    for (const member of this.members.values()) this.answerSync(member, "rebalancing");
    this.unsynced.clear();
    this.opening = this.state === "empty";
    this.state = "preparing";
    if (this.opening) {
      this.newcomers = false;
      this.openingLeftMs = Math.max(rebalanceTimeoutMsOf(this.members) - settings.initialDelayMs, 0);
      deadlines.set(this.phase, settings.initialDelayMs);
    } else {
      deadlines.set(this.phase, rebalanceTimeoutMsOf(this.members));
      this.completeIfAllJoined();
    }
  }

  private completeIfAllJoined(): void {
    if (this.state !== "preparing" || this.opening || this.promised.size > 0) return;
    if (this.joining === this.members.size) this.complete();
  }

  private phaseOver(): void {
    const { deadlines, settings } = this.host;
    if (this.state === "preparing" && this.opening && this.newcomers && this.openingLeftMs > 0) {
      this.newcomers = false;
      const waitMs = Math.min(settings.initialDelayMs, this.openingLeftMs);
      this.openingLeftMs -= waitMs;
      deadlines.set(this.phase, waitMs);
    } else if (this.state === "preparing") this.complete();
    else if (this.unsynced.size > 0) {
      // They took part in the division and never asked for their share.
      for (const id of [...this.unsynced]) this.drop(this.members.get(id));
      this.prepare();
    }
  }

  private complete(): void {
    const { deadlines } = this.host;
    for (const member of [...this.members.values()]) {
      // A static member keeps its share until its session ends.
      if (member.join === null && member.instanceId === null) this.drop(member);
    }
    if (this.members.size > 0 && !this.electLeader()) {
      deadlines.set(this.phase, rebalanceTimeoutMsOf(this.members));
      return;
    }
    this.opening = false;
    this.generation += this.restored ? RESTORED_GENERATION_GAP : 1;
    this.restored = false;
    if (this.members.size === 0) {
      this.becomeEmpty();
      return;
    }
    this.protocol = electProtocol(this.members.values());
    this.state = "completing";
    deadlines.set(this.phase, rebalanceTimeoutMsOf(this.members));
    for (const member of this.members.values()) {
      if (member.join === null) continue;
      member.fresh = false;
      this.unsynced.add(member.id);
      this.alive(member);
      this.answerJoin(member, this.joined(member, member.id === this.leader));
    }
  }

  private becomeEmpty(): void {
    this.host.deadlines.clear(this.phase);
    this.state = "empty";
    this.protocol = null;
    this.leader = "";
    this.emptySinceMs = this.host.now();
    this.host.save(this, () => {});
  }

  private electLeader(): boolean {
    if ((this.members.get(this.leader)?.join ?? null) !== null) return true;
    for (const member of this.members.values()) {
      if (member.join === null) continue;
      this.leader = member.id;
      return true;
    }
    return false;
  }

  // --- shares ---------------------------------------------------------------------------------

  sync(request: SyncRequest, done: SyncDone): void {
    const member = this.memberOf(request.memberId, request.instanceId);
    if (typeof member === "string") {
      done(refusedSync(member));
      return;
    }
    const refusal = this.syncRefusal(member, request);
    if (refusal !== null) {
      done(refusedSync(refusal));
      return;
    }
    this.alive(member);
    this.unsynced.delete(member.id);
    this.answerSync(member, "rebalancing");
    member.sync = done;
    if (this.state === "stable") {
      this.answerSync(member, null);
      return;
    }
    if (member.id !== this.leader) return;
    for (const one of this.members.values()) {
      const assignment = request.assignments.get(one.id);
      one.assignment = assignment ?? NOTHING;
      one.share = assignment === undefined ? [] : (request.shares.get(one.id) ?? null);
    }
    this.state = "stable";
    const { generation } = this;
    this.host.save(this, () => {
      if (this.generation !== generation || this.state !== "stable") return;
      for (const one of this.members.values()) this.answerSync(one, null);
    });
  }

  private syncRefusal(
    { formerGeneration }: ClassicMember,
    { generation, protocolType, protocol }: SyncRequest,
  ): GroupRefusal | null {
    // Who joined the group that was in this one's place, and asks this one for its share, has to join here.
    if (this.state === "preparing" && generation === formerGeneration) return "rebalancing";
    if (generation !== this.generation) return "generation-stale";
    if (protocolType !== null && protocolType !== this.protocolType) return "protocols-inconsistent";
    // Until the members have voted there is no protocol to differ from.
    if (protocol !== null && protocol !== (this.protocol ?? protocol)) return "protocols-inconsistent";
    if (this.state === "preparing") return "rebalancing";
    return null;
  }

  private answerSync(member: ClassicMember, refusal: GroupRefusal | null): void {
    const { sync } = member;
    if (sync === null) return;
    member.sync = null;
    const { protocolType, protocol } = this;
    if (refusal !== null) sync(refusedSync(refusal));
    else sync({ refusal: null, protocolType, protocol, assignment: member.assignment, share: null });
  }

  // --- living and leaving ---------------------------------------------------------------------

  heartbeat({ memberId, instanceId, generation }: MemberClaim): GroupRefusal | null {
    const member = this.memberOf(memberId, instanceId);
    if (typeof member === "string") return member;
    if (generation !== this.generation && generation !== member.formerGeneration) return "generation-stale";
    this.alive(member);
    return this.state === "preparing" ? "rebalancing" : null;
  }

  /** Whoever waits for this answer has gone: one that has never been in a generation is out at once. */
  abandon(done: JoinDone): void {
    for (const member of this.members.values()) {
      if (member.join !== done || !member.fresh) continue;
      this.drop(member);
      this.afterLoss();
      return;
    }
  }

  /** One answer for each. */
  leave(leaving: readonly LeavingMember[]): (GroupRefusal | null)[] {
    let gone = 0;
    const answers = leaving.map(({ memberId, instanceId }): GroupRefusal | null => {
      const promise = this.promised.get(memberId);
      if (promise !== undefined && instanceId === null) {
        this.host.deadlines.clear(promise);
        this.promised.delete(memberId);
        gone++;
        return null;
      }
      const id = memberId === "" && instanceId !== null ? (this.instances.get(instanceId) ?? "") : memberId;
      const member = this.memberOf(id, instanceId);
      if (typeof member === "string") return member;
      this.drop(member);
      gone++;
      return null;
    });
    if (gone > 0) this.afterLoss();
    return answers;
  }

  /** May this commit offsets? `transactional`: for a transaction, which may outlast a generation. */
  checkCommit(claim: MemberClaim, transactional: boolean): GroupRefusal | null {
    const { memberId, instanceId, generation } = claim;
    if (generation < 0 && memberId === "" && instanceId === null) {
      return transactional || this.state === "empty" ? null : "member-unknown";
    }
    if (generation < 0 && this.state === "empty") return null;
    const member = this.memberOf(memberId, instanceId);
    if (typeof member === "string") return member;
    if (generation !== this.generation && generation !== member.formerGeneration) return "generation-stale";
    if (!transactional && this.state === "completing") return "rebalancing";
    this.alive(member);
    return null;
  }

  /** Some member reads this stream; null: that cannot be told. */
  reads(stream: string): boolean | null {
    for (const { protocols } of this.members.values()) {
      for (const { streams } of protocols) {
        if (streams === null) return null;
        if (streams.includes(stream)) return true;
      }
    }
    return false;
  }

  /** The group is no more, or another one takes its place; nothing may be asked of it after this. */
  destroy(answer: GroupRefusal = "member-unknown"): void {
    const { deadlines } = this.host;
    this.state = "dead";
    deadlines.clear(this.phase);
    for (const promise of this.promised.values()) deadlines.clear(promise);
    this.promised.clear();
    for (const member of [...this.members.values()]) this.drop(member, answer);
  }

  describe(): ClassicView {
    const { name, state, protocolType } = this;
    const settled = state === "stable";
    const members = Array.from(this.members.values(), (member) => ({
      id: member.id,
      instanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      metadata: settled ? member.metadata(this.protocol) : NOTHING,
      assignment: settled ? member.assignment : NOTHING,
    }));
    const protocol = settled ? (this.protocol ?? "") : "";
    return { kind: "classic", name, state, protocolType, protocol, members };
  }

  private memberOf(id: string, instanceId: string | null): ClassicMember | GroupRefusal {
    if (instanceId !== null) {
      const holder = this.instances.get(instanceId);
      if (holder === undefined) return "member-unknown";
      if (holder !== id) return "instance-fenced";
    }
    return this.members.get(id) ?? "member-unknown";
  }

  private alive(member: ClassicMember): void {
    const { deadlines, settings } = this.host;
    // A fresh one has no id to send heartbeats with: only this ends a join whose client has long gone.
    deadlines.set(member.session, member.fresh ? settings.newMemberTimeoutMs : member.sessionTimeoutMs);
  }

  private expired(member: ClassicMember): void {
    if (this.members.get(member.id) !== member) return;
    // Who waits for us cannot send heartbeats meanwhile.
    if (!member.fresh && (member.join !== null || member.sync !== null)) {
      this.alive(member);
      return;
    }
    this.drop(member);
    this.afterLoss();
  }

  private forgetPromise(id: string): void {
    this.promised.delete(id);
    this.completeIfAllJoined();
  }

  private afterLoss(): void {
    if (this.state === "preparing") this.completeIfAllJoined();
    else if (this.state !== "empty") this.prepare();
  }

  private drop(member: ClassicMember | undefined, answer: GroupRefusal = "member-unknown"): void {
    if (member === undefined) return;
    this.host.deadlines.clear(member.session);
    this.members.delete(member.id);
    this.count(member, -1);
    this.unsynced.delete(member.id);
    const { instanceId } = member;
    if (instanceId !== null && this.instances.get(instanceId) === member.id)
      this.instances.delete(instanceId);
    if (this.leader === member.id) this.leader = this.members.keys().next().value ?? "";
    this.answerJoin(member, refusedJoin(answer, member.id));
    this.answerSync(member, answer);
  }
}
