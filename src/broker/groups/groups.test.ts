import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { FakeMeta } from "../topology/fakes.ts";
import { Groups } from "./groups.ts";
import type { GroupSpace } from "./space.ts";
import { decodeOffset, encodeOffset } from "./store.ts";
import type { GroupRefusal, JoinResult, MemberClaim, OffsetCommit } from "./types.ts";

const DAY_MS = 86_400_000;
const OUTSIDE: MemberClaim = { memberId: "", instanceId: null, generation: -1 };

/** A store whose flushes are answered when the test says so. */
class SlowMeta extends FakeMeta {
  readonly waiting: (() => void)[] = [];
  slow = false;

  override flush(done: () => void): void {
    if (this.slow) this.waiting.push(done);
    else done();
  }
}

let meta: SlowMeta;
let clock: ManualClock;
let streams: Map<string, string>;
let groups: Groups;
let space: GroupSpace;

function open(): void {
  let ids = 0;
  groups?.stop();
  groups = new Groups({
    meta,
    clock,
    streams: {
      in: () => ({
        find: (name) => {
          const id = streams.get(name);
          return id === undefined ? null : { id, name, partitions: 1 };
        },
        all: () => [],
      }),
    },
    newId: () => `${++ids}`,
  });
  space = groups.space("/");
}

beforeEach(() => {
  meta = new SlowMeta();
  clock = new ManualClock();
  streams = new Map([
    ["orders", "0123456789abcdef0123456789abcdef"],
    ["other/100%", "ff".repeat(16)],
  ]);
  open();
});

function offset(value: number, overrides: Partial<OffsetCommit> = {}): OffsetCommit {
  return {
    stream: "orders",
    partition: 0,
    offset: value,
    epoch: -1,
    metadata: "",
    retentionMs: -1,
    ...overrides,
  };
}

function commit(name: string, ...commits: OffsetCommit[]): readonly (GroupRefusal | null)[] | null {
  let answer: readonly (GroupRefusal | null)[] | null = null;
  space.commitOffsets(name, OUTSIDE, commits, (refusals) => {
    answer = refusals;
  });
  return answer;
}

function committed(name: string, stream = "orders", partition = 0): number {
  const query = { partitions: [{ stream, partition }], decidedOnly: false, claim: null };
  return space.fetchOffsets(name, query).offsets[0].offset;
}

/** A member that reads `reads`, in a stable group. */
function joined(name: string, reads: readonly string[] | null = ["orders"]): JoinResult {
  let result: JoinResult | null = null;
  space.join(
    name,
    {
      memberId: "",
      instanceId: null,
      clientId: "c",
      clientHost: "h",
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: new Uint8Array([7]), streams: reads }],
      idRequired: false,
      canSkipAssignment: false,
      owned: null,
    },
    (answer) => {
      result = answer;
    },
  );
  clock.advance(100);
  clock.advance(100);
  const { memberId, generation } = result as unknown as JoinResult;
  const assignments = new Map([[memberId, new Uint8Array([9])]]);
  space.sync(
    name,
    {
      memberId,
      instanceId: null,
      generation,
      protocolType: null,
      protocol: null,
      assignments,
      shares: new Map(),
    },
    () => {},
  );
  return result as unknown as JoinResult;
}

function deleted(name: string): GroupRefusal | null | undefined {
  let answer: GroupRefusal | null | undefined;
  space.delete(name, (refusal) => {
    answer = refusal;
  });
  return answer;
}

