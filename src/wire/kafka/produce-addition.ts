// Partitions that a transactional producer writes to without having added them (KIP-890): they are added first,
// and what comes behind the request waits until they are, so that batches stay in order.

import { copyBytes } from "../../base/copy-bytes.ts";
import type { PartitionName, ProducerName } from "../../broker/index.ts";
import {
  ATTRIBUTE_TRANSACTIONAL,
  ATTRIBUTES_AT,
  BATCH_OVERHEAD_BYTES,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  readI16,
  readI64,
} from "../../message/record-batch.ts";
import type { Call, Peer } from "./api.ts";
import type { Request } from "./codec/api.ts";
import { CODES } from "./errors.ts";
import { findPartition } from "./partitions.ts";
import { queueTopicIds } from "./queue-topic-ids.ts";
import type { produce } from "./schemas/produce.ts";
import { transactionCode } from "./transaction-codes.ts";

type ProduceRequest = Request<typeof produce>;

/** From here on topics go by their ids (KIP-516). */
const FIRST_BY_ID = 13;

/** Name of the topic that records are for; null: there is none of that id. */
export function meantTopic(
  { session, node }: Peer,
  version: number,
  { name, topicId }: { readonly name: string; readonly topicId: string },
): string | null {
  if (version < FIRST_BY_ID) return name;
  return session.streams.findById(topicId)?.name ?? queueTopicIds(node).nameOf(topicId);
}

/** Null: there is nothing to add, or nothing that could be. */
export function additionOf(
  request: ProduceRequest,
  { peer, version }: Call<typeof produce>,
): Addition | null {
  const { transactionalId, topicData, acks } = request;
  // Who is not answered cannot be made to wait: its batches are refused.
  if (transactionalId === null || acks === 0) return null;
  const partitions: PartitionName[] = [];
  let producer: ProducerName | null = null;
  for (const topic of topicData) {
    const name = meantTopic(peer, version, topic);
    if (name === null) continue;
    for (const { index, records } of topic.partitionData) {
      if (records === null || records.end - records.start < BATCH_OVERHEAD_BYTES) continue;
      const { bytes, start } = records;
      if ((readI16(bytes, start + ATTRIBUTES_AT) & ATTRIBUTE_TRANSACTIONAL) === 0) continue;
      if (typeof findPartition(peer, "write", name, index) === "number") continue;
      producer ??= {
        producerId: readI64(bytes, start + PRODUCER_ID_AT),
        epoch: readI16(bytes, start + PRODUCER_EPOCH_AT),
      };
      partitions.push({ stream: name, partition: index });
    }
  }
  if (producer === null || peer.session.transactions.writesTo(transactionalId, producer, partitions))
    return null;
  return new Addition(request, transactionalId, producer, partitions);
}

class Addition {
  private readonly request: ProduceRequest;
  private readonly name: string;
  private readonly producer: ProducerName;
  private readonly partitions: readonly PartitionName[];

  constructor(
    request: ProduceRequest,
    name: string,
    producer: ProducerName,
    partitions: readonly PartitionName[],
  ) {
    this.request = request;
    this.name = name;
    this.producer = producer;
    this.partitions = partitions;
  }

  /** `added` is called with the request, whose records are copies: nothing else is taken from the client before. */
  carryOut(
    { peer }: Call<typeof produce>,
    added: (request: ProduceRequest) => void,
    refused: (code: number) => void,
  ): void {
    const { name, producer, partitions } = this;
    if (!peer.rights.may("write", "transactional-id", name)) {
      refused(CODES.TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
      return;
    }
    const kept = copied(this.request);
    const release = peer.hold();
    peer.session.transactions.addPartitions(name, producer, partitions, (refusal) => {
      // A fenced producer's epoch is called invalid here, as by partitions.
      if (refusal === null) added(kept);
      else refused(transactionCode(refusal, false));
      release();
    });
  }
}

function copied(request: ProduceRequest): ProduceRequest {
  const topicData = request.topicData.map((topic) => ({
    ...topic,
    partitionData: topic.partitionData.map(({ index, records }) => {
      if (records === null) return { index, records };
      const bytes = copyBytes(records.bytes, records.start, records.end);
      return { index, records: { bytes, start: 0, end: bytes.length } };
    }),
  }));
  return { ...request, topicData };
}
