import type { LeaseHandle, SharePolicy, Verdict } from "../../../broker/index.ts";
import type { Peer } from "../api.ts";
import { groupConfigs } from "../configs/group-configs.ts";
import { CODES } from "../errors.ts";
import type { ShareSession } from "./sessions.ts";

/** Number of the type of an acknowledgement -> what it says. */
const VERDICTS: readonly Verdict[] = ["gap", "accept", "release", "reject", "renew"];
const RENEW = 4;
/** KIP-1222 */
const FIRST_WITH_RENEW = 2;
/** KIP-932: records of a partition that are being processed. */
const WINDOW_MAX = 2000;

export interface AcknowledgementBatch {
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly acknowledgeTypes: readonly number[];
}

/** What a group's configurations make of its leases. */
export function sharePolicy({ node }: Peer, group: string): SharePolicy {
  const configs = groupConfigs(node);
  const deadLetterStream = configs.text(group, "errors.deadletterqueue.topic.name");
  return {
    leaseMs: configs.number(group, "share.record.lock.duration.ms"),
    deliveriesMax: configs.number(group, "share.delivery.count.limit"),
    windowMax: WINDOW_MAX,
    isolation: configs.text(group, "share.isolation.level") === "read_committed" ? "stable" : "committed",
    startAt: configs.text(group, "share.auto.offset.reset") === "earliest" ? "earliest" : "latest",
    retryMs: configs.number(group, "share.retry.backoff.ms"),
    retryMsMax: configs.number(group, "share.retry.backoff.max.ms"),
    deadLetterStream: deadLetterStream === "" ? null : deadLetterStream,
  };
}

/** The partition as the group reads it, or the error code with which it is refused. */
export function leaseOf(
  { session, rights }: Peer,
  group: string,
  topicId: string,
  index: number,
  policy: SharePolicy,
): LeaseHandle | number {
  const stream = session.streams.findById(topicId);
  if (stream === null) return CODES.UNKNOWN_TOPIC_ID;
  if (!rights.may("read", "stream", stream.name)) return CODES.TOPIC_AUTHORIZATION_FAILED;
  return session.shares.lease(group, stream, index, policy) ?? CODES.UNKNOWN_TOPIC_OR_PARTITION;
}

/** Carries out what a member says of records; the error code. */
export function settle(
  lease: LeaseHandle,
  { member }: ShareSession,
  batches: readonly AcknowledgementBatch[],
  version: number,
): number {
  for (const { firstOffset, lastOffset, acknowledgeTypes } of batches) {
    const count = lastOffset - firstOffset + 1;
    const known = acknowledgeTypes.every(
      (type) => type >= 0 && type <= (version < FIRST_WITH_RENEW ? RENEW - 1 : RENEW),
    );
    if (!known || count < 1 || (acknowledgeTypes.length !== 1 && acknowledgeTypes.length !== count)) {
      return CODES.INVALID_REQUEST;
    }
    const verdicts = acknowledgeTypes.map((type) => VERDICTS[type] as Verdict);
    if (!lease.settle(member, firstOffset, lastOffset, verdicts)) return CODES.INVALID_RECORD_STATE;
  }
  return CODES.NONE;
}
