import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { Deadlines } from "../../base/deadlines.ts";
import { ClassicGroup } from "./classic-group.ts";
import {
  DEFAULT_GROUP_SETTINGS,
  type GroupSettings,
  type JoinRequest,
  type JoinResult,
  type MemberClaim,
  type SyncResult,
} from "./types.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array) => new TextDecoder().decode(value);

/** Range protocol over one stream, unless said otherwise. */
function request(overrides: Partial<JoinRequest> = {}): JoinRequest {
  return {
    memberId: "",
    instanceId: null,
    clientId: "app",
    clientHost: "/10.0.0.1",
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 60_000,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: bytes("m"), streams: ["orders"] }],
    idRequired: false,
    canSkipAssignment: false,
    owned: null,
    ...overrides,
  };
}

class World {
  readonly clock = new ManualClock();
  readonly deadlines = new Deadlines(this.clock);
  private ids = 0;
  /** Set: saves are kept here until the test runs them. */
  held: (() => void)[] | null = null;
  saves = 0;
  group: ClassicGroup;
  readonly settings: GroupSettings;

  constructor(settings: Partial<GroupSettings> = {}) {
    this.settings = { ...DEFAULT_GROUP_SETTINGS, ...settings };
    this.group = this.make();
  }

  make(): ClassicGroup {
    return new ClassicGroup("g", {
      deadlines: this.deadlines,
      settings: this.settings,
      newId: () => `${++this.ids}`,
      now: () => this.clock.now(),
      save: (_group, done) => {
        this.saves++;
        if (this.held === null) done();
        else this.held.push(done);
      },
    });
  }

  join(overrides: Partial<JoinRequest> = {}): { result: JoinResult | null } {
    const answer: { result: JoinResult | null } = { result: null };
    this.group.join(request(overrides), (result) => {
      expect(answer.result).toBeNull();
      answer.result = result;
    });
    return answer;
  }

  sync(claim: Partial<MemberClaim>, assignments: Record<string, string> = {}): { result: SyncResult | null } {
    const answer: { result: SyncResult | null } = { result: null };
    const { generation } = this.group;
    const map = new Map(Object.entries(assignments).map(([id, share]) => [id, bytes(share)]));
    this.group.sync(
      {
        memberId: "",
        instanceId: null,
        generation,
        protocolType: null,
        protocol: null,
        assignments: map,
        shares: new Map(),
        ...claim,
      },
      (result) => {
        expect(answer.result).toBeNull();
        answer.result = result;
      },
    );
    return answer;
  }

  heartbeat(memberId: string, generation = this.group.generation, instanceId: string | null = null) {
    return this.group.heartbeat({ memberId, instanceId, generation });
  }

  /** Lets `count` members join, sync and be stable. Ids are app-1, app-2, ... */
  stable(count: number, overrides: Partial<JoinRequest> = {}): string[] {
    const answers = Array.from({ length: count }, (_, index) =>
      this.join({ ...overrides, ...(overrides.instanceId === "*" ? { instanceId: `i${index}` } : {}) }),
    );
    // Twice the delay: each newcomer prolongs the first round.
    this.clock.advance(2 * this.settings.initialDelayMs);
    const ids = answers.map(({ result }) => result?.memberId as string);
    const shares = Object.fromEntries(ids.map((id) => [id, `share of ${id}`]));
    for (const { result } of answers) {
      const { memberId, leader } = result as JoinResult;
      const instanceId = [...this.group.members.values()].find(({ id }) => id === memberId)?.instanceId;
      this.sync({ memberId, instanceId: instanceId ?? null }, memberId === leader ? shares : {});
    }
    expect(this.group.state).toBe("stable");
    return ids;
  }
}

let world: World;
beforeEach(() => {
  world = new World();
});

