import type { AppendRefusal, OffsetWaiter } from "../../../broker/index.ts";
import {
  ATTRIBUTES_AT,
  BATCH_MAGIC,
  BATCH_OVERHEAD_BYTES,
  batchBytes,
  COMPRESSION_MASK,
  MAGIC_AT,
} from "../../../message/record-batch.ts";
import { type Call, defineHandler, LATER, NO_ANSWER, type Outcome } from "../api.ts";
import type { Request, Response } from "../codec/api.ts";
import type { ByteRange } from "../codec/reader.ts";
import { CODES, type CodeName } from "../errors.ts";
import { convertUp, packConverted } from "../legacy/up.ts";
import { additionOf, meantTopic } from "../produce-addition.ts";
import { backlogOf, holdForAlarm } from "../producers.ts";
import { type Appendable, findWritable } from "../queue-topic.ts";
import { throttleOf } from "../quotas/throttle.ts";
import { produce } from "../schemas/produce.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Answer = Mutable<Response<typeof produce>>;
type TopicAnswer = NonNullable<Answer["responses"]>[number];
type PartitionAnswer = NonNullable<TopicAnswer["partitionResponses"]>[number];

const ACKS_ALL = -1;
const ZSTD = 4;
/** KIP-110: the first version whose clients know zstd. */
const FIRST_WITH_ZSTD = 7;
/** From here on a transaction's partitions need not be added before (KIP-890). */
const FIRST_TO_ADD = 12;
/** From here on one batch of today's format a partition, before it sets of the older ones. */
const FIRST_WITH_BATCHES = 3;

const REFUSALS: Readonly<Record<AppendRefusal, CodeName>> = {
  corrupt: "CORRUPT_MESSAGE",
  "invalid-record": "INVALID_RECORD",
  "too-large": "MESSAGE_TOO_LARGE",
  "timestamp-out-of-range": "INVALID_TIMESTAMP",
  "sequence-out-of-order": "OUT_OF_ORDER_SEQUENCE_NUMBER",
  "producer-fenced": "INVALID_PRODUCER_EPOCH",
  "transaction-state": "INVALID_TXN_STATE",
  storage: "KAFKA_STORAGE_ERROR",
};

/**
 * Appends record batches as they are. Their order is fixed at once; the answer leaves when all of them are
 * durable, and the requests behind this one need not wait for it.
 */
export const produceHandler = defineHandler({
  api: produce,
  handle(request, call): Outcome<typeof produce> {
    const addition = call.version >= FIRST_TO_ADD ? additionOf(request, call) : null;
    if (addition === null) return appendAll(request, call);
    addition.carryOut(
      call,
      (kept) => {
        const outcome = appendAll(kept, call);
        if (outcome !== LATER && outcome !== NO_ANSWER) call.answer(outcome as Answer);
      },
      (code) => call.answer(refuseAll(request, code)),
    );
    return LATER;
  },
});

function appendAll(request: Request<typeof produce>, call: Call<typeof produce>): Outcome<typeof produce> {
  const { acks } = request;
  const work = new ProduceWork(call);
  const answer =
    acks === 0 || acks === 1 || acks === ACKS_ALL
      ? work.append(request)
      : refuseAll(request, CODES.INVALID_REQUIRED_ACKS);
  const throttle = throttleOf(call.node);
  // Counted is what was sent, whatever became of it.
  if (!throttle.idle)
    answer.throttleTimeMs = throttle.spend("producer_byte_rate", call, recordBytes(request));
  holdForAlarm(call.peer);
  const outcome = work.whenDurable(answer, acks !== 0);
  // Nobody is told: a client that does not wait finds out by being hung up on, and looks for the leader anew.
  if (acks === 0 && hasError(answer)) call.peer.close();
  return outcome;
}

function recordBytes({ topicData }: Request<typeof produce>): number {
  let bytes = 0;
  for (const { partitionData } of topicData) {
    for (const { records } of partitionData) if (records !== null) bytes += records.end - records.start;
  }
  return bytes;
}

function refuseAll({ topicData }: Request<typeof produce>, errorCode: number): Answer {
  return {
    responses: topicData.map(({ name, topicId, partitionData }) => ({
      name,
      topicId,
      partitionResponses: partitionData.map(({ index }) => ({ index, errorCode, baseOffset: -1 })),
    })),
  };
}

function refused(index: number, code: CodeName, errorMessage: string | null = null): PartitionAnswer {
  return { index, errorCode: CODES[code], baseOffset: -1, errorMessage };
}

