import type { AnyHandler } from "../api-table.ts";
import { apiVersionsHandler } from "./api-versions.ts";
import { deleteRecordsHandler } from "./delete-records.ts";
import { describeClusterHandler } from "./describe-cluster.ts";
import { describeTopicPartitionsHandler } from "./describe-topic-partitions.ts";
import { fetchHandler } from "./fetch.ts";
import { listOffsetsHandler } from "./list-offsets.ts";
import { metadataHandler } from "./metadata.ts";
import { offsetForLeaderEpochHandler } from "./offset-for-leader-epoch.ts";
import { produceHandler } from "./produce.ts";

/** Every API that is served: the table of contents. */
export const HANDLERS: readonly AnyHandler[] = [
  apiVersionsHandler,
  deleteRecordsHandler,
  describeClusterHandler,
  describeTopicPartitionsHandler,
  fetchHandler,
  listOffsetsHandler,
  metadataHandler,
  offsetForLeaderEpochHandler,
  produceHandler,
];
