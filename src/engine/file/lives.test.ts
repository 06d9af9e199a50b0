/** One data directory through many lives and deaths: later crashes must not bring back or take what earlier ones left. */
import fc from "fast-check";
import { describe, it } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import type { TestSource } from "../conformance.ts";
import type { Durability, Engine, Log } from "../engine.ts";
import { openFileEngine } from "./file-engine.ts";
import { type Random, SimDisk, seededRandom } from "./sim-disk.ts";
import { Ledger, type Life, startWriter } from "./testing/ledger.ts";

/** More of them in a longer run. */
const RUNS = Number(process.env.POLYMQ_CRASH_RUNS ?? 150);

const DURABILITIES: readonly Durability[] = ["fsync", "fsync", "os", "memory"];

async function act(
  engine: Engine,
  log: Log,
  source: TestSource,
  ledger: Ledger,
  random: Random,
  clock: ManualClock,
  life: Life,
): Promise<void> {
  let offered = 0;
  for (let group = Math.floor(random() * 8); group >= 0; group--) {
    for (let count = Math.floor(random() * 4); count >= 0; count--, offered++)
      source.offer(ledger.nextBatch(random));
    await source.untilCommitted(offered);
    if (life.over) return;
    if (random() < 0.3) clock.advance(100);
    const what = random();
    if (what < 0.15) ledger.trimmed = log.nextPosition;
    else if (what < 0.4)
      ledger.trimmed = Math.max(ledger.trimmed, ledger.batches[ledger.batches.length >> 1].position);
    if (what < 0.4) log.trim(ledger.trimmed);
  }
  if (random() < 0.5) {
    await engine.close();
    if (!life.over) ledger.synced = ledger.committed;
  }
}

/** One life; returns the disk that the next one finds. */
async function live(disk: SimDisk, ledger: Ledger, random: Random, label: string): Promise<SimDisk> {
  disk.killAt = random() < 0.8 ? disk.operations + 1 + Math.floor(random() * 80) : Number.POSITIVE_INFINITY;
  let failure: unknown = null;
  const life: Life = { over: false };
  const clock = new ManualClock();
  const lived = (async () => {
    const engine = await openFileEngine({
      directory: "/data",
      disk,
      durability: ledger.durability,
      clock,
      checkpointIntervalMs: 100,
      segmentBytes: 1_024,
    });
    const log = await engine.openLog("lives");
    await ledger.settle(log, label);
    await act(engine, log, startWriter(log, ledger, life), ledger, random, clock, life);
  })().catch((error: unknown) => {
    failure = error;
  });
  await Promise.race([lived, disk.killed]);
  life.over = true;
  if (failure !== null) throw failure;
  const powerLost = random() < 0.5;
  // What was only handed to the system is promised to outlive the process, not the power; and what
  // waited for a checkpoint neither.
  if (powerLost || ledger.durability === "memory") ledger.committed = ledger.synced;
  return powerLost ? disk.afterPowerLoss(random) : disk.afterKill();
}

async function lives(seed: number): Promise<void> {
  const random = seededRandom(seed);
  const ledger = new Ledger(DURABILITIES[Math.floor(random() * DURABILITIES.length)]);
  let disk = new SimDisk(random);
  for (let count = 0; count < 8; count++) {
    disk = await live(disk, ledger, random, `seed ${seed}, life ${count}`);
  }
}

describe("many lives", () => {
  // A segment that was trimmed before it was synced came back torn, where later ones said that all before them was synced.
  it.each([792198261, 2042324006])("that went wrong once: seed %i", lives);

  it(
    "keep every promise and resurrect nothing",
    async () => {
      await fc.assert(fc.asyncProperty(fc.nat(), lives), { numRuns: RUNS });
    },
    120_000 + RUNS * 1_000,
  );
});