describe("joining", () => {
  test("the first round waits for others, and again with each that comes", () => {
    const first = world.join();
    world.clock.advance(90);
    const second = world.join();
    world.clock.advance(20);
    expect([first.result, second.result]).toEqual([null, null]);
    world.clock.advance(100);
    expect(first.result).toMatchObject({ refusal: null, generation: 1, leader: "app-1", protocol: "range" });
    expect(second.result).toMatchObject({ refusal: null, generation: 1, leader: "app-1", members: [] });
    expect(first.result?.members.map(({ id }) => id)).toEqual(["app-1", "app-2"]);
    expect(text(first.result?.members[1].metadata as Uint8Array)).toBe("m");
  });

  test("who must know its id first is given one, and joins with it", () => {
    const { result } = world.join({ idRequired: true });
    expect(result).toMatchObject({ refusal: "member-id-required", memberId: "app-1", generation: -1 });
    expect(world.group.members.size).toBe(0);
    const again = world.join({ idRequired: true, memberId: "app-1" });
    world.clock.advance(200);
    expect(again.result).toMatchObject({ refusal: null, memberId: "app-1" });
  });

  test("an id that is not used within the session timeout is forgotten", () => {
    world.join({ idRequired: true });
    expect(world.group.vacant).toBe(false);
    world.clock.advance(10_001);
    expect(world.group.vacant).toBe(true);
    expect(world.join({ memberId: "app-1" }).result).toMatchObject({ refusal: "member-unknown" });
  });

  test("a rebalance waits for a member that was given an id", () => {
    const [a] = world.stable(1);
    world.join({ idRequired: true });
    world.group.leave([]);
    const b = world.join({ memberId: a, protocols: [{ name: "range", metadata: bytes("x"), streams: [] }] });
    expect(b.result).toBeNull();
    const c = world.join({ idRequired: true, memberId: "app-2" });
    expect([b.result?.generation, c.result?.generation]).toEqual([2, 2]);
  });

  test("a static member joins at once, under its own name", () => {
    const answer = world.join({ idRequired: true, instanceId: "rack-7" });
    world.clock.advance(200);
    expect(answer.result).toMatchObject({ refusal: null, memberId: "rack-7-1" });
  });

  test("refused: session timeout out of bounds, no protocols, no type, an unknown id", () => {
    expect(world.join({ sessionTimeoutMs: 5999 }).result?.refusal).toBe("session-timeout-invalid");
    expect(world.join({ sessionTimeoutMs: 1_800_001 }).result?.refusal).toBe("session-timeout-invalid");
    expect(world.join({ protocols: [] }).result?.refusal).toBe("protocols-inconsistent");
    expect(world.join({ protocolType: "" }).result?.refusal).toBe("protocols-inconsistent");
    expect(world.join({ memberId: "nobody" }).result?.refusal).toBe("member-unknown");
    expect(world.join({ memberId: "nobody", instanceId: "i" }).result?.refusal).toBe("member-unknown");
  });

  test("refused: another type of protocol, or none in common", () => {
    world.stable(1);
    expect(world.join({ protocolType: "connect" }).result?.refusal).toBe("protocols-inconsistent");
    const other = [{ name: "sticky", metadata: bytes(""), streams: null }];
    expect(world.join({ protocols: other }).result?.refusal).toBe("protocols-inconsistent");
  });

  test("a full group takes its members back, and nobody else", () => {
    world = new World({ membersMax: 2 });
    const [a, b] = world.stable(2);
    expect(world.join().result?.refusal).toBe("group-full");
    const changed = [{ name: "range", metadata: bytes("changed"), streams: null }];
    world.join({ memberId: b, protocols: changed });
    world.join({ memberId: a });
    expect(world.group.generation).toBe(2);
  });

  test("the protocol with most votes among those that all speak", () => {
    const speaks = (...names: string[]) => ({
      protocols: names.map((name) => ({ name, metadata: bytes(name), streams: null })),
    });
    world.join(speaks("sticky", "range"));
    world.join(speaks("cooperative", "range", "sticky"));
    const third = world.join(speaks("range", "sticky"));
    world.clock.advance(200);
    expect(third.result).toMatchObject({ protocol: "range" });
  });
});

