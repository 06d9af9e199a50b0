/**
 * What a partition's log says about its batches; recovery reads nothing else. Little-endian.
 *
 *   RECORDS   one record batch; its bytes are the next `length` of the body section      48 bytes
 *     0  u8   1
 *     1  u8   flags: 1 transactional, 2 control, 4 control: commit, 8 begins a run,
 *             16 cleaned (takes the place of older batches; says nothing of producers)
 *     2  i16  producer epoch
 *     4  u32  length
 *     8  f64  base offset
 *    16  u32  last offset delta
 *    20  i32  base sequence
 *    24  f64  producer id (-1: none)
 *    32  f64  max timestamp, ms
 *    40  f64  appended at, ms
 *
 *   STATE     everything that earlier heads say of producers and transactions, once more, so that
 *             the log can be cut before this
 *     0  u8   2
 *     1  u8   0
 *     2  u16  format (1)
 *     4  u32  length of the JSON
 *     8  f64  start offset
 *    16  f64  end offset
 *    24       JSON of `PartitionState`
 *
 *   REPLACE   the offsets [from, to) are now what the cleaned RECORDS of this batch say     24 bytes
 *     0  u8   3
 *     8  f64  from
 *    16  f64  to
 */
import { CorruptionError } from "../../engine/engine.ts";

export const RECORDS_HEAD_BYTES = 48;
const STATE_HEAD_BYTES = 24;
const REPLACE_HEAD_BYTES = 24;

const RECORDS = 1;
const STATE = 2;
const REPLACE = 3;
const STATE_FORMAT = 1;

export const FLAG_TRANSACTIONAL = 1;
export const FLAG_CONTROL = 2;
export const FLAG_COMMIT = 4;
export const FLAG_BEGINS_RUN = 8;
export const FLAG_CLEANED = 16;

/** One reused object: the facts of one record batch. */
export class RecordsHead {
  flags = 0;
  producerEpoch = -1;
  length = 0;
  baseOffset = 0;
  lastOffsetDelta = 0;
  baseSequence = -1;
  producerId = -1;
  maxTimestampMs = -1;
  appendedMs = 0;

  get nextOffset(): number {
    return this.baseOffset + this.lastOffsetDelta + 1;
  }
}

/** [producer id, epoch, last append ms, then for each batch kept, oldest first: base sequence, last sequence, base offset] */
export type ProducerState = readonly number[];
/** [producer id, first offset] */
export type OpenState = readonly [number, number];
/** [producer id, first offset, marker offset] */
export type AbortedState = readonly [number, number, number];

export interface PartitionState {
  readonly producers: readonly ProducerState[];
  readonly open: readonly OpenState[];
  readonly aborted: readonly AbortedState[];
}

export class HeadWriter {
  private bytes: Uint8Array;
  private view: DataView;
  length = 0;
  count = 0;

  constructor(bytes = 256) {
    this.bytes = new Uint8Array(bytes);
    this.view = new DataView(this.bytes.buffer);
  }

  clear(): void {
    this.length = 0;
    this.count = 0;
  }

  /** What was written; valid until `clear`. */
  taken(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  records(head: RecordsHead): void {
    const at = this.reserve(RECORDS_HEAD_BYTES);
    const { view } = this;
    view.setUint8(at, RECORDS);
    view.setUint8(at + 1, head.flags);
    view.setInt16(at + 2, head.producerEpoch, true);
    view.setUint32(at + 4, head.length, true);
    view.setFloat64(at + 8, head.baseOffset, true);
    view.setUint32(at + 16, head.lastOffsetDelta, true);
    view.setInt32(at + 20, head.baseSequence, true);
    view.setFloat64(at + 24, head.producerId, true);
    view.setFloat64(at + 32, head.maxTimestampMs, true);
    view.setFloat64(at + 40, head.appendedMs, true);
  }

  state(startOffset: number, endOffset: number, state: PartitionState): void {
    const json = Buffer.from(JSON.stringify(state));
    const at = this.reserve(STATE_HEAD_BYTES + json.length);
    const { view } = this;
    view.setUint8(at, STATE);
    view.setUint8(at + 1, 0);
    view.setUint16(at + 2, STATE_FORMAT, true);
    view.setUint32(at + 4, json.length, true);
    view.setFloat64(at + 8, startOffset, true);
    view.setFloat64(at + 16, endOffset, true);
    this.bytes.set(json, at + STATE_HEAD_BYTES);
  }

  replace(from: number, to: number): void {
    const at = this.reserve(REPLACE_HEAD_BYTES);
    this.bytes.fill(0, at, at + 8);
    this.view.setUint8(at, REPLACE);
    this.view.setFloat64(at + 8, from, true);
    this.view.setFloat64(at + 16, to, true);
  }

  private reserve(count: number): number {
    const at = this.length;
    this.length += count;
    this.count++;
    if (this.length > this.bytes.length) {
      const larger = new Uint8Array(Math.max(this.length, this.bytes.length * 2));
      larger.set(this.bytes.subarray(0, at));
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    return at;
  }
}

export interface HeadVisitor {
  /** `position`: of the section, `bodyOffset`: of the batch in it. */
  records(head: RecordsHead, position: number, bodyOffset: number): void;
  state(startOffset: number, endOffset: number, state: PartitionState): void;
  replaced(from: number, to: number): void;
}

/** Reads the heads of one engine batch whose bodies begin at `position`. @throws CorruptionError */
export function visitHeads(
  heads: Uint8Array,
  position: number,
  head: RecordsHead,
  visitor: HeadVisitor,
): void {
  const view = new DataView(heads.buffer, heads.byteOffset, heads.byteLength);
  let bodyOffset = 0;
  for (let at = 0; at < heads.length; ) {
    const kind = heads[at];
    if (kind === RECORDS) {
      head.flags = view.getUint8(at + 1);
      head.producerEpoch = view.getInt16(at + 2, true);
      head.length = view.getUint32(at + 4, true);
      head.baseOffset = view.getFloat64(at + 8, true);
      head.lastOffsetDelta = view.getUint32(at + 16, true);
      head.baseSequence = view.getInt32(at + 20, true);
      head.producerId = view.getFloat64(at + 24, true);
      head.maxTimestampMs = view.getFloat64(at + 32, true);
      head.appendedMs = view.getFloat64(at + 40, true);
      visitor.records(head, position, bodyOffset);
      bodyOffset += head.length;
      at += RECORDS_HEAD_BYTES;
    } else if (kind === STATE && view.getUint16(at + 2, true) === STATE_FORMAT) {
      const end = at + STATE_HEAD_BYTES + view.getUint32(at + 4, true);
      const json = Buffer.from(
        heads.buffer,
        heads.byteOffset + at + STATE_HEAD_BYTES,
        end - at - STATE_HEAD_BYTES,
      );
      const state = JSON.parse(json.toString()) as PartitionState;
      visitor.state(view.getFloat64(at + 8, true), view.getFloat64(at + 16, true), state);
      at = end;
    } else if (kind === REPLACE) {
      visitor.replaced(view.getFloat64(at + 8, true), view.getFloat64(at + 16, true));
      at += REPLACE_HEAD_BYTES;
    } else {
      throw new CorruptionError(
        `a head of kind ${kind} at log position ${position} is unknown to this version`,
      );
    }
  }
}
