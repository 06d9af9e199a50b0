/** What every engine must do, as one vitest suite. Not part of the build. */
import { afterEach, describe, expect, it } from "vitest";
import type { Batch, Engine, EngineObserver, Log, LogSource, RecoveredBatch } from "./engine.ts";

/** One set of data, opened again and again. */
export interface EngineFixture {
  /** Whether what was committed is there after `Engine.close` and another `open`. */
  readonly survives: boolean;
  open(): Promise<Engine>;
  dispose(): Promise<void>;
}

/** A writer that keeps what it is given until the engine takes it, and remembers what was committed. */
export class TestSource implements LogSource {
  readonly taken: Batch[] = [];
  readonly positions: number[] = [];
  committedCount = 0;
  takes = 0;
  onCommitted: () => void = () => {};
  private readonly log: Log;
  private readonly gathered: Batch[] = [];
  private readonly waiters: { count: number; resolve: () => void }[] = [];

  constructor(log: Log) {
    this.log = log;
  }

  /** Offers a batch; every call of `take` hands out one. */
  offer(batch: Batch): void {
    this.gathered.push(batch);
    this.log.wake();
  }

  take(): Batch | null {
    this.takes++;
    const batch = this.gathered.shift() ?? null;
    if (batch === null) return null;
    this.positions.push(this.log.nextPosition);
    this.taken.push(batch);
    return batch;
  }

  committed(): void {
    this.committedCount++;
    this.onCommitted();
    for (const waiter of this.waiters.filter(({ count }) => count <= this.committedCount)) waiter.resolve();
  }

  untilCommitted(count: number): Promise<void> {
    if (this.committedCount >= count) return Promise.resolve();
    return new Promise((resolve) => this.waiters.push({ count, resolve }));
  }
}

/** A batch whose bytes follow from `seed`, split into bodies of the given lengths. */
export function testBatch(seed: number, bodyLengths: readonly number[], headBytes = 24): Batch {
  let state = (seed + 1) * 2654435761;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  };
  const bodies = bodyLengths.map((length) => Uint8Array.from({ length }, next));
  const heads = Uint8Array.from({ length: headBytes }, next);
  const bodyBytes = bodyLengths.reduce((sum, length) => sum + length, 0);
  return { bodies, bodyBytes, heads, count: 1, durability: seed % 3 === 2 ? "os" : "fsync" };
}

export function bodyOf(batch: Batch): Buffer {
  return Buffer.concat(batch.bodies);
}

interface Recovered {
  readonly position: number;
  readonly bodyBytes: number;
  readonly heads: Buffer;
}

export async function recoverAll(log: Log): Promise<Recovered[]> {
  const found: Recovered[] = [];
  await log.recover(({ position, bodyBytes, heads }: RecoveredBatch) => {
    found.push({ position, bodyBytes, heads: Buffer.from(heads) });
  });
  return found;
}

async function opened(
  engine: Engine,
  name: string,
): Promise<{ log: Log; source: TestSource; found: Recovered[] }> {
  const log = await engine.openLog(name);
  const found = await recoverAll(log);
  const source = new TestSource(log);
  log.start(source);
  return { log, source, found };
}

function flushed(engine: Engine): Promise<void> {
  return new Promise((resolve) => engine.meta.flush(resolve));
}

/** Runs the suite. `make` gives a fresh, empty fixture. */
export function engineConformance(name: string, make: () => Promise<EngineFixture>): void {
  describe(`engine conformance: ${name}`, () => {
    const disposals: (() => Promise<void>)[] = [];
    const fresh = async (): Promise<EngineFixture> => {
      const fixture = await make();
      disposals.push(() => fixture.dispose());
      return fixture;
    };
    afterEach(async () => {
      for (const dispose of disposals.splice(0)) await dispose();
    });
    logTests(fresh);
    restartTests(fresh);
    metaTests(fresh);
  });
}

