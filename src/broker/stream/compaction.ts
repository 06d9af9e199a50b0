/**
 * Cleaning by key: of records with the same key only the newest stays. One pass reads what came in
 * since the last one and remembers the newest offset of each key; then it goes through the partition
 * from its beginning, and writes what is to stay to the end of the log, a chunk at a time. Each chunk
 * is one batch of the log that says which offsets it takes the place of, so that a crash at any
 * point finds either the old or the new. At the end the log is cut before what is still needed.
 *
 * Offsets stay as they are, and get gaps. A tombstone (a record without a value) and the marker of a
 * transaction without records stay for a while after they were first cleaned, so that whoever reads
 * along sees them; the batch says until when (KIP-534).
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import {
  ATTRIBUTE_APPEND_TIME,
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_DELETE_HORIZON,
  ATTRIBUTE_TRANSACTIONAL,
  ATTRIBUTES_AT,
  BASE_OFFSET_AT,
  BASE_SEQUENCE_AT,
  BASE_TIMESTAMP_AT,
  COMPRESSION_MASK,
  COUNT_AT,
  MAX_TIMESTAMP_AT,
  nextOffsetOf,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  readI16,
  readI32,
  readI64,
  sealBatch,
  writeI64,
} from "../../message/record-batch.ts";
import { RecordCursor } from "../../message/record-cursor.ts";
import { RecordWriter } from "../../message/record-writer.ts";
import type { CleanedChunk } from "./cleaned-chunk.ts";
import type { StreamContext } from "./context.ts";
import { KeyMap } from "./key-map.ts";
import type { PartitionLog } from "./partition-log.ts";
import { readLogOnce } from "./partition-reader.ts";
import type { Run } from "./runs.ts";
import type { Piece, StreamConfig } from "./types.ts";

/** Read at once; between two reads others get their turn. */
const STEP_BYTES = 64 * 1024;
const CHUNK_BYTES = 512 * 1024;
const GZIP = 1;

/** How much of a partition can be cleaned, and how much of that is new. */
export interface Dirt {
  /** Runs before this offset are closed, decided and old enough. */
  readonly end: number;
  /** Where what was cleaned before ends. */
  readonly start: number;
  readonly dirtyBytes: number;
  readonly bytes: number;
  /** When the oldest of what is new was appended. */
  readonly sinceMs: number;
}

export function dirtOf(
  { runs, growing, stableOffset }: PartitionLog,
  config: StreamConfig,
  nowMs: number,
): Dirt {
  let [start, end, dirtyBytes, bytes, sinceMs] = [-1, 0, 0, 0, nowMs];
  for (const run of runs.list) {
    const newestMs = run.maxTimestampMs < 0 ? run.lastAppendedMs : run.maxTimestampMs;
    if (run === growing || run.endOffset > stableOffset) break;
    if (config.compactionLagMinMs > 0 && newestMs > nowMs - config.compactionLagMinMs) break;
    end = run.endOffset;
    bytes += run.bytes;
    if (run.cleaned) continue;
    if (start < 0) {
      start = run.baseOffset;
      sinceMs = run.firstAppendedMs;
    }
    dirtyBytes += run.bytes;
  }
  return { end, start: start < 0 ? end : start, dirtyBytes, bytes, sinceMs };
}

/** Whether a partition is worth a pass now. */
export function wantsCleaning(dirt: Dirt, config: StreamConfig, nowMs: number): boolean {
  if (dirt.dirtyBytes === 0) return false;
  if (config.compactionLagMaxMs >= 0 && nowMs - dirt.sinceMs > config.compactionLagMaxMs) return true;
  return dirt.dirtyBytes / dirt.bytes >= config.dirtyRatioMin;
}

/** One pass over one partition. */
export class Compaction {
  private readonly context: StreamContext;
  private readonly partition: PartitionLog;
  private readonly config: StreamConfig;
  private readonly nowMs: number;
  private readonly dirt: Dirt;
  private readonly keys: KeyMap;
  private readonly cursor = new RecordCursor();
  private readonly writer = new RecordWriter();
  /** Producers with records kept of the transaction that the next marker ends. */
  private readonly withRecords = new Set<number>();
  /** Set by `keep`: there is a tombstone among the records that stay. */
  private tombstonesKept = false;
  /** The run that this pass writes. */
  private target: Run | null = null;