describe("rebalancing", () => {
  test("who leads joins again: a new generation; who follows and says the same: the old answer", () => {
    const [a, b] = world.stable(2);
    expect(world.join({ memberId: b }).result).toMatchObject({ refusal: null, generation: 1, members: [] });
    const leader = world.join({ memberId: a });
    expect(leader.result).toBeNull();
    expect(world.heartbeat(b)).toBe("rebalancing");
    const follower = world.join({ memberId: b });
    expect(leader.result).toMatchObject({ generation: 2 });
    expect(follower.result).toMatchObject({ generation: 2 });
  });

  test("who missed the answer to its join gets it again, the leader with the members", () => {
    const a = world.join();
    world.clock.advance(200);
    expect(world.join({ memberId: "app-1" }).result).toEqual(a.result);
    expect(a.result?.members.length).toBe(1);
  });

  test("changed metadata starts a new generation", () => {
    const [a, b] = world.stable(2);
    const changed = world.join({
      memberId: b,
      protocols: [{ name: "range", metadata: bytes("other"), streams: null }],
    });
    expect(changed.result).toBeNull();
    const leader = world.join({ memberId: a });
    expect(text(leader.result?.members[1].metadata as Uint8Array)).toBe("other");
  });

  test("who does not join again in the rebalance timeout is out, and the first to have joined leads", () => {
    const [a, b] = world.stable(2);
    const c = world.join();
    for (let waited = 0; waited < 60_000; waited += 5000) {
      expect(world.heartbeat(a)).toBe("rebalancing");
      world.heartbeat(b);
      world.clock.advance(5000);
    }
    expect(c.result).toMatchObject({ generation: 2, leader: "app-3" });
    expect(c.result?.members.length).toBe(1);
    expect(world.heartbeat(a)).toBe("member-unknown");
  });

  test("who joined and never asks for its share is out after the rebalance timeout", () => {
    const [a] = world.stable(1);
    const b = world.join();
    world.join({ memberId: a });
    expect(b.result?.generation).toBe(2);
    expect(world.sync({ memberId: a }, { [a]: "all" }).result?.refusal).toBeNull();
    for (let waited = 0; waited < 60_000; waited += 5000) {
      world.heartbeat(a);
      world.heartbeat("app-2");
      world.clock.advance(5000);
    }
    expect(world.heartbeat("app-2")).toBe("member-unknown");
    expect(world.heartbeat(a)).toBe("rebalancing");
  });

  test("a new member whose client has gone is not waited for; one that may come back is", () => {
    const [a, b] = world.stable(2);
    const answers: JoinResult[] = [];
    const done = (result: JoinResult): void => {
      answers.push(result);
    };
    world.group.join(request(), done);
    world.group.abandon(done);
    expect(answers).toMatchObject([{ refusal: "member-unknown" }]);
    world.group.join(request({ memberId: a }), done);
    world.group.abandon(done);
    const last = world.join({ memberId: b });
    expect(last.result).toMatchObject({ refusal: null, generation: 2 });
    expect(answers[1]?.members.map(({ id }) => id)).toEqual([a, b]);
  });

  test("a repeated join answers the one before it", () => {
    const [a] = world.stable(1);
    world.join();
    const first = world.join({ memberId: "app-2" });
    const second = world.join({ memberId: "app-2" });
    expect(first.result?.refusal).toBe("rebalancing");
    world.join({ memberId: a });
    expect(second.result).toMatchObject({ refusal: null, generation: 2 });
  });
});