function logTests(fresh: () => Promise<EngineFixture>): void {
  it("commits batches in the order in which it took them and reads every body back", async () => {
    const engine = await (await fresh()).open();
    const { log, source } = await opened(engine, "orders");
    for (let index = 0; index < 60; index++) source.offer(testBatch(index, [index, 3, 20_000 * (index % 3)]));
    await source.untilCommitted(60);
    for (let index = 0; index < 60; index++) {
      const target = Buffer.alloc(source.taken[index].bodyBytes);
      await log.read(source.positions[index], target);
      expect(target.equals(bodyOf(source.taken[index]))).toBe(true);
      const part = Buffer.alloc(Math.min(2, target.length));
      await log.read(source.positions[index] + target.length - part.length, part);
      expect(part.equals(target.subarray(target.length - part.length))).toBe(true);
    }
    await engine.close();
  });

  it("never takes or reports from within wake", async () => {
    const engine = await (await fresh()).open();
    const { source } = await opened(engine, "quiet");
    source.offer(testBatch(1, [10]));
    expect([source.takes, source.committedCount]).toEqual([0, 0]);
    await source.untilCommitted(1);
    await engine.close();
  });

  it("takes what gathers while a report runs", async () => {
    const engine = await (await fresh()).open();
    const { source } = await opened(engine, "chain");
    let left = 20;
    source.onCommitted = () => {
      if (left-- > 0) source.offer(testBatch(left, [100]));
    };
    source.offer(testBatch(99, [100]));
    await source.untilCommitted(21);
    await engine.close();
  });

  it("gives positions that only grow, and says the next one before it takes", async () => {
    const engine = await (await fresh()).open();
    const { log, source } = await opened(engine, "positions");
    for (let index = 0; index < 40; index++) source.offer(testBatch(index, [index % 4 === 0 ? 0 : 3_000]));
    await source.untilCommitted(40);
    for (let index = 1; index < 40; index++) {
      expect(source.positions[index]).toBeGreaterThanOrEqual(
        source.positions[index - 1] + source.taken[index - 1].bodyBytes,
      );
    }
    expect(log.nextPosition).toBeGreaterThan(source.positions[39]);
    await engine.close();
  });

  it("keeps logs apart", async () => {
    const engine = await (await fresh()).open();
    const logs = await Promise.all(["a", "A", "b/..", "ü"].map((each) => opened(engine, each)));
    for (let index = 0; index < 10; index++) {
      for (const [which, { source }] of logs.entries()) source.offer(testBatch(which * 100 + index, [50]));
    }
    await Promise.all(logs.map(({ source }) => source.untilCommitted(10)));
    for (const { log, source } of logs) {
      const target = Buffer.alloc(50);
      await log.read(source.positions[7], target);
      expect(target.equals(bodyOf(source.taken[7]))).toBe(true);
    }
    await engine.close();
  });

  it("gives space back when trimmed, and still reads what is left", async () => {
    const engine = await (await fresh()).open();
    const { log, source } = await opened(engine, "trimmed");
    for (let index = 0; index < 40; index++) source.offer(testBatch(index, [40_000]));
    await source.untilCommitted(40);
    log.trim(source.positions[38]);
    await expect.poll(() => log.storedBytes).toBeLessThan((40 * 40_000) / 2);
    const target = Buffer.alloc(40_000);
    await log.read(source.positions[39], target);
    expect(target.equals(bodyOf(source.taken[39]))).toBe(true);
    await engine.close();
  });

  it("reads bodies across batches without what lies between them", async () => {
    const engine = await (await fresh()).open();
    const log = await engine.openLog("bodies", { segmentBytes: 1 << 20, preallocate: false });
    const source = new TestSource(log);
    const take = source.take.bind(source);
    source.take = () => {
      if (source.taken.length === 12) log.beginSegment();
      return take();
    };
    log.start(source);
    for (let index = 0; index < 20; index++) source.offer(testBatch(index, [300, 20 * index], 40));
    await source.untilCommitted(20);
    const bodies = Buffer.concat(source.taken.slice(5).map(bodyOf));
    const target = Buffer.alloc(64 * 1024);
    const filled = await log.readBodies(source.positions[5], target);
    expect(filled).toBeGreaterThanOrEqual(source.taken[5].bodyBytes);
    expect(target.subarray(0, filled).equals(bodies.subarray(0, filled))).toBe(true);
    const short = Buffer.alloc(2_000);
    const part = await log.readBodies(source.positions[5], short);
    expect(part).toBeGreaterThanOrEqual(source.taken[5].bodyBytes);
    expect(short.subarray(0, part).equals(bodies.subarray(0, part))).toBe(true);
    await expect(log.readBodies(source.positions[5] + 1, target)).rejects.toThrow("no batch begins");
    await engine.close();
  });

  it("gives back exactly what lies before a file that was begun on purpose", async () => {
    const engine = await (await fresh()).open();
    const log = await engine.openLog("begun", { segmentBytes: 1 << 20, preallocate: false });
    const source = new TestSource(log);
    const take = source.take.bind(source);
    source.take = () => {
      if (source.taken.length === 3) log.beginSegment();
      return take();
    };
    log.start(source);
    for (let index = 0; index < 6; index++) source.offer(testBatch(index, [1_000]));
    await source.untilCommitted(6);
    log.trim(source.positions[3]);
    await expect.poll(() => log.storedBytes).toBeLessThan(4_000);
    const target = Buffer.alloc(1_000);
    await log.read(source.positions[3], target);
    expect(target.equals(bodyOf(source.taken[3]))).toBe(true);
    await engine.close();
  });

  it("deletes a log, open or not, and knows the names of those that are there", async () => {
    const fixture = await fresh();
    let engine = await fixture.open();
    await engine.openLog("never written");
    const { source } = await opened(engine, "one / Ü");
    const other = await opened(engine, "two");
    for (const each of [source, other.source]) each.offer(testBatch(0, [5_000]));
    await Promise.all([source.untilCommitted(1), other.source.untilCommitted(1)]);
    expect((await engine.logNames()).filter((name) => name !== "never written").sort()).toEqual([
      "one / Ü",
      "two",
    ]);
    await engine.deleteLog("one / Ü");
    source.offer(testBatch(1, [100]));
    other.source.offer(testBatch(1, [100]));
    await other.source.untilCommitted(2);
    expect(source.committedCount).toBe(1);
    await engine.deleteLog("never written");
    await engine.deleteLog("never heard of");
    await engine.close();
    engine = await fixture.open();
    expect(await engine.logNames()).toEqual(fixture.survives ? ["two"] : []);
    await engine.deleteLog("two");
    expect(await engine.logNames()).toEqual([]);
    expect((await opened(engine, "two")).found).toEqual([]);
    await engine.close();
  });

  it("commits what has gathered when it closes", async () => {
    const engine = await (await fresh()).open();
    const { log, source } = await opened(engine, "closing");
    for (let index = 0; index < 5; index++) source.offer(testBatch(index, [10]));
    await log.close();
    expect(source.committedCount).toBe(5);
    await engine.close();
  });

  it("reports rounds", async () => {
    const engine = await (await fresh()).open();
    let rounds = 0;
    let bytes = 0;
    const observer: EngineObserver = {
      round: (_syncs, more) => {
        rounds++;
        bytes += more;
      },
      pressure: () => {},
      failed: () => {},
    };
    engine.observe(observer);
    const { source } = await opened(engine, "observed");
    source.offer(testBatch(0, [5_000]));
    await source.untilCommitted(1);
    await engine.close();
    expect(rounds).toBeGreaterThan(0);
    expect(bytes).toBeGreaterThanOrEqual(5_000);
  });
}