describe("offsets", () => {
  test("are answered when they are durable", () => {
    meta.slow = true;
    let answered = false;
    space.commitOffsets("g", OUTSIDE, [offset(5)], () => {
      answered = true;
    });
    expect(answered).toBe(false);
    for (const done of meta.waiting) done();
    expect(answered).toBe(true);
  });

  test("come back as they were committed, also after a restart", () => {
    const all = [
      offset(2 ** 52, { epoch: 3, metadata: "ü" }),
      offset(1, { stream: "other/100%", partition: 7 }),
    ];
    expect(commit("group/with%", ...all)).toEqual([null, null]);
    const query = { partitions: null, decidedOnly: false, claim: null };
    const before = space.fetchOffsets("group/with%", query);
    expect(before.offsets).toMatchObject([
      { stream: "orders", partition: 0, offset: 2 ** 52, epoch: 3, metadata: "ü" },
      { stream: "other/100%", partition: 7, offset: 1, epoch: -1, metadata: "" },
    ]);
    open();
    expect(space.fetchOffsets("group/with%", query)).toEqual(before);
  });

  test("none is -1, without an error; also of a group that is not there", () => {
    const partitions = [{ stream: "orders", partition: 3 }];
    const expected = { stream: "orders", partition: 3, refusal: null, offset: -1, epoch: -1, metadata: "" };
    expect(space.fetchOffsets("g", { partitions, decidedOnly: true, claim: null }).offsets).toEqual([
      expected,
    ]);
  });

  test("refused: a stream that is not there, too much metadata; the others of the request are kept", () => {
    const all = [offset(1, { stream: "nowhere" }), offset(2, { metadata: "x".repeat(4097) }), offset(3)];
    expect(commit("g", ...all)).toEqual(["partition-unknown", "metadata-too-large", null]);
    expect(committed("g")).toBe(3);
  });

  test("refused: a generation of a group that is not there", () => {
    space.commitOffsets("g", { memberId: "m", instanceId: null, generation: 4 }, [offset(1)], (answer) =>
      expect(answer).toEqual(["generation-stale"]),
    );
    expect(space.describe("g")).toBeNull();
  });

  test("of a stream that was deleted and created again do not count", () => {
    commit("g", offset(5));
    streams.set("orders", "00".repeat(16));
    expect(committed("g")).toBe(-1);
    expect(space.fetchOffsets("g", { partitions: null, decidedOnly: false, claim: null }).offsets).toEqual(
      [],
    );
    clock.advance("11m");
    expect([...meta.map.keys()].filter((key) => key.startsWith("groups/offset"))).toEqual([]);
  });

  test("the format on disk does not change unnoticed", () => {
    const stored = {
      offset: 258,
      epoch: -1,
      metadata: "m",
      committedAtMs: 1000,
      expiresAtMs: -1,
      streamId: "0123456789abcdef0123456789abcdef",
    };
    const bytes = encodeOffset(stored);
    expect(Buffer.from(bytes).toString("hex")).toBe(
      `01000000ffffffff${"0000000000207040"}${"0000000000408f40"}${"000000000000f0bf"}${stored.streamId}6d`,
    );
    expect(decodeOffset(bytes)).toEqual(stored);
    bytes[0] = 2;
    expect(() => decodeOffset(bytes)).toThrow("unknown version 2");
  });
});

describe("offsets grow old", () => {
  test("of a group that nobody ever joined: from their commit", () => {
    commit("g", offset(5));
    clock.advance(7 * DAY_MS - 1);
    expect(committed("g")).toBe(5);
    clock.advance("11m");
    expect(committed("g")).toBe(-1);
    expect(space.describe("g")).toBeNull();
  });

  test("of a group with members: from when it was left; never while a member reads the stream", () => {
    const { memberId, generation } = joined("g");
    space.commitOffsets("g", { memberId, instanceId: null, generation }, [offset(5)], () => {});
    for (let day = 0; day < 20 * 24 * 3600; day += 9) {
      space.heartbeat("g", { memberId, instanceId: null, generation });
      clock.advance(9000);
    }
    expect(committed("g")).toBe(5);
    space.leave("g", [{ memberId, instanceId: null }]);
    clock.advance(6 * DAY_MS);
    open();
    expect(committed("g")).toBe(5);
    clock.advance(DAY_MS + 660_000);
    expect(committed("g")).toBe(-1);
  });

  test("of a stream that the members no longer read: from their commit", () => {
    commit("g", offset(5, { stream: "other/100%" }), offset(6));
    const { memberId, generation } = joined("g", ["orders"]);
    for (let waited = 0; waited < 7 * DAY_MS + 660_000; waited += 9000) {
      space.heartbeat("g", { memberId, instanceId: null, generation });
      clock.advance(9000);
    }
    expect([committed("g"), committed("g", "other/100%")]).toEqual([6, -1]);
  });

  test("as their commit asked for", () => {
    commit("g", offset(5, { retentionMs: 1000 }));
    clock.advance("11m");
    expect(committed("g")).toBe(-1);
  });
});

