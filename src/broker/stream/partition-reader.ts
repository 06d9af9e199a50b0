import { CorruptionError } from "../../engine/engine.ts";
import {
  BASE_OFFSET_AT,
  BATCH_OVERHEAD_BYTES,
  batchBytes,
  batchIntact,
  nextOffsetOf,
  readI64,
} from "../../message/record-batch.ts";
import type { StreamContext } from "./context.ts";
import type { PartitionLog } from "./partition-log.ts";
import type { Run } from "./runs.ts";
import { StreamSlice } from "./types.ts";

const READ_BYTES_MIN = 64 * 1024;
const READ_BYTES_MAX = 1 << 20;
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
 * there is none. @throws CorruptionError
 */
export async function readLog(
  context: StreamContext,
  partition: PartitionLog,
  offset: number,
  end: number,
  bytesMax: number,
): Promise<StreamSlice> {
  const slice = new StreamSlice();
  slice.reset(offset);
  let wanted = LEAD_BYTES + Math.max(READ_BYTES_MIN, Math.min(bytesMax, READ_BYTES_MAX));
  for (;;) {
    const run = partition.runs.list[partition.runs.indexOf(offset)];
    if (run === undefined || partition.log === null || run.baseOffset >= end) break;
    const buffer = context.buffers.take(wanted);
    const from = Math.max(offset, run.baseOffset);
    const filled = await partition.log.readBodies(run.positionOf(from), buffer);
    const missing = collect(buffer, filled, run, from, end, bytesMax, slice);
    if (slice.bytes > 0) {
      slice.release = () => {
        slice.release = () => {};
        context.buffers.give(buffer);
      };
      return slice;
    }
    context.buffers.give(buffer);
    // Either the first batch is larger than the buffer, or it is not where it must be.
    if (missing <= wanted) throw damaged(run, from);
    wanted = missing;
  }
  // All that there was is cleaned away.
  slice.nextOffset = end;
  return slice;
}

/**
 * Adds the batches of `run` that hold [offset, end) to the slice. Returns how many bytes a buffer
 * needs to hold the first of them, when this one does not.
 */
function collect(
  buffer: Uint8Array,
  filled: number,
  run: Run,
  offset: number,
  end: number,
  bytesMax: number,
  slice: StreamSlice,
): number {
  const limit = Math.min(end, run.endOffset);
  let expected = offset;
  let at = 0;
  while (expected < limit) {
    if (at + BATCH_OVERHEAD_BYTES > filled) return slice.bytes > 0 ? 0 : at + LEAD_BYTES;
    const length = batchBytes(buffer, at);
    const baseOffset = readI64(buffer, at + BASE_OFFSET_AT);
    const next = nextOffsetOf(buffer, at);
    if (length < BATCH_OVERHEAD_BYTES) throw damaged(run, baseOffset);
    // Batches of other runs lie between: older ones, cleaned, or newer ones that came in meanwhile.
    const ours = next > expected && baseOffset < limit;
    if (at + length > filled) return slice.bytes > 0 ? 0 : at + length + LEAD_BYTES;
    if (ours) {
      if (slice.bytes > 0 && slice.bytes + length > bytesMax) return 0;
      if (!batchIntact(buffer, at, at + length)) throw damaged(run, baseOffset);
      slice.add(buffer, at, at + length);
      slice.nextOffset = expected = next;
    }
    at += length;
  }
  return 0;
}

function damaged({ baseOffset, endOffset }: Run, found: number): CorruptionError {
  return new CorruptionError(
    `a record batch at or near offset ${found} of the run from ${baseOffset} to ${endOffset} is damaged`,
  );
}
