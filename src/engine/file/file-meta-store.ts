/**
 * The metadata store on a log of its own. A batch holds the changes of a round as records:
 *
 *   u8 operation (1 put, 2 delete, 3 forget everything before)   u32 key bytes   u32 value bytes   key   value
 *
 * When more of the log is garbage than alive (and enough to be worth it), the next batch is a
 * snapshot: "forget", then every entry. It begins a segment, and when it is durable all before it go.
 */
import {
  type Batch,
  CorruptionError,
  type LogSource,
  type MetaStore,
  type RecoveredBatch,
} from "../engine.ts";
import type { FileLog } from "./file-log.ts";

const PUT = 1;
const DELETE = 2;
const FORGET = 3;
const RECORD_HEADER_BYTES = 9;
const GARBAGE_BYTES_MIN = 1 << 20;

interface Waiter {
  readonly version: number;
  readonly done: () => void;
}

interface Taken {
  readonly version: number;
  /** Where the log may be trimmed once this is durable, or 0. */
  readonly trim: number;
}

export class FileMetaStore implements MetaStore, LogSource {
  private readonly log: FileLog;
  /** Values are strings of bytes (latin1): a small Uint8Array costs 300 bytes more than what is in it. */
  private readonly map = new Map<string, string>();
  private sortedKeys: string[] | null = null;
  /** Changed since the last take; null: deleted. */
  private readonly pending = new Map<string, string | null>();
  private readonly taken: Taken[] = [];
  private readonly waiters: Waiter[] = [];
  private version = 0;
  private durableVersion = 0;
  private liveBytes = 0;
  private loggedBytes = 0;

  constructor(log: FileLog) {
    this.log = log;
  }

  async open(): Promise<void> {
    await this.log.recover((batch) => this.replay(batch));
    this.log.start(this);
  }

  get(key: string): Uint8Array | undefined {
    const value = this.map.get(key);
    return value === undefined ? undefined : Buffer.from(value, "latin1");
  }

  *entries(prefix: string): Iterable<[key: string, value: Uint8Array]> {
    this.sortedKeys ??= [...this.map.keys()].sort();
    const keys = this.sortedKeys;
    for (
      let index = firstAtLeast(keys, prefix);
      index < keys.length && keys[index].startsWith(prefix);
      index++
    ) {
      const value = this.map.get(keys[index]);
      if (value !== undefined) yield [keys[index], Buffer.from(value, "latin1")];
    }
  }

  put(key: string, value: Uint8Array): void {
    const copy = Buffer.from(value.buffer, value.byteOffset, value.length).toString("latin1");
    // Of one piece: the key comes put together from parts, and would keep them.
    const whole = Buffer.from(key).toString();
    this.apply(whole, copy);
    this.change(whole, copy);
  }

  delete(key: string): void {
    if (!this.map.has(key)) return;
    this.apply(key, null);
    this.change(key, null);
  }

  flush(done: () => void): void {
    if (this.version === this.durableVersion) done();
    else this.waiters.push({ version: this.version, done });
  }

  take(): Batch | null {
    if (this.pending.size === 0) return null;
    let heads: Uint8Array;
    let count = this.pending.size;
    let trim = 0;
    if (this.loggedBytes - this.liveBytes > Math.max(GARBAGE_BYTES_MIN, this.liveBytes)) {
      this.log.beginSegment();
      trim = this.log.nextPosition;
      heads = encodeRecords(this.map, true);
      count = this.map.size + 1;
      this.loggedBytes = 0;
    } else heads = encodeRecords(this.pending, false);
    this.loggedBytes += heads.length;
    this.pending.clear();
    this.taken.push({ version: this.version, trim });
    return { bodies: [], bodyBytes: 0, heads, count, durability: "fsync" };
  }

  committed(): void {
    const { version, trim } = this.taken.shift() as Taken;
    this.durableVersion = version;
    if (trim > 0) this.log.trim(trim);
    while (this.waiters.length > 0 && this.waiters[0].version <= version)
      (this.waiters.shift() as Waiter).done();
  }

  private change(key: string, value: string | null): void {
    this.pending.set(key, value);
    this.version++;
    this.log.wake();
  }

  private apply(key: string, value: string | null): void {
    const before = this.map.get(key);
    if (before !== undefined) this.liveBytes -= recordBytes(key, before);
    if (value === null) this.map.delete(key);
    else {
      this.map.set(key, value);
      this.liveBytes += recordBytes(key, value);
    }
    if ((before === undefined) !== (value === null)) this.sortedKeys = null;
  }

  private replay(batch: RecoveredBatch): void {
    const { heads } = batch;
    const buffer = Buffer.from(heads.buffer, heads.byteOffset, heads.length);
    this.loggedBytes += heads.length;
    let at = 0;
    while (at < heads.length) {
      const operation = buffer[at];
      const keyBytes = buffer.readUInt32LE(at + 1);
      const valueBytes = buffer.readUInt32LE(at + 5);
      const keyAt = at + RECORD_HEADER_BYTES;
      const key = buffer.toString("utf8", keyAt, keyAt + keyBytes);
      at = keyAt + keyBytes + valueBytes;
      if (operation === PUT) this.apply(key, buffer.toString("latin1", keyAt + keyBytes, at));
      else if (operation === DELETE) this.apply(key, null);
      else if (operation === FORGET) this.forget(heads.length);
      else
        throw new CorruptionError(
          `metadata record ${operation} at log position ${batch.position} is unknown`,
        );
    }
  }

  private forget(snapshotBytes: number): void {
    this.map.clear();
    this.sortedKeys = null;
    this.liveBytes = 0;
    this.loggedBytes = snapshotBytes;
  }
}

function recordBytes(key: string, value: string): number {
  return RECORD_HEADER_BYTES + key.length + value.length;
}

function firstAtLeast(keys: readonly string[], prefix: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle] < prefix) low = middle + 1;
    else high = middle;
  }
  return low;
}

function encodeRecords(records: ReadonlyMap<string, string | null>, forgetFirst: boolean): Uint8Array {
  let bytes = forgetFirst ? RECORD_HEADER_BYTES : 0;
  for (const [key, value] of records)
    bytes += RECORD_HEADER_BYTES + Buffer.byteLength(key) + (value?.length ?? 0);
  const target = Buffer.alloc(bytes);
  let at = 0;
  if (forgetFirst) {
    target[0] = FORGET;
    at = RECORD_HEADER_BYTES;
  }
  for (const [key, value] of records) {
    const keyBytes = target.write(key, at + RECORD_HEADER_BYTES, "utf8");
    target[at] = value === null ? DELETE : PUT;
    target.writeUInt32LE(keyBytes, at + 1);
    target.writeUInt32LE(value?.length ?? 0, at + 5);
    at += RECORD_HEADER_BYTES + keyBytes;
    if (value !== null) {
      at += target.write(value, at, "latin1");
    }
  }
  return target;
}
