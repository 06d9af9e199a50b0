import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { FakeMeta } from "../topology/fakes.ts";
import { Groups } from "./groups.ts";
import type { GroupSpace } from "./space.ts";
import type {
  AssignedHeartbeat,
  AssignedResult,
  JoinRequest,
  JoinResult,
  StreamPartitions,
} from "./types.ts";

const ID = "ab".repeat(16);
const PARTITIONS = 6;

let meta: FakeMeta;
let clock: ManualClock;
let groups: Groups;
let space: GroupSpace;
let ids = 0;

function open(): void {
  groups?.stop();
  const stream = { id: ID, name: "s", partitions: PARTITIONS };
  const streams = {
    in: () => ({ find: (name: string) => (name === "s" ? stream : null), all: () => [stream] }),
  };
  groups = new Groups({ meta, clock, streams, newId: () => `${++ids}` });
  space = groups.space("/");
}

beforeEach(() => {
  [meta, clock] = [new FakeMeta(), new ManualClock()];
  open();
});

const indexesOf = (shares: readonly StreamPartitions[]): number[] =>
  shares.flatMap(({ partitions }) => partitions);
const sharesOf = (indexes: readonly number[]): StreamPartitions[] =>
  indexes.length === 0 ? [] : [{ streamId: ID, partitions: indexes }];

/** A member that joins and asks for its share; an eager one gives up everything before. */
class Classic {
  memberId = "";
  generation = -1;
  leads = false;
  owned: number[] = [];
  answer: JoinResult | null = null;
  readonly eager: boolean;
  readonly instanceId: string | null;

  constructor({ eager = true, instanceId = null as string | null } = {}) {
    this.eager = eager;
    this.instanceId = instanceId;
  }

  join(overrides: Partial<JoinRequest> = {}): this {
    if (this.eager) this.owned = [];
    this.answer = null;
    const request: JoinRequest = {
      memberId: this.memberId,
      instanceId: this.instanceId,
      clientId: "c",
      clientHost: "h",
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 20_000,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: Uint8Array.of(0, 1), streams: ["s"] }],
      idRequired: false,
      canSkipAssignment: false,
      owned: sharesOf(this.owned),
      ...overrides,
    };
    space.join("g", request, (answer) => {
      this.answer = answer;
      if (answer.refusal !== null) return;
      [this.memberId, this.generation] = [answer.memberId, answer.generation];
      this.leads = answer.leader === answer.memberId;
    });
    return this;
  }

  /** The refusal, or null when there is none. `hands`: what the leader hands out; by default bytes for each. */
  sync(hands: readonly (readonly [Classic, readonly number[]])[] = [], readable = true): string | null {
    let refusal: string | null = "no answer";
    const assignments = new Map(hands.map(([{ memberId }]) => [memberId, Uint8Array.of(1)]));
    const shares = new Map(hands.map(([{ memberId }, indexes]) => [memberId, sharesOf(indexes)]));
    const { memberId, instanceId, generation } = this;
    const request = {
      memberId,
      instanceId,
      generation,
      protocolType: "consumer",
      protocol: "range",
      assignments,
    };
    space.sync("g", { ...request, shares: readable ? shares : new Map() }, (result) => {
      refusal = result.refusal;
      if (result.share !== null) this.owned = indexesOf(result.share.partitions);
    });
    return refusal;
  }

  beat(): string | null {
    return space.heartbeat("g", this);
  }

  leave(): void {
    space.leave("g", [this]);
  }

  commit(): string | null {
    const offset = { stream: "s", partition: 0, offset: 5, epoch: -1, metadata: "", retentionMs: -1 };
    let refusal: string | null = null;
    space.commitOffsets("g", this, [offset], ([answer]) => {
      refusal = answer ?? null;
    });
    return refusal;
  }
}

class Modern {
  epoch = 0;
  owned: number[] = [];
  readonly memberId: string;
  readonly instanceId: string | null;

  constructor(memberId: string, instanceId: string | null = null) {
    this.memberId = memberId;
    this.instanceId = instanceId;
  }

  send(overrides: Partial<AssignedHeartbeat> = {}): AssignedResult {
    let answer: AssignedResult | undefined;
    const joins = this.epoch === 0;
    const request: AssignedHeartbeat = {
      memberId: this.memberId,
      epoch: this.epoch,
      instanceId: this.instanceId,
      rack: null,
      rebalanceTimeoutMs: joins ? 20_000 : -1,
      sessionTimeoutMs: 45_000,
      streams: joins ? ["s"] : null,
      pattern: null,
      assignor: null,
      owned: sharesOf(this.owned),
      full: joins,
      visible: () => true,
      clientId: "c",
      clientHost: "h",
      ...overrides,
    };
    space.assignedHeartbeat("g", "assigned", request, (result) => {
      answer = result;
    });
    const { refusal, epoch, assignment } = answer as AssignedResult;
    if (refusal === null) this.epoch = epoch;
    if (assignment !== null) this.owned = indexesOf(assignment);
    return answer as AssignedResult;
  }

  leave(): void {
    this.send({ epoch: -1 });
  }
}

