// What crash runs need of a Kafka client: one that can be cut off between any two bytes, and holds back nothing.
import { ATTRIBUTE_TRANSACTIONAL } from "../../src/message/record-batch.ts";
import { createTopics } from "../../src/wire/kafka/schemas/create-topics.ts";
import { fetch } from "../../src/wire/kafka/schemas/fetch.ts";
import { offsetFetch } from "../../src/wire/kafka/schemas/offset-fetch.ts";
import { produce } from "../../src/wire/kafka/schemas/produce.ts";
import { batchOf } from "../support/kafka-batch.ts";
import type { RawKafka } from "../support/kafka-raw.ts";
import { readBatches } from "../support/kafka-read.ts";
import type { PolymqProcess } from "../support/polymq-process.ts";

/** The broker says no. */
export class Refused extends Error {
  readonly code: number;

  constructor(what: string, code: number) {
    super(`${what}: error ${code}`);
    this.code = code;
  }
}

export function must(what: string, code: number | undefined): void {
  if (code !== 0) throw new Refused(what, code ?? -1);
}

/** Where the broker of this process listens for Kafka now. */
export function kafkaOf({ output }: PolymqProcess): { host: string; port: number } {
  const address = /kafka:\/\/(?:[^@\s]*@)?([\d.]+):(\d+)/.exec(output);
  if (address === null) throw new Error(`the banner names no kafka:// address\n${output}`);
  return { host: address[1] as string, port: Number(address[2]) };
}

/** One that numbers what it writes. */
export interface Producer {
  /** Of its transactions, if it has any. */
  readonly name: string | null;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly sequence: number;
}

/** Offset of the first of these records. */
export async function write(
  peer: RawKafka,
  topic: string,
  partition: number,
  values: readonly string[],
  producer?: Producer,
  version = 7,
): Promise<number> {
  const records = batchOf(
    values.map((value) => ({ value })),
    producer === undefined
      ? {}
      : {
          attributes: producer.name === null ? 0 : ATTRIBUTE_TRANSACTIONAL,
          producerId: producer.producerId,
          producerEpoch: producer.producerEpoch,
          baseSequence: producer.sequence,
        },
  );
  const answer = await peer.ask(produce, version, {
    transactionalId: producer?.name ?? null,
    acks: -1,
    timeoutMs: 10_000,
    topicData: [{ name: topic, partitionData: [{ index: partition, records }] }],
  });
  const told = answer.responses[0]?.partitionResponses[0];
  must(`produce to ${topic}`, told?.errorCode);
  return told?.baseOffset ?? -1;
}

export interface Found {
  readonly records: { readonly offset: number; readonly value: string }[];
  /** To go on from. */
  readonly next: number;
  /** Offsets between batches that nothing has. */
  readonly missing: number;
}

/** Records from `offset` on; "stable": what is decided, without what was aborted. */
export async function readFrom(
  peer: RawKafka,
  topic: string,
  partition: number,
  offset: number,
  options: { readonly stable?: boolean; readonly waitMs?: number; readonly bytesMax?: number } = {},
): Promise<Found> {
  const { stable = false, waitMs = 0, bytesMax = 1 << 20 } = options;
  const answer = await peer.ask(fetch, 7, {
    maxWaitMs: waitMs,
    minBytes: 1,
    isolationLevel: stable ? 1 : 0,
    topics: [{ topic, partitions: [{ partition, fetchOffset: offset, partitionMaxBytes: bytesMax }] }],
  });
  const told = answer.responses[0]?.partitions[0];
  must(`fetch from ${topic}`, told?.errorCode);
  return readBatches(told?.records ?? null, offset, told?.abortedTransactions ?? []);
}

/** 0 where the group has committed none. */
export async function committedBy(
  peer: RawKafka,
  group: string,
  topic: string,
  partition: number,
): Promise<number> {
  const answer = await peer.ask(offsetFetch, 7, {
    groupId: group,
    topics: [{ name: topic, partitionIndexes: [partition] }],
    requireStable: true,
  });
  must("fetch offsets", answer.errorCode);
  const told = answer.topics[0]?.partitions[0];
  must("fetch offset", told?.errorCode);
  return Math.max(told?.committedOffset ?? 0, 0);
}

export async function makeTopics(peer: RawKafka, partitions: number, ...names: string[]): Promise<void> {
  const topics = names.map((name) => ({ name, numPartitions: partitions, replicationFactor: 1 }));
  const answer = await peer.ask(createTopics, 4, { topics, timeoutMs: 10_000 });
  for (const { errorCode } of answer.topics) must("create topic", errorCode);
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
