import { CLUSTER_RESOURCE, isKept, type OffsetWaiter, type PartitionHandle } from "../../../broker/index.ts";
import { defineHandler, type Peer } from "../api.ts";
import type { Request } from "../codec/api.ts";
import { CODES } from "../errors.ts";
import { findPartition } from "../partitions.ts";
import { writeTxnMarkers } from "../schemas/write-txn-markers.ts";

type Marker = Request<typeof writeTxnMarkers>["markers"][number];

/** Ends transactions of partitions, past their coordinator: for administrators, where one hangs (KIP-664). */
export const writeTxnMarkersHandler = defineHandler({
  api: writeTxnMarkers,
  versions: [0, 1],
  async handle({ markers }, { peer }) {
    const may =
      peer.rights.may("cluster-action", "cluster", CLUSTER_RESOURCE) ||
      peer.rights.may("alter", "cluster", CLUSTER_RESOURCE);
    const answers = markers.map(async (marker) => ({
      producerId: marker.producerId,
      topics: await Promise.all(
        marker.topics.map(async ({ name, partitionIndexes }) => ({
          name,
          partitions: await Promise.all(
            partitionIndexes.map(async (index) => ({
              partitionIndex: index,
              errorCode: may ? await end(peer, marker, name, index) : CODES.CLUSTER_AUTHORIZATION_FAILED,
            })),
          ),
        })),
      ),
    }));
    return { markers: await Promise.all(answers) };
  },
});

async function end(peer: Peer, marker: Marker, topic: string, index: number): Promise<number> {
  const partition = findPartition(peer, "describe", topic, index);
  if (typeof partition === "number") return partition;
  const { producerId, producerEpoch, transactionResult, coordinatorEpoch } = marker;
  const known = partition.producers().find((producer) => producer.producerId === producerId);
  if (known !== undefined && producerEpoch < known.epoch) return CODES.INVALID_PRODUCER_EPOCH;
  const offset = partition.endTransaction(producerId, producerEpoch, transactionResult, coordinatorEpoch);
  await durable(partition, offset);
  return isKept(partition, offset) ? CODES.NONE : CODES.KAFKA_STORAGE_ERROR;
}

function durable(partition: PartitionHandle, offset: number): Promise<void> {
  return new Promise((resolve) => {
    const waiter: OffsetWaiter = { reached: () => resolve() };
    partition.wait(offset, "committed", waiter);
  });
}
