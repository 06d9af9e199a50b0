import { defineHandler, LATER } from "../api.ts";
import type { Request, Response } from "../codec/api.ts";
import { CODES } from "../errors.ts";
import { txnOffsetCommit } from "../schemas/txn-offset-commit.ts";
import { stagedOffsetCode } from "../transaction-codes.ts";

type CommitRequest = Request<typeof txnOffsetCommit>;

/** Offsets that count when the transaction commits. Version 5 adds the group by itself (KIP-890). */
export const txnOffsetCommitHandler = defineHandler({
  api: txnOffsetCommit,
  versions: [0, 4],
  handle(request, call) {
    const { rights, session } = call.peer;
    const { transactionalId, groupId, producerId, producerEpoch: epoch, topics } = request;
    if (!rights.may("write", "transactional-id", transactionalId)) {
      return answer(request, () => CODES.TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    if (!rights.may("read", "group", groupId)) {
      return answer(request, () => CODES.GROUP_AUTHORIZATION_FAILED);
    }
    const readable = topics.map(({ name }) => rights.may("read", "stream", name));
    const offsets = topics.flatMap(({ name, partitions }, index) =>
      (readable[index] ? partitions : []).map((partition) => ({
        stream: name,
        partition: partition.partitionIndex,
        offset: partition.committedOffset,
        epoch: partition.committedLeaderEpoch,
        metadata: partition.committedMetadata ?? "",
        retentionMs: -1,
      })),
    );
    const claim = {
      memberId: request.memberId,
      instanceId: request.groupInstanceId,
      generation: request.generationId,
    };
    const { transactions } = session;
    transactions.commitOffsets(
      transactionalId,
      { producerId, epoch },
      groupId,
      claim,
      offsets,
      (refusals) => {
        let next = 0;
        call.answer(
          answer(request, (topic) => {
            return readable[topic]
              ? stagedOffsetCode(refusals[next++] ?? null)
              : CODES.TOPIC_AUTHORIZATION_FAILED;
          }),
        );
      },
    );
    return LATER;
  },
});

/** One code for each partition, in the order of the request. */
function answer(
  { topics }: CommitRequest,
  codeOfNext: (topic: number) => number,
): Response<typeof txnOffsetCommit> {
  return {
    topics: topics.map(({ name, partitions }, index) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: codeOfNext(index) })),
    })),
  };
}
