// The answer to Fetch, written around the record batches where they lie. Its grammar is that of
// schemas/fetch.ts; a test compares the two.
import type { ByteTarget, RawAnswer } from "../api.ts";
import { Writer } from "../codec/writer.ts";
import { CODES } from "../errors.ts";
import type { FetchTarget } from "./target.ts";

const FLEXIBLE = 12;
const BY_ID = 13;
const NO_REPLICA = -1;

export interface FetchAnswerParts {
  readonly version: number;
  readonly sessionId: number;
  readonly throttleTimeMs: number;
  /** Those to mention; of one topic one after the other. */
  readonly targets: readonly FetchTarget[];
  /** Aborted transactions are listed. */
  readonly stable: boolean;
}

/** Shared by all: an answer is copied away as soon as it is made. */
const writer = new Writer();

/** All but the records is in `writer`, which is cut where those of the targets go. */
class FetchAnswer implements RawAnswer {
  rawBytes = 0;
  private readonly cuts: number[] = [];
  private readonly withRecords: FetchTarget[] = [];

  cut(target: FetchTarget): void {
    this.cuts.push(writer.length);
    this.withRecords.push(target);
    this.rawBytes += target.recordBytes;
  }

  finish(): this {
    this.rawBytes += writer.length;
    return this;
  }

  copyTo(bytes: ByteTarget): void {
    let at = 0;
    for (let i = 0; i < this.cuts.length; i++) {
      const cut = this.cuts[i]!;
      bytes.copy(writer.buffer, at, cut - at);
      at = cut;
      copyRecords(this.withRecords[i]!, bytes);
    }
    bytes.copy(writer.buffer, at, writer.length - at);
  }
}

function copyRecords(target: FetchTarget, bytes: ByteTarget): void {
  if (target.converted !== null) {
    bytes.copy(target.converted, 0, target.converted.length);
    return;
  }
  for (const piece of target.slice?.pieces ?? [])
    bytes.copy(piece.bytes, piece.start, piece.end - piece.start);
}

export function encodeFetchAnswer(parts: FetchAnswerParts): RawAnswer {
  const { version, targets } = parts;
  const flexible = version >= FLEXIBLE;
  const answer = new FetchAnswer();
  writer.reset();
  if (version >= 1) writer.int32(parts.throttleTimeMs);
  if (version >= 7) {
    writer.int16(CODES.NONE);
    writer.int32(parts.sessionId);
  }
  writeCount(topicCount(targets), flexible);
  for (let first = 0; first < targets.length; ) {
    const next = topicEnd(targets, first);
    writeTopic(targets[first]!, version);
    writeCount(next - first, flexible);
    for (let i = first; i < next; i++) writePartition(answer, targets[i]!, parts);
    if (flexible) writer.uvarint(0);
    first = next;
  }
  if (flexible) writer.uvarint(0);
  return answer.finish();
}

function topicCount(targets: readonly FetchTarget[]): number {
  let count = 0;
  for (let at = 0; at < targets.length; at = topicEnd(targets, at)) count++;
  return count;
}

function topicEnd(targets: readonly FetchTarget[], first: number): number {
  const { topic, topicId } = targets[first]!;
  let next = first + 1;
  while (next < targets.length && targets[next]!.topic === topic && targets[next]!.topicId === topicId)
    next++;
  return next;
}

function writeCount(count: number, flexible: boolean): void {
  if (flexible) writer.uvarint(count + 1);
  else writer.int32(count);
}

function writeTopic({ topic, topicId }: FetchTarget, version: number): void {
  if (version >= BY_ID) {
    writer.uuid(topicId);
    return;
  }
  const length = Buffer.byteLength(topic);
  if (version >= FLEXIBLE) writer.uvarint(length + 1);
  else writer.int16(length);
  writer.text(topic, length);
}

function writePartition(
  answer: FetchAnswer,
  target: FetchTarget,
  { version, stable }: FetchAnswerParts,
): void {
  const { partition, errorCode, recordBytes } = target;
  const flexible = version >= FLEXIBLE;
  writer.int32(target.index);
  writer.int16(errorCode);
  writer.int64(partition?.committedOffset ?? -1);
  if (version >= 4) writer.int64(partition?.stableOffset ?? -1);
  if (version >= 5) writer.int64(partition?.startOffset ?? -1);
  if (version >= 4) writeAborted(stable ? (target.slice?.aborted ?? []) : null, flexible);
  if (version >= 11) writer.int32(NO_REPLICA);
  writeCount(recordBytes, flexible);
  if (recordBytes > 0) answer.cut(target);
  if (flexible) writer.uvarint(0);
}

function writeAborted(
  aborted: readonly { readonly producerId: number; readonly firstOffset: number }[] | null,
  flexible: boolean,
): void {
  writeCount(aborted?.length ?? -1, flexible);
  for (const { producerId, firstOffset } of aborted ?? []) {
    writer.int64(producerId);
    writer.int64(firstOffset);
    if (flexible) writer.uvarint(0);
  }
}
