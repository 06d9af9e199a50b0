import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/logger.ts";
import { Groups } from "../groups/groups.ts";
import type { MemberClaim, PartitionName } from "../groups/types.ts";
import type { OffsetWaiter, PartitionHandle } from "../stream/types.ts";
import { FakeMeta } from "../topology/fakes.ts";
import { TransactionCoordinator, type TransactionSpace } from "./coordinator.ts";
import type { ProducerName, TransactionRefusal } from "./types.ts";

const OUTSIDE: MemberClaim = { memberId: "", instanceId: null, generation: -1 };
const MINUTE = 60_000;

/** A store whose flushes are answered in order, at once or when the test says so. */
class SlowMeta extends FakeMeta {
  waiting: (() => void)[] = [];
  slow = false;

  override flush(done: () => void): void {
    if (this.slow) this.waiting.push(done);
    else done();
  }

  run(): void {
    const { waiting } = this;
    this.waiting = [];
    for (const done of waiting) done();
  }
}

/** Notes what the coordinator does with a partition. */
class FakePartition {
  readonly name: string;
  readonly log: string[];
  held = false;
  broken = false;
  committedOffset = 8;
  readonly stream = { deleted: false };
  private waiters: OffsetWaiter[] = [];

  constructor(name: string, log: string[]) {
    this.name = name;
    this.log = log;
  }

  beginTransaction(producerId: number, epoch: number): void {
    this.log.push(`begin ${producerId}/${epoch} in ${this.name}`);
  }

  endTransaction(producerId: number, epoch: number, commit: boolean): number {
    if (this.broken) throw new Error("no space");
    this.log.push(`${commit ? "commit" : "abort"} ${producerId}/${epoch} in ${this.name}`);
    return 7;
  }

  wait(_offset: number, _isolation: string, waiter: OffsetWaiter): void {
    this.waiters.push(waiter);
    if (!this.held) this.run();
  }

  run(): void {
    for (const waiter of this.waiters.splice(0)) waiter.reached(this as unknown as PartitionHandle);
  }
}

let meta: SlowMeta;
let clock: ManualClock;
let log: string[];
let partitions: Map<string, FakePartition[]>;
let groups: Groups;
let coordinator: TransactionCoordinator;
let space: TransactionSpace;

function open(): void {
  coordinator?.stop();
  groups?.stop();
  groups = new Groups({
    meta,
    clock,
    streams: {
      in: () => ({ find: (name) => ({ id: "ab".repeat(16), name, partitions: 1 }), all: () => [] }),
    },
  });
  coordinator = new TransactionCoordinator({
    meta,
    clock,
    logger: silentLogger,
    groups,
    coordinatorEpoch: 1,
    streams: {
      find: (_namespace, name) => {
        const found = partitions.get(name);
        return found === undefined ? null : { partitions: found as unknown as PartitionHandle[] };
      },
    },
  });
  space = coordinator.space("/");
}

beforeEach(() => {
  meta = new SlowMeta();
  clock = new ManualClock();
  log = [];
  partitions = new Map([
    ["a", [new FakePartition("a0", log), new FakePartition("a1", log)]],
    ["b", [new FakePartition("b0", log)]],
  ]);
  open();
});

/** The first answer, or undefined while there is none. */
interface Answer<T> {
  value: T | undefined;
}

function answer<T>(ask: (done: (value: T) => void) => void): Answer<T> {
  const result: Answer<T> = { value: undefined };
  ask((value) => {
    expect(result.value).toBeUndefined();
    result.value = value;
  });
  return result;
}

type Started = [TransactionRefusal | null, ProducerName];

function init(name: string | null, known: ProducerName | null = null, timeoutMs = MINUTE): Answer<Started> {
  return answer((done) =>
    space.initProducer(name, timeoutMs, known, (refusal, producer) => done([refusal, producer])),
  );
}

/** The number of a producer that must get one at once. */
function producer(name: string, known: ProducerName | null = null): ProducerName {
  const [refusal, given] = init(name, known).value as Started;
  expect(refusal).toBeNull();
  return given;
}

function add(name: string, who: ProducerName, ...names: PartitionName[]) {
  return answer<TransactionRefusal | null>((done) => space.addPartitions(name, who, names, done));
}

function end(name: string, who: ProducerName, commit: boolean) {
  return answer<TransactionRefusal | null>((done) => space.end(name, who, commit, false, done));
}

