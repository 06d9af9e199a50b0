/** Space is taken late, used again, and given back. */
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { recoverAll, TestSource, testBatch } from "../conformance.ts";
import { openFileEngine } from "./file-engine.ts";
import { HandleCache } from "./handle-cache.ts";
import { SimDisk } from "./sim-disk.ts";

const SEGMENT_BYTES = 8_192;

function usedBytes(disk: SimDisk): number {
  return disk.paths().reduce((sum, file) => sum + disk.bytesOf(file).length, 0);
}

describe("space", () => {
  it("is hardly taken by an engine that nobody writes to", async () => {
    const disk = new SimDisk();
    const engine = await openFileEngine({ directory: "/data", disk });
    const log = await engine.openLog("idle");
    log.start(new TestSource(log));
    expect(usedBytes(disk)).toBeLessThan(1_000);
    await engine.close();
  });

  it("is used again while segments fill, and given back when all is dead and quiet", async () => {
    const disk = new SimDisk();
    const clock = new ManualClock();
    let recycled = 0;
    disk.fault = ({ name, path }) => {
      if (name === "rename" && path.includes("/spare/")) recycled++;
      return null;
    };
    const engine = await openFileEngine({ directory: "/data", disk, clock, segmentBytes: SEGMENT_BYTES });
    const log = await engine.openLog("flow");
    const source = new TestSource(log);
    log.start(source);
    for (let index = 0; index < 200; index++) {
      source.offer(testBatch(index, [700]));
      await source.untilCommitted(index + 1);
      if (index % 10 === 9) log.trim(source.positions[index - 5]);
    }
    expect(recycled).toBeGreaterThan(3);
    log.trim(log.nextPosition);
    await expect
      .poll(() => {
        clock.advance("5s");
        return usedBytes(disk);
      })
      .toBeLessThan(2.5 * SEGMENT_BYTES);
    await expect(log.read(source.positions[0], Buffer.alloc(10))).rejects.toThrow("trimmed");
    await engine.close();
  });

  it("that was given back while older segments were synced does not come back empty", async () => {
    const disk = new SimDisk();
    const options = { directory: "/data", disk, durability: "os" as const, segmentBytes: SEGMENT_BYTES };
    const engine = await openFileEngine(options);
    const log = await engine.openLog("flow");
    const source = new TestSource(log);
    log.start(source);
    // A pass over full segments syncs names too, when there are new ones: each is held up where it hurts.
    const holds: { readonly what: "names" | "data"; go: (() => void) | null }[] = [
      { what: "names", go: null },
      { what: "data", go: null },
      { what: "names", go: null },
    ];
    let held = 0;
    const hold = async (what: "names" | "data"): Promise<void> => {
      const next = holds[held];
      if (next?.what !== what || (held > 0 && holds[held - 1].go !== null)) return;
      held++;
      await new Promise<void>((resolve) => {
        next.go = resolve;
      });
    };
    const letGo = (index: number): void => {
      holds[index].go?.();
      holds[index].go = null;
    };
    const [syncDirectory, datasync] = [disk.syncDirectory.bind(disk), disk.datasync.bind(disk)];
    disk.syncDirectory = async (path) => {
      if (path.includes("flow")) await hold("names");
      await syncDirectory(path);
    };
    disk.datasync = async (handle) => {
      await hold("data");
      await datasync(handle);
    };
    let written = 0;
    const write = async (until: () => boolean): Promise<void> => {
      while (!until() || written < 40) {
        source.offer(testBatch(written++, [2_000]));
        await source.untilCommitted(written);
      }
    };
    await write(() => held === 1);
    letGo(0);
    await write(() => held === 2);
    const enough = written + 20;
    await write(() => written === enough);
    letGo(1);
    await expect.poll(() => held).toBe(3);
    log.trim(log.nextPosition);
    const segments = (): number => disk.paths().filter((path) => /flow.*seg$/.test(path)).length;
    // Later batches say of those that are not synced yet that they are: until then they stay.
    expect(segments()).toBeGreaterThan(1);
    letGo(2);
    await expect.poll(segments).toBe(1);
    for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(segments()).toBe(1);
    await engine.close();
  });

  it("taken by files that a crash left between two names is found again", async () => {
    const disk = new SimDisk();
    const first = await openFileEngine({ directory: "/data", disk, segmentBytes: SEGMENT_BYTES });
    await first.close();
    for (const name of ["3.spare", "4.spare", "x"])
      disk.replace(`/data/spare/${name}`, new Uint8Array(SEGMENT_BYTES));
    const second = await openFileEngine({ directory: "/data", disk, segmentBytes: SEGMENT_BYTES });
    expect(disk.paths().filter((file) => file.includes("/spare/"))).toHaveLength(1);
    expect(await recoverAll(await second.openLog("new"))).toEqual([]);
    await second.close();
  });
});

describe("open files", () => {
  it("stay within their bound, and a file in use stays open", async () => {
    const disk = new SimDisk();
    const cache = new HandleCache(disk, 4);
    let release: () => void = () => {};
    const held = cache.use("/held", "write", () => new Promise<void>((resolve) => (release = resolve)));
    for (let index = 0; index < 20; index++) await cache.use(`/file ${index}`, "write", async () => {});
    await expect.poll(() => disk.openHandles).toBeLessThanOrEqual(5);
    await cache.use("/held", "write", (handle) => disk.write(handle, [new Uint8Array(1)], 0));
    const evicted = cache.evict("/held");
    release();
    await Promise.all([held, evicted]);
    await cache.close();
    expect(disk.openHandles).toBe(0);
  });
});