describe("shares", () => {
  test("followers wait for the leader's, and everybody gets his own", () => {
    world.join();
    world.join();
    world.clock.advance(200);
    const follower = world.sync({ memberId: "app-2" });
    expect(follower.result).toBeNull();
    const leader = world.sync({ memberId: "app-1" }, { "app-1": "one", "app-2": "two" });
    expect(text(leader.result?.assignment as Uint8Array)).toBe("one");
    expect(text(follower.result?.assignment as Uint8Array)).toBe("two");
    expect(leader.result).toMatchObject({ protocolType: "consumer", protocol: "range" });
    expect(text(world.sync({ memberId: "app-2" }).result?.assignment as Uint8Array)).toBe("two");
  });

  test("are answered when they are durable, and not when a rebalance came first", () => {
    world.join();
    world.clock.advance(200);
    world.held = [];
    const answer = world.sync({ memberId: "app-1" }, { "app-1": "one" });
    expect(answer.result).toBeNull();
    world.join();
    expect(answer.result?.refusal).toBe("rebalancing");
    for (const done of world.held) done();
    expect(world.group.state).toBe("preparing");
  });

  test("a member that the leader forgot gets an empty share", () => {
    const [a] = world.stable(1);
    const b = world.join();
    world.join({ memberId: a });
    world.sync({ memberId: a }, { [a]: "all" });
    expect(world.sync({ memberId: b.result?.memberId ?? "" }).result?.assignment.length).toBe(0);
  });

  test("refused: strangers, stale generations, another protocol, in the middle of a rebalance", () => {
    const [a] = world.stable(1);
    expect(world.sync({ memberId: "nobody" }).result?.refusal).toBe("member-unknown");
    expect(world.sync({ memberId: a, generation: 0 }).result?.refusal).toBe("generation-stale");
    world.group.sync(
      {
        memberId: a,
        instanceId: null,
        generation: 1,
        protocolType: "connect",
        protocol: null,
        assignments: new Map(),
        shares: new Map(),
      },
      ({ refusal }) => expect(refusal).toBe("protocols-inconsistent"),
    );
    world.join();
    expect(world.sync({ memberId: a }).result?.refusal).toBe("rebalancing");
  });

  test("a rebalance before the leader's sync sends the waiting back to join", () => {
    world.join();
    world.join();
    world.clock.advance(200);
    const follower = world.sync({ memberId: "app-2" });
    world.join();
    expect(follower.result?.refusal).toBe("rebalancing");
  });
});

describe("living", () => {
  test("heartbeats: known, of this generation, also before the shares are there", () => {
    world.join();
    world.clock.advance(200);
    expect(world.heartbeat("app-1")).toBeNull();
    expect(world.heartbeat("app-1", 0)).toBe("generation-stale");
    expect(world.heartbeat("nobody")).toBe("member-unknown");
  });

  test("a session ends when nothing is heard for its timeout, and the others rebalance", () => {
    const [a, b] = world.stable(2);
    world.clock.advance(9000);
    world.heartbeat(b);
    world.clock.advance(1001);
    expect(world.heartbeat(a)).toBe("member-unknown");
    expect(world.heartbeat(b)).toBe("rebalancing");
    expect(world.join({ memberId: b }).result).toMatchObject({ generation: 2, leader: b });
  });

  test("who waits for the others does not time out", () => {
    const [a, b] = world.stable(2);
    const waiting = world.join({ memberId: a });
    for (let waited = 0; waited < 50_000; waited += 5000) {
      world.heartbeat(b);
      world.clock.advance(5000);
    }
    expect(waiting.result).toBeNull();
    world.join({ memberId: b });
    expect(waiting.result).toMatchObject({ refusal: null, generation: 2 });
  });

  test("a new member that waits for longer than its client can is given up", () => {
    world = new World({ newMemberTimeoutMs: 20_000 });
    const [a] = world.stable(1);
    const b = world.join();
    for (let waited = 0; waited < 25_000; waited += 5000) {
      world.heartbeat(a);
      world.clock.advance(5000);
    }
    expect(b.result?.refusal).toBe("member-unknown");
  });

  test("the last one gone: the group is empty, and says since when", () => {
    world.stable(1);
    world.clock.advance(10_001);
    expect(world.group).toMatchObject({ state: "empty", generation: 2, protocol: null });
    expect(world.group.emptySinceMs).toBe(world.clock.now() - 1);
  });
});

