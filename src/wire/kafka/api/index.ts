import type { AnyHandler } from "../api-table.ts";
import { addOffsetsToTxnHandler } from "./add-offsets-to-txn.ts";
import { addPartitionsToTxnHandler } from "./add-partitions-to-txn.ts";
import { ADMINISTRATION } from "./administration.ts";
import { alterShareGroupOffsetsHandler } from "./alter-share-group-offsets.ts";
import { apiVersionsHandler } from "./api-versions.ts";
import { consumerGroupDescribeHandler } from "./consumer-group-describe.ts";
import { consumerGroupHeartbeatHandler } from "./consumer-group-heartbeat.ts";
import { deleteGroupsHandler } from "./delete-groups.ts";
import { deleteRecordsHandler } from "./delete-records.ts";
import { deleteShareGroupOffsetsHandler } from "./delete-share-group-offsets.ts";
import { describeClusterHandler } from "./describe-cluster.ts";
import { describeGroupsHandler } from "./describe-groups.ts";
import { describeProducersHandler } from "./describe-producers.ts";
import { describeShareGroupOffsetsHandler } from "./describe-share-group-offsets.ts";
import { describeTopicPartitionsHandler } from "./describe-topic-partitions.ts";
import { describeTransactionsHandler } from "./describe-transactions.ts";
import { endTxnHandler } from "./end-txn.ts";
import { fetchHandler } from "./fetch.ts";
import { findCoordinatorHandler } from "./find-coordinator.ts";
import { heartbeatHandler } from "./heartbeat.ts";
import { initProducerIdHandler } from "./init-producer-id.ts";
import { joinGroupHandler } from "./join-group.ts";
import { leaveGroupHandler } from "./leave-group.ts";
import { listGroupsHandler } from "./list-groups.ts";
import { listOffsetsHandler } from "./list-offsets.ts";
import { listTransactionsHandler } from "./list-transactions.ts";
import { metadataHandler } from "./metadata.ts";
import { offsetCommitHandler } from "./offset-commit.ts";
import { offsetDeleteHandler } from "./offset-delete.ts";
import { offsetFetchHandler } from "./offset-fetch.ts";
import { offsetForLeaderEpochHandler } from "./offset-for-leader-epoch.ts";
import { produceHandler } from "./produce.ts";
import { shareAcknowledgeHandler } from "./share-acknowledge.ts";
import { shareFetchHandler } from "./share-fetch.ts";
import { shareGroupDescribeHandler } from "./share-group-describe.ts";
import { shareGroupHeartbeatHandler } from "./share-group-heartbeat.ts";
import { syncGroupHandler } from "./sync-group.ts";
import { txnOffsetCommitHandler } from "./txn-offset-commit.ts";
import { writeTxnMarkersHandler } from "./write-txn-markers.ts";

/** Every API that is served: the table of contents. */
export const HANDLERS: readonly AnyHandler[] = [
  ...ADMINISTRATION,
  addOffsetsToTxnHandler,
  addPartitionsToTxnHandler,
  alterShareGroupOffsetsHandler,
  apiVersionsHandler,
  consumerGroupDescribeHandler,
  consumerGroupHeartbeatHandler,
  deleteGroupsHandler,
  deleteRecordsHandler,
  deleteShareGroupOffsetsHandler,
  describeClusterHandler,
  describeGroupsHandler,
  describeProducersHandler,
  describeShareGroupOffsetsHandler,
  describeTopicPartitionsHandler,
  describeTransactionsHandler,
  endTxnHandler,
  fetchHandler,
  findCoordinatorHandler,
  heartbeatHandler,
  initProducerIdHandler,
  joinGroupHandler,
  leaveGroupHandler,
  listGroupsHandler,
  listOffsetsHandler,
  listTransactionsHandler,
  metadataHandler,
  offsetCommitHandler,
  offsetDeleteHandler,
  offsetFetchHandler,
  offsetForLeaderEpochHandler,
  produceHandler,
  shareAcknowledgeHandler,
  shareFetchHandler,
  shareGroupDescribeHandler,
  shareGroupHeartbeatHandler,
  syncGroupHandler,
  txnOffsetCommitHandler,
  writeTxnMarkersHandler,
];
