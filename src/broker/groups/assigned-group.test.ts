import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { Deadlines } from "../../base/deadlines.ts";
import { cpuMsOf } from "../../base/testing/cpu-time.ts";
import { AssignedGroup } from "./assigned-group.ts";
import { partitionKey } from "./assigned-member.ts";
import { ASSIGNORS, type Assignee, shared } from "./assignors.ts";
import { Subscriptions } from "./subscriptions.ts";
import {
  type AssignedHeartbeat,
  type AssignedResult,
  DEFAULT_GROUP_SETTINGS,
  type GroupSettings,
  type MemberClaim,
  type StreamPartitions,
} from "./types.ts";

const streams = new Map<string, number>();
const idOf = (name: string): string => name.repeat(32).slice(0, 32);
const directory = {
  find: (name: string) => {
    const partitions = streams.get(name);
    return partitions === undefined ? null : { name, id: idOf(name), partitions };
  },
  *all() {
    for (const [name, partitions] of streams) yield { name, id: idOf(name), partitions };
  },
};

let clock: ManualClock;
let saves: number;
let group: AssignedGroup;

function make(kind: "assigned" | "share" = "assigned", settings: Partial<GroupSettings> = {}): AssignedGroup {
  return new AssignedGroup("g", kind, {
    deadlines: new Deadlines(clock),
    settings: { ...DEFAULT_GROUP_SETTINGS, ...settings },
    subscriptions: new Subscriptions(directory),
    now: () => clock.now(),
    newId: () => "new",
    onlyGuests: () => {},
    save: (_group, done) => {
      saves++;
      done();
    },
  });
}

beforeEach(() => {
  streams.clear();
  streams.set("a", 6);
  clock = new ManualClock();
  saves = 0;
  group = make();
});

/** A client: keeps its epoch and what it has, as it is told. */
class Client {
  epoch = 0;
  owned: string[] = [];
  readonly id: string;
  readonly instanceId: string | null;

  constructor(id: string, instanceId: string | null = null) {
    this.id = id;
    this.instanceId = instanceId;
  }

  send(overrides: Partial<AssignedHeartbeat> = {}): AssignedResult {
    let answer: AssignedResult | undefined;
    const request: AssignedHeartbeat = {
      memberId: this.id,
      epoch: this.epoch,
      instanceId: this.instanceId,
      rack: null,
      rebalanceTimeoutMs: -1,
      sessionTimeoutMs: 45_000,
      streams: null,
      pattern: null,
      assignor: null,
      owned: null,
      full: false,
      visible: () => true,
      clientId: "c",
      clientHost: "h",
      ...overrides,
    };
    group.heartbeat(request, (result) => {
      answer = result;
    });
    return answer as AssignedResult;
  }

  join(overrides: Partial<AssignedHeartbeat> = {}): AssignedResult {
    this.epoch = 0;
    return this.take(
      this.send({ streams: ["a"], rebalanceTimeoutMs: 60_000, owned: [], full: true, ...overrides }),
    );
  }

  /** A heartbeat that tells what it has; takes what it is given and drops what it must. */
  beat(overrides: Partial<AssignedHeartbeat> = {}): AssignedResult {
    return this.take(this.send({ owned: owned(this.owned), ...overrides }));
  }

  private take(result: AssignedResult): AssignedResult {
    if (result.refusal !== null) return result;
    this.epoch = result.epoch;
    if (result.assignment !== null) this.owned = keys(result.assignment);
    return result;
  }
}

function keys(assignment: readonly StreamPartitions[]): string[] {
  return assignment.flatMap(({ streamId, partitions }) => partitions.map((p) => partitionKey(streamId, p)));
}

function owned(all: readonly string[]): StreamPartitions[] {
  return all.map((key) => {
    const [streamId, partition] = key.split(":") as [string, string];
    return { streamId, partitions: [Number(partition)] };
  });
}

const sizes = (...clients: Client[]): number[] => clients.map((client) => client.owned.length);