describe("deleting", () => {
  test("a group takes its offsets along; one with members stays", () => {
    commit("g", offset(5));
    expect(deleted("nothing")).toBe("group-not-found");
    expect(deleted("")).toBe("group-name-invalid");
    expect(deleted("g")).toBeNull();
    expect(committed("g")).toBe(-1);
    expect([...meta.map.keys()]).toEqual(["groups/format"]);
    const { memberId } = joined("g");
    expect(deleted("g")).toBe("group-not-empty");
    space.leave("g", [{ memberId, instanceId: null }]);
    expect(deleted("g")).toBeNull();
  });

  test("offsets: not of streams that are read, nor where that cannot be told", () => {
    commit("g", offset(5), offset(6, { stream: "other/100%" }));
    const partitions = [
      { stream: "orders", partition: 0 },
      { stream: "other/100%", partition: 0 },
    ];
    const answers: unknown[] = [];
    const note = (...answer: unknown[]) => answers.push(answer);
    joined("g", ["orders"]);
    space.deleteOffsets("g", partitions, note);
    joined("opaque", null);
    space.deleteOffsets("opaque", partitions, note);
    space.deleteOffsets("nothing", partitions, note);
    expect(answers).toEqual([
      [null, ["stream-subscribed", null]],
      ["group-not-empty", []],
      ["group-not-found", []],
    ]);
    expect([committed("g"), committed("g", "other/100%")]).toEqual([5, -1]);
  });
});

describe("groups", () => {
  test("are there again after a restart, members and shares included", () => {
    const { memberId, generation } = joined("g");
    expect(space.list()).toEqual([{ name: "g", kind: "classic", state: "stable", protocolType: "consumer" }]);
    const before = space.describe("g");
    open();
    expect(space.describe("g")).toEqual(before);
    expect(before?.members[0]).toMatchObject({
      metadata: new Uint8Array([7]),
      assignment: new Uint8Array([9]),
    });
    expect(space.heartbeat("g", { memberId, instanceId: null, generation })).toBeNull();
  });

  test("names that were only tried out are not kept", () => {
    const request = { sessionTimeoutMs: 1, protocols: [], protocolType: "" };
    const base = { memberId: "", instanceId: null, clientId: "", clientHost: "", rebalanceTimeoutMs: 1 };
    const answers: (GroupRefusal | null)[] = [];
    const full = { ...base, ...request, idRequired: false, canSkipAssignment: false, owned: null };
    space.join("g", full, ({ refusal }) => answers.push(refusal));
    space.join("", full, ({ refusal }) => answers.push(refusal));
    space.join("h", { ...full, memberId: "m" }, ({ refusal }) => answers.push(refusal));
    expect(answers).toEqual(["session-timeout-invalid", "group-name-invalid", "member-unknown"]);
    expect(space.list()).toEqual([]);
    expect(space.heartbeat("g", OUTSIDE)).toBe("member-unknown");
    expect(space.leave("g", [{ memberId: "m", instanceId: null }])).toEqual(["member-unknown"]);
  });

  test("of one namespace are not those of another, and go with it", () => {
    commit("g", offset(5));
    expect(groups.space("else").describe("g")).toBeNull();
    groups.forgetNamespace("/");
    open();
    expect(space.describe("g")).toBeNull();
  });
});
