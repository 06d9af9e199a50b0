import type { AnyHandler } from "../api-table.ts";
import { alterClientQuotasHandler } from "./alter-client-quotas.ts";
import { alterConfigsHandler } from "./alter-configs.ts";
import { alterPartitionReassignmentsHandler } from "./alter-partition-reassignments.ts";
import { alterReplicaLogDirsHandler } from "./alter-replica-log-dirs.ts";
import { alterUserScramCredentialsHandler } from "./alter-user-scram-credentials.ts";
import { createAclsHandler } from "./create-acls.ts";
import { createPartitionsHandler } from "./create-partitions.ts";
import { createTopicsHandler } from "./create-topics.ts";
import { deleteAclsHandler } from "./delete-acls.ts";
import { deleteTopicsHandler } from "./delete-topics.ts";
import { describeAclsHandler } from "./describe-acls.ts";
import { describeClientQuotasHandler } from "./describe-client-quotas.ts";
import { describeConfigsHandler } from "./describe-configs.ts";
import { describeLogDirsHandler } from "./describe-log-dirs.ts";
import { describeQuorumHandler } from "./describe-quorum.ts";
import { describeUserScramCredentialsHandler } from "./describe-user-scram-credentials.ts";
import { electLeadersHandler } from "./elect-leaders.ts";
import { incrementalAlterConfigsHandler } from "./incremental-alter-configs.ts";
import { listConfigResourcesHandler } from "./list-config-resources.ts";
import { listPartitionReassignmentsHandler } from "./list-partition-reassignments.ts";
import { saslAuthenticateHandler } from "./sasl-authenticate.ts";
import { saslHandshakeHandler } from "./sasl-handshake.ts";
import { updateFeaturesHandler } from "./update-features.ts";

/** Logging in, and the administration of topics, configurations, access and quotas. */
export const ADMINISTRATION: readonly AnyHandler[] = [
  alterClientQuotasHandler,
  alterConfigsHandler,
  alterPartitionReassignmentsHandler,
  alterReplicaLogDirsHandler,
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
];
