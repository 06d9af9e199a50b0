import { BrokerError, type ErrorCode } from "../../base/errors.ts";

/** What an error comes to on the wire. */
export interface Refusal {
  readonly errorCode: number;
  readonly errorMessage: string;
}

/** Error codes of the protocol, by the name that its documentation gives them. */
export const CODES = {
  UNKNOWN_SERVER_ERROR: -1,
  NONE: 0,
  OFFSET_OUT_OF_RANGE: 1,
  CORRUPT_MESSAGE: 2,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  INVALID_FETCH_SIZE: 4,
  LEADER_NOT_AVAILABLE: 5,
  NOT_LEADER_OR_FOLLOWER: 6,
  REQUEST_TIMED_OUT: 7,
  MESSAGE_TOO_LARGE: 10,
  OFFSET_METADATA_TOO_LARGE: 12,
  COORDINATOR_LOAD_IN_PROGRESS: 14,
  COORDINATOR_NOT_AVAILABLE: 15,
  NOT_COORDINATOR: 16,
  INVALID_TOPIC_EXCEPTION: 17,
  RECORD_LIST_TOO_LARGE: 18,
  NOT_ENOUGH_REPLICAS: 19,
  INVALID_REQUIRED_ACKS: 21,
  ILLEGAL_GENERATION: 22,
  INCONSISTENT_GROUP_PROTOCOL: 23,
  INVALID_GROUP_ID: 24,
  UNKNOWN_MEMBER_ID: 25,
  INVALID_SESSION_TIMEOUT: 26,
  REBALANCE_IN_PROGRESS: 27,
  INVALID_COMMIT_OFFSET_SIZE: 28,
  TOPIC_AUTHORIZATION_FAILED: 29,
  GROUP_AUTHORIZATION_FAILED: 30,
  CLUSTER_AUTHORIZATION_FAILED: 31,
  INVALID_TIMESTAMP: 32,
  UNSUPPORTED_SASL_MECHANISM: 33,
  ILLEGAL_SASL_STATE: 34,
  UNSUPPORTED_VERSION: 35,
  TOPIC_ALREADY_EXISTS: 36,
  INVALID_PARTITIONS: 37,
  INVALID_REPLICATION_FACTOR: 38,
  INVALID_REPLICA_ASSIGNMENT: 39,
  INVALID_CONFIG: 40,
  NOT_CONTROLLER: 41,
  INVALID_REQUEST: 42,
  UNSUPPORTED_FOR_MESSAGE_FORMAT: 43,
  POLICY_VIOLATION: 44,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  DUPLICATE_SEQUENCE_NUMBER: 46,
  INVALID_PRODUCER_EPOCH: 47,
  INVALID_TXN_STATE: 48,
  INVALID_PRODUCER_ID_MAPPING: 49,
  INVALID_TRANSACTION_TIMEOUT: 50,
  CONCURRENT_TRANSACTIONS: 51,
  TRANSACTION_COORDINATOR_FENCED: 52,
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 53,
  SECURITY_DISABLED: 54,
  OPERATION_NOT_ATTEMPTED: 55,
  KAFKA_STORAGE_ERROR: 56,
  LOG_DIR_NOT_FOUND: 57,
  SASL_AUTHENTICATION_FAILED: 58,
  UNKNOWN_PRODUCER_ID: 59,
  REASSIGNMENT_IN_PROGRESS: 60,
  NON_EMPTY_GROUP: 68,
  GROUP_ID_NOT_FOUND: 69,
  FETCH_SESSION_ID_NOT_FOUND: 70,
  INVALID_FETCH_SESSION_EPOCH: 71,
  LISTENER_NOT_FOUND: 72,
  TOPIC_DELETION_DISABLED: 73,
  FENCED_LEADER_EPOCH: 74,
  UNKNOWN_LEADER_EPOCH: 75,
  UNSUPPORTED_COMPRESSION_TYPE: 76,
  STALE_BROKER_EPOCH: 77,
  OFFSET_NOT_AVAILABLE: 78,
  MEMBER_ID_REQUIRED: 79,
  PREFERRED_LEADER_NOT_AVAILABLE: 80,
  GROUP_MAX_SIZE_REACHED: 81,
  FENCED_INSTANCE_ID: 82,
  ELIGIBLE_LEADERS_NOT_AVAILABLE: 83,
  ELECTION_NOT_NEEDED: 84,
  NO_REASSIGNMENT_IN_PROGRESS: 85,
  GROUP_SUBSCRIBED_TO_TOPIC: 86,
  INVALID_RECORD: 87,
  UNSTABLE_OFFSET_COMMIT: 88,
  THROTTLING_QUOTA_EXCEEDED: 89,
  PRODUCER_FENCED: 90,
  RESOURCE_NOT_FOUND: 91,
  DUPLICATE_RESOURCE: 92,
  UNACCEPTABLE_CREDENTIAL: 93,
  INVALID_UPDATE_VERSION: 95,
  FEATURE_UPDATE_FAILED: 96,
  UNKNOWN_TOPIC_ID: 100,
  INCONSISTENT_TOPIC_ID: 103,
  TRANSACTIONAL_ID_NOT_FOUND: 105,
  FETCH_SESSION_TOPIC_ID_ERROR: 106,
  FENCED_MEMBER_EPOCH: 110,
  UNRELEASED_INSTANCE_ID: 111,
  UNSUPPORTED_ASSIGNOR: 112,
  STALE_MEMBER_EPOCH: 113,
  MISMATCHED_ENDPOINT_TYPE: 114,
  UNSUPPORTED_ENDPOINT_TYPE: 115,
  TRANSACTION_ABORTABLE: 120,
  INVALID_RECORD_STATE: 121,
  SHARE_SESSION_NOT_FOUND: 122,
  INVALID_SHARE_SESSION_EPOCH: 123,
  FENCED_STATE_EPOCH: 124,
  INVALID_REGULAR_EXPRESSION: 128,
  SHARE_SESSION_LIMIT_REACHED: 133,
} as const;

