import type { AnyHandler } from "../api-table.ts";
import { apiVersionsHandler } from "./api-versions.ts";
import { deleteGroupsHandler } from "./delete-groups.ts";
import { deleteRecordsHandler } from "./delete-records.ts";
import { describeClusterHandler } from "./describe-cluster.ts";
import { describeGroupsHandler } from "./describe-groups.ts";
import { describeTopicPartitionsHandler } from "./describe-topic-partitions.ts";
import { fetchHandler } from "./fetch.ts";
import { findCoordinatorHandler } from "./find-coordinator.ts";
import { heartbeatHandler } from "./heartbeat.ts";
import { joinGroupHandler } from "./join-group.ts";
import { leaveGroupHandler } from "./leave-group.ts";
import { listGroupsHandler } from "./list-groups.ts";
import { listOffsetsHandler } from "./list-offsets.ts";
import { metadataHandler } from "./metadata.ts";
import { offsetCommitHandler } from "./offset-commit.ts";
import { offsetDeleteHandler } from "./offset-delete.ts";
import { offsetFetchHandler } from "./offset-fetch.ts";
import { offsetForLeaderEpochHandler } from "./offset-for-leader-epoch.ts";
import { produceHandler } from "./produce.ts";
import { syncGroupHandler } from "./sync-group.ts";

/** Every API that is served: the table of contents. */
export const HANDLERS: readonly AnyHandler[] = [
  apiVersionsHandler,
  deleteGroupsHandler,
  deleteRecordsHandler,
  describeClusterHandler,
  describeGroupsHandler,
  describeTopicPartitionsHandler,
  fetchHandler,
  findCoordinatorHandler,
  heartbeatHandler,
  joinGroupHandler,
  leaveGroupHandler,
  listGroupsHandler,
  listOffsetsHandler,
  metadataHandler,
  offsetCommitHandler,
  offsetDeleteHandler,
  offsetFetchHandler,
  offsetForLeaderEpochHandler,
  produceHandler,
  syncGroupHandler,
];