/** Its refusal, or how the producer goes on. */
function renew(name: string, who: ProducerName, commit: boolean) {
  return answer<TransactionRefusal | ProducerName>((done) =>
    space.end(name, who, commit, true, (refusal, next) => done(refusal ?? next)),
  );
}

const at = (stream: string, partition = 0): PartitionName => ({ stream, partition });
const state = (name = "t") => space.describe(name)?.state;

function commitOffset(who: ProducerName, group: string, offset: number) {
  const commit = { stream: "a", partition: 0, offset, epoch: -1, metadata: "", retentionMs: -1 };
  return answer((done) => space.commitOffsets("t", who, group, OUTSIDE, [commit], done));
}

function offsetOf(group: string, decidedOnly = false) {
  const query = { partitions: [at("a")], decidedOnly, claim: null };
  const [found] = groups.space("/").fetchOffsets(group, query).offsets;
  return found.refusal ?? found.offset;
}

describe("numbers of producers", () => {
  test("are never given out twice, not by a broker that went down either", () => {
    const given = Array.from({ length: 2500 }, () => (init(null).value as Started)[1]);
    open();
    given.push((init(null).value as Started)[1], producer("t"));
    expect(new Set(given.map(({ producerId }) => producerId)).size).toBe(2502);
    expect(given.every(({ epoch }) => epoch === 0)).toBe(true);
  });

  test("wait until they are durably reserved", () => {
    meta.slow = true;
    open();
    const first = init(null);
    expect(first.value).toBeUndefined();
    meta.run();
    expect(first.value?.[0]).toBeNull();
  });

  test("with a name: the same number under the next epoch, and whoever had it is fenced", () => {
    const first = producer("t");
    const second = producer("t");
    expect(second).toEqual({ producerId: first.producerId, epoch: 1 });
    expect(add("t", first, at("a")).value).toBe("producer-fenced");
    expect(end("t", first, true).value).toBe("producer-fenced");
    expect(add("t", second, at("a")).value).toBeNull();
  });

  test("who says which number it has goes on with it; once more when the answer was lost", () => {
    const first = producer("t");
    const second = producer("t", first);
    expect(second).toEqual({ ...first, epoch: 1 });
    expect(producer("t", first)).toEqual(second);
    expect(producer("t", second)).toEqual({ ...first, epoch: 2 });
    expect(init("t", first).value?.[0]).toBe("producer-fenced");
    expect(init("t", { producerId: first.producerId + 1, epoch: 2 }).value?.[0]).toBe("producer-fenced");
  });

  test("a number whose epochs are used up is replaced", () => {
    let last = producer("t");
    const { producerId } = last;
    for (let count = 0; count < 0x7ffe; count++) last = producer("t");
    expect(last).toEqual({ producerId, epoch: 0x7ffe });
    const next = producer("t", last);
    expect(next.producerId).not.toBe(producerId);
    expect(next.epoch).toBe(0);
    expect(producer("t", last)).toEqual(next);
    expect(add("t", last, at("a")).value).toBe("producer-unknown");
  });

  test("refused: an empty name, a timeout out of bounds", () => {
    expect(init("").value?.[0]).toBe("transaction-name-invalid");
    expect(init("t", null, 0).value?.[0]).toBe("transaction-timeout-invalid");
    expect(init("t", null, 900_001).value?.[0]).toBe("transaction-timeout-invalid");
  });
});

