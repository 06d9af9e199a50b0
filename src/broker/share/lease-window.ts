import type { LeasedRange, Verdict } from "./types.ts";

/**
 * "ready": to be leased. "leased": a member has it, until `dueMs`. "waiting": failed, ready again at `dueMs`.
 * "leaving": on its way to where dead letters go. "done": nothing more to do.
 */
type State = "ready" | "leased" | "waiting" | "leaving" | "done";

interface Entry {
  state: State;
  deliveries: number;
  owner: string;
  /** Monotonic ms. */
  dueMs: number;
}

export interface WindowRules {
  readonly leaseMs: number;
  readonly deliveriesMax: number;
  /** Wait before the next delivery, ms; 0: none. */
  retryMs(deliveries: number): number;
  /** A record leaves without having been accepted. True: it goes elsewhere, and `left` will be called. */
  leaves(offset: number, deliveries: number, why: "rejected" | "delivery-limit"): boolean;
}

/** Numbers of records and what became of them: pairs of count and deliveries, or DONE for deliveries. */
export interface WindowSnapshot {
  readonly start: number;
  readonly runs: readonly number[];
}

const DONE = -1;
/**
 * The records of one partition that one share group is busy with (KIP-932): from the first that is not
 * done with to the last that anybody has leased. What lies behind the window nobody has touched.
 */
export class LeaseWindow {
  start: number;
  rules: WindowRules;
  private entries: Entry[] = [];

  constructor(start: number, rules: WindowRules) {
    this.start = start;
    this.rules = rules;
  }

  /** Behind the last record in it. */
  get end(): number {
    return this.start + this.entries.length;
  }

  get size(): number {
    return this.entries.length;
  }

  /** Offset of the first record that can be leased, or -1. */
  firstReady(): number {
    const index = this.entries.findIndex(({ state }) => state === "ready");
    return index < 0 ? -1 : this.start + index;
  }

  /** Records that are not done with. */
  get unfinished(): number {
    let count = 0;
    for (const { state } of this.entries) if (state !== "done") count++;
    return count;
  }

  /** Takes in everything below `end`, as ready. */
  extend(end: number): void {
    while (this.end < end) this.entries.push({ state: "ready", deliveries: 0, owner: "", dueMs: 0 });
  }

  /** There is nothing for anybody in [first, last]. */
  skip(first: number, last: number): void {
    for (let offset = Math.max(first, this.start); offset <= last && offset < this.end; offset++) {
      const entry = this.at(offset);
      if (entry.state === "ready" || entry.state === "waiting") entry.state = "done";
    }
  }

  /** Leases what is ready in [first, last], `max` records at most. */
  lease(first: number, last: number, owner: string, max: number, nowMs: number): LeasedRange[] {
    const ranges: { first: number; last: number; deliveries: number }[] = [];
    let left = max;
    for (
      let offset = Math.max(first, this.start);
      offset <= last && offset < this.end && left > 0;
      offset++
    ) {
      const entry = this.at(offset);
      if (entry.state !== "ready") continue;
      entry.state = "leased";
      entry.deliveries++;
      entry.owner = owner;
      entry.dueMs = nowMs + this.rules.leaseMs;
      left--;
      const range = ranges.at(-1);
      if (range?.last === offset - 1 && range.deliveries === entry.deliveries) range.last = offset;
      else ranges.push({ first: offset, last: offset, deliveries: entry.deliveries });
    }
    return ranges;
  }

  /** False: not all of [first, last] is leased to `owner`, and nothing is done. */
  settle(first: number, last: number, owner: string, verdicts: readonly Verdict[], nowMs: number): boolean {
    const count = last - first + 1;
    if (count < 1 || (verdicts.length !== 1 && verdicts.length !== count)) return false;
    for (let offset = first; offset <= last; offset++) {
      const entry = this.entries[offset - this.start];
      if (entry?.state !== "leased" || entry.owner !== owner) return false;
    }
    for (let offset = first; offset <= last; offset++) {
      const verdict = (verdicts.length === 1 ? verdicts[0] : verdicts[offset - first]) as Verdict;
      this.judge(offset, verdict, nowMs);
    }
    this.advance();
    return true;
  }