describe("exclusive partitions", () => {
  test("the only member has them all, at once", () => {
    const a = new Client("A");
    expect(a.join()).toMatchObject({ refusal: null, epoch: 1, memberId: "A" });
    expect(sizes(a)).toEqual([6]);
    expect(group.state).toBe("stable");
    expect(a.beat()).toMatchObject({ epoch: 1, assignment: null });
  });

  test("are given up by one before another gets them", () => {
    const [a, b] = [new Client("A"), new Client("B")];
    a.join();
    b.join();
    expect(sizes(a, b)).toEqual([6, 0]);
    expect(b.epoch).toBe(2);
    // A is told to give up half, and stays in its epoch until it says that it did.
    expect(a.beat().epoch).toBe(1);
    expect(sizes(a, b)).toEqual([3, 0]);
    expect(group.state).toBe("reconciling");
    expect(b.beat()).toMatchObject({ assignment: null, unsettled: true });
    expect(a.beat().epoch).toBe(2);
    b.beat();
    expect(sizes(a, b)).toEqual([3, 3]);
    expect([a.send().unsettled, b.send().unsettled]).toEqual([false, false]);
    expect(group.state).toBe("stable");
    expect(new Set([...a.owned, ...b.owned]).size).toBe(6);
  });

  test("a member that does not say what it has keeps what it must give up", () => {
    const [a, b] = [new Client("A"), new Client("B")];
    a.join();
    b.join();
    a.beat();
    expect(a.send().epoch).toBe(1);
    b.beat();
    expect(sizes(b)).toEqual([0]);
  });

  test("whoever does not give up in time is out, and the others get on", () => {
    const [a, b] = [new Client("A"), new Client("B")];
    a.join();
    b.join();
    a.beat();
    for (let waited = 0; waited < 60_000; waited += 5000) {
      a.send();
      b.beat();
      clock.advance(5000);
    }
    expect(a.send().refusal).toBe("member-unknown");
    b.beat();
    expect(sizes(b)).toEqual([6]);
  });

  test("go to the others when a member leaves, and when its session ends", () => {
    const [a, b, c] = [new Client("A"), new Client("B"), new Client("C")];
    for (const client of [a, b, c]) client.join();
    for (let round = 0; round < 4; round++) for (const client of [a, b, c]) client.beat();
    expect(sizes(a, b, c)).toEqual([2, 2, 2]);
    const kept = [...b.owned];
    expect(a.send({ epoch: -1 })).toMatchObject({ refusal: null, epoch: -1 });
    clock.advance(44_000);
    b.beat();
    clock.advance(1001);
    for (let round = 0; round < 2; round++) b.beat();
    expect(sizes(b)).toEqual([6]);
    expect(kept.every((key) => b.owned.includes(key))).toBe(true);
    expect(c.beat().refusal).toBe("member-unknown");
  });

  test("no partition ever has two readers, whatever happens in whatever order", () => {
    let seed = 7;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    streams.set("b", 5);
    const clients = Array.from({ length: 6 }, (_, i) => new Client(`M${i}`));
    const alive = new Set<Client>();
    for (let step = 0; step < 3000; step++) {
      const client = clients[random(6)] as Client;
      const deed = random(12);
      if (!alive.has(client)) {
        client.owned = [];
        if (client.join({ streams: random(2) === 0 ? ["a", "b"] : ["a"] }).refusal === null)
          alive.add(client);
      } else if (deed === 0) {
        client.send({ epoch: -1 });
        alive.delete(client);
        client.owned = [];
      } else if (deed === 1)
        client.send({ streams: random(2) === 0 ? ["a", "b"] : ["b"], epoch: client.epoch });
      else if (client.beat().refusal !== null) {
        alive.delete(client);
        client.owned = [];
      }
      clock.advance(random(200));
      const all = clients.flatMap((one) => one.owned);
      expect(new Set(all).size).toBe(all.length);
    }
    // Left alone, they come to rest with every partition read.
    for (const client of clients) client.join({ streams: ["a", "b"] });
    for (let round = 0; round < 10; round++) for (const client of clients) client.beat();
    expect(group.state).toBe("stable");
    expect(new Set(clients.flatMap((one) => one.owned)).size).toBe(11);
  });
});

