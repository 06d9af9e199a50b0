import { CorruptionError } from "../../engine/engine.ts";
import {
  BASE_OFFSET_AT,
  BATCH_OVERHEAD_BYTES,
  batchBytes,
  batchIntact,
  nextOffsetOf,
  readI64,
} from "../../message/record-batch.ts";
import { Chunk, type ColdChunks } from "./cold-chunks.ts";
import type { StreamContext } from "./context.ts";
import type { PartitionLog } from "./partition-log.ts";
import type { Run } from "./runs.ts";
import { StreamSlice } from "./types.ts";

const READ_BYTES_MIN = 16 * 1024;
const READ_BYTES_MAX = 1 << 20;
/** Readers who ask for less than this are read ahead for. */
const AHEAD_FOR_BYTES_MAX = READ_BYTES_MAX / 2;
/** A section that begins before the offset that is wanted is read from its beginning. */
const LEAD_BYTES = 320 * 1024;

/** Fills `slice` with batches from `offset` to below `end` that are in memory; false when the first is not. */
export function readTail(
  context: StreamContext,
  { tail }: PartitionLog,
  offset: number,
  end: number,
  bytesMax: number,
  slice: StreamSlice,
): boolean {
  const { cache } = context;
  const first = tail.find(cache, offset);
  if (first < 0) return false;
  for (let index = first; index < tail.size && tail.baseOffset(index) < end; index++) {
    const length = tail.length(index);
    if (slice.bytes > 0 && slice.bytes + length > bytesMax) break;
    cache.locate(tail.address(index));
    slice.add(cache.bytes, cache.at, cache.at + length);
    slice.nextOffset = nextOffsetOf(cache.bytes, cache.at);
  }
  return true;
}

/**
 * Reads batches from `offset` to below `end` from the log into a new slice. At least one, unless
 * there is none. Who goes on where he was gets them from what was read ahead for him.
 * @throws CorruptionError
 */
export async function readLog(
  context: StreamContext,
  partition: PartitionLog,
  offset: number,
  end: number,
  bytesMax: number,
): Promise<StreamSlice> {
  // Who takes as much as is read at once gains nothing from what is left of it.
  if (bytesMax > AHEAD_FOR_BYTES_MAX) return readLogOnce(context, partition, offset, end, bytesMax);
  const { chunks } = context;
  const slice = new StreamSlice();
  slice.reset(offset);
  const known = chunks.find(partition.runs, offset);
  if (known !== null && offset < known.to) {
    if (serve(chunks, known, offset, end, bytesMax, slice)) return slice;
  }
  const admitted = chunks.admit();
  const wanted = admitted && known !== null ? READ_BYTES_MAX : bytesMax;
  const chunk = await readChunk(context, partition, offset, end, wanted);
  if (chunk === null) {
    // All that there was is cleaned away.
    slice.nextOffset = end;
    return slice;
  }
  // Others may have come meanwhile.
  if (admitted && chunks.admit()) chunks.keep(chunk);
  else chunk.gone = true;
  if (!serve(chunks, chunk, Math.max(offset, chunk.from), end, bytesMax, slice))
    throw damaged(chunk.run, offset);
  return slice;
}

/** Likewise, past what was read ahead: for who reads all of it once. @throws CorruptionError */
export async function readLogOnce(
  context: StreamContext,
  partition: PartitionLog,
  offset: number,
  end: number,
  bytesMax: number,
): Promise<StreamSlice> {
  const slice = new StreamSlice();
  slice.reset(offset);
  const chunk = await readChunk(context, partition, offset, end, bytesMax);
  if (chunk === null) slice.nextOffset = end;
  else {
    chunk.gone = true;
    serve(context.chunks, chunk, Math.max(offset, chunk.from), end, bytesMax, slice);
  }
  return slice;
}

/** Fills `slice` from a chunk; false when nothing in it is wanted. @throws CorruptionError */
function serve(
  chunks: ColdChunks,
  chunk: Chunk,
  offset: number,
  end: number,
  bytesMax: number,
  slice: StreamSlice,
): boolean {
  chunks.lend(chunk, slice);
  try {
    collect(chunk, offset, Math.min(end, chunk.to), bytesMax, slice);
  } catch (error) {
    slice.release();
    chunks.forget(chunk.runs);
    throw error;
  }
  if (slice.bytes === 0) slice.release();
  else chunk.finished = slice.nextOffset >= chunk.to;
  return slice.bytes > 0;
}

