/** Streams on an engine of one's own, for tests. */
import { Arena } from "../../base/arena.ts";
import { type Clock, ManualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/logger.ts";
import { Turn } from "../../base/turn.ts";
import type { Durability, Engine } from "../../engine/engine.ts";
import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_TRANSACTIONAL,
  ATTRIBUTES_AT,
  nextOffsetOf,
  PRODUCER_ID_AT,
  readI16,
  readI64,
} from "../../message/record-batch.ts";
import { RecordCursor } from "../../message/record-cursor.ts";
import { type BatchFields, RecordWriter } from "../../message/record-writer.ts";
import type { Stream } from "./stream.ts";
import { Streams } from "./streams.ts";
import { TailCache } from "./tail-cache.ts";
import {
  type AbortedTransaction,
  type Isolation,
  type PartitionHandle,
  type Piece,
  type StreamConfig,
  StreamSlice,
} from "./types.ts";

export interface World {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly streams: Streams;
  readonly cache: TailCache;
}

export interface WorldOptions {
  readonly clock?: Clock;
  readonly cacheBytes?: number;
  readonly durability?: Durability;
}

const DAY_MS = 86_400_000;

export async function openWorld(engine: Engine, options: WorldOptions = {}): Promise<World> {
  const clock = options.clock ?? new ManualClock();
  const turn = new Turn();
  const cache = new TailCache(new Arena(64 << 20), turn, clock, options.cacheBytes ?? 16 << 20);
  const durability = options.durability ?? engine.durability;
  const streams = new Streams(
    { engine, clock, logger: silentLogger, durability, producerExpiryMs: DAY_MS },
    cache,
  );
  await streams.recover();
  return { engine, clock, streams, cache };
}

export function createStream(
  { streams }: World,
  name: string,
  partitions = 1,
  overrides: Partial<StreamConfig> = {},
): Stream {
  return streams.create("/", { name, partitions, overrides, attributes: {} });
}

export interface TestRecord {
  readonly key?: string | null;
  readonly value: string | null;
  readonly timestampMs?: number;
}

const writer = new RecordWriter();

/** A batch of records as a client would send it; base offset 0. */
export function batchOf(
  records: readonly (TestRecord | string)[],
  fields?: Partial<BatchFields>,
): Uint8Array {
  writer.begin();
  for (const record of records) {
    const {
      key = null,
      value,
      timestampMs = Date.UTC(2026, 0, 1),
    } = typeof record === "string" ? { value: record } : record;
    writer.add(timestampMs, bytesOf(key), bytesOf(value));
  }
  const all = { attributes: 0, producerId: -1, producerEpoch: -1, baseSequence: -1, ...fields };
  return Buffer.from(writer.bytes.subarray(0, writer.finish(all)));
}

export function append(
  partition: PartitionHandle,
  records: readonly (TestRecord | string)[],
  fields?: Partial<BatchFields>,
): number {
  const batch = batchOf(records, fields);
  const { baseOffset, refusal, reason } = partition.append(batch, 0, batch.length);
  if (refusal !== null) throw new Error(`${refusal}: ${reason}`);
  return baseOffset;
}

/** Resolves when everything appended is durable. */
export function committed(partition: PartitionHandle): Promise<void> {
  if (partition.committedOffset === partition.endOffset) return Promise.resolve();
  return new Promise((resolve) => {
    partition.wait(partition.endOffset - 1, "committed", { reached: () => resolve() });
  });
}

export interface ReadRecord {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly timestampMs: number;
}

/**
 * All records from `offset` on. With "stable" as a client reads: what was aborted is left out, from
 * the first offset of the producer's aborted transaction to its marker, and so are markers.
 */
export async function readAll(
  partition: PartitionHandle,
  offset = partition.startOffset,
  isolation: Isolation = "committed",
  bytesMax = 64 * 1024,
): Promise<ReadRecord[]> {
  const found: ReadRecord[] = [];
  const aborting = new Set<number>();
  for (let at = offset; ; ) {
    let slice = new StreamSlice();
    if (!partition.read(at, bytesMax, isolation, slice))
      slice = await partition.load(at, bytesMax, isolation);
    if (slice.nextOffset === at) return found;
    const aborted = [...slice.aborted].sort((a, b) => a.firstOffset - b.firstOffset);
    for (const batch of slice.batches())
      readBatch(batch, at, isolation === "stable", aborted, aborting, found);
    at = slice.nextOffset;
    slice.release();
  }
}

const cursor = new RecordCursor();

function readBatch(
  { bytes, start, end }: Readonly<Piece>,
  from: number,
  filters: boolean,
  aborted: AbortedTransaction[],
  aborting: Set<number>,
  found: ReadRecord[],
): void {
  const producerId = readI64(bytes, start + PRODUCER_ID_AT);
  const attributes = readI16(bytes, start + ATTRIBUTES_AT);
  const control = (attributes & ATTRIBUTE_CONTROL) !== 0;
  const last = nextOffsetOf(bytes, start) - 1;
  while (aborted.length > 0 && (aborted[0] as AbortedTransaction).firstOffset <= last) {
    aborting.add((aborted.shift() as AbortedTransaction).producerId);
  }
  cursor.open(bytes, start, end);
  if (filters && control) {
    cursor.next();
    if ((cursor.key() as Uint8Array)[3] === 0) aborting.delete(producerId);
    return;
  }
  if (filters && (attributes & ATTRIBUTE_TRANSACTIONAL) !== 0 && aborting.has(producerId)) return;
  while (cursor.next()) {
    if (cursor.offset < from) continue;
    const { offset, timestampMs } = cursor;
    const value = control ? "(marker)" : textOf(cursor.value());
    found.push({ offset, key: textOf(cursor.key()), value, timestampMs });
  }
}

export async function valuesOf(
  partition: PartitionHandle,
  offset?: number,
  isolation?: Isolation,
): Promise<(string | null)[]> {
  return (await readAll(partition, offset, isolation)).map(({ value }) => value);
}

function bytesOf(text: string | null): Uint8Array | null {
  return text === null ? null : Buffer.from(text);
}

function textOf(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString();
}
