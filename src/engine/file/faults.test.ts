/** Damage, full disks, failing syncs, stalls. */
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { recoverAll, TestSource, testBatch } from "../conformance.ts";
import {
  CorruptionError,
  DataDirectoryError,
  type Engine,
  type EngineObserver,
  type Log,
} from "../engine.ts";
import { BATCH_HEADER_BYTES, SEGMENT_HEADER_BYTES } from "./batch-format.ts";
import { openFileEngine } from "./file-engine.ts";
import { SimDisk, type SimOperation } from "./sim-disk.ts";

const DIRECTORY = "/data";
const LOG = "faults";

class Watcher implements EngineObserver {
  rounds = 0;
  readonly pressures: (string | null)[] = [];
  readonly failures: Error[] = [];
  round(): void {
    this.rounds++;
  }
  pressure(reason: string | null): void {
    this.pressures.push(reason);
  }
  failed(error: Error): void {
    this.failures.push(error);
  }
}

interface Opened {
  readonly engine: Engine;
  readonly log: Log;
  readonly source: TestSource;
  readonly found: readonly { readonly position: number }[];
  readonly watcher: Watcher;
}

async function open(disk: SimDisk, clock = new ManualClock(), segmentBytes = 2_048): Promise<Opened> {
  const engine = await openFileEngine({ directory: DIRECTORY, disk, clock, segmentBytes });
  const watcher = new Watcher();
  engine.observe(watcher);
  const log = await engine.openLog(LOG);
  const found = await recoverAll(log);
  const source = new TestSource(log);
  log.start(source);
  return { engine, log, source, found, watcher };
}

/** Fsync batches only, so that every one of them is promised. */
function batchOf(index: number, bodyBytes: number): ReturnType<typeof testBatch> {
  return { ...testBatch(index, [bodyBytes]), durability: "fsync" };
}

/** A log of `count` batches in segments of 2 KiB, ended by a kill. */
async function killedLog(count: number): Promise<{ disk: SimDisk; source: TestSource }> {
  const disk = new SimDisk();
  const { source } = await open(disk);
  for (let index = 0; index < count; index++) source.offer(batchOf(index, 300));
  await source.untilCommitted(count);
  return { disk: disk.afterPowerLoss(), source };
}

function segmentFiles(disk: SimDisk): string[] {
  return disk.paths().filter((file) => file.endsWith(".seg") && file.includes("/logs/"));
}

/** Opens, recovers and closes; how many batches there were, or the error. */
async function survivors(disk: SimDisk): Promise<number | Error> {
  const engine = await openFileEngine({ directory: DIRECTORY, disk, segmentBytes: 2_048 });
  try {
    return (await recoverAll(await engine.openLog(LOG))).length;
  } catch (error) {
    return error as Error;
  } finally {
    await engine.close();
  }
}

/** Where the last batch lies in the last segment that has one. */
function lastBatchOf(source: TestSource, disk: SimDisk): { file: string; start: number; end: number } {
  const last = source.taken.length - 1;
  const position = source.positions[last];
  const file = segmentFiles(disk).findLast(
    (each) => Number.parseInt(each.slice(-20, -4), 16) <= position,
  ) as string;
  const start = position - BATCH_HEADER_BYTES - Number.parseInt(file.slice(-20, -4), 16);
  const { bodyBytes, heads } = source.taken[last];
  return { file, start, end: start + BATCH_HEADER_BYTES + bodyBytes + heads.length };
}

describe("a torn tail", () => {
  it("is cut at whichever byte of the last batch the writing ended", async () => {
    const { disk, source } = await killedLog(9);
    const { file, start, end } = lastBatchOf(source, disk);
    const bytes = disk.bytesOf(file);
    for (let length = start; length <= end; length++) {
      const torn = disk.afterKill();
      torn.replace(file, bytes.slice(0, length));
      expect(await survivors(torn), `torn after ${length - start} bytes`).toBe(length === end ? 9 : 8);
      const zeroed = disk.afterKill();
      zeroed.replace(file, bytes.slice().fill(0, length));
      expect(await survivors(zeroed), `zeros after ${length - start} bytes`).toBe(length === end ? 9 : 8);
    }
  });

  it("can take the whole last segment with it, but not its place", async () => {
    const { disk, source } = await killedLog(9);
    const { file } = lastBatchOf(source, disk);
    for (const bytes of [new Uint8Array(0), new Uint8Array(2_048), new Uint8Array(2_048).fill(0x5a)]) {
      const torn = disk.afterKill();
      torn.replace(file, bytes);
      const { engine, log, found } = await open(torn);
      expect(log.nextPosition).toBe(
        Number.parseInt(file.slice(-20, -4), 16) + SEGMENT_HEADER_BYTES + BATCH_HEADER_BYTES,
      );
      expect(found.length).toBeGreaterThan(0);
      await engine.close();
    }
  });
});