  constructor(context: StreamContext, partition: PartitionLog, config: StreamConfig, keysMax?: number) {
    this.context = context;
    this.partition = partition;
    this.config = config;
    this.nowMs = context.clock.now();
    this.dirt = dirtOf(partition, config, this.nowMs);
    this.keys = new KeyMap(this.dirt.end - this.dirt.start, keysMax);
  }

  /** @throws CorruptionError when what is there cannot be read; nothing is lost then */
  async run(): Promise<void> {
    const end = await this.findNewest();
    const { runs } = this.partition;
    for (let at = this.partition.startOffset; at < end && !this.partition.over; ) {
      const run = runs.list[runs.indexOf(at)];
      if (run === undefined || run.baseOffset >= end) break;
      at = await this.cleanRun(at, Math.min(end, run.endOffset));
    }
    this.partition.tail.forgetBefore(end);
    this.partition.cut();
  }

  /** Fills the map. Returns where it had to stop. */
  private async findNewest(): Promise<number> {
    const { start, end } = this.dirt;
    for (let at = start; at < end; ) {
      const slice = await readLogOnce(this.context, this.partition, at, end, STEP_BYTES);
      for (const { bytes, start: from, end: to } of slice.batches()) {
        const base = readI64(bytes, from + BASE_OFFSET_AT);
        const more = readI32(bytes, from + COUNT_AT);
        if (this.keys.fills(more) && !this.keys.empty) {
          slice.release();
          return base;
        }
        this.enter(bytes, from, to);
      }
      if (slice.nextOffset <= at) break;
      at = slice.nextOffset;
      slice.release();
      await nextTurn();
    }
    return end;
  }

  private enter(bytes: Uint8Array, start: number, end: number): void {
    const attributes = readI16(bytes, start + ATTRIBUTES_AT);
    if ((attributes & ATTRIBUTE_CONTROL) !== 0 || this.takenBack(bytes, start, attributes)) return;
    const { cursor } = this;
    cursor.open(bytes, start, end);
    while (cursor.next()) {
      const key = cursor.key();
      if (key !== null) this.keys.put(key, cursor.offset);
    }
  }

  /** All records of a batch are of one transaction, or of none. */
  private takenBack(bytes: Uint8Array, start: number, attributes: number): boolean {
    if ((attributes & ATTRIBUTE_TRANSACTIONAL) === 0) return false;
    const producerId = readI64(bytes, start + PRODUCER_ID_AT);
    return this.partition.transactions.isAborted(producerId, readI64(bytes, start + BASE_OFFSET_AT));
  }

  /** Cleans [from, to), all that there is of it in one run. Returns where to go on. */
  private async cleanRun(from: number, to: number): Promise<number> {
    let chunk = this.partition.openChunk(from);
    for (let at = from; at < to; ) {
      const slice = await readLogOnce(this.context, this.partition, at, to, STEP_BYTES);
      for (const batch of slice.batches()) this.cleanBatch(batch, chunk);
      const next = slice.nextOffset;
      slice.release();
      at = next <= at ? to : next;
      if (chunk.bytes >= CHUNK_BYTES && at < to) {
        await this.commit(chunk, at);
        chunk = this.partition.openChunk(at);
      } else await nextTurn();
    }
    await this.commit(chunk, to);
    return to;
  }

  private async commit(chunk: CleanedChunk, to: number): Promise<void> {
    if (this.target !== null && this.target.bytes >= this.config.segmentBytes) this.target = null;
    this.target = await this.partition.replace(chunk, to, this.target);
  }

  private cleanBatch({ bytes, start, end }: Readonly<Piece>, chunk: CleanedChunk): void {
    const attributes = readI16(bytes, start + ATTRIBUTES_AT);
    const horizonMs =
      (attributes & ATTRIBUTE_DELETE_HORIZON) === 0 ? -1 : readI64(bytes, start + BASE_TIMESTAMP_AT);
    if ((attributes & ATTRIBUTE_CONTROL) !== 0) {
      this.cleanMarker(bytes, start, end, horizonMs, chunk);
      return;
    }
    if (this.takenBack(bytes, start, attributes)) return;
    const hasHorizon = horizonMs >= 0 || this.hasTombstone(bytes, start, end);
    const kept = this.keep(bytes, start, end, horizonMs, hasHorizon);
    if (kept === 0) return;
    if ((attributes & ATTRIBUTE_TRANSACTIONAL) !== 0)
      this.withRecords.add(readI64(bytes, start + PRODUCER_ID_AT));
    const newHorizon = horizonMs < 0 && this.tombstonesKept;
    if (kept === readI32(bytes, start + COUNT_AT) && !newHorizon) {
      chunk.add(bytes, start, end);
      return;
    }
    const length = this.rebuild(bytes, start, attributes, hasHorizon);
    chunk.add(this.writer.bytes, 0, length);
  }

