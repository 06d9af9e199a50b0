/** Several logs that write small batches in the same rounds, through many lives: what the journal of rounds is for. */
import { expect } from "vitest";
import { ManualClock } from "../../../base/clock.ts";
import { type TestSource, testBatch } from "../../conformance.ts";
import type { Batch, Durability, Engine, Log } from "../../engine.ts";
import { openFileEngine } from "../file-engine.ts";
import type { Random, SimDisk, SimOperation } from "../sim-disk.ts";
import { Ledger, type Life, startWriter } from "./ledger.ts";

const LOGS = 6;
const SEGMENT_BYTES = 1_024;
export const MANY_LOGS_DIRECTORY = "/data";

export function openMany(
  disk: SimDisk,
  clock = new ManualClock(),
  durability: Durability = "fsync",
): Promise<Engine> {
  const directory = MANY_LOGS_DIRECTORY;
  return openFileEngine({ directory, disk, clock, segmentBytes: SEGMENT_BYTES, durability });
}

export function openOne(engine: Engine, name: string): Promise<Log> {
  return engine.openLog(name, { segmentBytes: SEGMENT_BYTES, preallocate: false });
}

export function isJournal({ path }: SimOperation): boolean {
  return path.startsWith(`${MANY_LOGS_DIRECTORY}/journal/`);
}

/** One log by its name: what it holds now, and whether it was deleted and nothing was promised since. */
class Place {
  readonly name: string;
  ledger = new Ledger("fsync");
  doomed = false;
  log: Log | null = null;
  source: TestSource | null = null;
  offered = 0;

  constructor(name: string) {
    this.name = name;
  }

  async begin(engine: Engine, label: string, life: Life): Promise<void> {
    // A deletion that a crash cut short is finished before anything else.
    if (this.doomed) await this.delete(engine);
    await this.open(engine, label, life);
  }

  async open(engine: Engine, label: string, life: Life): Promise<void> {
    this.log = await openOne(engine, this.name);
    await this.ledger.settle(this.log, `${label}, ${this.name}`);
    this.source = startWriter(this.log, this.ledger, life);
    this.offered = 0;
    const told = this.source.onCommitted;
    this.source.onCommitted = () => {
      told();
      if (!life.over && this.ledger.synced > 0) this.doomed = false;
    };
  }

  offer(random: Random, promised: Durability): void {
    const batch = this.ledger.nextBatch(random);
    const durability: Batch["durability"] = promised !== "fsync" || random() < 0.1 ? "os" : "fsync";
    this.source?.offer({ ...batch, durability });
    this.offered++;
  }

  async delete(engine: Engine): Promise<void> {
    this.doomed = true;
    this.ledger = new Ledger("fsync");
    await engine.deleteLog(this.name);
  }

  trim(random: Random): void {
    const { ledger } = this;
    if (ledger.batches.length === 0) return;
    const middle = ledger.batches[ledger.batches.length >> 1].position;
    ledger.trimmed = random() < 0.3 ? (this.log?.nextPosition ?? 0) : Math.max(ledger.trimmed, middle);
    this.log?.trim(ledger.trimmed);
  }
}

export class ManyLogs {
  readonly places = Array.from({ length: LOGS }, (_, index) => new Place(`p${index}`));
  journalWrites = 0;
  private durability: Durability = "fsync";

  /** Leads one life to its end, whichever that is; `groups` rounds at least. */
  async live(disk: SimDisk, random: Random, label: string, groups: number, faults: number): Promise<void> {
    let failure: unknown = null;
    const life: Life = { over: false };
    const clock = new ManualClock();
    disk.fault = (operation) => {
      if (operation.name !== "write" || !isJournal(operation)) return null;
      this.journalWrites++;
      if (random() >= faults) return null;
      // Whoever waits to try again does so at once.
      setImmediate(() => clock.advance(1_000));
      return random() < 0.5 ? "EIO" : "ENOSPC";
    };
    // What one level of durability has written is found by the others.
    const durability = random() < 0.85 ? "fsync" : random() < 0.5 ? "os" : "memory";
    this.durability = durability;
    const lived = (async () => {
      const engine = await openMany(disk, clock, durability);
      for (const place of this.places) await place.begin(engine, label, life);
      for (let group = 0; group < groups && !life.over; group++) await this.act(engine, random, label, life);
      if (random() < 0.5) {
        await engine.close();
        if (!life.over) for (const { ledger } of this.places) ledger.synced = ledger.committed;
      }
    })().catch((error: unknown) => {
      failure = error;
    });
    await Promise.race([lived, disk.killed]);
    life.over = true;
    if (failure !== null) throw failure;
  }

  private async deleteSome(
    engine: Engine,
    count: number,
    first: Place,
    label: string,
    life: Life,
  ): Promise<void> {
    for (let index = 0; index < count && !life.over; index++) {
      const place = this.places[(this.places.indexOf(first) + index) % LOGS];
      await place.delete(engine);
      if (!life.over) await place.open(engine, `${label}, again`, life);
    }
  }

  /** What the next life finds: the power fails, or the process only. */
  end(disk: SimDisk, random: Random, powerLost: boolean): SimDisk {
    if (powerLost || this.durability === "memory")
      for (const { ledger } of this.places) ledger.committed = ledger.synced;
    return powerLost ? disk.afterPowerLoss(random) : disk.afterKill();
  }

  private async act(engine: Engine, random: Random, label: string, life: Life): Promise<void> {
    for (const place of this.places) if (random() < 0.85) place.offer(random, engine.durability);
    const what = random();
    const deletes = what >= 0.4 && what < 0.6;
    const committed = this.places.map(({ source, offered }) => source?.untilCommitted(offered));
    // Now and then in the middle of a round.
    if (!deletes || random() < 0.5) await Promise.all(committed);
    else for (let turns = Math.floor(random() * 20); turns > 0; turns--) await new Promise(setImmediate);
    if (life.over) return;
    const place = this.places[Math.floor(random() * LOGS)];
    if (what < 0.3) place.trim(random);
    else if (deletes) await this.deleteSome(engine, what < 0.45 ? LOGS : 1, place, label, life);
    else if (what < 0.4) {
      await place.log?.close();
      if (life.over) return;
      place.ledger.synced = place.ledger.committed;
      await place.open(engine, `${label}, reopened`, life);
    }
  }
}

/** Writes a batch to each of several logs in one round, and waits until they are promised. */
export async function writeRound(sources: readonly TestSource[], seed: number): Promise<void> {
  for (const [index, source] of sources.entries())
    source.offer({ ...testBatch(seed * 100 + index, [100 + index]), durability: "fsync" });
  const committed = sources.map((source) => source.untilCommitted(source.committedCount + 1));
  await Promise.all(committed);
  expect(sources.length).toBeGreaterThan(3);
}
