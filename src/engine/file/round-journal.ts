/**
 * Where the small parts of a commit round become durable together: one write to one file, instead of
 * one to the file of each log. The logs' own files are written too, but only to the page cache, and
 * synced when a file of the journal is full, while the other is being filled. After a crash
 * `replayJournal` brings to the logs' files what they lack. See docs/adr/0011.
 */
import { randomInt } from "node:crypto";
import path from "node:path";
import type { Logger } from "../../base/logger.ts";
import { markJournal } from "./data-directory.ts";
import { type Disk, isFull } from "./disk.ts";
import { alignRound, encodeRound, type JournalPlace } from "./journal-format.ts";
import { Slots } from "./slots.ts";

/** Logs that one file speaks of at most: a start after a crash syncs each of them. */
const LOGS_MAX = 1024;
/** Logs that are synced at once in the background: the threads are for the rounds. */
const SETTLES_AT_ONCE = 2;
const LIFE_MAX = 2 ** 48 - 1;

export interface JournaledLog {
  readonly name: string;
  /** Resolves when everything that was written so far is on stable storage in the log's own files, or trimmed
   *  for good. Rejects when that is not known. */
  settle(): Promise<void>;
}

/** A part of a round: bytes that are also written to the log's own file, where they belong. */
export interface JournalEntry {
  readonly log: JournaledLog;
  readonly base: number;
  readonly offset: number;
  readonly buffers: readonly Uint8Array[];
  readonly bytes: number;
}

class JournalFile {
  readonly handle: number;
  generation = 0;
  rounds = 0;
  offset = 0;
  /** Of which something is in the file that may not be on stable storage elsewhere. */
  readonly logs = new Map<string, JournaledLog>();
  /** Of which something is in the file. */
  readonly names = new Set<string>();
  releasing: Promise<void> | null = null;

  constructor(handle: number) {
    this.handle = handle;
  }
}

export class RoundJournal {
  /** Sync operations done, for the round's report. */
  syncs = 0;
  private readonly disk: Disk;
  private readonly dataDirectory: string;
  private readonly directory: string;
  private readonly capacityBytes: number;
  private readonly logger: Logger;
  private readonly life = randomInt(LIFE_MAX);
  /** The one that is being filled comes first. Empty: not made yet. */
  private files: JournalFile[] = [];
  private making: Promise<void> | null = null;
  /** Up to this generation all is in the logs' own files; and what of that a start would find written. */
  private released = 0;
  private releasedWritten = 0;
  private readonly settles = new Slots(SETTLES_AT_ONCE);
  private readonly oneByOne = new Slots(1);
  /** The last round could not be written. */
  private troubled = false;
  /** Takes nothing any more. */
  private closed = false;

  constructor(disk: Disk, dataDirectory: string, directory: string, capacityBytes: number, logger: Logger) {
    this.disk = disk;
    this.dataDirectory = dataDirectory;
    this.directory = directory;
    this.capacityBytes = capacityBytes;
    this.logger = logger;
  }

  /** Resolves to true when the entries are on stable storage, to false when they were not taken. Never rejects. */
  write(entries: readonly JournalEntry[]): Promise<boolean> {
    if (this.files.length === 0) {
      this.make();
      return Promise.resolve(false);
    }
    return this.oneByOne.use(() => this.writeEntries(entries));
  }

  /** A start would write something of this log again. */
  holds(name: string): boolean {
    return this.files.some(({ generation, names }) => generation > this.releasedWritten && names.has(name));
  }

  /** From now on nothing that was written of a log comes back. Rejects when the disk takes no writes. */
  forget(name: string): Promise<void> {
    return this.oneByOne.use(async () => {
      if (!this.holds(name)) return;
      await this.append([{ name, base: null, offset: 0, bytes: 0 }], []);
      for (const { logs, names } of this.files) {
        logs.delete(name);
        names.delete(name);
      }
    });
  }

  /** After the logs. The files stay when there may be something in them that is nowhere else. */
  async close(): Promise<void> {
    await this.abandon();
    const names = await this.disk.list(this.directory);
    if (names.length === 0) return;
    const logs = this.files.flatMap((file) => [...file.logs.values()]);
    for (const log of logs) await log.settle();
    await clearJournal(this.disk, this.dataDirectory, this.directory);
  }

  /** Lets go of the files. */
  async abandon(): Promise<void> {
    this.closed = true;
    await this.making;
    await Promise.all(this.files.map((file) => file.releasing));
    for (const file of this.files) await this.disk.close(file.handle);
  }

  private make(): void {
    if (this.making !== null || this.closed) return;
    this.making = this.open().then(
      () => {
        this.making = null;
      },
      (error: unknown) => {
        // Rounds go on without it.
        this.logger.warn({ err: error }, "the rounds' journal could not be made");
        this.closed = true;
        this.making = null;
      },
    );
  }

