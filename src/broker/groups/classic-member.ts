import { Deadline } from "../../base/deadlines.ts";
import type {
  GroupRefusal,
  JoinRequest,
  JoinResult,
  MemberProtocol,
  StreamPartitions,
  SyncResult,
} from "./types.ts";

export const NOTHING = new Uint8Array(0);

export type JoinDone = (result: JoinResult) => void;
export type SyncDone = (result: SyncResult) => void;

/** What a member says of itself when it joins. */
export type MemberSpec = Omit<JoinRequest, "memberId" | "idRequired" | "canSkipAssignment" | "owned">;

/** A classic group as it is stored. */
export interface ClassicSnapshot {
  readonly generation: number;
  readonly protocolType: string;
  readonly protocol: string | null;
  readonly leader: string;
  readonly emptySinceMs: number;
  readonly members: readonly StoredMember[];
}

export interface StoredMember extends MemberSpec {
  readonly id: string;
  readonly assignment: Uint8Array;
  /** Absent like null: cannot be read. */
  readonly share?: readonly StreamPartitions[] | null;
  readonly formerGeneration?: number;
}

/** A member of a classic group. */
export class ClassicMember {
  id: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  readonly protocolType: string;
  protocols: readonly MemberProtocol[];
  assignment: Uint8Array = NOTHING;
  /** What `assignment` means; null: nobody but the members knows. */
  share: readonly StreamPartitions[] | null = [];
  /** Of a member whom another group had: what it believes in until it joins; else -1. */
  formerGeneration = -1;
  /** Set while its join waits for the others. */
  join: JoinDone | null = null;
  /** Set while its sync waits for the leader's. */
  sync: SyncDone | null = null;
  /** Has not been in a generation yet: it does not know its id and cannot send heartbeats. */
  fresh = true;
  readonly session: Deadline;

  constructor(id: string, request: MemberSpec, expired: (member: ClassicMember) => void) {
    this.id = id;
    this.instanceId = request.instanceId;
    this.clientId = request.clientId;
    this.clientHost = request.clientHost;
    this.sessionTimeoutMs = request.sessionTimeoutMs;
    this.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
    this.protocolType = request.protocolType;
    this.protocols = request.protocols;
    this.session = new Deadline(() => expired(this));
  }

  metadata(protocol: string | null): Uint8Array {
    return this.protocols.find(({ name }) => name === protocol)?.metadata ?? NOTHING;
  }

  speaks(protocol: string): boolean {
    return this.protocols.some(({ name }) => name === protocol);
  }

  /** The same protocols with the same metadata in the same order. */
  offers(protocols: readonly MemberProtocol[]): boolean {
    return (
      this.protocols.length === protocols.length &&
      this.protocols.every(
        ({ name, metadata }, index) =>
          name === protocols[index].name && Buffer.compare(metadata, protocols[index].metadata) === 0,
      )
    );
  }

  /** The same streams, as far as anybody can read that. */
  readsLike(protocols: readonly MemberProtocol[]): boolean {
    return streamsText(this.protocols) === streamsText(protocols);
  }
}

function streamsText(protocols: readonly MemberProtocol[]): string {
  return JSON.stringify(protocols.map(({ streams }) => (streams === null ? null : [...streams].sort())));
}

/** Names of the protocols that every member speaks. */
function commonProtocols(members: Iterable<ClassicMember>): Set<string> {
  let common: Set<string> | null = null;
  for (const { protocols } of members) {
    const own: string[] = protocols.map(({ name }) => name);
    common = new Set(common === null ? own : own.filter((name) => common?.has(name)));
  }
  return common ?? new Set();
}

/** Every member votes for the first of its protocols that all speak; most votes win, and the earlier vote a tie. */
export function electProtocol(members: Iterable<ClassicMember>): string | null {
  const all = [...members];
  const common = commonProtocols(all);
  const votes = new Map<string, number>();
  for (const { protocols } of all) {
    const choice = protocols.find(({ name }) => common.has(name))?.name;
    if (choice !== undefined) votes.set(choice, (votes.get(choice) ?? 0) + 1);
  }
  let best: string | null = null;
  for (const [name, count] of votes) if (best === null || count > (votes.get(best) ?? 0)) best = name;
  return best;
}

/** As long as the most patient of them allows for joining. */
export function rebalanceTimeoutMsOf(members: ReadonlyMap<string, ClassicMember>): number {
  let longest = 0;
  for (const { rebalanceTimeoutMs } of members.values()) longest = Math.max(longest, rebalanceTimeoutMs);
  return longest;
}

export function refusedJoin(refusal: GroupRefusal, memberId: string): JoinResult {
  return {
    refusal,
    memberId,
    generation: -1,
    protocolType: null,
    protocol: null,
    leader: "",
    skipAssignment: false,
    members: [],
  };
}

export function refusedSync(refusal: GroupRefusal): SyncResult {
  return { refusal, protocolType: null, protocol: null, assignment: NOTHING, share: null };
}