describe("leaving", () => {
  test("acts at once; strangers are told", () => {
    const [a, b] = world.stable(2);
    expect(
      world.group.leave([
        { memberId: a, instanceId: null },
        { memberId: "nobody", instanceId: null },
      ]),
    ).toEqual([null, "member-unknown"]);
    expect(world.join({ memberId: b }).result).toMatchObject({ generation: 2, leader: b });
  });

  test("a rebalance that waited only for the one who leaves is complete", () => {
    const [a, b] = world.stable(2);
    const waiting = world.join({ memberId: a });
    world.group.leave([{ memberId: b, instanceId: null }]);
    expect(waiting.result).toMatchObject({ generation: 2 });
  });

  test("an id that was given out can be given back", () => {
    world.join({ idRequired: true });
    expect(world.group.leave([{ memberId: "app-1", instanceId: null }])).toEqual([null]);
    expect(world.group.vacant).toBe(true);
  });

  test("a static member can be put out by its name alone", () => {
    world.stable(2, { instanceId: "*" });
    expect(
      world.group.leave([
        { memberId: "", instanceId: "i1" },
        { memberId: "", instanceId: "i9" },
      ]),
    ).toEqual([null, "member-unknown"]);
    expect(world.group.members.size).toBe(1);
  });
});

describe("static members", () => {
  test("come back to their share without a rebalance; the one before is fenced", () => {
    const [a, b] = world.stable(2, { instanceId: "*" });
    const back = world.join({ instanceId: "i1" });
    expect(back.result).toMatchObject({ refusal: null, generation: 1, leader: a, members: [] });
    const id = back.result?.memberId as string;
    expect(id).not.toBe(b);
    expect(text(world.sync({ memberId: id, instanceId: "i1" }).result?.assignment as Uint8Array)).toBe(
      `share of ${b}`,
    );
    expect(world.heartbeat(b, 1, "i1")).toBe("instance-fenced");
    expect(world.sync({ memberId: b, instanceId: "i1" }).result?.refusal).toBe("instance-fenced");
    expect(world.heartbeat(b)).toBe("member-unknown");
    expect(world.join({ memberId: b, instanceId: "i1" }).result?.refusal).toBe("instance-fenced");
    expect(world.heartbeat(id, 1, "i1")).toBeNull();
  });

  test("a leader that comes back is not made to assign, and told so when it understands", () => {
    const [a] = world.stable(2, { instanceId: "*" });
    const old = world.join({ instanceId: "i0" });
    expect(old.result).toMatchObject({ generation: 1, leader: a, skipAssignment: false, members: [] });
    const modern = world.join({ instanceId: "i0", canSkipAssignment: true });
    const id = modern.result?.memberId;
    expect(modern.result).toMatchObject({ generation: 1, leader: id, skipAssignment: true });
    expect(modern.result?.members.length).toBe(2);
  });

  test("come back with other streams: a rebalance", () => {
    world.stable(2, { instanceId: "*" });
    const protocols = [{ name: "range", metadata: bytes("n"), streams: ["payments"] }];
    expect(world.join({ instanceId: "i1", protocols }).result).toBeNull();
    expect(world.group.state).toBe("preparing");
  });

  test("keep their share while they are away, until the session ends", () => {
    const [a, b] = world.stable(2, { instanceId: "*", sessionTimeoutMs: 100_000 });
    const again = world.join({ memberId: a, instanceId: "i0", sessionTimeoutMs: 100_000 });
    world.clock.advance(60_000);
    expect(again.result?.members.map(({ id }) => id)).toEqual([a, b]);
    world.sync({ memberId: a, instanceId: "i0" }, { [a]: "x", [b]: "y" });
    world.clock.advance(39_999);
    world.heartbeat(a, 2, "i0");
    world.clock.advance(2);
    expect(world.heartbeat(b, 2, "i1")).toBe("member-unknown");
    expect(world.heartbeat(a, 2, "i0")).toBe("rebalancing");
  });

  test("whose join waits is answered when another takes its name", () => {
    world.stable(2, { instanceId: "*" });
    const waiting = world.join({ memberId: "i1-2", instanceId: "i1", protocols: [] });
    expect(waiting.result?.refusal).toBe("protocols-inconsistent");
    const changed = [{ name: "range", metadata: bytes("z"), streams: null }];
    const first = world.join({ memberId: "i1-2", instanceId: "i1", protocols: changed });
    const second = world.join({ instanceId: "i1", protocols: changed });
    expect(first.result).toMatchObject({ refusal: "instance-fenced", memberId: "i1-2" });
    expect(second.result).toBeNull();
  });
});

