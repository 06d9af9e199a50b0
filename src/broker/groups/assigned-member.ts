import { Deadline } from "../../base/deadlines.ts";
import type { MemberCaller, MemberProtocol } from "./types.ts";

/** A partition by its stream's id: "0123456789abcdef0123456789abcdef:7". */
export type PartitionKey = string;

export const partitionKey = (streamId: string, partition: number): PartitionKey => `${streamId}:${partition}`;

export const JOIN_EPOCH = 0;
/** Stands for a static member that said it will be back. */
export const AWAY_EPOCH = -2;

/**
 * "settled": has what it should have. "revoking": must give something up first, and has not said that it
 * did. "waiting": should have more, which others have not given up yet.
 */
export type MemberPhase = "settled" | "revoking" | "waiting";

export interface AssignedSpec extends MemberCaller {
  readonly instanceId: string | null;
  readonly rack: string | null;
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  /** Names of streams that it reads. */
  readonly streams: readonly string[];
  /** A regular expression (RE2's syntax) for more, or null. */
  readonly pattern: string | null;
  readonly assignor: string | null;
  /** Of a guest, who speaks as the members of classic groups do: what it joined with. Else absent. */
  readonly guest?: GuestSpec;
}

export interface GuestSpec {
  readonly protocolType: string;
  readonly protocols: readonly MemberProtocol[];
}

/** A member of a group whose work the broker divides (KIP-848). */
export class AssignedMember {
  id: string;
  spec: AssignedSpec;
  /** The group's epoch that it has caught up with. */
  epoch = 0;
  /** The one before: an answer may have been lost. */
  previousEpoch = 0;
  phase: MemberPhase = "settled";
  /** What it may read, and must not be given to others. */
  assigned: ReadonlySet<PartitionKey> = new Set();
  /** What it has to give up and may still be reading. */
  revoking: ReadonlySet<PartitionKey> = new Set();
  /** What it should have. */
  target: ReadonlySet<PartitionKey> = new Set();
  readonly session: Deadline;
  /** For giving up what it must. */
  readonly patience: Deadline;

  constructor(id: string, spec: AssignedSpec, over: (member: AssignedMember) => void) {
    this.id = id;
    this.spec = spec;
    this.session = new Deadline(() => over(this));
    this.patience = new Deadline(() => over(this));
  }

  holds(partition: PartitionKey): boolean {
    return this.assigned.has(partition) || this.revoking.has(partition);
  }

  /**
   * One step towards the target. `owned`: what the client says it has, or null when it does not say.
   * `taken`: somebody else holds that partition. True when something changed.
   */
  reconcile(
    targetEpoch: number,
    owned: ReadonlySet<PartitionKey> | null,
    taken: (partition: PartitionKey) => boolean,
  ): boolean {
    if (this.phase === "settled" && this.epoch === targetEpoch) return false;
    let { epoch } = this;
    if (this.phase === "revoking") {
      if (owned === null || intersects(this.revoking, owned)) return false;
      // It has given up what it had to: that is a step of its own.
      epoch = Math.min(epoch + 1, targetEpoch);
    }
    const kept = filter(this.assigned, (partition) => this.target.has(partition));
    const surplus = filter(this.assigned, (partition) => !this.target.has(partition));
    if (surplus.size > 0 && (owned === null || intersects(surplus, owned))) {
      return this.become("revoking", epoch, kept, surplus);
    }
    let blocked = false;
    for (const partition of this.target) {
      if (kept.has(partition)) continue;
      if (taken(partition)) blocked = true;
      else kept.add(partition);
    }
    return this.become(blocked ? "waiting" : "settled", targetEpoch, kept, new Set());
  }

  private become(
    phase: MemberPhase,
    epoch: number,
    assigned: ReadonlySet<PartitionKey>,
    revoking: ReadonlySet<PartitionKey>,
  ): boolean {
    const same =
      phase === this.phase &&
      epoch === this.epoch &&
      isSame(assigned, this.assigned) &&
      isSame(revoking, this.revoking);
    if (same) return false;
    if (epoch !== this.epoch) this.previousEpoch = this.epoch;
    this.phase = phase;
    this.epoch = epoch;
    this.assigned = assigned;
    this.revoking = revoking;
    return true;
  }
}

export function isSame<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  if (a.size !== b.size) return false;
  for (const one of a) if (!b.has(one)) return false;
  return true;
}

export function isSubset<T>(part: ReadonlySet<T>, whole: ReadonlySet<T>): boolean {
  for (const one of part) if (!whole.has(one)) return false;
  return true;
}

function intersects<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  for (const one of a) if (b.has(one)) return true;
  return false;
}

function filter<T>(all: ReadonlySet<T>, wanted: (one: T) => boolean): Set<T> {
  const found = new Set<T>();
  for (const one of all) if (wanted(one)) found.add(one);
  return found;
}
