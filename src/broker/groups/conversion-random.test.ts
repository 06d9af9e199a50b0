import fc from "fast-check";
import { expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { FakeMeta } from "../topology/fakes.ts";
import { Groups } from "./groups.ts";
import type { GroupSpace } from "./space.ts";
import type { AssignedResult, GroupRefusal, StreamPartitions } from "./types.ts";

// Members of both kinds come, go and take their steps in any order, so that a group changes its kind between any two
// of them: between a join and the question for the share above all. Nobody may hear that it is not compatible, no
// partition is ever held by two, and when nobody comes or goes any more all have their part.

const ID = "ab".repeat(16);
const PARTITIONS = 6;
const sharesOf = (indexes: readonly number[]): StreamPartitions[] =>
  indexes.length === 0 ? [] : [{ streamId: ID, partitions: [...indexes] }];
const indexesOf = (shares: readonly StreamPartitions[]): number[] =>
  shares.flatMap(({ partitions }) => partitions);

interface Actor {
  owned: readonly number[];
  /** Sends its next request, unless it waits for an answer. True: it had something to do. */
  step(): boolean;
  leave(): void;
}

/** What a client goes on after, by joining again. */
const CURABLE: readonly GroupRefusal[] = [
  "rebalancing",
  "generation-stale",
  "member-unknown",
  "member-id-required",
];

/** A member of a classic group: gives up everything when it joins, as the range assignor asks. */
class Classic implements Actor {
  owned: readonly number[] = [];
  private memberId = "";
  private generation = -1;
  private leads: readonly string[] = [];
  private next: "join" | "sync" | "beat" | "answer" = "join";
  private readonly space: GroupSpace;
  private readonly protocols: readonly string[];

  constructor(space: GroupSpace, protocols: readonly string[]) {
    this.space = space;
    this.protocols = protocols;
  }

  step(): boolean {
    const { next } = this;
    if (next === "answer") return false;
    if (next === "beat") return this.refused(this.space.heartbeat("g", this.claim));
    this.next = "answer";
    if (next === "join") this.join();
    else this.sync();
    return true;
  }

  leave(): void {
    this.owned = [];
    if (this.memberId !== "") this.space.leave("g", [this.claim]);
  }

  private get claim() {
    return { memberId: this.memberId, instanceId: null, generation: this.generation };
  }

  /** True: something is to be done about it. */
  private refused(refusal: GroupRefusal | null): boolean {
    if (refusal === null) return false;
    expect(CURABLE).toContain(refusal);
    if (refusal === "member-unknown") this.memberId = "";
    this.next = "join";
    return true;
  }

  private join(): void {
    this.owned = [];
    const protocols = this.protocols.map((name) => ({ name, metadata: Uint8Array.of(1), streams: ["s"] }));
    const who = { memberId: this.memberId, instanceId: null, clientId: "c", clientHost: "h" };
    const times = { sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 20_000 };
    const how = { idRequired: true, canSkipAssignment: false, owned: [], protocolType: "consumer" };
    this.space.join("g", { ...who, ...times, ...how, protocols }, (answer) => {
      if (answer.refusal !== "member-unknown") this.memberId = answer.memberId;
      if (this.refused(answer.refusal)) return;
      this.generation = answer.generation;
      this.leads = answer.members.map(({ id }) => id);
      this.protocol = answer.protocol;
      this.next = "sync";
    });
  }

  private protocol: string | null = null;

  private sync(): void {
    const parts = new Map(
      this.leads.map((id, i) => [
        id,
        Array.from({ length: PARTITIONS }, (_, k) => k).filter((k) => k % this.leads.length === i),
      ]),
    );
    const assignments = new Map([...parts].map(([id, indexes]) => [id, Uint8Array.from(indexes)]));
    const shares = new Map([...parts].map(([id, indexes]) => [id, sharesOf(indexes)]));
    const { protocol } = this;
    const request = { ...this.claim, protocolType: "consumer", protocol, assignments, shares };
    this.space.sync("g", request, ({ refusal, share, assignment }) => {
      if (this.refused(refusal)) return;
      this.owned = share === null ? [...assignment] : indexesOf(share.partitions);
      this.next = "beat";
    });
  }
}

class Modern implements Actor {
  owned: readonly number[] = [];
  private epoch = 0;
  private readonly space: GroupSpace;
  private readonly memberId: string;

  constructor(space: GroupSpace, memberId: string) {
    this.space = space;
    this.memberId = memberId;
  }

  step(): boolean {
    const { epoch, owned } = this;
    const { refusal, unsettled, ...answer } = this.send(epoch);
    if (refusal !== null) {
      expect(["member-epoch-fenced", "member-unknown"]).toContain(refusal);
      this.epoch = 0;
      this.owned = [];
      return true;
    }
    this.epoch = answer.epoch;
    if (answer.assignment !== null) this.owned = indexesOf(answer.assignment);
    return unsettled || epoch !== answer.epoch || owned !== this.owned;
  }

  leave(): void {
    this.owned = [];
    if (this.epoch > 0) this.send(-1);
  }

  private send(epoch: number): AssignedResult {
    let result: AssignedResult | undefined;
    const joins = epoch === 0;
    const request = {
      ...{ memberId: this.memberId, epoch, instanceId: null, rack: null, clientId: "c", clientHost: "h" },
      ...{ rebalanceTimeoutMs: joins ? 20_000 : -1, sessionTimeoutMs: 45_000, pattern: null, assignor: null },
      ...{ streams: joins ? ["s"] : null, owned: sharesOf(this.owned), full: joins, visible: () => true },
    };
    this.space.assignedHeartbeat("g", "assigned", request, (answer) => {
      result = answer;
    });
    return result as AssignedResult;
  }
}

const PROTOCOLS = [["range"], ["cooperative", "range"], ["range", "cooperative"]];

class Play {
  readonly actors: Actor[] = [];
  private readonly clock = new ManualClock();
  private readonly groups: Groups;
  private readonly space: GroupSpace;
  private ids = 0;

  constructor() {
    const stream = { id: ID, name: "s", partitions: PARTITIONS };
    const streams = {
      in: () => ({ find: (name: string) => (name === "s" ? stream : null), all: () => [stream] }),
    };
    const newId = () => `id${++this.ids}`;
    this.groups = new Groups({ meta: new FakeMeta(), clock: this.clock, streams, newId });
    this.space = this.groups.space("/");
  }

  stop(): void {
    this.groups.stop();
  }

  act(what: number, who: number): void {
    const { actors } = this;
    const at = who % (actors.length || 1);
    if (what === 0 && actors.length < 5) actors.push(new Classic(this.space, PROTOCOLS[who % 3]));
    else if (what === 1 && actors.length < 5) actors.push(new Modern(this.space, `m${++this.ids}`));
    else if (what === 2) actors.splice(at, 1)[0]?.leave();
    else if (what === 3) this.clock.advance(100);
    else actors[at]?.step();
    this.check();
  }

  check(): void {
    const held = this.actors.flatMap(({ owned }) => owned);
    expect(held.length).toBe(new Set(held).size);
  }

  /** Everybody goes on until nobody has anything to do. */
  settle(): void {
    for (let round = 0, calm = 0; calm < 3; round++) {
      expect(round).toBeLessThan(100);
      let busy = false;
      for (const actor of this.actors) {
        if (actor.step()) busy = true;
        this.check();
      }
      this.clock.advance(100);
      calm = busy ? 0 : calm + 1;
    }
    if (this.actors.length === 0) return;
    const held = this.actors.map(({ owned }) => owned.length);
    expect(held.reduce((sum, count) => sum + count)).toBe(PARTITIONS);
    expect(Math.max(...held) - Math.min(...held)).toBeLessThanOrEqual(1);
  }
}

test("members of both kinds, in any order of their steps", () => {
  const acts = fc.array(fc.tuple(fc.nat(9), fc.nat(20)), { maxLength: 120, size: "max" });
  fc.assert(
    fc.property(acts, (steps) => {
      const play = new Play();
      try {
        for (const [what, who] of steps) play.act(what, who);
        play.settle();
      } finally {
        play.stop();
      }
    }),
    { numRuns: Number(process.env.POLYMQ_CONVERSION_RUNS ?? 300) },
  );
}, 600_000);
