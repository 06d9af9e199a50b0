/** Small parts of rounds that become durable in one file: crashes anywhere, damage, deletions, trims, failing syncs. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { silentLogger } from "../../base/logger.ts";
import { recoverAll, TestSource, testBatch } from "../conformance.ts";
import { CorruptionError, type Engine } from "../engine.ts";
import { decodeRound, encodeRound, type JournalRound, ROUND_ALIGNMENT } from "./journal-format.ts";
import { replayJournal } from "./journal-replay.ts";
import { type JournalEntry, RoundJournal } from "./round-journal.ts";
import { SimDisk, seededRandom } from "./sim-disk.ts";
import {
  isJournal,
  MANY_LOGS_DIRECTORY,
  ManyLogs,
  openMany,
  openOne,
  writeRound,
} from "./testing/many-logs.ts";

/** More of them in a longer run. */
const RUNS = Number(process.env.POLYMQ_CRASH_RUNS ?? 100);
const NAMES = ["a", "b", "c", "d", "e"];

async function openAll(engine: Engine): Promise<{ sources: TestSource[]; found: number[] }> {
  const sources: TestSource[] = [];
  const found: number[] = [];
  for (const name of NAMES) {
    const log = await openOne(engine, name);
    found.push((await recoverAll(log)).length);
    const source = new TestSource(log);
    log.start(source);
    sources.push(source);
  }
  return { sources, found };
}

function formatOf(disk: SimDisk): string {
  return Buffer.from(disk.bytesOf(`${MANY_LOGS_DIRECTORY}/FORMAT`)).toString();
}

function journalFiles(disk: SimDisk): string[] {
  return disk.paths().filter((path) => isJournal({ name: "read", path }));
}

function bytesOf(disk: SimDisk, paths: readonly string[]): number {
  return paths.reduce((sum, path) => sum + disk.bytesOf(path).length, 0);
}

/** Nothing of what was not synced is there. */
function harshPowerLoss(disk: SimDisk): SimDisk {
  return disk.afterPowerLoss(() => 0);
}

/** Rounds on five logs, the last of them in the journal alone. */
async function unsettled(rounds: number): Promise<{ disk: SimDisk; engine: Engine; sources: TestSource[] }> {
  const disk = new SimDisk();
  const engine = await openMany(disk);
  const { sources } = await openAll(engine);
  let journaled = 0;
  disk.fault = (operation) => {
    if (operation.name === "write" && isJournal(operation)) journaled++;
    return null;
  };
  // The first rounds make the files; from then on the journal takes them.
  for (let round = 0; journaled < rounds; round++) await writeRound(sources, round);
  return { disk, engine, sources };
}

function roundsOf(bytes: Buffer): JournalRound[] {
  const rounds: JournalRound[] = [];
  for (let at = 0, round = decodeRound(bytes, at); round !== null; round = decodeRound(bytes, at)) {
    rounds.push(round);
    at = round.end;
  }
  return rounds;
}

describe("rounds of many logs", () => {
  it("keep every promise through many lives and deaths", { timeout: 120_000 + RUNS * 2_000 }, async () => {
    let journalWrites = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const random = seededRandom(seed);
        const logs = new ManyLogs();
        let disk = new SimDisk(random, random() < 0.9);
        for (let count = 0; count < 6; count++) {
          if (random() < 0.8) disk.killAt = disk.operations + 1 + Math.floor(random() * 250);
          const faults = random() < 0.3 ? 0.2 : 0;
          await logs.live(disk, random, `seed ${seed}, life ${count}`, Math.floor(random() * 12), faults);
          disk = logs.end(disk, random, random() < 0.6);
        }
        journalWrites += logs.journalWrites;
      }),
      { numRuns: RUNS },
    );
    expect(journalWrites).toBeGreaterThan(RUNS);
  });

  it("survive an end in any disk operation", { timeout: 300_000 }, async () => {
    const script = 7;
    const whole = new SimDisk(seededRandom(script));
    await new ManyLogs().live(whole, seededRandom(script), "whole", 14, 0);
    expect(whole.operations).toBeGreaterThan(120);
    for (let operation = 1; operation <= whole.operations; operation++) {
      for (const powerLost of [false, true]) {
        const label = `${powerLost ? "power lost" : "killed"} in operation ${operation}`;
        const random = seededRandom(operation);
        const disk = new SimDisk(random);
        disk.killAt = operation;
        const logs = new ManyLogs();
        await logs.live(disk, seededRandom(script), label, 14, 0);
        const next = logs.end(disk, random, powerLost);
        await logs.live(next, random, label, 2, 0);
      }
    }
  });

  it("go through the journal, which an orderly end removes", async () => {
    const { disk, engine } = await unsettled(3);
    expect(formatOf(disk)).toContain("format 2");
    await engine.close();
    expect(formatOf(disk)).toContain("format 1");
    expect(journalFiles(disk)).toEqual([]);
    expect(disk.openHandles).toBe(0);
  });

  it("are brought to their logs by the next start", async () => {
    const { disk, sources } = await unsettled(3);
    const next = harshPowerLoss(disk);
    const engine = await openMany(next);
    const { found } = await openAll(engine);
    expect(found).toEqual(sources.map(({ committedCount }) => committedCount));
    expect(journalFiles(next)).toEqual([]);
    await engine.close();
  });
});