function hasError({ responses = [] }: Answer): boolean {
  return responses.some(({ partitionResponses = [] }) =>
    partitionResponses.some(({ errorCode = 0 }) => errorCode !== CODES.NONE),
  );
}

interface Appended {
  readonly partition: Appendable;
  /** Of its last record: durable when the committed offset is beyond it. */
  readonly offset: number;
  readonly answer: Mutable<PartitionAnswer>;
}

/** One request: what it appended, until that is durable. */
class ProduceWork implements OffsetWaiter {
  private readonly call: Call<typeof produce>;
  private readonly appended: Appended[] = [];
  private waiting = 0;
  private bytes = 0;
  /** Null: nobody waits for it. */
  private answer: Answer | null = null;

  constructor(call: Call<typeof produce>) {
    this.call = call;
  }

  append({ topicData }: Request<typeof produce>): Answer {
    const responses: TopicAnswer[] = [];
    const { peer, version } = this.call;
    for (const topic of topicData) {
      const { name, topicId } = topic;
      const meant = meantTopic(peer, version, topic);
      const partitionResponses: PartitionAnswer[] = [];
      for (const { index, records } of topic.partitionData) {
        const found = meant === null ? CODES.UNKNOWN_TOPIC_ID : findWritable(peer, meant, index);
        if (typeof found === "number") partitionResponses.push({ index, errorCode: found, baseOffset: -1 });
        else partitionResponses.push(this.appendTo(found, index, records));
      }
      responses.push({ name, topicId, partitionResponses });
    }
    return { responses };
  }

  private appendTo(partition: Appendable, index: number, records: ByteRange | null): PartitionAnswer {
    if (records === null || records.end - records.start === 0)
      return refused(index, "INVALID_RECORD", "no record batch");
    const { version } = this.call;
    let { bytes, start, end } = records;
    const isBatch = end - start >= BATCH_OVERHEAD_BYTES && bytes[start + MAGIC_AT] === BATCH_MAGIC;
    if (!isBatch) {
      if (version >= FIRST_WITH_BATCHES) return refused(index, "INVALID_RECORD", "not a batch of format 2");
      const converted = convertUp(records, this.call.node.context.clock.now());
      if (typeof converted === "string") return refused(index, converted);
      bytes = converted;
      [start, end] = [0, converted.length];
    } else if (batchBytes(bytes, start) !== end - start)
      return refused(index, "INVALID_RECORD", "there must be one record batch, and nothing else");
    else if (version < FIRST_WITH_ZSTD && (bytes[start + ATTRIBUTES_AT + 1]! & COMPRESSION_MASK) === ZSTD)
      return refused(index, "UNSUPPORTED_COMPRESSION_TYPE");
    let told = partition.append(bytes, start, end);
    if (told.refusal === "too-large" && !isBatch) {
      const packed = packConverted();
      if (packed !== null) {
        [bytes, end] = [packed, packed.length];
        told = partition.append(bytes, start, end);
      }
    }
    const { refusal, reason, baseOffset, appendTimeMs } = told;
    if (refusal !== null) return refused(index, REFUSALS[refusal], reason);
    const answer = {
      index,
      errorCode: CODES.NONE as number,
      baseOffset,
      logAppendTimeMs: appendTimeMs,
      logStartOffset: partition.startOffset,
    };
    this.appended.push({ partition, offset: partition.endOffset - 1, answer });
    this.bytes += end - start;
    return answer;
  }

  whenDurable(answer: Answer, isAwaited: boolean): Outcome<typeof produce> {
    if (isAwaited) this.answer = answer;
    // One more, so that what is durable already does not answer in the middle of this.
    this.waiting = this.appended.length + 1;
    for (const { partition, offset } of this.appended) partition.wait(offset, "committed", this);
    this.waiting--;
    if (this.waiting > 0) {
      backlogOf(this.call.peer).add(this.bytes);
      return isAwaited ? LATER : NO_ANSWER;
    }
    this.check();
    return isAwaited ? answer : NO_ANSWER;
  }

  reached(): void {
    if (--this.waiting > 0) return;
    this.check();
    if (this.answer !== null) this.call.answer(this.answer);
    backlogOf(this.call.peer).remove(this.bytes);
  }

  /** Who waited is also told when a partition goes away, or its storage fails. */
  private check(): void {
    for (const { partition, offset, answer } of this.appended) {
      if (partition.committedOffset > offset) continue;
      const code: CodeName = partition.stream.deleted ? "UNKNOWN_TOPIC_OR_PARTITION" : "KAFKA_STORAGE_ERROR";
      Object.assign(answer, refused(answer.index as number, code));
    }
  }
}