describe("a flipped byte", () => {
  it("is found in every header, head and newer body; older bodies are for their reader to check", async () => {
    const { disk, source } = await killedLog(13);
    const files = segmentFiles(disk);
    expect(files.length).toBeGreaterThan(2);
    const tail = lastBatchOf(source, disk);
    for (const file of files) {
      const base = Number.parseInt(file.slice(-20, -4), 16);
      const bytes = disk.bytesOf(file);
      const end = file === tail.file ? tail.start : bytes.length;
      for (let at = 0; at < end; at += 3) {
        const damaged = disk.afterKill();
        damaged.replace(file, bytes.slice().fill(bytes[at] ^ 0x10, at, at + 1));
        const inBody = source.positions.some(
          (position, index) => at + base >= position && at + base < position + source.taken[index].bodyBytes,
        );
        const outcome = await survivors(damaged);
        const isPadding = !inBody && at + base >= (nextBase(files, file) ?? Number.POSITIVE_INFINITY);
        if (isPadding || (inBody && file !== tail.file)) expect(outcome, `${file} byte ${at}`).toBe(13);
        else {
          expect(outcome, `${file} byte ${at}`).toBeInstanceOf(CorruptionError);
          expect((outcome as Error).message).toContain(file);
        }
      }
    }
  });

  it("in the last batch is a torn tail after a crash, and corruption after an orderly end", async () => {
    const { disk, source } = await killedLog(9);
    const { file, start } = lastBatchOf(source, disk);
    const flip = (target: SimDisk): SimDisk => {
      const bytes = target.bytesOf(file);
      bytes[start + BATCH_HEADER_BYTES + 5] ^= 1;
      target.replace(file, bytes);
      return target;
    };
    expect(await survivors(flip(disk.afterKill()))).toBe(8);
    const orderly = disk.afterKill();
    await (await open(orderly)).engine.close();
    expect(await survivors(flip(orderly))).toBeInstanceOf(CorruptionError);
  });

  it("in EPOCH or FORMAT keeps the engine from starting", async () => {
    const { disk } = await killedLog(1);
    for (const name of ["EPOCH", "FORMAT"]) {
      const damaged = disk.afterKill();
      const bytes = damaged.bytesOf(`${DIRECTORY}/${name}`);
      bytes[0] ^= 2;
      damaged.replace(`${DIRECTORY}/${name}`, bytes);
      await expect(openFileEngine({ directory: DIRECTORY, disk: damaged })).rejects.toThrow(DIRECTORY);
      await expect(openFileEngine({ directory: DIRECTORY, disk: damaged })).rejects.not.toThrow("in use");
    }
  });

  it("and a missing segment in the middle are corruption", async () => {
    const { disk } = await killedLog(16);
    const files = segmentFiles(disk);
    expect(files.length).toBeGreaterThan(3);
    await disk.unlink(files[1]);
    expect(await survivors(disk)).toBeInstanceOf(CorruptionError);
  });
});

function nextBase(files: readonly string[], file: string): number | undefined {
  const next = files[files.indexOf(file) + 1];
  return next === undefined ? undefined : Number.parseInt(next.slice(-20, -4), 16);
}

