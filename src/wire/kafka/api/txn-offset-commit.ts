import { defineHandler, LATER } from "../api.ts";
import type { Request, Response } from "../codec/api.ts";
import { CODES } from "../errors.ts";
import { txnOffsetCommit } from "../schemas/txn-offset-commit.ts";
import { stagedOffsetCode, transactionCode } from "../transaction-codes.ts";

type CommitRequest = Request<typeof txnOffsetCommit>;

/** From here on the group need not be added before (KIP-890). */
const FIRST_TO_ADD = 5;

/** Offsets that count when the transaction commits. */
export const txnOffsetCommitHandler = defineHandler({
  api: txnOffsetCommit,
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
    const producer = { producerId, epoch };
    const commit = (): void =>
      transactions.commitOffsets(transactionalId, producer, groupId, claim, offsets, (refusals) => {
        let next = 0;
        call.answer(
          answer(request, (topic) => {
            return readable[topic]
              ? stagedOffsetCode(refusals[next++] ?? null)
              : CODES.TOPIC_AUTHORIZATION_FAILED;
          }),
        );
      });
    if (call.version < FIRST_TO_ADD) commit();
    else {
      transactions.addGroup(transactionalId, producer, groupId, (refusal) => {
        if (refusal === null) commit();
        else call.answer(answer(request, () => transactionCode(refusal, true)));
      });
    }
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