  /**
   * What `owner` has is ready for others, as if it had never been delivered: who goes away takes much with it that
   * it has not looked at. True when that was anything.
   */
  release(owner: string): boolean {
    let released = false;
    for (const entry of this.entries) {
      if (entry.state !== "leased" || entry.owner !== owner) continue;
      entry.state = "ready";
      entry.owner = "";
      entry.deliveries--;
      released = true;
    }
    return released;
  }

  /** Ends leases and waits that are over. True when something changed. */
  tick(nowMs: number): boolean {
    let changed = false;
    for (let index = 0; index < this.entries.length; index++) {
      const entry = this.entries[index] as Entry;
      if (entry.dueMs > nowMs) continue;
      if (entry.state === "waiting") entry.state = "ready";
      else if (entry.state === "leased") this.fail(this.start + index, entry, nowMs);
      else continue;
      changed = true;
    }
    this.advance();
    return changed;
  }

  /** When `tick` has something to do next; Infinity: never. */
  get nextDueMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { state, dueMs } of this.entries) {
      if (state === "leased" || state === "waiting") next = Math.min(next, dueMs);
    }
    return next;
  }

  /** The record has arrived where dead letters go. */
  left(offset: number): void {
    const entry = this.entries[offset - this.start];
    if (entry?.state !== "leaving") return;
    entry.state = "done";
    this.advance();
  }

  /** Records below `offset` are no more. */
  trim(offset: number): void {
    if (offset <= this.start) return;
    this.entries.splice(0, offset - this.start);
    this.start = offset;
    this.advance();
  }

  snapshot(): WindowSnapshot {
    const runs: number[] = [];
    for (const { state, deliveries } of this.entries) {
      // What is leased when the broker goes down has not failed.
      const kind = state === "done" ? DONE : state === "leased" ? deliveries - 1 : deliveries;
      const last = runs.length - 1;
      if (last > 0 && runs[last] === kind) runs[last - 1] = (runs[last - 1] as number) + 1;
      else runs.push(1, kind);
    }
    return { start: this.start, runs };
  }

  /** Whatever was leased or waited is ready. */
  restore({ start, runs }: WindowSnapshot): void {
    this.start = start;
    this.entries = [];
    for (let index = 0; index < runs.length; index += 2) {
      const kind = runs[index + 1] as number;
      for (let count = runs[index] as number; count > 0; count--) {
        const state = kind === DONE ? "done" : "ready";
        this.entries.push({ state, deliveries: Math.max(kind, 0), owner: "", dueMs: 0 });
      }
    }
    this.advance();
  }

  private judge(offset: number, verdict: Verdict, nowMs: number): void {
    const entry = this.at(offset);
    switch (verdict) {
      case "gap":
      case "accept":
        entry.state = "done";
        break;
      case "release":
        this.fail(offset, entry, nowMs);
        break;
      case "reject":
        this.leave(offset, entry, "rejected");
        break;
      case "renew":
        entry.dueMs = nowMs + this.rules.leaseMs;
    }
  }

  private fail(offset: number, entry: Entry, nowMs: number): void {
    if (entry.deliveries >= this.rules.deliveriesMax) {
      this.leave(offset, entry, "delivery-limit");
      return;
    }
    const waitMs = this.rules.retryMs(entry.deliveries);
    entry.owner = "";
    entry.state = waitMs > 0 ? "waiting" : "ready";
    entry.dueMs = nowMs + waitMs;
  }

  private leave(offset: number, entry: Entry, why: "rejected" | "delivery-limit"): void {
    entry.owner = "";
    entry.state = "leaving";
    if (!this.rules.leaves(offset, entry.deliveries, why)) entry.state = "done";
  }

  /** The window begins with the first record that is not done with. */
  private advance(): void {
    let done = 0;
    while (this.entries[done]?.state === "done") done++;
    if (done === 0) return;
    this.entries.splice(0, done);
    this.start += done;
  }

  private at(offset: number): Entry {
    return this.entries[offset - this.start] as Entry;
  }
}