function restartTests(fresh: () => Promise<EngineFixture>): void {
  it("finds after a restart what was committed, whole and in order, and goes on behind it", async () => {
    const fixture = await fresh();
    const everything: { batch: Batch; position: number }[] = [];
    for (let run = 0; run < 3; run++) {
      const engine = await fixture.open();
      const { log, source, found } = await opened(engine, "kept");
      if (fixture.survives) {
        expect(found.map(({ position }) => position)).toEqual(everything.map(({ position }) => position));
        for (const [index, { heads, position }] of found.entries()) {
          const { batch } = everything[index];
          expect(heads.equals(batch.heads)).toBe(true);
          const target = Buffer.alloc(batch.bodyBytes);
          await log.read(position, target);
          expect(target.equals(bodyOf(batch))).toBe(true);
        }
        expect(log.nextPosition).toBeGreaterThan(everything.at(-1)?.position ?? -1);
      } else expect(found).toEqual([]);
      for (let index = 0; index < 30; index++) source.offer(testBatch(run * 100 + index, [index * 400, 7]));
      await source.untilCommitted(30);
      for (let index = 0; index < 30; index++) {
        everything.push({ batch: source.taken[index], position: source.positions[index] });
      }
      await engine.close();
    }
  });

  it("never gives a position twice, also when everything was trimmed before a restart", async () => {
    const fixture = await fresh();
    let highest = -1;
    for (let run = 0; run < 4; run++) {
      const engine = await fixture.open();
      const { log, source } = await opened(engine, "forgotten");
      if (fixture.survives) expect(log.nextPosition).toBeGreaterThan(highest);
      for (let index = 0; index < 10; index++) source.offer(testBatch(index, [30_000]));
      await source.untilCommitted(10);
      highest = source.positions[9] + 30_000 - 1;
      log.trim(log.nextPosition);
      await engine.close();
    }
  });

  it("counts its starts", async () => {
    const fixture = await fresh();
    const first = await fixture.open();
    const { epoch } = first;
    await first.close();
    const second = await fixture.open();
    expect(second.epoch).toBe(fixture.survives ? epoch + 1 : epoch);
    await second.close();
  });
}

