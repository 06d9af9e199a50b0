import { BrokerError } from "../../../base/errors.ts";
import type { PartitionHandle } from "../../../broker/index.ts";
import { type Call, defineHandler } from "../api.ts";
import type { Request, Response } from "../codec/api.ts";
import { CODES, codeOf } from "../errors.ts";
import { epochError, findPartition } from "../partitions.ts";
import { listOffsets } from "../schemas/list-offsets.ts";

// What stands for a timestamp.
const LATEST = -1;
const EARLIEST = -2;
const MAX_TIMESTAMP = -3;
const EARLIEST_LOCAL = -4;
const LATEST_TIERED = -5;
const EARLIEST_PENDING_UPLOAD = -6;

/** The first version whose clients may mean it. */
const FIRST_WITH: ReadonlyMap<number, number> = new Map([
  [LATEST, 0],
  [EARLIEST, 0],
  [MAX_TIMESTAMP, 7],
  [EARLIEST_LOCAL, 8],
  [LATEST_TIERED, 9],
  [EARLIEST_PENDING_UPLOAD, 11],
]);

const READ_COMMITTED = 1;

type Asked = Request<typeof listOffsets>["topics"][number]["partitions"][number];
type Found = NonNullable<NonNullable<Response<typeof listOffsets>["topics"]>[number]["partitions"]>[number];

interface Position {
  readonly offset: number;
  readonly timestamp: number;
}

const NOWHERE: Position = { offset: -1, timestamp: -1 };

/** Offsets by time, and the ends of partitions. */
export const listOffsetsHandler = defineHandler({
  api: listOffsets,
  async handle({ topics, isolationLevel }, call) {
    return {
      topics: await Promise.all(
        topics.map(async ({ name, partitions }) => ({
          name,
          partitions: await Promise.all(
            partitions.map((asked) => answerTo(asked, name, isolationLevel === READ_COMMITTED, call)),
          ),
        })),
      ),
    };
  },
});

async function answerTo(
  asked: Asked,
  topic: string,
  committedOnly: boolean,
  { peer, version }: Call<typeof listOffsets>,
): Promise<Found> {
  const { partitionIndex, timestamp, currentLeaderEpoch } = asked;
  const failed = (errorCode: number): Found => ({ partitionIndex, errorCode });
  if (timestamp < 0 && version < (FIRST_WITH.get(timestamp) ?? Number.POSITIVE_INFINITY))
    return failed(CODES.UNSUPPORTED_VERSION);
  const partition = findPartition(peer, "describe", topic, partitionIndex);
  if (typeof partition === "number") return failed(partition);
  const errorCode = epochError(partition, currentLeaderEpoch);
  if (errorCode !== CODES.NONE) return failed(errorCode);
  const end = committedOnly ? partition.stableOffset : partition.committedOffset;
  try {
    if (version === 0) return { partitionIndex, oldStyleOffsets: await oldStyle(partition, asked, end) };
    const { offset, timestamp: at } = await find(partition, timestamp, end);
    return { partitionIndex, offset, timestamp: at, leaderEpoch: offset < 0 ? -1 : partition.epoch };
  } catch (error) {
    if (error instanceof BrokerError) return failed(codeOf(error));
    throw error;
  }
}

async function find(partition: PartitionHandle, timestamp: number, end: number): Promise<Position> {
  switch (timestamp) {
    case LATEST:
      return { offset: end, timestamp: -1 };
    case EARLIEST:
    case EARLIEST_LOCAL:
      return { offset: partition.startOffset, timestamp: -1 };
    case MAX_TIMESTAMP: {
      const { offset, timestampMs } = partition.newestTimestamp;
      return { offset, timestamp: timestampMs };
    }
    case LATEST_TIERED:
    case EARLIEST_PENDING_UPLOAD:
      return NOWHERE;
  }
  const found = await partition.offsetAt(timestamp);
  return found === null || found.offset >= end
    ? NOWHERE
    : { offset: found.offset, timestamp: found.timestampMs };
}

/** Version 0: starts of segments before a time, newest first, of which two are as good as all. */
async function oldStyle(partition: PartitionHandle, asked: Asked, end: number): Promise<number[]> {
  const { offset } = await find(partition, asked.timestamp, end);
  const found = asked.timestamp === LATEST ? [offset, partition.startOffset] : [offset];
  return [...new Set(found)].filter((one) => one >= 0).slice(0, Math.max(0, asked.maxNumOffsets));
}