describe("a transaction", () => {
  test("is ended in every partition once the decision is durable", () => {
    const who = producer("t");
    add("t", who, at("a"), at("a", 1));
    add("t", who, at("b"), at("a"));
    expect(log.splice(0)).toEqual(["begin 0/0 in a0", "begin 0/0 in a1", "begin 0/0 in b0"]);
    meta.slow = true;
    const ended = end("t", who, true);
    expect([ended.value, log]).toEqual([undefined, []]);
    meta.run();
    expect(ended.value).toBeNull();
    expect(log).toEqual(["commit 0/0 in a0", "commit 0/0 in a1", "commit 0/0 in b0"]);
    expect(state()).toBe("committed");
  });

  test("what is added is answered when it is durable, also the second time", () => {
    const who = producer("t");
    meta.slow = true;
    const first = add("t", who, at("a"));
    const second = add("t", who, at("a"));
    expect([first.value, second.value]).toEqual([undefined, undefined]);
    meta.run();
    expect([first.value, second.value]).toEqual([null, null]);
  });

  test("the next one waits until the one before is ended everywhere", () => {
    const who = producer("t");
    add("t", who, at("a"));
    const [first] = partitions.get("a") as FakePartition[];
    first.held = true;
    expect(end("t", who, true).value).toBeNull();
    const next = add("t", who, at("b"));
    const again = end("t", who, true);
    expect([state(), next.value, again.value]).toEqual(["committing", undefined, undefined]);
    first.run();
    expect([state(), next.value]).toEqual(["ongoing", null]);
    expect(log).toEqual(["begin 0/0 in a0", "commit 0/0 in a0", "begin 0/0 in b0"]);
  });

  test("who has waited for too long is told to ask again", () => {
    const who = producer("t");
    add("t", who, at("a"));
    (partitions.get("a") as FakePartition[])[0].held = true;
    end("t", who, true);
    const next = add("t", who, at("b"));
    const other = init("t");
    clock.advance(2001);
    expect([next.value, other.value?.[0]]).toEqual(["transaction-busy", "transaction-busy"]);
  });

  test("ended twice in the same way is once; in the other way, or not begun, is refused", () => {
    const who = producer("t");
    expect(end("t", who, true).value).toBe("transaction-state");
    add("t", who, at("a"));
    end("t", who, true);
    expect([end("t", who, true).value, end("t", who, false).value]).toEqual([null, "transaction-state"]);
    add("t", who, at("a"));
    end("t", who, false);
    expect([end("t", who, false).value, end("t", who, true).value]).toEqual([null, "transaction-state"]);
  });

  test("refused: a name that is not there, another's number", () => {
    const who = producer("t");
    expect(add("nobody", who, at("a")).value).toBe("producer-unknown");
    expect(add("t", { ...who, producerId: 99 }, at("a")).value).toBe("producer-unknown");
    expect(add("t", { ...who, epoch: 5 }, at("a")).value).toBe("producer-fenced");
    expect(add("", who, at("a")).value).toBe("transaction-name-invalid");
  });

  test("a partition whose stream is gone does not hold up the others", () => {
    const who = producer("t");
    add("t", who, at("a"), at("b"));
    partitions.delete("a");
    end("t", who, true);
    expect([state(), log.at(-1)]).toEqual(["committed", "commit 0/0 in b0"]);
  });

  test("a partition whose storage fails is tried again until it takes the end", () => {
    const who = producer("t");
    add("t", who, at("a"));
    const [first] = partitions.get("a") as FakePartition[];
    first.broken = true;
    expect(end("t", who, true).value).toBeNull();
    clock.advance(3000);
    expect(state()).toBe("committing");
    first.broken = false;
    clock.advance(1000);
    expect(state()).toBe("committed");
  });
});

test("a marker that storage lost on its way is not taken for written", () => {
  const who = producer("t");
  add("t", who, at("a"));
  const [first] = partitions.get("a") as [FakePartition];
  first.held = true;
  first.committedOffset = 7;
  expect(end("t", who, true).value).toBeNull();
  first.broken = true;
  first.run();
  clock.advance(3000);
  expect(state()).toBe("committing");
  first.broken = first.held = false;
  first.committedOffset = 8;
  clock.advance(1000);
  expect(state()).toBe("committed");
});