export type CodeName = keyof typeof CODES;

/** A request, or one part of it, that is answered with an error code. */
export class KafkaError extends Error {
  override readonly name = "KafkaError";
  readonly code: number;

  constructor(code: CodeName, message: string = code) {
    super(message);
    this.code = CODES[code];
  }
}

/** What each of the broker's errors is on the wire, where an API does not say it better. */
const BROKER_CODES: Record<ErrorCode, CodeName> = {
  "access-refused": "TOPIC_AUTHORIZATION_FAILED",
  "login-refused": "SASL_AUTHENTICATION_FAILED",
  "namespace-not-found": "CLUSTER_AUTHORIZATION_FAILED",
  "namespace-refused": "CLUSTER_AUTHORIZATION_FAILED",
  "queue-not-found": "UNKNOWN_TOPIC_OR_PARTITION",
  "exchange-not-found": "UNKNOWN_TOPIC_OR_PARTITION",
  "stream-not-found": "UNKNOWN_TOPIC_OR_PARTITION",
  "stream-exists": "TOPIC_ALREADY_EXISTS",
  "name-invalid": "INVALID_TOPIC_EXCEPTION",
  "offset-out-of-range": "OFFSET_OUT_OF_RANGE",
  "no-last-queue": "UNKNOWN_TOPIC_OR_PARTITION",
  "name-reserved": "INVALID_TOPIC_EXCEPTION",
  "default-exchange": "INVALID_REQUEST",
  "system-exchange": "INVALID_REQUEST",
  "internal-exchange": "INVALID_REQUEST",
  "exchange-type-unknown": "INVALID_REQUEST",
  inequivalent: "TOPIC_ALREADY_EXISTS",
  "argument-invalid": "INVALID_CONFIG",
  "queue-locked": "TOPIC_AUTHORIZATION_FAILED",
  "queue-exclusive-use": "TOPIC_AUTHORIZATION_FAILED",
  "queue-in-use": "INVALID_REQUEST",
  "queue-not-empty": "INVALID_REQUEST",
  "exchange-in-use": "INVALID_REQUEST",
  "consumer-tag-in-use": "INVALID_REQUEST",
  "single-active-consumer": "INVALID_REQUEST",
  "delivery-tag-unknown": "INVALID_RECORD_STATE",
  "reply-consumer": "INVALID_REQUEST",
  "message-too-large": "MESSAGE_TOO_LARGE",
  "message-invalid": "INVALID_RECORD",
  "user-id-mismatch": "INVALID_REQUEST",
  "limit-reached": "POLICY_VIOLATION",
  "not-implemented": "INVALID_REQUEST",
  "resource-alarm": "KAFKA_STORAGE_ERROR",
  "shutting-down": "COORDINATOR_NOT_AVAILABLE",
  internal: "UNKNOWN_SERVER_ERROR",
};

/** What is answered; null for an error that no client has caused. */
export function refusalOf(error: unknown): Refusal | null {
  if (error instanceof KafkaError) return { errorCode: error.code, errorMessage: error.message };
  if (!(error instanceof BrokerError)) return null;
  return { errorCode: codeOf(error), errorMessage: error.message };
}

export function codeOf(error: BrokerError): number {
  return CODES[error.code === "access-refused" ? refusedCode(error) : BROKER_CODES[error.code]];
}

function refusedCode({ detail }: BrokerError): CodeName {
  if (detail.kind === "cluster") return "CLUSTER_AUTHORIZATION_FAILED";
  if (detail.kind === "group") return "GROUP_AUTHORIZATION_FAILED";
  if (detail.kind === "transactional-id") return "TRANSACTIONAL_ID_AUTHORIZATION_FAILED";
  return BROKER_CODES["access-refused"];
}

/** For one of the many things that a request asks for. @throws what no client has caused */
export function partRefusal(error: unknown): Refusal {
  const refusal = refusalOf(error);
  if (refusal === null) throw error;
  return refusal;
}
