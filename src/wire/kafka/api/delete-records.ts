import { BrokerError } from "../../../base/errors.ts";
import type { PartitionHandle } from "../../../broker/index.ts";
import { defineHandler } from "../api.ts";
import { durable } from "../durable.ts";
import { CODES, codeOf } from "../errors.ts";
import { findPartition } from "../partitions.ts";
import { deleteRecords } from "../schemas/delete-records.ts";

/** Instead of an offset: all that is committed. */
const HIGH_WATERMARK = -1;

/** Forgets the records below an offset. */
export const deleteRecordsHandler = defineHandler({
  api: deleteRecords,
  async handle({ topics }, { peer, node }) {
    const answered = topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, offset }) => {
        const found = findPartition(peer, "delete", name, partitionIndex);
        if (typeof found === "number") return { partitionIndex, errorCode: found, lowWatermark: -1 };
        return { partitionIndex, ...trim(found, offset) };
      }),
    }));
    await durable(node);
    return { topics: answered };
  },
});

function trim(partition: PartitionHandle, offset: number): { errorCode: number; lowWatermark: number } {
  const target = offset === HIGH_WATERMARK ? partition.committedOffset : offset;
  if (target < 0 || target > partition.committedOffset)
    return { errorCode: CODES.OFFSET_OUT_OF_RANGE, lowWatermark: -1 };
  // As in Kafka: what is compacted is kept by key, not by age.
  if (partition.stream.config.cleanup === "compact")
    return { errorCode: CODES.POLICY_VIOLATION, lowWatermark: -1 };
  try {
    // What is forgotten already stays so.
    if (target > partition.startOffset) partition.trim(target);
    return { errorCode: CODES.NONE, lowWatermark: partition.startOffset };
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return { errorCode: codeOf(error), lowWatermark: -1 };
  }
}
