import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/logger.ts";
import type { Engine } from "../../engine/engine.ts";
import { openMemoryEngine } from "../../engine/memory/memory-engine.ts";
import { RecordCursor } from "../../message/record-cursor.ts";
import type { GroupView } from "../groups/types.ts";
import type { Stream } from "../stream/stream.ts";
import { append, committed, createStream, openWorld, valuesOf, type World } from "../stream/testing.ts";
import { type ShareSpace, Shares } from "./shares.ts";
import type { Leased, LeaseHandle, SharePolicy } from "./types.ts";

const POLICY: SharePolicy = {
  leaseMs: 30_000,
  deliveriesMax: 3,
  windowMax: 100,
  isolation: "committed",
  startAt: "earliest",
  retryMs: 0,
  retryMsMax: 0,
  deadLetterStream: null,
};
const EMPTY_GROUP = { kind: "share", members: [] } as unknown as GroupView;

let engine: Engine;
let clock: ManualClock;
let world: World;
let shares: Shares;
let space: ShareSpace;
let stream: Stream;
let view: GroupView | null;

function open(): void {
  shares?.stop();
  const { streams } = world;
  const groups = { space: () => ({ describe: () => view }) };
  shares = new Shares({ meta: engine.meta, clock, logger: silentLogger, streams, groups });
  space = shares.space("/");
}

beforeEach(async () => {
  engine = await openMemoryEngine();
  clock = new ManualClock();
  world = await openWorld(engine, { clock });
  stream = createStream(world, "orders", 2);
  view = EMPTY_GROUP;
  open();
});

function leaseOf(policy: Partial<SharePolicy> = {}, group = "g"): LeaseHandle {
  return space.lease(group, stream, 0, { ...POLICY, ...policy }) as LeaseHandle;
}

async function write(...values: string[]): Promise<void> {
  for (const value of values) append(stream.partitions[0]!, [value]);
  await committed(stream.partitions[0]!);
}

async function take(lease: LeaseHandle, member: string, max = 100, strict = false): Promise<string[]> {
  const leased = await lease.take(member, max, 1 << 20, strict);
  return leased === null ? [] : rangesOf(leased);
}

const rangesOf = ({ ranges }: Leased): string[] =>
  ranges.map(({ first, last, deliveries }) => `${first}-${last}x${deliveries}`);

describe("members of a share group", () => {
  test("get different records of one partition, in batches, and whole batches only", async () => {
    append(stream.partitions[0]!, ["a", "b", "c"]);
    append(stream.partitions[0]!, ["d", "e"]);
    await committed(stream.partitions[0]!);
    const lease = leaseOf();
    const first = (await lease.take("A", 1, 1 << 20, false)) as Leased;
    expect(rangesOf(first)).toEqual(["0-2x1"]);
    const cursor = new RecordCursor();
    const [piece] = first.pieces;
    cursor.open(piece!.bytes, piece!.start, piece!.end);
    expect([cursor.next(), String(cursor.value())]).toEqual([true, "97"]);
    expect(await take(lease, "B")).toEqual(["3-4x1"]);
    expect(await take(lease, "B")).toEqual([]);
  });

  test("never more records than asked for, where that is asked for", async () => {
    append(stream.partitions[0]!, ["a", "b", "c"]);
    await committed(stream.partitions[0]!);
    const lease = leaseOf();
    expect(await take(lease, "A", 2, true)).toEqual(["0-1x1"]);
    expect(await take(lease, "B", 2, true)).toEqual(["2-2x1"]);
  });

  test("hold up no more than the window", async () => {
    const lease = leaseOf({ windowMax: 2 });
    await write("a", "b", "c");
    expect(await take(lease, "A")).toEqual(["0-0x1", "1-1x1"]);
    expect(await take(lease, "A")).toEqual([]);
    lease.settle("A", 0, 0, ["accept"]);
    expect(await take(lease, "A")).toEqual(["2-2x1"]);
  });

  test("begin where their policy says", async () => {
    await write("old");
    const latest = leaseOf({ startAt: "latest" }, "late");
    await write("new");
    expect(await take(latest, "A")).toEqual(["1-1x1"]);
    expect(await take(leaseOf({}, "early"), "A")).toEqual(["0-0x1", "1-1x1"]);
  });

  test("of different groups do not know of each other", async () => {
    await write("a");
    expect(await take(leaseOf({}, "one"), "A")).toEqual(["0-0x1"]);
    expect(await take(leaseOf({}, "two"), "A")).toEqual(["0-0x1"]);
  });
});