describe("a full disk", () => {
  it("keeps no start from bringing back what is in the journal, while there is a reserve", async () => {
    const { disk, sources } = await unsettled(3);
    const next = harshPowerLoss(disk);
    const logs = next.paths().filter((path) => path.includes("/logs/"));
    const growth = bytesOf(disk, logs) - bytesOf(next, logs);
    next.replace(`${MANY_LOGS_DIRECTORY}/spare/7.spare`, new Uint8Array(1_024));
    next.capacityBytes = bytesOf(next, next.paths()) + growth - 1_000;
    const { found } = await openAll(await openMany(next));
    expect(found).toEqual(sources.map(({ committedCount }) => committedCount));
    expect(next.paths().filter((path) => path.endsWith("/7.spare"))).toEqual([]);
  });

  it("is given room by deleting a log that the journal speaks of", async () => {
    const { disk, engine } = await unsettled(3);
    // The reserve is no help.
    disk.capacityBytes = bytesOf(
      disk,
      disk.paths().filter((path) => !path.includes("/spare/")),
    );
    for (const name of ["a", "b"]) await engine.deleteLog(name);
    const again = await openMany(disk.afterKill());
    for (const name of ["a", "b"]) expect(await recoverAll(await openOne(again, name))).toEqual([]);
  });
});

describe("a damaged journal", () => {
  /** What a start finds when byte `at` of the journal is flipped, or the journal ends there. */
  async function found(disk: SimDisk, file: string, at: number, cut: boolean): Promise<number[] | null> {
    const bytes = disk.bytesOf(file);
    if (!cut) bytes[at] ^= 0x10;
    const damaged = disk.afterKill();
    damaged.replace(file, cut ? bytes.subarray(0, at) : bytes);
    try {
      const engine = await openMany(damaged);
      const all = await openAll(engine);
      await engine.close();
      return all.found;
    } catch (error) {
      expect(error).toBeInstanceOf(CorruptionError);
      return null;
    }
  }

  it("is refused, unless it is the last round, which may be torn", async () => {
    const { disk: live, sources } = await unsettled(3);
    const disk = harshPowerLoss(live);
    const [file] = journalFiles(disk);
    const bytes = disk.bytesOf(file);
    const all = sources.map(({ committedCount }) => committedCount);
    const torn = all.map((count) => count - 1);
    const last = Buffer.from(bytes).lastIndexOf("PMQJ");
    let refused = 0;
    for (let at = 0; at < bytes.length; at += 9) {
      for (const cut of [false, true]) {
        const counts = await found(disk, file, at, cut);
        if (counts === null) refused++;
        if (counts === null && !cut) expect(at).toBeLessThan(last);
        // A file that ends early is no crash's doing while there is a round behind; then nothing tells.
        else if (at >= last) {
          for (const [index, count] of (counts ?? []).entries())
            expect([all[index], torn[index]], `byte ${at}`).toContain(count);
        } else if (!cut && counts !== null) expect(counts, `byte ${at}`).toEqual(all);
      }
    }
    expect(refused).toBeGreaterThan(10);
  });

  it("is taken where its ruined file was given back before", async () => {
    for (const released of [0, 1]) {
      const disk = new SimDisk();
      await (await openMany(disk)).close();
      const round = (generation: number, roundsBefore: number): Uint8Array =>
        encodeRound({ life: 1, generation, round: 0, released, roundsBefore }, []);
      disk.replace(`${MANY_LOGS_DIRECTORY}/FORMAT`, Buffer.from("polymq data directory, format 2\n"));
      // The first file had two rounds; the second of them is no more.
      disk.replace(`${MANY_LOGS_DIRECTORY}/journal/0`, round(1, 0));
      disk.replace(`${MANY_LOGS_DIRECTORY}/journal/1`, round(2, 2));
      if (released === 0) await expect(openMany(disk)).rejects.toBeInstanceOf(CorruptionError);
      else await (await openMany(disk)).close();
    }
  });

  it("takes no round that a client made up, where the last one of this life ends", async () => {
    const { disk, sources } = await unsettled(3);
    const next = harshPowerLoss(disk);
    const [file] = journalFiles(next);
    const bytes = Buffer.from(next.bytesOf(file));
    const last = roundsOf(bytes).at(-1) as JournalRound;
    const forged = encodeRound({ ...last, life: last.life + 1, round: last.round + 1 }, [
      { name: "a", base: null, offset: 0, bytes: 0 },
    ]);
    const longer = Buffer.alloc(last.end + forged.length);
    bytes.copy(longer);
    forged.copy(longer, last.end);
    next.replace(file, longer);
    const { found } = await openAll(await openMany(next));
    expect(found).toEqual(sources.map(({ committedCount }) => committedCount));
  });

  it("does no harm where the logs' own files are whole", async () => {
    const { disk, sources } = await unsettled(3);
    const [file] = journalFiles(disk);
    const inBody = Buffer.from(disk.bytesOf(file)).indexOf("PMQB") + 70;
    const counts = await found(disk.afterKill(), file, inBody, false);
    expect(counts).toEqual(sources.map(({ committedCount }) => committedCount));
  });
});

