/**
 * The one commit loop of an engine. A round takes from every woken log, writes, syncs, and reports;
 * what gathers meanwhile is the next round, which starts at once. So under load rounds get larger
 * instead of more, and a thousand waiting publishers cost one sync, not a thousand. No timer.
 *
 * "behind" is the policy of the memory engine with checkpoints: a round reports at once, and what it
 * took is written and synced when the next checkpoint is due.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import type { JournalEntry, RoundJournal } from "./round-journal.ts";
import { Slots } from "./slots.ts";

export interface RoundCost {
  readonly syncs: number;
  readonly bytes: number;
}

export interface RoundMember {
  /** Batches taken and not written yet. */
  readonly placedCount: number;
  readonly placedBytes: number;
  /** As `LogSource.absent`. */
  readonly absent: number;
  /** Takes what has gathered and gives it its place; false when nothing had. Never throws. */
  gather(): boolean;
  /** The `count` oldest placed batches, where the journal may make them durable; otherwise null. */
  journalEntry(count: number): JournalEntry | null;
  /**
   * Makes the `count` oldest placed batches as durable as they asked to be. Never rejects: a log that breaks says so
   * itself. `journaled` resolves to whether they are on stable storage in the journal; null when they are not given to it.
   */
  commit(count: number, journaled: Promise<boolean> | null): Promise<RoundCost>;
  /** Tells the writer that the batch of this round is committed. Never throws. */
  report(): void;
}

export interface CommitPolicy {
  /** null: a round ends when it is durable. Otherwise the longest time that taken batches stay unwritten. */
  readonly checkpointIntervalMs: number | null;
}

export type RoundListener = (syncs: number, bytes: number, seconds: number) => void;

/** Unwritten bytes from which on a checkpoint does not wait for its time, and commits wait for it: memory is bounded. */
const BEHIND_BYTES_MAX = 64 << 20;

/** Logs that are written at the same time: some for each thread of the pool, and not a file for each log. */
const COMMITS_AT_ONCE = 32;
/** From so many logs on that write little, one write to the journal costs less than one to the file of each. */
const JOURNALED_LOGS_MIN = 4;
/**
 * How long a round waits for the next of those it expects, and how often the sockets are looked at meanwhile: a
 * pass that has much to write takes longer than any pause of theirs.
 */
const LINGER_MS = 0.15;
const LINGER_IDLE_PASSES = 4;
/** Passes of the event loop that a round waits at most. */
const LINGER_PASSES_MAX = 1000;

export class CommitLoop {
  private readonly slots = new Slots(COMMITS_AT_ONCE);
  private readonly clock: Clock;
  private readonly checkpointIntervalMs: number | null;
  private readonly listener: RoundListener;
  private readonly woken = new Set<RoundMember>();
  /** Made durable before the others of its round. */
  private prior: RoundMember | null = null;
  private journal: RoundJournal | null = null;
  private running = false;
  private readonly quiescing: { member: RoundMember; resolve: () => void }[] = [];
  private readonly behind = new Set<RoundMember>();
  private checkpointing: Promise<void> | null = null;
  private timer: Timer | null = null;

  constructor(clock: Clock, policy: CommitPolicy, listener: RoundListener) {
    this.clock = clock;
    this.checkpointIntervalMs = policy.checkpointIntervalMs;
    this.listener = listener;
  }

  /** `member` is made durable before the other members of the same round: they may build on what it holds. */
  setPrior(member: RoundMember): void {
    this.prior = member;
  }

  /** Where the small parts of a round become durable together. */
  setJournal(journal: RoundJournal): void {
    this.journal = journal;
  }

  wake(member: RoundMember): void {
    this.woken.add(member);
    if (this.running) return;
    this.running = true;
    // Not now: whatever else this turn of the event loop brings joins the round.
    setImmediate(() => this.run());
  }

  /** Resolves when a member has nothing left to take and all that it gave is reported. */
  quiesce(member: RoundMember): Promise<void> {
    this.wake(member);
    return new Promise((resolve) => {
      this.quiescing.push({ member, resolve });
    });
  }

  /** Writes and syncs all that was taken up to now and not written. */
  async checkpoint(): Promise<void> {
    while (this.checkpointing !== null) await this.checkpointing;
    this.checkpointing = this.writeBehind().finally(() => {
      this.checkpointing = null;
    });
    await this.checkpointing;
  }

  close(): void {
    this.timer?.cancel();
  }

  private async run(): Promise<void> {
    for (;;) {
      await this.linger();
      const round = this.gather();
      this.settleQuiet();
      if (round.length === 0) break;
      if (this.checkpointIntervalMs === null) await this.commitRound(round);
      else await this.passRound(round);
    }
    this.running = false;
  }