describe("a producer that goes on under a new epoch with each transaction", () => {
  test("ends what it wrote under the next one, which fences what is late", () => {
    const who = producer("t");
    add("t", who, at("a"));
    answer((done) => space.addGroup("t", who, "g", done));
    commitOffset(who, "g", 7);
    log.length = 0;
    const next = renew("t", who, true).value as ProducerName;
    expect(next).toEqual({ producerId: who.producerId, epoch: who.epoch + 1 });
    expect(log).toEqual([`commit ${who.producerId}/${next.epoch} in a0`]);
    expect([state(), offsetOf("g")]).toEqual(["committed", 7]);
    expect(add("t", who, at("a")).value).toBe("producer-fenced");
    expect(add("t", next, at("a")).value).toBeNull();
    expect(renew("t", next, false).value).toEqual({ ...next, epoch: next.epoch + 1 });
  });

  test("asks again when the answer got lost, also while it is being ended", () => {
    const who = producer("t");
    add("t", who, at("a"));
    const [first] = partitions.get("a") as [FakePartition];
    first.held = true;
    const next = renew("t", who, true).value as ProducerName;
    const again = renew("t", who, true);
    const other = renew("t", who, false);
    expect([state(), again.value, other.value]).toEqual(["committing", undefined, undefined]);
    first.held = false;
    first.run();
    expect([again.value, other.value]).toEqual([next, "transaction-state"]);
    expect(renew("t", who, true).value).toEqual(next);
    expect(add("t", next, at("a")).value).toBeNull();
    expect(renew("t", who, true).value).toBe("producer-fenced");
  });

  test("aborts nothing under the next epoch, and cannot commit it", () => {
    const who = producer("t");
    expect(renew("t", who, true).value).toBe("transaction-state");
    const next = renew("t", who, false).value as ProducerName;
    expect(next.epoch).toBe(who.epoch + 1);
    expect(renew("t", next, true).value).toBe("transaction-state");
    expect(renew("t", { ...next, epoch: next.epoch + 5 }, false).value).toBe("producer-fenced");
    expect((renew("t", next, false).value as ProducerName).epoch).toBe(next.epoch + 1);
  });

  test("gets another number when its epochs are used up; the end has the old one", () => {
    const who = producer("t");
    let last = who;
    for (let count = 0; count < 0x7ffe; count++) last = renew("t", last, false).value as ProducerName;
    expect(last).toEqual({ producerId: who.producerId, epoch: 0x7ffe });
    add("t", last, at("a"));
    log.length = 0;
    const next = renew("t", last, true).value as ProducerName;
    expect(next.epoch).toBe(0);
    expect(next.producerId).not.toBe(who.producerId);
    expect(log).toEqual([`commit ${who.producerId}/${0x7fff} in a0`]);
    expect(renew("t", last, true).value).toEqual(next);
    expect(add("t", next, at("a")).value).toBeNull();
  });

  test("is ended under the right epoch by the next start", () => {
    const who = producer("t");
    add("t", who, at("a"));
    meta.slow = true;
    renew("t", who, true);
    meta.waiting = [];
    meta.slow = false;
    log.length = 0;
    open();
    expect(log).toEqual([`commit ${who.producerId}/${who.epoch + 1} in a0`]);
    const next = { ...who, epoch: who.epoch + 1 };
    expect(renew("t", who, true).value).toEqual(next);
    expect(add("t", next, at("a")).value).toBeNull();
    expect([space.writesTo("t", next, [at("a")]), space.writesTo("t", who, [at("a")])]).toEqual([
      true,
      false,
    ]);
  });

  test("writes to what it added once that is durable", () => {
    const who = producer("t");
    meta.slow = true;
    const added = add("t", who, at("a"));
    expect([added.value, space.writesTo("t", who, [at("a")])]).toEqual([undefined, false]);
    meta.run();
    expect(space.writesTo("t", who, [at("a")])).toBe(true);
    expect(space.writesTo("t", who, [at("a"), at("b")])).toBe(false);
  });
});

describe("a transaction that nobody ends", () => {
  test("is aborted after its timeout, and its producer fenced", () => {
    const who = producer("t");
    add("t", who, at("a"));
    clock.advance(MINUTE - 1);
    expect(state()).toBe("ongoing");
    clock.advance(1);
    expect([state(), log.at(-1)]).toEqual(["aborted", "abort 0/1 in a0"]);
    expect(end("t", who, true).value).toBe("producer-fenced");
    expect(init("t", who).value?.[0]).toBe("producer-fenced");
    expect(producer("t").epoch).toBe(2);
  });

  test("is aborted when another takes over the name, who waits for that", () => {
    const who = producer("t");
    add("t", who, at("a"));
    const [first] = partitions.get("a") as FakePartition[];
    first.held = true;
    const other = init("t");
    expect([other.value, log.at(-1)]).toEqual([undefined, "abort 0/1 in a0"]);
    expect(add("t", who, at("b")).value).toBe("producer-fenced");
    first.run();
    expect(other.value).toEqual([null, { producerId: who.producerId, epoch: 2 }]);
  });

  test("a new one has its whole time", () => {
    const who = producer("t");
    add("t", who, at("a"));
    clock.advance(MINUTE - 1);
    end("t", who, true);
    add("t", who, at("a"));
    clock.advance(MINUTE - 1);
    expect(state()).toBe("ongoing");
  });
});