describe("a log whose small batches are in the journal", () => {
  it("fails alone when its own file cannot be synced, and is whole after the next start", async () => {
    const { disk, engine, sources } = await unsettled(2);
    const failures: Error[] = [];
    engine.observe({ round: () => {}, pressure: () => {}, failed: (error) => failures.push(error) });
    disk.fault = ({ name, path }) => (name === "datasync" && path.includes("/logs/c/") ? "EIO" : null);
    const others = sources.filter((_, index) => index !== 2);
    for (let round = 0; failures.length === 0; round++) {
      sources[2].offer({ ...testBatch(round, [90]), durability: "fsync" });
      await writeRound(others, round);
    }
    for (let round = 0; round < 20; round++) await writeRound(others, round);
    expect(failures.length).toBe(1);
    await expect(engine.close()).rejects.toThrow("could not be brought to stable storage");
    const next = harshPowerLoss(disk);
    const { found } = await openAll(await openMany(next));
    for (const [index, { committedCount }] of sources.entries())
      expect(found[index]).toBeGreaterThanOrEqual(committedCount);
  });

  it("gives its space back while the journal still speaks of it", async () => {
    const { disk, engine, sources } = await unsettled(2);
    const log = await openOne(engine, "trimmed");
    const source = new TestSource(log);
    log.start(source);
    for (let round = 0; round < 30; round++) await writeRound([...sources, source], round);
    const before = log.storedBytes;
    log.trim(log.nextPosition);
    await writeRound([...sources, source], 31);
    await expect.poll(() => log.storedBytes).toBeLessThan(before / 2);
    const engine2 = await openMany(harshPowerLoss(disk));
    const again = await openOne(engine2, "trimmed");
    expect((await recoverAll(again)).length).toBeGreaterThan(0);
    await engine2.close();
  });

  it("does not come back when it was deleted and made again", async () => {
    const { disk, engine } = await unsettled(3);
    await engine.deleteLog("b");
    const log = await openOne(engine, "b");
    const source = new TestSource(log);
    log.start(source);
    source.offer({ ...testBatch(999, [10]), durability: "fsync" });
    await source.untilCommitted(1);
    const next = await openMany(harshPowerLoss(disk));
    const found = await recoverAll(await openOne(next, "b"));
    expect(found.map(({ bodyBytes }) => bodyBytes)).toEqual([10]);
    await next.close();
  });
});

describe("a file of the journal", () => {
  const names = ["a", "b", "c", "d"];

  async function begun() {
    const disk = new SimDisk();
    disk.replace("/data/FORMAT", Buffer.from("polymq data directory, format 1\n"));
    const journal = new RoundJournal(disk, "/data", "/data/journal", 4096, silentLogger);
    const write = (bytes: number, of = names): Promise<boolean> =>
      journal.write(
        of.map((name): JournalEntry => {
          const log = { name, settle: async () => {} };
          return { log, base: 0, offset: 64, bytes, buffers: [Buffer.alloc(bytes)] };
        }),
      );
    while (!(await write(10))) await new Promise(setImmediate);
    for (let round = 0; round < 6; round++) expect(await write(10)).toBe(true);
    return { disk, journal, write };
  }

  it("of which every log was deleted may be torn when it is begun anew", async () => {
    const { disk, journal, write } = await begun();
    for (const name of names) await journal.forget(name);
    // The other file takes one round; then it is the turn of the first again.
    expect(await write(500)).toBe(true);
    const before = disk.bytesOf("/data/journal/0");
    expect(await write(500)).toBe(true);
    const torn = disk.bytesOf("/data/journal/0");
    expect(decodeRound(Buffer.from(torn), 0)?.generation).toBe(3);
    // All but the beginning of what was written last has come to stable storage.
    torn.set(before.subarray(0, ROUND_ALIGNMENT));
    disk.replace("/data/journal/0", torn);
    await replayJournal(disk, "/data/journal", (name) => `/data/logs/${name}`);
    expect(roundsOf(Buffer.from(before)).length).toBeGreaterThan(6);
    expect(roundsOf(Buffer.from(torn)).length).toBe(1);
  });

  it("that is given back is read by a start until the journal says so", async () => {
    const { disk, journal, write } = await begun();
    const others = ["e", "f", "g", "h"];
    expect(await write(500, others)).toBe(true);
    await new Promise(setImmediate);
    await journal.forget("a");
    const told = (): boolean[] => roundsOf(Buffer.from(disk.bytesOf("/data/journal/1"))).map(forgets);
    expect(told()).toEqual([false, true]);
    // That was a round, too, and said that the first file is not needed.
    await journal.forget("b");
    expect(told()).toEqual([false, true]);
  });
});

function forgets({ entries }: JournalRound): boolean {
  return entries.some(({ place }) => place.base === null);
}