/** A stable group of classic members, each of which has as many partitions. */
function classicGroup(members: readonly Classic[], readable = true): void {
  for (const member of members) member.join();
  clock.advance(100);
  clock.advance(100);
  const each = PARTITIONS / members.length;
  members.forEach((member, i) => {
    member.owned = Array.from({ length: each }, (_, k) => i * each + k);
  });
  const leader = members.find(({ leads }) => leads) as Classic;
  expect(
    leader.sync(
      members.map((member) => [member, member.owned] as const),
      readable,
    ),
  ).toBeNull();
  for (const member of members) if (member !== leader) expect(member.sync()).toBeNull();
}

const kind = () => space.describe("g")?.kind;
const all = (members: readonly { readonly owned: readonly number[] }[]) =>
  members.flatMap(({ owned }) => owned).sort();

/** Heartbeats, and what they ask for, until nobody has anything to do; nobody ever has what another one has. */
function settle(classic: readonly Classic[], modern: readonly Modern[]): void {
  for (let round = 0, busy = true; busy; round++) {
    expect(round).toBeLessThan(20);
    busy = false;
    for (const member of modern) if (member.send().unsettled) busy = true;
    for (const member of classic) {
      if (member.beat() !== "rebalancing") continue;
      busy = true;
      member.join();
      if (member.answer?.refusal === null) member.sync();
    }
    const held = all([...classic, ...modern]);
    expect(held.length).toBe(new Set(held).size);
  }
}

describe.each([true, false])("members of a classic group (eager: %s)", (eager) => {
  test("go on beside one for whom the broker divides", () => {
    const [a, b, c] = [new Classic({ eager }), new Classic({ eager }), new Modern("c")];
    classicGroup([a, b]);
    const before = a.generation;
    // Nothing is taken away at once, and offsets can be committed still.
    expect(c.send()).toMatchObject({ refusal: null, epoch: before + 1, unsettled: true });
    expect([kind(), c.owned, a.commit()]).toEqual(["assigned", [], null]);
    settle([a, b], [c]);
    expect([a, b, c].map(({ owned }) => owned.length)).toEqual([2, 2, 2]);
    expect(all([a, b, c])).toEqual([0, 1, 2, 3, 4, 5]);
    expect(a.commit()).toBeNull();
    a.generation--;
    expect([a.commit(), a.beat(), a.sync()]).toEqual(Array(3).fill("generation-stale"));
    const view = space.describe("g");
    expect(view?.kind === "assigned" && view.members.map(({ isGuest }) => isGuest)).toEqual([
      true,
      true,
      false,
    ]);
  });

  test("divide again among themselves when it has gone, with the generations that they had", () => {
    const [a, b, c] = [new Classic({ eager }), new Classic({ eager }), new Modern("c")];
    classicGroup([a, b]);
    c.send();
    settle([a, b], [c]);
    c.leave();
    expect(kind()).toBe("classic");
    expect([a.beat(), b.beat(), a.commit()]).toEqual(["rebalancing", "rebalancing", null]);
    const { generation } = a;
    a.join();
    b.join();
    expect([a.generation, b.generation]).toEqual([a.generation, a.generation]);
    expect(a.generation).toBe(generation + 1);
    const leader = a.leads ? a : b;
    expect(
      leader.sync([
        [a, [0, 1, 2]],
        [b, [3, 4, 5]],
      ]),
    ).toBeNull();
    expect([a.beat(), b.beat()]).toEqual([null, null]);
  });

  test("who has not caught up when it goes is not thrown out", () => {
    const [a, b, c] = [new Classic({ eager }), new Classic({ eager }), new Modern("c")];
    classicGroup([a, b]);
    c.send();
    a.join();
    c.leave();
    expect([b.beat(), b.commit()]).toEqual(["rebalancing", null]);
    b.join();
    b.generation--;
    expect(b.beat()).toBe("generation-stale");
  });
});

test("new members of both kinds join a group of both kinds", () => {
  const [a, b, c] = [new Classic(), new Modern("b"), new Classic()];
  classicGroup([a]);
  b.send();
  expect(c.join({ idRequired: true }).answer).toMatchObject({ refusal: "member-id-required" });
  c.memberId = c.answer?.memberId as string;
  expect(c.join({ idRequired: true }).answer).toMatchObject({ refusal: null, leader: "", members: [] });
  expect(c.sync()).toBeNull();
  settle([a, c], [b]);
  expect([a, b, c].map(({ owned }) => owned.length)).toEqual([2, 2, 2]);
  a.leave();
  settle([c], [b]);
  expect([b, c].map(({ owned }) => owned.length)).toEqual([3, 3]);
  const odd = { protocols: [{ name: "mine", metadata: new Uint8Array(), streams: ["s"] }] };
  expect(new Classic().join(odd).answer?.refusal).toBe("protocols-inconsistent");
  expect(new Classic().join({ owned: null }).answer?.refusal).toBe("group-kind");
  expect(new Classic().join({ sessionTimeoutMs: 1 }).answer?.refusal).toBe("session-timeout-invalid");
});