  /**
   * Publishers that wait for each confirm come back one after the other. The first to come back would
   * start a round that the others miss, so the round waits as long as they keep coming: two syncs become
   * one. Passes of the event loop, not a timer: a moment is far below a timer's grain.
   */
  private async linger(): Promise<void> {
    let least = Number.POSITIVE_INFINITY;
    let sinceMs = 0;
    let idlePasses = 0;
    for (let pass = 0; pass < LINGER_PASSES_MAX; pass++) {
      let absent = 0;
      for (const member of this.woken) absent += member.absent;
      if (absent === 0) return;
      const nowMs = performance.now();
      if (absent < least) {
        least = absent;
        sinceMs = nowMs;
        idlePasses = 0;
      } else if (++idlePasses >= LINGER_IDLE_PASSES && nowMs - sinceMs > LINGER_MS) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  private gather(): RoundMember[] {
    const round: RoundMember[] = [];
    for (const member of this.woken) {
      // A member stays woken until it has nothing to give: one empty take more than needed, no wake lost.
      if (member.gather()) round.push(member);
      else this.woken.delete(member);
    }
    return round;
  }

  private settleQuiet(): void {
    for (let index = this.quiescing.length - 1; index >= 0; index--) {
      if (this.woken.has(this.quiescing[index].member)) continue;
      this.quiescing.splice(index, 1)[0].resolve();
    }
  }

  private async commitRound(round: readonly RoundMember[]): Promise<void> {
    const startMs = this.clock.monotonic();
    const cost = await this.commitAll(round);
    for (const member of round) member.report();
    this.listener(cost.syncs, cost.bytes, (this.clock.monotonic() - startMs) / 1000);
  }

  private async passRound(round: readonly RoundMember[]): Promise<void> {
    let unwritten = 0;
    for (const member of round) {
      this.behind.add(member);
      unwritten += member.placedBytes;
    }
    this.armTimer();
    if (unwritten > BEHIND_BYTES_MAX) await this.checkpoint();
    for (const member of round) member.report();
    await new Promise((resolve) => setImmediate(resolve));
  }

  private armTimer(): void {
    if (this.timer !== null || this.checkpointIntervalMs === null) return;
    this.timer = this.clock.setTimer(this.checkpointIntervalMs, () => {
      this.timer = null;
      this.checkpoint();
    });
  }

  private async writeBehind(): Promise<void> {
    const members = [...this.behind];
    this.behind.clear();
    if (members.length === 0) return;
    const startMs = this.clock.monotonic();
    const cost = await this.commitAll(members);
    this.listener(cost.syncs, cost.bytes, (this.clock.monotonic() - startMs) / 1000);
  }

  private async commitAll(members: readonly RoundMember[]): Promise<RoundCost> {
    if (members.length === 1) return members[0].commit(members[0].placedCount, null);
    // Counted before anything is awaited: what is taken meanwhile may build on a later prior.
    const counts = new Map(members.map((member) => [member, member.placedCount]));
    const costs: RoundCost[] = [];
    const prior = members.find((member) => member === this.prior);
    if (prior !== undefined) costs.push(await prior.commit(counts.get(prior) as number, null));
    const others = members.filter((member) => member !== prior);
    const { journal } = this;
    const entries = journal === null ? new Map<RoundMember, JournalEntry>() : entriesOf(others, counts);
    const journaled =
      journal === null || entries.size < JOURNALED_LOGS_MIN ? null : journal.write([...entries.values()]);
    const commit = (member: RoundMember): Promise<RoundCost> =>
      member.commit(counts.get(member) as number, entries.has(member) ? journaled : null);
    const inTurn = (member: RoundMember): Promise<RoundCost> => this.slots.use(() => commit(member));
    costs.push(...(await Promise.all(others.map(others.length > COMMITS_AT_ONCE ? inTurn : commit))));
    let syncs = 0;
    let bytes = 0;
    if (journaled !== null && (await journaled)) syncs++;
    for (const cost of costs) {
      syncs += cost.syncs;
      bytes += cost.bytes;
    }
    return { syncs, bytes };
  }
}

function entriesOf(
  members: readonly RoundMember[],
  counts: ReadonlyMap<RoundMember, number>,
): Map<RoundMember, JournalEntry> {
  const entries = new Map<RoundMember, JournalEntry>();
  for (const member of members) {
    const entry = member.journalEntry(counts.get(member) as number);
    if (entry !== null) entries.set(member, entry);
  }
  return entries;
}