describe("a full disk", () => {
  it("holds commits up, says so, and goes on by itself when there is room again", async () => {
    const disk = new SimDisk();
    const clock = new ManualClock();
    const { engine, log, source, watcher } = await open(disk, clock);
    source.offer(batchOf(0, 100));
    await source.untilCommitted(1);
    disk.capacityBytes = 6_000;
    for (let index = 1; index < 40; index++) source.offer(batchOf(index, 500));
    await expect.poll(() => watcher.pressures.length).toBe(1);
    expect(watcher.pressures[0]).toContain("space");
    const stuckAt = source.committedCount;
    expect(stuckAt).toBeLessThan(40);
    clock.advance("1m");
    disk.capacityBytes = 100_000;
    await expect
      .poll(() => {
        clock.advance("1s");
        return source.committedCount;
      })
      .toBe(40);
    await expect
      .poll(() => {
        clock.advance("1s");
        return watcher.pressures.at(-1);
      })
      .toBeNull();
    expect(watcher.failures).toEqual([]);
    for (let index = 0; index < 40; index++) {
      const body = Buffer.alloc(source.taken[index].bodyBytes);
      await log.read(source.positions[index], body);
      expect(body.equals(Buffer.concat(source.taken[index].bodies))).toBe(true);
    }
    await engine.close();
    expect(await survivors(disk)).toBe(40);
  });

  it("gives up the reserve, so that what was accepted and what settles it can still be written", async () => {
    const disk = new SimDisk();
    const clock = new ManualClock();
    const { engine, log, source, watcher } = await open(disk, clock, 8_192);
    for (let index = 0; index < 8; index++) source.offer(batchOf(index, 600));
    await source.untilCommitted(8);
    await expect.poll(() => disk.paths().filter((file) => file.includes("/spare/")).length).toBe(1);
    await expect.poll(() => spareBytes(disk)).toBe(8_192);
    disk.capacityBytes = usedBytes(disk);
    // Publishers' last burst meets the full disk and goes through on the reserve.
    for (let index = 8; index < 16; index++) source.offer(batchOf(index, 600));
    await source.untilCommitted(16);
    expect(watcher.pressures).toHaveLength(1);
    // Consumers go on settling, and everything dies that way: pressure ends by itself.
    source.offer(batchOf(16, 8));
    await source.untilCommitted(17);
    log.trim(log.nextPosition);
    disk.capacityBytes += 2 * 8_192;
    await expect
      .poll(() => {
        clock.advance("1s");
        return watcher.pressures.at(-1);
      })
      .toBeNull();
    await engine.close();
  });

  it("does not keep the engine from opening again, though there is no room for another file", async () => {
    const disk = new SimDisk();
    for (let epoch = 1; epoch <= 12; epoch++) {
      const { engine } = await open(disk);
      expect(engine.epoch).toBe(epoch);
      await engine.close();
      disk.capacityBytes = usedBytes(disk) + 2;
    }
    expect(disk.paths().filter((file) => file.endsWith(".new"))).toEqual([]);
  });

  it("that never held anything is refused, by the directory's name", async () => {
    const disk = new SimDisk();
    disk.capacityBytes = 0;
    await expect(open(disk)).rejects.toThrow(DataDirectoryError);
    await expect(open(disk)).rejects.toThrow("data directory /data cannot be used: ENOSPC");
  });

  it("does not keep the engine from closing", async () => {
    const disk = new SimDisk();
    const { engine, source } = await open(disk);
    source.offer(batchOf(0, 100));
    await source.untilCommitted(1);
    disk.capacityBytes = 0;
    source.offer(batchOf(1, 5_000));
    await expect(engine.close()).rejects.toThrow("ENOSPC");
    expect(source.committedCount).toBe(1);
    disk.capacityBytes = 1_000_000;
    expect(disk.openHandles).toBe(0);
    expect(await survivors(disk)).toBe(1);
  });
});

function usedBytes(disk: SimDisk): number {
  return disk.paths().reduce((sum, file) => sum + disk.bytesOf(file).length, 0);
}

function spareBytes(disk: SimDisk): number {
  return disk
    .paths()
    .filter((file) => file.includes("/spare/"))
    .reduce((sum, file) => sum + disk.bytesOf(file).length, 0);
}