  private async open(): Promise<void> {
    await this.disk.makeDirectory(this.directory);
    const files: JournalFile[] = [];
    try {
      for (const name of ["0", "1"])
        files.push(new JournalFile(await this.disk.open(path.join(this.directory, name), "durable")));
      await this.disk.syncDirectory(this.directory);
      await markJournal(this.disk, this.dataDirectory, true);
    } catch (error) {
      for (const file of files) await this.disk.close(file.handle);
      throw error;
    }
    files[0].generation = 1;
    this.files = files;
  }

  private async writeEntries(entries: readonly JournalEntry[]): Promise<boolean> {
    const places: JournalPlace[] = [];
    const data: Uint8Array[] = [];
    let bytes = 0;
    for (const { log, base, offset, buffers, bytes: length } of entries) {
      places.push({ name: log.name, base, offset, bytes: length });
      for (const buffer of buffers) data.push(buffer);
      bytes += length;
    }
    try {
      if (this.isFull(bytes, entries) && !(await this.turnOver(bytes, entries))) return false;
      const { logs, names } = this.files[0];
      // Also when it fails: what then lies there may be whole, and must not outlive the log.
      for (const { log } of entries) {
        logs.set(log.name, log);
        names.add(log.name);
      }
      await this.append(places, data);
      this.troubled = false;
      return true;
    } catch (error) {
      // Once: there may be thousands of rounds in a second.
      if (!this.troubled) this.logger.warn({ err: error }, "the rounds' journal takes no writes");
      this.troubled = true;
      return false;
    }
  }

  private async append(places: readonly JournalPlace[], data: readonly Uint8Array[]): Promise<void> {
    const [file, before] = this.files;
    const { generation, rounds: round } = file;
    const { life, released } = this;
    const header = {
      life,
      generation,
      round,
      released,
      roundsBefore: before.generation === generation - 1 ? before.rounds : 0,
    };
    const lead = encodeRound(header, places);
    let end = file.offset + lead.length;
    for (const { length } of data) end += length;
    await this.disk.write(file.handle, [lead, ...data], file.offset);
    if (!this.disk.durableWrites) await this.disk.datasync(file.handle);
    this.syncs++;
    this.releasedWritten = released;
    file.rounds++;
    file.offset = alignRound(end);
  }

  private isFull(bytes: number, entries: readonly JournalEntry[]): boolean {
    const file = this.files[0];
    let logs = file.logs.size;
    for (const { log } of entries) if (!file.logs.has(log.name)) logs++;
    return file.offset + bytes > this.capacityBytes || logs > LOGS_MAX;
  }

  /** Goes on to the other file, unless something in that is still needed. */
  private async turnOver(bytes: number, entries: readonly JournalEntry[]): Promise<boolean> {
    const [file, other] = this.files;
    if (bytes > this.capacityBytes || entries.length > LOGS_MAX) return false;
    this.release(other);
    if (other.logs.size > 0 || other.releasing !== null) return false;
    // A crash in the first write to the other file leaves ruins there: it must be known that nobody needs them.
    if (other.generation > 0) await this.append([], []);
    other.generation = file.generation + 1;
    other.rounds = 0;
    other.offset = 0;
    other.names.clear();
    this.files = [other, file];
    this.release(file);
    return true;
  }

  /** Has what a full file speaks of synced where it belongs, so that it can be written again. */
  private release(file: JournalFile): void {
    if (file.releasing !== null || this.closed) return;
    const { generation } = file;
    if (file.logs.size === 0) {
      // Every log that it spoke of was deleted since, or synced in an attempt that failed for others.
      this.released = Math.max(this.released, generation);
      return;
    }
    const settled = [...file.logs].map(async ([name, log]) => {
      await this.settles.use(() => log.settle());
      if (file.logs.get(name) === log) file.logs.delete(name);
    });
    file.releasing = Promise.allSettled(settled).then((outcomes) => {
      file.releasing = null;
      const failed = outcomes.find((outcome) => outcome.status === "rejected");
      if (failed === undefined) this.released = Math.max(this.released, generation);
      else this.logger.warn({ err: failed.reason }, "a file of the rounds' journal cannot be given back");
    });
  }
}

/** Removes a journal whose content is on stable storage elsewhere. */
export async function clearJournal(disk: Disk, dataDirectory: string, directory: string): Promise<void> {
  for (const name of await disk.list(directory)) await disk.unlink(path.join(directory, name));
  await disk.syncDirectory(directory);
  try {
    await markJournal(disk, dataDirectory, false);
  } catch (error) {
    // It then says that there may be a journal, where there is none: that does no harm.
    if (!isFull(error)) throw error;
  }
}