describe("commits of offsets", () => {
  const claim = (memberId: string, generation: number, instanceId: string | null = null): MemberClaim => ({
    memberId,
    instanceId,
    generation,
  });

  test("from outside: only while the group is empty", () => {
    expect(world.group.checkCommit(claim("", -1), false)).toBeNull();
    world.stable(1);
    expect(world.group.checkCommit(claim("", -1), false)).toBe("member-unknown");
    expect(world.group.checkCommit(claim("", -1), true)).toBeNull();
  });

  test("of members: known, of this generation, not while shares are pending", () => {
    const [a] = world.stable(1);
    expect(world.group.checkCommit(claim(a, 1), false)).toBeNull();
    expect(world.group.checkCommit(claim(a, 0), false)).toBe("generation-stale");
    expect(world.group.checkCommit(claim("nobody", 1), false)).toBe("member-unknown");
    expect(world.group.checkCommit(claim(a, 1, "i"), false)).toBe("member-unknown");
    world.join({ memberId: a });
    expect(world.group.state).toBe("completing");
    expect(world.group.checkCommit(claim(a, 2), false)).toBe("rebalancing");
    expect(world.group.checkCommit(claim(a, 2), true)).toBeNull();
  });

  test("keep the session alive", () => {
    const [a] = world.stable(1);
    world.clock.advance(9000);
    world.group.checkCommit(claim(a, 1), false);
    world.clock.advance(9000);
    expect(world.heartbeat(a)).toBeNull();
  });
});

describe("what others see", () => {
  test("metadata and shares once stable, and nothing half before", () => {
    world.join();
    world.clock.advance(200);
    expect(world.group.describe()).toMatchObject({ state: "completing", protocol: "" });
    expect(world.group.describe().members[0].metadata.length).toBe(0);
    world.sync({ memberId: "app-1" }, { "app-1": "one" });
    const { state, protocol, members } = world.group.describe();
    expect([state, protocol, text(members[0].assignment)]).toEqual(["stable", "range", "one"]);
  });

  test("which streams are read, if that can be told", () => {
    world.stable(1);
    expect([world.group.reads("orders"), world.group.reads("other")]).toEqual([true, false]);
    world.join({ protocols: [{ name: "range", metadata: bytes("?"), streams: null }] });
    expect(world.group.reads("other")).toBeNull();
  });
});

describe("after a restart", () => {
  test("members go on in their generation, and the next one is a number never used", () => {
    const [a, b] = world.stable(2);
    const stored = world.group.snapshot();
    world.group.destroy();
    world.group = world.make();
    world.group.restore(stored);
    expect(world.heartbeat(a, 1)).toBeNull();
    expect(text(world.sync({ memberId: b, generation: 1 }).result?.assignment as Uint8Array)).toBe(
      `share of ${b}`,
    );
    world.join({ memberId: a });
    const { result } = world.join({ memberId: b });
    expect(result?.generation).toBeGreaterThan(2);
    world.clock.advance(10_001);
    expect(world.group.members.size).toBe(0);
  });

  test("an empty group keeps the time at which it became empty", () => {
    world.stable(1);
    world.clock.advance(10_001);
    const stored = world.group.snapshot();
    world.clock.advance(50_000);
    world.group = world.make();
    world.group.restore(stored);
    expect(world.group.emptySinceMs).toBe(stored.emptySinceMs);
    expect(world.group.vacant).toBe(true);
  });
});