describe("what fails", () => {
  test("is told to those who wait: a lease that ends, a verdict, a member that goes", async () => {
    await write("a");
    const lease = leaseOf();
    let told = 0;
    const waiter = {
      leasable: () => {
        told++;
      },
    };
    await take(lease, "A");
    lease.wait(waiter);
    clock.advance(30_000);
    expect(told).toBe(1);
    expect(await take(lease, "A")).toEqual(["0-0x2"]);
    lease.settle("A", 0, 0, ["release"]);
    expect(told).toBe(2);
    await take(lease, "A");
    space.release("g", "A");
    expect(told).toBe(3);
    await write("b");
    expect(told).toBe(4);
    lease.cancelWait(waiter);
    await write("c");
    expect(told).toBe(4);
  });

  test("comes again after a while that grows", async () => {
    await write("a");
    const lease = leaseOf({ retryMs: 1000, retryMsMax: 1500, deliveriesMax: 5 });
    for (const waitMs of [1000, 1500, 1500]) {
      expect((await take(lease, "A")).length).toBe(1);
      lease.settle("A", 0, 0, ["release"]);
      clock.advance(waitMs - 1);
      expect(await take(lease, "A")).toEqual([]);
      clock.advance(1);
    }
  });

  test("too often, or is rejected, goes where dead letters go, and says where it comes from", async () => {
    const graves = createStream(world, "graves");
    await write("bad", "worse");
    const lease = leaseOf({ deadLetterStream: "graves", deliveriesMax: 1 });
    await take(lease, "A");
    lease.settle("A", 0, 1, ["reject", "release"]);
    await expect.poll(() => graves.partitions[0]!.committedOffset).toBe(2);
    expect(await valuesOf(graves.partitions[0]!)).toEqual(["bad", "worse"]);
    const slice = await graves.partitions[0]!.load(0, 1 << 20, "committed");
    const cursor = new RecordCursor();
    const [batch] = slice.batches();
    cursor.open(batch!.bytes, batch!.start, batch!.end);
    cursor.next();
    const headers = cursor.headers().map(({ name, value }) => [name, Buffer.from(value ?? []).toString()]);
    expect(Object.fromEntries(headers)).toEqual({
      "x-death-stream": "orders",
      "x-death-partition": "0",
      "x-death-offset": "0",
      "x-death-group": "g",
      "x-death-reason": "rejected",
      "x-delivery-count": "1",
    });
    expect(space.positions("g")).toMatchObject([{ start: 2, lag: 0 }]);
  });

  test("is not lost while there is nowhere to go", async () => {
    await write("bad");
    const lease = leaseOf({ deadLetterStream: "graves" });
    await take(lease, "A");
    lease.settle("A", 0, 0, ["reject"]);
    await expect.poll(() => space.positions("g")).toMatchObject([{ start: 0, lag: 1 }]);
    const graves = createStream(world, "graves");
    await expect
      .poll(() => {
        clock.advance(5000);
        return graves.partitions[0]!.committedOffset;
      })
      .toBe(1);
    await expect.poll(() => space.positions("g")).toMatchObject([{ start: 1, lag: 0 }]);
  });
});

describe("transactions", () => {
  const TRANSACTIONAL = 16;
  const fields = { attributes: TRANSACTIONAL, producerId: 7, producerEpoch: 0, baseSequence: 0 };

  test("what is not decided is not leased, what was aborted never, and markers by nobody", async () => {
    const [partition] = stream.partitions;
    const lease = leaseOf({ isolation: "stable" });
    partition!.beginTransaction(7, 0);
    append(partition!, ["aborted"], fields);
    await committed(partition!);
    expect(await take(lease, "A")).toEqual([]);
    partition!.endTransaction(7, 0, false, 0);
    partition!.beginTransaction(7, 0);
    append(partition!, ["kept"], { ...fields, baseSequence: 1 });
    partition!.endTransaction(7, 0, true, 0);
    await committed(partition!);
    expect(await take(lease, "A")).toEqual(["2-2x1"]);
    lease.settle("A", 2, 2, ["accept"]);
    await write("plain");
    expect(await take(lease, "A")).toEqual(["4-4x1"]);
    expect(space.positions("g")).toMatchObject([{ start: 4, lag: 1 }]);
  });
});

describe("after a restart", () => {
  test("what was done with stays so, and the rest comes again with its count", async () => {
    await write("a", "b", "c", "d");
    const lease = leaseOf();
    await take(lease, "A");
    lease.settle("A", 0, 0, ["accept"]);
    lease.settle("A", 2, 2, ["accept"]);
    lease.settle("A", 3, 3, ["release"]);
    open();
    expect(await take(leaseOf(), "B")).toEqual(["1-1x1", "3-3x2"]);
  });

  test("a stream that was made anew is read anew", async () => {
    await write("a", "b");
    const lease = leaseOf();
    await take(lease, "A");
    lease.settle("A", 0, 1, ["accept"]);
    world.streams.delete(stream);
    stream = createStream(world, "orders");
    await write("x");
    expect(await take(leaseOf(), "A")).toEqual(["0-0x1"]);
  });
});

describe("administration", () => {
  test("moves a group that nobody is in, and makes it forget", async () => {
    await write("a", "b", "c");
    const lease = leaseOf();
    await take(lease, "A");
    lease.settle("A", 0, 2, ["accept"]);
    const answers: unknown[] = [];
    space.setStart("g", stream, 0, 1, (refusal) => answers.push(refusal));
    expect(await take(leaseOf(), "A")).toEqual(["1-1x1", "2-2x1"]);
    space.forget("g", "orders", (refusal) => answers.push(refusal));
    expect(space.positions("g")).toEqual([]);
    view = { kind: "share", members: [{}] } as unknown as GroupView;
    space.setStart("g", stream, 0, 1, (refusal) => answers.push(refusal));
    view = null;
    space.forget("g", "orders", (refusal) => answers.push(refusal));
    expect(answers).toEqual([null, null, "group-not-empty", "group-not-found"]);
  });

  test("records that are no more are not waited for", async () => {
    await write("a", "b", "c");
    const lease = leaseOf();
    await take(lease, "A", 1);
    stream.partitions[0]!.trim(2);
    expect(await take(lease, "B")).toEqual(["2-2x1"]);
    space.release("g", "A");
    expect(await take(lease, "B")).toEqual([]);
    expect(space.positions("g")).toMatchObject([{ start: 2, lag: 1 }]);
    space.forgetGroup("g");
    expect([...engine.meta.entries("shares/lease/")]).toEqual([]);
  });
});
