/** For tests that lead a directory through many lives: what was promised of a log, carried from life to life. */
import { expect } from "vitest";
import { bodyOf, recoverAll, TestSource, testBatch } from "../../conformance.ts";
import type { Batch, Durability, Log } from "../../engine.ts";
import type { Random } from "../sim-disk.ts";

interface Known {
  readonly batch: Batch;
  readonly position: number;
}

/** What must be true of the log, carried from life to life. */
export class Ledger {
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
export interface Life {
  over: boolean;
}

export function startWriter(log: Log, ledger: Ledger, life: Life): TestSource {
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