describe("a failing disk", () => {
  const failing =
    (name: SimOperation["name"], times = Number.POSITIVE_INFINITY) =>
    (operation: SimOperation): string | null =>
      operation.name === name && operation.path.includes("/logs/") && times-- > 0 ? "EIO" : null;

  it("that cannot sync ends the log: nothing is reported that may not be there", async () => {
    const disk = new SimDisk(undefined, false);
    const { engine, log, source, watcher } = await open(disk);
    source.offer(batchOf(0, 100));
    await source.untilCommitted(1);
    disk.fault = failing("datasync", 1);
    source.offer(batchOf(1, 100));
    await expect.poll(() => watcher.failures.length).toBe(1);
    source.offer(batchOf(2, 100));
    expect(watcher.failures[0].message).toContain("stable storage");
    const body = Buffer.alloc(100);
    await log.read(source.positions[0], body);
    expect(body.equals(Buffer.from(source.taken[0].bodies[0]))).toBe(true);
    // Another log is not touched by it.
    const other = await engine.openLog("other");
    const writer = new TestSource(other);
    other.start(writer);
    writer.offer(batchOf(0, 10));
    await writer.untilCommitted(1);
    await expect(engine.close()).rejects.toThrow("stable storage");
    expect([source.committedCount, disk.openHandles]).toEqual([1, 0]);
  });

  it("that refuses writes for a while loses nothing", async () => {
    const disk = new SimDisk();
    const clock = new ManualClock();
    const { engine, source, watcher } = await open(disk, clock);
    disk.fault = failing("write", 3);
    for (let index = 0; index < 5; index++) source.offer(batchOf(index, 100));
    await expect
      .poll(() => {
        clock.advance("1s");
        return source.committedCount;
      })
      .toBe(5);
    expect(watcher.pressures[0]).toContain("input/output");
    await engine.close();
    expect(await survivors(disk)).toBe(5);
  });

  it("that stalls lets everything gather into one later round", async () => {
    const disk = new SimDisk();
    const { engine, log, watcher } = await open(disk);
    await log.close();
    const wide = await engine.openLog("wide");
    let gathered: Uint8Array[] = [];
    let committed = 0;
    let takes = 0;
    wide.start({
      take: () => {
        if (gathered.length === 0) return null;
        takes++;
        const bodies = gathered;
        gathered = [];
        return {
          bodies,
          bodyBytes: bodies.length * 10,
          heads: new Uint8Array(4),
          count: bodies.length,
          durability: "fsync",
        };
      },
      committed: () => {
        committed++;
      },
    });
    const release = disk.stall();
    const before = watcher.rounds;
    for (let index = 0; index < 100; index++) {
      gathered.push(new Uint8Array(10));
      wide.wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect([takes, committed]).toEqual([1, 0]);
    release();
    await expect.poll(() => committed).toBe(2);
    expect(watcher.rounds - before).toBe(2);
    await engine.close();
  });
});

/** Tells of a directory's sync only when it is told to, as if that took long. */
class SlowNamesDisk extends SimDisk {
  slow = "";
  waiting: (() => void)[] = [];

  override async syncDirectory(directory: string): Promise<void> {
    await super.syncDirectory(directory);
    if (directory === this.slow) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }
}

describe("a directory that takes long to sync", () => {
  it("does not vouch for a file that was made meanwhile", async () => {
    const disk = new SlowNamesDisk();
    const { source } = await open(disk);
    source.offer(batchOf(0, 300));
    await source.untilCommitted(1);
    disk.slow = `${DIRECTORY}/logs/${LOG}`;
    // Of what does not ask for stable storage: its full segments are synced beside the rounds.
    const files = segmentFiles(disk).length;
    let count = 1;
    const offer = async (): Promise<void> => {
      source.offer({ ...testBatch(count++, [700]), durability: "os" });
      await source.untilCommitted(count);
    };
    while (disk.waiting.length === 0) await offer();
    while (segmentFiles(disk).length < files + 3) await offer();
    disk.slow = "";
    for (const resolve of disk.waiting) resolve();
    await offer();
    source.offer(batchOf(count++, 300));
    await source.untilCommitted(count);
    const { found } = await open(disk.afterPowerLoss(() => 0));
    expect(found).toHaveLength(count);
  });
});

describe("commits", () => {
  it("of many logs cost about one round", async () => {
    const disk = new SimDisk();
    const { engine, watcher } = await open(disk);
    const writers = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const log = await engine.openLog(`log ${index}`);
        const source = new TestSource(log);
        log.start(source);
        return source;
      }),
    );
    for (const source of writers) source.offer(batchOf(0, 50));
    await Promise.all(writers.map((source) => source.untilCommitted(1)));
    expect(watcher.rounds).toBe(1);
    await engine.close();
  });
});
