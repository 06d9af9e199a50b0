/** The files of a data directory that are not logs: FORMAT says what it is, EPOCH how often it was started. */
import path from "node:path";
import { crc32c } from "../../base/crc32c.ts";
import { CorruptionError } from "../engine.ts";
import { type Disk, isFull } from "./disk.ts";

export const LOGS_DIRECTORY = "logs";
export const META_DIRECTORY = "meta";
export const JOURNAL_DIRECTORY = "journal";
export const SPARE_DIRECTORY = "spare";
const FORMAT_FILE = "FORMAT";
const EPOCH_FILE = "EPOCH";
const FORMAT_TEXT = "polymq data directory, format 1\n";
/** While there is something in the journal: a version that knows nothing of it must not take the directory. */
const FORMAT_TEXT_JOURNAL = "polymq data directory, format 2\n";
const SMALL_FILE_BYTES_MAX = 4096;
const DIRECTORY_NAME_CHARS_MAX = 200;

export interface Entered {
  readonly epoch: number;
  readonly journaled: boolean;
}

async function readSmallFile(disk: Disk, file: string): Promise<string> {
  const handle = await disk.open(file, "read");
  try {
    const buffer = Buffer.alloc(SMALL_FILE_BYTES_MAX);
    return buffer.toString("utf8", 0, await disk.read(handle, buffer, 0));
  } finally {
    await disk.close(handle);
  }
}

async function writeSmallFile(disk: Disk, file: string, text: string): Promise<void> {
  const handle = await disk.open(file, "write");
  try {
    await disk.write(handle, [Buffer.from(text)], 0);
    await disk.datasync(handle);
  } finally {
    await disk.close(handle);
  }
}

/** After a crash either the old text is there or the new one. */
async function replaceSmallFile(disk: Disk, directory: string, name: string, text: string): Promise<void> {
  const temporary = path.join(directory, `${name}.new`);
  await disk.unlink(temporary).catch(() => {}); // what a crash left
  await writeSmallFile(disk, temporary, text);
  await disk.rename(temporary, path.join(directory, name));
  await disk.syncDirectory(directory);
}

/**
 * A full disk has no room for a second file, and must not keep its owner from starting: consumers may be
 * what makes room. Then the text goes over the old one: both lie within one sector.
 */
async function replaceEpoch(disk: Disk, directory: string, text: string, isFirst: boolean): Promise<void> {
  try {
    await replaceSmallFile(disk, directory, EPOCH_FILE, text);
  } catch (error) {
    if (isFirst || !isFull(error)) throw error;
    await disk.unlink(path.join(directory, `${EPOCH_FILE}.new`)).catch(() => {});
    await writeSmallFile(disk, path.join(directory, EPOCH_FILE), text);
  }
}

async function readEpoch(disk: Disk, directory: string): Promise<number> {
  const file = path.join(directory, EPOCH_FILE);
  const text = await readSmallFile(disk, file);
  const match = /^(\d+) ([0-9a-f]{8})\n$/.exec(text);
  if (match === null || crc32c(Buffer.from(match[1])) !== Number.parseInt(match[2], 16)) {
    throw new CorruptionError(`${file} is damaged: it does not hold an epoch and its checksum`);
  }
  return Number(match[1]);
}

function epochText(epoch: number): string {
  const sum = crc32c(Buffer.from(String(epoch)));
  return `${epoch} ${sum.toString(16).padStart(8, "0")}\n`;
}

/** Says, on stable storage, whether the journal is to be read by the next start. */
export function markJournal(disk: Disk, directory: string, inUse: boolean): Promise<void> {
  return replaceSmallFile(disk, directory, FORMAT_FILE, inUse ? FORMAT_TEXT_JOURNAL : FORMAT_TEXT);
}

/**
 * Makes the directory ours, or checks that it is, and counts this start.
 * @returns the epoch of this start, on stable storage, and whether the journal is to be read
 * @throws CorruptionError, or an Error when another version of the format made it
 */
export async function enterDataDirectory(disk: Disk, directory: string): Promise<Entered> {
  const names = new Set(await disk.list(directory));
  const isNew = !names.has(FORMAT_FILE);
  let journaled = false;
  if (isNew) {
    const logs = await disk.list(path.join(directory, LOGS_DIRECTORY));
    if (logs.length > 0)
      throw new CorruptionError(`${directory} holds logs, but its ${FORMAT_FILE} file is missing`);
  } else {
    const text = await readSmallFile(disk, path.join(directory, FORMAT_FILE));
    journaled = text === FORMAT_TEXT_JOURNAL;
    if (text !== FORMAT_TEXT && !journaled) {
      throw new Error(
        `${directory} was made by another version of PolyMQ: ${JSON.stringify(text.slice(0, 80))}`,
      );
    }
  }
  const isFirst = isNew && !names.has(EPOCH_FILE);
  const epoch = (isFirst ? 0 : await readEpoch(disk, directory)) + 1;
  await replaceEpoch(disk, directory, epochText(epoch), isFirst);
  if (isNew) {
    await disk.makeDirectory(path.join(directory, LOGS_DIRECTORY));
    await replaceSmallFile(disk, directory, FORMAT_FILE, FORMAT_TEXT);
  }
  return { epoch, journaled };
}

/**
 * A directory name for any log name, distinct also where file names ignore case.
 * @throws RangeError when the name is too long to be one
 */
export function directoryNameOf(logName: string): string {
  let name = "";
  for (const byte of Buffer.from(logName, "utf8")) {
    const char = String.fromCharCode(byte);
    name += /[a-z0-9_-]/.test(char) ? char : `%${byte.toString(16).padStart(2, "0")}`;
  }
  if (name.length === 0 || name.length > DIRECTORY_NAME_CHARS_MAX) {
    throw new RangeError(`a log cannot be named ${JSON.stringify(logName)}: its name is empty or too long`);
  }
  return name;
}

/** The reverse of `directoryNameOf`, or null for a name that it does not make. */
export function logNameOf(directoryName: string): string | null {
  if (!/^(?:[a-z0-9_-]|%[0-9a-f]{2})+$/.test(directoryName)) return null;
  const bytes = directoryName.replace(/%([0-9a-f]{2})/g, (_, hex) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, "latin1").toString("utf8");
}
