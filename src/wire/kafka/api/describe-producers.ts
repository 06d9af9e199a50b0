import { defineHandler, type Peer } from "../api.ts";
import { CODES } from "../errors.ts";
import { findPartition } from "../partitions.ts";
import { describeProducers } from "../schemas/describe-producers.ts";

/** Producers that partitions remember: for those who look for a transaction that hangs. */
export const describeProducersHandler = defineHandler({
  api: describeProducers,
  handle({ topics }, { peer }) {
    return {
      topics: topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((index) => ({
          partitionIndex: index,
          ...described(peer, name, index),
        })),
      })),
    };
  },
});

function described(peer: Peer, topic: string, index: number) {
  const partition = findPartition(peer, "read", topic, index);
  if (typeof partition === "number") return { errorCode: partition };
  return {
    errorCode: CODES.NONE,
    activeProducers: partition.producers().map((producer) => ({
      producerId: producer.producerId,
      producerEpoch: producer.epoch,
      lastSequence: producer.lastSequence,
      lastTimestamp: producer.lastMs,
      coordinatorEpoch: -1,
      currentTxnStartOffset: producer.transactionStart,
    })),
  };
}
