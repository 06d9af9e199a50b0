import type { GroupRefusal } from "../../broker/index.ts";
import { CODES, type CodeName } from "./errors.ts";

/** What each refusal of a group is called here. */
const NAMES: Readonly<Record<GroupRefusal, CodeName>> = {
  "group-name-invalid": "INVALID_GROUP_ID",
  "session-timeout-invalid": "INVALID_SESSION_TIMEOUT",
  "protocols-inconsistent": "INCONSISTENT_GROUP_PROTOCOL",
  "member-unknown": "UNKNOWN_MEMBER_ID",
  "member-id-required": "MEMBER_ID_REQUIRED",
  "group-full": "GROUP_MAX_SIZE_REACHED",
  "generation-stale": "ILLEGAL_GENERATION",
  rebalancing: "REBALANCE_IN_PROGRESS",
  "instance-fenced": "FENCED_INSTANCE_ID",
  "instance-held": "UNRELEASED_INSTANCE_ID",
  "member-epoch-fenced": "FENCED_MEMBER_EPOCH",
  "member-epoch-stale": "STALE_MEMBER_EPOCH",
  "assignor-unknown": "UNSUPPORTED_ASSIGNOR",
  "pattern-invalid": "INVALID_REGULAR_EXPRESSION",
  "request-invalid": "INVALID_REQUEST",
  "group-not-empty": "NON_EMPTY_GROUP",
  "group-not-found": "GROUP_ID_NOT_FOUND",
  "group-kind": "INCONSISTENT_GROUP_PROTOCOL",
  "stream-subscribed": "GROUP_SUBSCRIBED_TO_TOPIC",
  "partition-unknown": "UNKNOWN_TOPIC_OR_PARTITION",
  "metadata-too-large": "OFFSET_METADATA_TOO_LARGE",
  "offset-undecided": "UNSTABLE_OFFSET_COMMIT",
  "producer-fenced": "PRODUCER_FENCED",
  "producer-unknown": "INVALID_PRODUCER_ID_MAPPING",
};

export function codeOf(refusal: GroupRefusal | null): number {
  return refusal === null ? CODES.NONE : CODES[NAMES[refusal]];
}