describe("epochs", () => {
  test("one that is not the member's is fenced; the one before is a lost answer", () => {
    const [a, b] = [new Client("A"), new Client("B")];
    a.join();
    b.join();
    a.beat();
    const { owned: left } = a;
    a.beat();
    expect(a.epoch).toBe(2);
    expect(a.send({ epoch: 1, owned: owned(left) })).toMatchObject({ refusal: null, epoch: 2 });
    expect(a.send({ epoch: 1, owned: owned(["x:1"]) }).refusal).toBe("member-epoch-fenced");
    expect(a.send({ epoch: 3 }).refusal).toBe("member-epoch-fenced");
    expect(new Client("Z").send({ epoch: 4 }).refusal).toBe("member-unknown");
  });

  test("joining again is told everything anew", () => {
    const a = new Client("A");
    a.join();
    const again = a.join();
    expect(keys(again.assignment ?? []).length).toBe(6);
    expect(again.epoch).toBe(1);
  });

  test("a full heartbeat is answered in full", () => {
    const a = new Client("A");
    a.join();
    expect(a.send({ full: true }).assignment).not.toBeNull();
  });

  test("offsets are taken and shown only in the member's own", () => {
    const claim = (memberId: string, generation: number): MemberClaim => {
      return { memberId, generation, instanceId: null };
    };
    expect(group.checkCommit(claim("", -1), false)).toBeNull();
    const a = new Client("A");
    a.join();
    expect(group.checkCommit(claim("A", 1), false)).toBeNull();
    expect(group.checkCommit(claim("A", 0), false)).toBe("member-epoch-stale");
    expect(group.checkCommit(claim("", -1), false)).toBe("member-unknown");
    expect(group.checkCommit(claim("", -1), true)).toBeNull();
    expect(group.checkFetch(claim("B", 1))).toBe("member-unknown");
  });

  test("heartbeats that change nothing are not stored", () => {
    const a = new Client("A");
    a.join();
    expect(saves).toBe(1);
    for (let count = 0; count < 10; count++) a.beat();
    expect(saves).toBe(1);
  });
});

describe("static members", () => {
  test("that say they will be back find what they had, and nobody else gets it", () => {
    const [a, b] = [new Client("A", "i"), new Client("B")];
    a.join();
    const { owned: had } = a;
    expect(a.send({ epoch: -2 })).toMatchObject({ refusal: null, epoch: -2 });
    clock.advance(40_000);
    const back = new Client("A2", "i");
    back.join();
    expect(new Set(back.owned)).toEqual(new Set(had));
    expect(a.send({ epoch: 1 }).refusal).toBe("instance-fenced");
    b.join();
    expect(sizes(b)).toEqual([0]);
  });

  test("that do not come back lose it when the session ends", () => {
    const [a, b] = [new Client("A", "i"), new Client("B")];
    a.join();
    a.send({ epoch: -2 });
    clock.advance(10_000);
    b.join();
    expect(sizes(b)).toEqual([0]);
    clock.advance(35_000);
    b.beat();
    expect(sizes(b)).toEqual([6]);
  });

  test("whose name is held are refused", () => {
    new Client("A", "i").join();
    expect(new Client("B", "i").join().refusal).toBe("instance-held");
    expect(new Client("B", "other").send({ epoch: 1 }).refusal).toBe("member-unknown");
  });
});

describe("what is read", () => {
  test("follows streams as they come and grow", () => {
    const a = new Client("A");
    a.join({ streams: ["a", "later"] });
    streams.set("later", 2);
    streams.set("a", 8);
    clock.advance(1001);
    a.beat();
    expect(sizes(a)).toEqual([10]);
    streams.delete("later");
    clock.advance(1001);
    for (let round = 0; round < 2; round++) a.beat();
    expect(sizes(a)).toEqual([8]);
  });

  test("a pattern finds what its user may see", () => {
    streams.set("a1", 1);
    streams.set("a2", 1);
    const a = new Client("A");
    a.join({ streams: null, pattern: "a\\d", visible: (stream) => stream !== "a2" });
    expect(a.owned).toEqual([partitionKey(idOf("a1"), 0)]);
    expect([group.reads("a1"), group.reads("a2"), group.reads("a")]).toEqual([true, false, false]);
    expect(new Client("B").join({ streams: null, pattern: "(" }).refusal).toBe("pattern-invalid");
  });

  test("refused: an assignor that there is not, a member too many", () => {
    group = make("assigned", { membersMax: 1 });
    expect(new Client("A").join({ assignor: "magic" }).refusal).toBe("assignor-unknown");
    new Client("A").join();
    expect(new Client("B").join().refusal).toBe("group-full");
  });
});

describe("after a restart", () => {
  test("everybody goes on in the middle of what was going on", () => {
    const [a, b] = [new Client("A", "i"), new Client("B")];
    a.join();
    b.join();
    a.beat();
    const stored = JSON.parse(JSON.stringify(group.snapshot()));
    group.destroy();
    group = make();
    group.restore(stored);
    expect(group.state).toBe("reconciling");
    b.beat();
    expect(sizes(a, b)).toEqual([3, 0]);
    a.beat();
    b.beat();
    expect(sizes(a, b)).toEqual([3, 3]);
    clock.advance(46_000);
    expect(group.vacant).toBe(true);
  });
});

