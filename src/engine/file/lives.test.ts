/** One data directory through many lives and deaths: later crashes must not bring back or take what earlier ones left. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../base/clock.ts";
import { bodyOf, recoverAll, TestSource, testBatch } from "../conformance.ts";
import type { Batch, Durability, Engine, Log } from "../engine.ts";
import { openFileEngine } from "./file-engine.ts";
import { type Random, SimDisk, seededRandom } from "./sim-disk.ts";

/** More of them in a longer run. */
const RUNS = Number(process.env.POLYMQ_CRASH_RUNS ?? 150);

const DURABILITIES: readonly Durability[] = ["fsync", "fsync", "os", "memory"];

interface Known {
  readonly batch: Batch;
  readonly position: number;
}

/** What must be true of the log, carried from life to life. */
class Ledger {
  /** All batches that may be there, in order. */
  batches: Known[] = [];
  committed = 0;
  synced = 0;
  trimmed = 0;
  readonly durability: Durability;
  private serial = 0;

  constructor(durability: Durability) {
    this.durability = durability;
  }

  nextBatch(random: Random): Batch {
    const sizes = Array.from({ length: Math.floor(random() * 3) }, () => Math.floor(random() * 400));
    return testBatch(this.serial++, sizes, 1 + Math.floor(random() * 60));
  }

  /** Checks what a start found against what was promised; from here on exactly that is there. */
  async settle(log: Log, label: string): Promise<void> {
    const promised = this.committed;
    const found = await recoverAll(log);
    const needed = this.batches.findIndex(({ position }) => position >= this.trimmed);
    let start = this.batches.findIndex(({ position }) => position === found[0]?.position);
    if (needed >= 0 && promised > needed) {
      expect(start, label).toBeGreaterThanOrEqual(0);
      expect(start, label).toBeLessThanOrEqual(needed);
      expect(start + found.length, label).toBeGreaterThanOrEqual(promised);
    }
    for (const [index, { position, heads, bodyBytes }] of found.entries()) {
      const known = this.batches[start + index];
      expect([position, heads.equals(known.batch.heads)], label).toEqual([known.position, true]);
      const body = Buffer.alloc(bodyBytes);
      await log.read(position, body);
      expect(body.equals(bodyOf(known.batch)), label).toBe(true);
    }
    if (start < 0) start = Math.min(promised, this.batches.length);
    const last = this.batches[start + found.length - 1];
    // What lay before was trimmed, or lost without ever having been promised: neither comes back.
    this.batches = this.batches.slice(start, start + found.length);
    this.committed = this.synced = this.batches.length;
    // What lay beyond was lost, and its positions will be those of other batches.
    this.trimmed = Math.min(this.trimmed, log.nextPosition);
    if (last !== undefined) {
      expect(log.nextPosition, `${label}: position`).toBeGreaterThanOrEqual(
        last.position + last.batch.bodyBytes,
      );
    }
  }
}

/** Nobody is left to hear what an engine reports after its life. */
interface Life {
  over: boolean;
}

function startWriter(log: Log, ledger: Ledger, life: Life): TestSource {
  const source = new TestSource(log);
  const take = source.take.bind(source);
  source.take = () => {
    const position = log.nextPosition;
    const batch = take();
    if (batch !== null && !life.over) ledger.batches.push({ batch, position });
    return batch;
  };
  source.onCommitted = () => {
    if (life.over) return;
    ledger.committed++;
    const { batch } = ledger.batches[ledger.committed - 1];
    if (ledger.durability === "fsync" && batch.durability === "fsync") ledger.synced = ledger.committed;
  };
  log.start(source);
  return source;
}

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

describe("many lives", () => {
  it(
    "keep every promise and resurrect nothing",
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.nat(), async (seed) => {
          const random = seededRandom(seed);
          const ledger = new Ledger(DURABILITIES[Math.floor(random() * DURABILITIES.length)]);
          let disk = new SimDisk(random);
          for (let count = 0; count < 8; count++) {
            disk = await live(disk, ledger, random, `seed ${seed}, life ${count}`);
          }
        }),
        { numRuns: RUNS },
      );
    },
    30_000 + RUNS * 100,
  );
});