describe("offsets", () => {
  test("count when the transaction commits, and nobody sees them before", () => {
    const who = producer("t");
    answer((done) => space.addGroup("t", who, "g", done));
    expect(commitOffset(who, "g", 42).value).toEqual([null]);
    expect([offsetOf("g"), offsetOf("g", true)]).toEqual([-1, "offset-undecided"]);
    end("t", who, true);
    expect([offsetOf("g"), offsetOf("g", true)]).toEqual([42, 42]);
  });

  test("never count when it aborts", () => {
    const who = producer("t");
    answer((done) => space.addGroup("t", who, "g", done));
    commitOffset(who, "g", 42);
    end("t", who, false);
    expect([offsetOf("g"), offsetOf("g", true)]).toEqual([-1, -1]);
  });

  test("one committed later and outside of it stands", () => {
    const who = producer("t");
    answer((done) => space.addGroup("t", who, "g", done));
    commitOffset(who, "g", 42);
    clock.advance(10);
    const later = { stream: "a", partition: 0, offset: 50, epoch: -1, metadata: "", retentionMs: -1 };
    groups.space("/").commitOffsets("g", OUTSIDE, [later], () => {});
    end("t", who, true);
    expect(offsetOf("g")).toBe(50);
  });

  test("refused: of a group that was not added, without a transaction, by a fenced producer", () => {
    const who = producer("t");
    expect(commitOffset(who, "g", 1).value).toEqual(["transaction-state"]);
    add("t", who, at("a"));
    expect(commitOffset(who, "g", 1).value).toEqual(["transaction-state"]);
    expect(commitOffset({ ...who, epoch: 9 }, "g", 1).value).toEqual(["producer-fenced"]);
    expect(offsetOf("g", true)).toBe(-1);
  });

  test("of a group with a transaction under way are not forgotten", () => {
    const who = producer("t");
    answer((done) => space.addGroup("t", who, "g", done));
    commitOffset(who, "g", 42);
    open();
    expect(offsetOf("g", true)).toBe("offset-undecided");
    end("t", who, true);
    expect(offsetOf("g")).toBe(42);
  });
});

describe("after a restart", () => {
  test("one that goes on can be written to, ended, and times out by the old clock", () => {
    const who = producer("t");
    add("t", who, at("a"));
    clock.advance(MINUTE / 2);
    log.length = 0;
    open();
    expect(log).toEqual(["begin 0/0 in a0"]);
    clock.advance(MINUTE / 2 - 1);
    expect(state()).toBe("ongoing");
    clock.advance(1);
    expect(log.at(-1)).toBe("abort 0/1 in a0");
  });

  test("one that was decided is ended everywhere, offsets included", () => {
    const who = producer("t");
    add("t", who, at("a"), at("b"));
    answer((done) => space.addGroup("t", who, "g", done));
    commitOffset(who, "g", 42);
    // The broker goes down when the decision is durable and nobody was told of it.
    meta.slow = true;
    end("t", who, true);
    meta.waiting = [];
    meta.slow = false;
    log.length = 0;
    open();
    expect(log).toEqual(["commit 0/0 in a0", "commit 0/0 in b0"]);
    expect([state(), offsetOf("g")]).toEqual(["committed", 42]);
    expect(end("t", who, true).value).toBeNull();
    expect(add("t", who, at("a")).value).toBeNull();
  });

  test("epochs go on rising", () => {
    const { producerId } = producer("t/x%");
    space.end("t/x%", { producerId, epoch: 0 }, true, false, () => {});
    open();
    expect(producer("t/x%")).toEqual({ producerId, epoch: 1 });
  });
});

test("go with their namespace", () => {
  const who = producer("t");
  add("t", who, at("a"));
  coordinator.forgetNamespace("/");
  clock.advance(2 * MINUTE);
  expect(log).toEqual(["begin 0/0 in a0"]);
  open();
  expect(space.list()).toEqual([]);
});

test("what tools see; names that nobody uses are forgotten", () => {
  const who = producer("t");
  add("t", who, at("a", 1));
  producer("idle");
  expect(space.describe("t")).toEqual({
    name: "t",
    state: "ongoing",
    timeoutMs: MINUTE,
    ...who,
    startedAtMs: clock.now(),
    partitions: [at("a", 1)],
  });
  end("t", who, true);
  expect(space.describe("t")).toMatchObject({ startedAtMs: -1, partitions: [] });
  clock.advance("6d");
  add("t", who, at("a", 1));
  end("t", who, false);
  clock.advance("2d");
  expect(space.list().map(({ name }) => name)).toEqual(["t"]);
  open();
  expect(space.describe("idle")).toBeNull();
});