describe("shared partitions", () => {
  test("go to everybody at once when there are few, and everybody has some", () => {
    group = make("share");
    streams.set("a", 2);
    const clients = ["A", "B", "C"].map((id) => new Client(id));
    for (const client of clients) client.join();
    for (const client of clients) client.beat();
    expect(clients.every((client) => client.owned.length > 0)).toBe(true);
    expect(new Set(clients.flatMap((client) => client.owned)).size).toBe(2);
    expect(group.state).toBe("stable");
    expect(clients[0]?.send({ epoch: 99 }).refusal).toBe("member-epoch-fenced");
  });
});

describe("assignors", () => {
  const assignee = (id: string, reads: Record<string, number>, target: readonly string[] = []): Assignee => ({
    id,
    target: new Set(target),
    streams: Object.entries(reads).map(([name, partitions]) => ({ id: name, partitions })),
  });
  const shares = (result: Map<string, Set<string>>) =>
    Object.fromEntries([...result].map(([id, share]) => [id, [...share].sort()]));
  const [uniform, range] = [ASSIGNORS.get("uniform"), ASSIGNORS.get("range")] as [
    typeof shared,
    typeof shared,
  ];

  test("uniform is even and moves little", () => {
    const before = uniform([assignee("A", { s: 7 }), assignee("B", { s: 7 })]);
    expect([...before.values()].map(({ size }) => size)).toEqual([4, 3]);
    const after = uniform([
      assignee("A", { s: 7 }, [...(before.get("A") ?? [])]),
      assignee("B", { s: 7 }, [...(before.get("B") ?? [])]),
      assignee("C", { s: 7 }),
    ]);
    expect([...after.values()].map(({ size }) => size).sort()).toEqual([2, 2, 3]);
    for (const id of ["A", "B"]) {
      expect([...(after.get(id) ?? [])].every((key) => before.get(id)?.has(key))).toBe(true);
    }
  });

  test("uniform stays even and total, whoever comes and goes", () => {
    let targets = new Map<string, Set<string>>();
    for (const [count, partitions] of [
      [1, 5],
      [4, 5],
      [3, 5],
      [7, 5],
      [2, 100],
      [9, 100],
      [4, 103],
    ] as const) {
      const members = Array.from({ length: count }, (_, i) =>
        assignee(`M${i}`, { s: partitions }, [...(targets.get(`M${i}`) ?? [])]),
      );
      targets = uniform(members);
      const all = [...targets.values()].flatMap((share) => [...share]);
      expect([all.length, new Set(all).size]).toEqual([partitions, partitions]);
      const sizesNow = [...targets.values()].map(({ size }) => size);
      expect(Math.max(...sizesNow) - Math.min(...sizesNow)).toBeLessThanOrEqual(1);
    }
  });

  test("ten thousand partitions among a thousand members take no time", () => {
    const members = Array.from({ length: 1000 }, (_, i) => assignee(`M${i}`, { s: 10_000 }));
    expect(cpuMsOf(() => uniform(members))).toBeLessThan(1000);
  });

  test("uniform gives nobody what he does not read, and what only one reads to him", () => {
    const result = uniform([assignee("A", { s: 4, only: 3 }), assignee("B", { s: 4 }), assignee("C", {})]);
    expect(shares(result)).toMatchObject({ C: [] });
    expect(shares(result).A).toEqual(expect.arrayContaining(["only:0", "only:1", "only:2"]));
    expect([...result.values()].map(({ size }) => size)).toEqual([4, 3, 0]);
  });

  test("range divides like streams alike", () => {
    const result = range(["A", "B"].map((id) => assignee(id, { s: 3, t: 3 })));
    expect(shares(result)).toEqual({ A: ["s:0", "s:1", "t:0", "t:1"], B: ["s:2", "t:2"] });
  });

  test("shared leaves out nobody and nothing", () => {
    expect(shares(shared(["A", "B", "C"].map((id) => assignee(id, { s: 2 }))))).toEqual({
      A: ["s:0"],
      B: ["s:1"],
      C: ["s:0"],
    });
    expect(shares(shared(["A", "B"].map((id) => assignee(id, { s: 3 }))))).toEqual({
      A: ["s:0", "s:2"],
      B: ["s:1"],
    });
  });
});