/** Reads a chunk that has the first batch at or after `offset`, whole, and about `bytes` of them; null: there is none before `end`. */
async function readChunk(
  context: StreamContext,
  partition: PartitionLog,
  offset: number,
  end: number,
  bytes: number,
): Promise<Chunk | null> {
  let least = 0;
  for (;;) {
    const run = partition.runs.list[partition.runs.indexOf(offset)];
    if (run === undefined || partition.log === null || run.baseOffset >= end) return null;
    const from = Math.max(offset, run.baseOffset);
    const { position, lead } = run.sectionOf(from, LEAD_BYTES);
    const wanted = Math.max(least, lead + Math.max(READ_BYTES_MIN, Math.min(bytes, left(run, from, end))));
    const buffer = context.buffers.take(wanted);
    const { replacements } = partition;
    let missing = 0;
    let chunk: Chunk | null = null;
    try {
      const filled = await partition.log.readBodies(position, buffer.subarray(0, wanted));
      chunk = new Chunk(partition.runs, run, from, buffer, filled);
      missing = measure(chunk, end);
      // Cleaned meanwhile: what was read is not what the partition says of it now.
      if (replacements === partition.replacements && chunk.to > from) return chunk;
    } catch (error) {
      context.buffers.give(buffer);
      throw error;
    }
    context.buffers.give(buffer);
    if (replacements !== partition.replacements) continue;
    // Either the first batch is larger than the buffer, or it is not where it must be.
    if (missing <= wanted) throw damaged(run, from);
    least = missing;
  }
}

/** About how many bytes of batches there are from `offset` to `end`, at most as many as are read at once. */
function left(run: Run, offset: number, end: number): number {
  if (end > run.endOffset) return READ_BYTES_MAX;
  const share = (end - offset) / (run.endOffset - run.baseOffset);
  return Math.min(READ_BYTES_MAX, Math.ceil(run.bytes * share));
}

/**
 * Finds out which offsets of its run a chunk has. Returns how many bytes a buffer needs to hold the first
 * batch that is wanted, when this one does not.
 */
function measure(chunk: Chunk, end: number): number {
  const { buffer, filled, run, from } = chunk;
  const limit = Math.min(end, run.endOffset);
  let at = 0;
  while (chunk.to < limit) {
    if (at + BATCH_OVERHEAD_BYTES > filled) return at + LEAD_BYTES;
    const length = batchBytes(buffer, at);
    if (length < BATCH_OVERHEAD_BYTES) throw damaged(run, chunk.to);
    if (at + length > filled) return at + length + LEAD_BYTES;
    const next = nextOffsetOf(buffer, at);
    if (next > chunk.to && readI64(buffer, at + BASE_OFFSET_AT) < limit) {
      if (chunk.to === from) chunk.resumeAt = at;
      chunk.to = next;
    }
    at += length;
  }
  return 0;
}

/** Adds the batches of a chunk's run that hold [offset, end) to the slice; all of them are in it. @throws CorruptionError */
function collect(chunk: Chunk, offset: number, end: number, bytesMax: number, slice: StreamSlice): void {
  const { buffer, run } = chunk;
  let at = offset >= chunk.resumeOffset ? chunk.resumeAt : 0;
  let expected = offset;
  while (expected < end) {
    const length = batchBytes(buffer, at);
    const baseOffset = readI64(buffer, at + BASE_OFFSET_AT);
    const next = nextOffsetOf(buffer, at);
    // Batches of other runs lie between: older ones, cleaned, or newer ones that came in meanwhile.
    if (next > expected && baseOffset < Math.min(chunk.to, run.endOffset)) {
      if (slice.bytes > 0 && slice.bytes + length > bytesMax) break;
      if (!batchIntact(buffer, at, at + length)) throw damaged(run, baseOffset);
      slice.add(buffer, at, at + length);
      slice.nextOffset = expected = next;
    }
    at += length;
  }
  chunk.resumeOffset = expected;
  chunk.resumeAt = at;
}

function damaged({ baseOffset, endOffset }: Run, found: number): CorruptionError {
  return new CorruptionError(
    `a record batch at or near offset ${found} of the run from ${baseOffset} to ${endOffset} is damaged`,
  );
}