  /** Writes the records that stay to the writer; returns how many they are. */
  private keep(
    bytes: Uint8Array,
    start: number,
    end: number,
    horizonMs: number,
    hasHorizon: boolean,
  ): number {
    const { cursor, writer, keys } = this;
    this.tombstonesKept = false;
    const tombstonesGo = horizonMs >= 0 && this.nowMs > horizonMs;
    // With a horizon every timestamp is told from it.
    const horizon = horizonMs >= 0 ? horizonMs : this.nowMs + this.config.tombstoneRetentionMs;
    writer.begin(readI64(bytes, start + BASE_OFFSET_AT), hasHorizon ? horizon : undefined);
    cursor.open(bytes, start, end);
    while (cursor.next()) {
      const key = cursor.key();
      if (key !== null && keys.get(key) > cursor.offset) continue;
      if (cursor.valueStart < 0) {
        if (tombstonesGo) continue;
        this.tombstonesKept = true;
      }
      writer.addFields(cursor.timestampMs, cursor.offset, cursor.bytes, cursor.fieldsStart, cursor.recordEnd);
    }
    return writer.count;
  }

  private hasTombstone(bytes: Uint8Array, start: number, end: number): boolean {
    const { cursor } = this;
    cursor.open(bytes, start, end);
    while (cursor.next()) if (cursor.valueStart < 0) return true;
    return false;
  }

  /** Finishes the writer's batch as the one at `start` was, compressed if that was. Returns its length. */
  private rebuild(bytes: Uint8Array, start: number, attributes: number, hasHorizon: boolean): number {
    const { writer } = this;
    const compressed = (attributes & COMPRESSION_MASK) !== 0;
    const fields = {
      attributes: (attributes & ~(COMPRESSION_MASK | ATTRIBUTE_DELETE_HORIZON)) | (compressed ? GZIP : 0),
      producerId: readI64(bytes, start + PRODUCER_ID_AT),
      producerEpoch: readI16(bytes, start + PRODUCER_EPOCH_AT),
      baseSequence: readI32(bytes, start + BASE_SEQUENCE_AT),
    };
    if (hasHorizon) fields.attributes |= ATTRIBUTE_DELETE_HORIZON;
    const length = writer.finish(fields, nextOffsetOf(bytes, start) - 1);
    if ((attributes & ATTRIBUTE_APPEND_TIME) !== 0) {
      writeI64(writer.bytes, MAX_TIMESTAMP_AT, readI64(bytes, start + MAX_TIMESTAMP_AT));
    }
    if (compressed) return writer.pack();
    sealBatch(writer.bytes, 0, length);
    return length;
  }

  /** A marker stays as long as records of its transaction do, and then until its horizon. */
  private cleanMarker(
    bytes: Uint8Array,
    start: number,
    end: number,
    horizonMs: number,
    chunk: CleanedChunk,
  ): void {
    const producerId = readI64(bytes, start + PRODUCER_ID_AT);
    if (this.withRecords.delete(producerId)) {
      chunk.add(bytes, start, end);
      return;
    }
    if (horizonMs >= 0) {
      if (this.nowMs > horizonMs) chunk.markersGone.push(readI64(bytes, start + BASE_OFFSET_AT));
      else chunk.add(bytes, start, end);
      return;
    }
    const { cursor, writer } = this;
    cursor.open(bytes, start, end);
    cursor.next();
    writer.begin(readI64(bytes, start + BASE_OFFSET_AT), this.nowMs + this.config.tombstoneRetentionMs);
    writer.addFields(cursor.timestampMs, cursor.offset, cursor.bytes, cursor.fieldsStart, cursor.recordEnd);
    const length = this.rebuild(bytes, start, readI16(bytes, start + ATTRIBUTES_AT), true);
    chunk.add(writer.bytes, 0, length);
  }
}