test("who waits for a generation is told to join again", () => {
  const [a, late] = [new Classic(), new Classic()];
  classicGroup([a]);
  late.join();
  expect(late.answer).toBeNull();
  new Modern("b").send();
  expect(late.answer).toMatchObject({ refusal: "rebalancing" });
  expect(late.join().answer).toMatchObject({ refusal: null });
});

test("who has joined one kind of group and asks the other for its share is told to join again", () => {
  const [a, b, late] = [new Classic(), new Modern("b"), new Classic()];
  b.send();
  expect(late.join().answer).toMatchObject({ refusal: null, protocol: "range" });
  b.leave();
  expect([kind(), late.sync()]).toEqual(["classic", "rebalancing"]);
  expect(late.join().sync([[late, [0, 1, 2, 3, 4, 5]]])).toBeNull();
  // The group agreed on another protocol than the first of this one's.
  a.join({
    protocols: ["other", "range"].map((name) => ({ name, metadata: Uint8Array.of(1), streams: ["s"] })),
  });
  late.join();
  expect(a.answer).toMatchObject({ refusal: null, protocol: "range" });
  new Modern("c").send();
  expect(a.sync()).toBe("rebalancing");
});

describe("a classic group stays what it is", () => {
  test("where what its members have cannot be read", () => {
    const a = new Classic();
    classicGroup([a], false);
    expect(new Modern("b").send().refusal).toBe("group-not-found");
    expect([kind(), a.beat()]).toEqual(["classic", null]);
  });

  test("where what its members read cannot be read", () => {
    const a = new Classic();
    const join = a.join.bind(a);
    a.join = () => join({ protocols: [{ name: "range", metadata: new Uint8Array(), streams: null }] });
    classicGroup([a]);
    expect(new Modern("b").send().refusal).toBe("group-not-found");
    expect([kind(), a.beat()]).toEqual(["classic", null]);
  });

  test("where the one that comes is refused", () => {
    const a = new Classic();
    classicGroup([a]);
    expect(new Modern("b").send({ assignor: "magic" }).refusal).toBe("assignor-unknown");
    expect(new Modern("b").send({ epoch: 3 }).refusal).toBe("group-not-found");
    expect([kind(), a.beat()]).toEqual(["classic", null]);
  });
});

test("a static member goes over and back without a word of farewell, and keeps what it has", () => {
  const [a, b] = [new Classic({ instanceId: "a" }), new Classic({ instanceId: "b" })];
  classicGroup([a, b]);
  const modern = new Modern("new", "a");
  modern.send();
  expect([modern.owned, b.beat()]).toEqual([[0, 1, 2], "rebalancing"]);
  settle([b], [modern]);
  expect(a.beat()).toBe("instance-fenced");
  const back = new Classic({ instanceId: "a" }).join();
  expect([back.answer?.refusal, back.sync(), back.owned]).toEqual([null, null, [0, 1, 2]]);
  expect(modern.send().refusal).toBe("instance-fenced");
  // Now nobody is left for whom the broker divides.
  expect([b.beat(), kind(), back.beat()]).toEqual(["rebalancing", "classic", "rebalancing"]);
});

test("who does not come when it is told to, or does not ask for its share, is put out", () => {
  const [a, b, c] = [new Classic(), new Classic(), new Modern("c")];
  classicGroup([a, b]);
  c.send();
  for (let round = 0; round < 4; round++) {
    expect(a.beat()).toBe(round < 3 ? "rebalancing" : "member-unknown");
    if (b.beat() === "rebalancing") b.join().sync();
    c.send();
    clock.advance(9000);
  }
  b.join();
  clock.advance(9000);
  b.beat();
  clock.advance(9000);
  b.beat();
  clock.advance(9000);
  expect(b.beat()).toBe("member-unknown");
  settle([], [c]);
  expect(c.owned).toHaveLength(6);
});

test("who is silent is put out, on either side", () => {
  const [a, c] = [new Classic(), new Modern("c")];
  classicGroup([a]);
  c.send();
  settle([a], [c]);
  for (let seconds = 0; seconds < 50; seconds += 5) {
    if (a.beat() === "rebalancing") a.join();
    clock.advance(5000);
  }
  expect([kind(), a.sync([[a, [0, 1, 2, 3, 4, 5]]]), a.beat()]).toEqual(["classic", null, null]);
  clock.advance(10_001);
  expect(a.beat()).toBe("member-unknown");
});

test("a restart finds groups of both kinds, and those that are to divide again", () => {
  const [a, b, c] = [new Classic(), new Classic(), new Modern("c")];
  classicGroup([a, b]);
  open();
  c.send();
  settle([a, b], [c]);
  open();
  expect([kind(), a.beat(), b.beat(), c.send().refusal]).toEqual(["assigned", null, null, null]);
  expect([a.sync(), all([a, b, c])]).toEqual([null, [0, 1, 2, 3, 4, 5]]);
  c.leave();
  open();
  expect([kind(), a.beat(), b.commit()]).toEqual(["classic", "rebalancing", null]);
});