function metaTests(fresh: () => Promise<EngineFixture>): void {
  const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
  const listed = (engine: Engine, prefix: string): string[] =>
    [...engine.meta.entries(prefix)].map(([key, value]) => `${key}=${Buffer.from(value).toString()}`);

  it("keeps metadata in key order and finds it after a restart", async () => {
    const fixture = await fresh();
    let engine = await fixture.open();
    const { meta } = engine;
    for (const key of ["q/b", "x/1", "q/a", "q/c", "p"]) meta.put(key, bytes(key.toUpperCase()));
    meta.put("q/a", bytes("changed"));
    meta.delete("q/c");
    meta.delete("never was");
    expect(Buffer.from(meta.get("q/b") as Uint8Array).toString()).toBe("Q/B");
    expect(meta.get("q/c")).toBeUndefined();
    expect(listed(engine, "q/")).toEqual(["q/a=changed", "q/b=Q/B"]);
    await flushed(engine);
    await engine.close();
    engine = await fixture.open();
    expect(listed(engine, "")).toEqual(fixture.survives ? ["p=P", "q/a=changed", "q/b=Q/B", "x/1=X/1"] : []);
    await engine.close();
  });

  it("keeps its own copy of a value", async () => {
    const engine = await (await fresh()).open();
    const value = bytes("before");
    engine.meta.put("key", value);
    value.fill(0);
    expect(Buffer.from(engine.meta.get("key") as Uint8Array).toString()).toBe("before");
    await engine.close();
  });

  it("flushes at once when nothing is pending", async () => {
    const engine = await (await fresh()).open();
    let done = false;
    engine.meta.flush(() => {
      done = true;
    });
    expect(done).toBe(true);
    engine.meta.put("key", bytes("value"));
    await flushed(engine);
    await engine.close();
  });

  it("stays small and right when the same keys change over and over", async () => {
    const fixture = await fresh();
    let engine = await fixture.open();
    for (let index = 0; index < 1_000; index++) {
      engine.meta.put(`key ${index % 10}`, new Uint8Array(4_000).fill(index));
      await flushed(engine);
    }
    const before = listed(engine, "");
    await engine.close();
    engine = await fixture.open();
    expect(listed(engine, "")).toEqual(fixture.survives ? before : []);
    await engine.close();
  });
}
