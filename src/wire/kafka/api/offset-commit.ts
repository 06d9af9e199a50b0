import type { GroupRefusal, OffsetCommit } from "../../../broker/index.ts";
import { type Call, defineHandler, LATER } from "../api.ts";
import type { Request } from "../codec/api.ts";
import { CODES } from "../errors.ts";
import { codeOf } from "../group-codes.ts";
import { offsetCommit } from "../schemas/offset-commit.ts";
import { topicName } from "../topic-name.ts";

type CommitRequest = Request<typeof offsetCommit>;

/** From here on the members of groups that the broker divides are told apart by their epochs (KIP-848). */
const FIRST_WITH_EPOCHS = 9;

/** Answered when the offsets are durable. */
export const offsetCommitHandler = defineHandler({
  api: offsetCommit,
  handle(request, call) {
    const { peer } = call;
    const { groupId, memberId } = request;
    if (!peer.rights.may("read", "group", groupId)) {
      return answer(request, () => CODES.GROUP_AUTHORIZATION_FAILED);
    }
    const refused = refusedTopics(request, call);
    const claim = {
      memberId,
      instanceId: request.groupInstanceId,
      generation: request.generationIdOrMemberEpoch,
    };
    peer.session.groups.commitOffsets(groupId, claim, commitsOf(request, call, refused), (refusals) => {
      let next = 0;
      call.answer(
        answer(request, (topic) => refused.get(topic) ?? codeIn(call.version, refusals[next++] ?? null)),
      );
    });
    return LATER;
  },
});

/** Topics that cannot be committed to at all, by their place in the request. */
function refusedTopics({ topics }: CommitRequest, { version, peer }: Call): Map<number, number> {
  const refused = new Map<number, number>();
  topics.forEach((topic, index) => {
    const { name, code } = topicName(peer, "read", version >= 10, topic);
    if (name === null) refused.set(index, code);
  });
  return refused;
}

function commitsOf(
  { topics, retentionTimeMs }: CommitRequest,
  { version, peer }: Call,
  refused: ReadonlyMap<number, number>,
): OffsetCommit[] {
  return topics.flatMap((topic, index) => {
    if (refused.has(index)) return [];
    const stream = topicName(peer, "read", version >= 10, topic).name as string;
    return topic.partitions.map((partition) => ({
      stream,
      partition: partition.partitionIndex,
      offset: partition.committedOffset,
      epoch: partition.committedLeaderEpoch,
      metadata: partition.committedMetadata ?? "",
      retentionMs: retentionTimeMs,
    }));
  });
}

/** One code for each partition, in the order of the request. */
function answer({ topics }: CommitRequest, codeOfNext: (topic: number) => number) {
  return {
    topics: topics.map(({ name, topicId, partitions }, index) => ({
      name,
      topicId,
      partitions: partitions.map(({ partitionIndex }) => {
        return { partitionIndex, errorCode: codeOfNext(index) };
      }),
    })),
  };
}

/** A stale epoch has a code of its own only where clients know it. */
function codeIn(version: number, refusal: GroupRefusal | null): number {
  if (refusal === "member-epoch-stale" && version < FIRST_WITH_EPOCHS) return CODES.ILLEGAL_GENERATION;
  return codeOf(refusal);
}
