import type { AnyHandler } from "../api-table.ts";
import { alterClientQuotasHandler } from "./alter-client-quotas.ts";
import { alterConfigsHandler } from "./alter-configs.ts";
import { alterPartitionReassignmentsHandler } from "./alter-partition-reassignments.ts";
import { alterUserScramCredentialsHandler } from "./alter-user-scram-credentials.ts";
import { apiVersionsHandler } from "./api-versions.ts";
import { createAclsHandler } from "./create-acls.ts";
import { createPartitionsHandler } from "./create-partitions.ts";
import { createTopicsHandler } from "./create-topics.ts";
import { deleteAclsHandler } from "./delete-acls.ts";
import { deleteGroupsHandler } from "./delete-groups.ts";
import { deleteTopicsHandler } from "./delete-topics.ts";
import { describeAclsHandler } from "./describe-acls.ts";
import { describeClientQuotasHandler } from "./describe-client-quotas.ts";
import { describeConfigsHandler } from "./describe-configs.ts";
import { describeGroupsHandler } from "./describe-groups.ts";
import { describeLogDirsHandler } from "./describe-log-dirs.ts";
import { describeQuorumHandler } from "./describe-quorum.ts";
import { describeUserScramCredentialsHandler } from "./describe-user-scram-credentials.ts";
import { electLeadersHandler } from "./elect-leaders.ts";
import { heartbeatHandler } from "./heartbeat.ts";
import { incrementalAlterConfigsHandler } from "./incremental-alter-configs.ts";
import { joinGroupHandler } from "./join-group.ts";
import { leaveGroupHandler } from "./leave-group.ts";
import { listConfigResourcesHandler } from "./list-config-resources.ts";
import { listGroupsHandler } from "./list-groups.ts";
import { listPartitionReassignmentsHandler } from "./list-partition-reassignments.ts";
import { offsetCommitHandler } from "./offset-commit.ts";
import { offsetDeleteHandler } from "./offset-delete.ts";
import { offsetFetchHandler } from "./offset-fetch.ts";
import { saslAuthenticateHandler } from "./sasl-authenticate.ts";
import { saslHandshakeHandler } from "./sasl-handshake.ts";
import { syncGroupHandler } from "./sync-group.ts";
import { updateFeaturesHandler } from "./update-features.ts";

/** Every API that is served: the table of contents. */
export const HANDLERS: readonly AnyHandler[] = [
  offsetCommitHandler,
  offsetFetchHandler,
  joinGroupHandler,
  heartbeatHandler,
  leaveGroupHandler,
  syncGroupHandler,
  describeGroupsHandler,
  listGroupsHandler,
  apiVersionsHandler,
  alterClientQuotasHandler,
  alterConfigsHandler,
  alterPartitionReassignmentsHandler,
  alterUserScramCredentialsHandler,
  createAclsHandler,
  createPartitionsHandler,
  createTopicsHandler,
  deleteAclsHandler,
  deleteTopicsHandler,
  describeAclsHandler,
  describeClientQuotasHandler,
  describeConfigsHandler,
  describeLogDirsHandler,
  describeQuorumHandler,
  describeUserScramCredentialsHandler,
  electLeadersHandler,
  incrementalAlterConfigsHandler,
  listConfigResourcesHandler,
  listPartitionReassignmentsHandler,
  saslAuthenticateHandler,
  saslHandshakeHandler,
  updateFeaturesHandler,
  deleteGroupsHandler,
  offsetDeleteHandler,
];
