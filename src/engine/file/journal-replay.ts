/**
 * What a start does with a journal that a crash left: everything in it goes to the logs' own files,
 * which are synced, and only then are looked at. It may be done again any number of times: bytes
 * only ever go where they were, or were to be.
 */
import path from "node:path";
import { CorruptionError } from "../engine.ts";
import type { Disk } from "./disk.ts";
import {
  decodeRound,
  isWhole,
  type JournalPlace,
  type JournalRound,
  ROUND_ALIGNMENT,
} from "./journal-format.ts";
import { Segment } from "./segment.ts";
import { Slots } from "./slots.ts";

const LOGS_AT_ONCE = 8;

interface Entry {
  readonly place: JournalPlace;
  readonly data: Uint8Array;
}

interface Chain {
  readonly file: string;
  readonly rounds: readonly JournalRound[];
  /** Rounds behind the place where the chain ends. */
  readonly behind: readonly JournalRound[];
}

async function readFile(disk: Disk, file: string): Promise<Buffer> {
  const bytes = Buffer.alloc(await disk.size(file));
  const handle = await disk.open(file, "read");
  try {
    let length = 0;
    for (let got = -1; got !== 0 && length < bytes.length; length += got)
      got = await disk.read(handle, bytes.subarray(length), length);
    return bytes.subarray(0, length);
  } finally {
    await disk.close(handle);
  }
}

function readChain(file: string, bytes: Buffer): Chain {
  const rounds: JournalRound[] = [];
  let at = 0;
  for (;;) {
    const round = decodeRound(bytes, at);
    if (round === null || round.round !== rounds.length) break;
    const [begun = round] = rounds;
    // Behind the last round lies what was there before: an older generation, with bytes in it that clients chose.
    if (round.generation !== begun.generation || round.life !== begun.life) break;
    rounds.push(round);
    at = round.end;
  }
  const behind: JournalRound[] = [];
  for (; at < bytes.length; at += ROUND_ALIGNMENT) {
    const round = decodeRound(bytes, at);
    if (round !== null) behind.push(round);
  }
  return { file, rounds, behind };
}

function generationOf({ rounds }: Chain): number {
  return rounds.length === 0 ? -1 : rounds[0].generation;
}

/** Rounds are written one after the other: one that is missing before another, or in a file that was left, was whole once. */
function checkWhole(chains: readonly Chain[]): void {
  const newest = Math.max(0, ...chains.map(generationOf));
  const next = chains.find((chain) => generationOf(chain) === newest);
  for (const chain of chains) {
    const generation = generationOf(chain);
    const least = generation < 0 ? newest + 1 : generation;
    const life = (chain.rounds[0] ?? next?.rounds[0])?.life;
    const gap = chain.behind.some(
      (round) => round.generation >= least && round.life === (life ?? round.life),
    );
    const before = generation === newest - 1 && chain.rounds.length < (next?.rounds[0].roundsBefore ?? 0);
    if (gap || before)
      throw new CorruptionError(`${chain.file} is damaged behind its round ${chain.rounds.length}`);
  }
}

class Replay {
  private readonly disk: Disk;
  private readonly directoryOf: (name: string) => string;
  /** By log, oldest first. */
  private readonly entries = new Map<string, Entry[]>();
  /** Damaged, though it was whole once: must be found whole in the log's own file. */
  private readonly doubtful = new Map<string, Entry[]>();

  constructor(disk: Disk, directoryOf: (name: string) => string) {
    this.disk = disk;
    this.directoryOf = directoryOf;
  }

  gather(rounds: readonly JournalRound[]): void {
    for (const [index, { entries }] of rounds.entries()) {
      for (const entry of entries) {
        const { name, base } = entry.place;
        if (base === null) {
          this.entries.delete(name);
          this.doubtful.delete(name);
        } else if (isWhole(entry.place, entry.data)) push(this.entries, name, entry);
        // The last round may be torn: then nobody was told of it.
        else if (index < rounds.length - 1) push(this.doubtful, name, entry);
      }
    }
  }

  async apply(): Promise<void> {
    const slots = new Slots(LOGS_AT_ONCE);
    const names = new Set([...this.entries.keys(), ...this.doubtful.keys()]);
    const outcomes = await Promise.allSettled([...names].map((name) => slots.use(() => this.applyTo(name))));
    // Not before all have ended: it may be done again at once.
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  private async applyTo(name: string): Promise<void> {
    const directory = this.directoryOf(name);
    const files = new Set(await this.disk.list(directory));
    const bases = new Map<number, Entry[]>();
    for (const entry of this.entries.get(name) ?? []) push(bases, entry.place.base as number, entry);
    for (const [base, entries] of bases) {
      const { path: file } = new Segment(directory, base, 0, true);
      // Its name was on stable storage before anything of it was journaled: it was trimmed since.
      if (files.has(path.basename(file))) await this.write(file, entries);
    }
    for (const { place } of this.doubtful.get(name) ?? []) {
      const { path: file } = new Segment(directory, place.base as number, 0, true);
      if (files.has(path.basename(file))) await this.check(file, place);
    }
  }

  private async write(file: string, entries: readonly Entry[]): Promise<void> {
    const handle = await this.disk.open(file, "write");
    try {
      for (const { place, data } of entries) await this.disk.write(handle, [data], place.offset);
      await this.disk.datasync(handle);
    } finally {
      await this.disk.close(handle);
    }
  }

  private async check(file: string, place: JournalPlace): Promise<void> {
    const data = Buffer.alloc(place.bytes);
    const handle = await this.disk.open(file, "write");
    try {
      const got = await this.disk.read(handle, data, place.offset);
      if (!isWhole(place, data.subarray(0, got)))
        throw new CorruptionError(`${file} is damaged at byte ${place.offset}, and so is the journal's copy`);
      await this.disk.datasync(handle);
    } finally {
      await this.disk.close(handle);
    }
  }
}

function push<Key>(map: Map<Key, Entry[]>, key: Key, entry: Entry): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [entry]);
  else list.push(entry);
}

/**
 * Brings what the journal in `directory` holds to the logs' files, and those to stable storage.
 * @throws CorruptionError when some of it is damaged that was whole once
 */
export async function replayJournal(
  disk: Disk,
  directory: string,
  directoryOf: (name: string) => string,
): Promise<void> {
  const chains: Chain[] = [];
  for (const name of await disk.list(directory)) {
    const file = path.join(directory, name);
    chains.push(readChain(file, await readFile(disk, file)));
  }
  const released = Math.max(0, ...chains.flatMap(({ rounds }) => rounds.map((round) => round.released)));
  const live = chains.filter((chain) => generationOf(chain) < 0 || generationOf(chain) > released);
  checkWhole(live);
  live.sort((a, b) => generationOf(a) - generationOf(b));
  const replay = new Replay(disk, directoryOf);
  replay.gather(live.flatMap(({ rounds }) => rounds));
  await replay.apply();
}
