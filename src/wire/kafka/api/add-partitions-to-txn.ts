import type { PartitionName } from "../../../broker/index.ts";
import { defineHandler, LATER, type Peer } from "../api.ts";
import type { Request, Response } from "../codec/api.ts";
import { CODES } from "../errors.ts";
import { findPartition } from "../partitions.ts";
import { addPartitionsToTxn } from "../schemas/add-partitions-to-txn.ts";
import { transactionCode } from "../transaction-codes.ts";

type Topics = Request<typeof addPartitionsToTxn>["v3AndBelowTopics"];

/** From here on clients know what it means to be fenced. */
const FIRST_WITH_FENCED = 2;

/** All or nothing: one partition that cannot be added keeps out the others. Later versions are for brokers among themselves. */
export const addPartitionsToTxnHandler = defineHandler({
  api: addPartitionsToTxn,
  versions: [0, 3],
  handle(request, call) {
    const { peer, version } = call;
    const { v3AndBelowTransactionalId: id, v3AndBelowTopics: topics } = request;
    if (!peer.rights.may("write", "transactional-id", id)) {
      return answer(topics, () => CODES.TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    const refused = new Map<string, number>();
    const wanted: PartitionName[] = [];
    for (const { name, partitions } of topics) {
      for (const partition of partitions) {
        const code = refusalOf(peer, name, partition);
        if (code !== CODES.NONE) refused.set(`${partition}/${name}`, code);
        wanted.push({ stream: name, partition });
      }
    }
    if (refused.size > 0) {
      return answer(topics, (name, partition) => {
        return refused.get(`${partition}/${name}`) ?? CODES.OPERATION_NOT_ATTEMPTED;
      });
    }
    const producer = {
      producerId: request.v3AndBelowProducerId,
      epoch: request.v3AndBelowProducerEpoch,
    };
    peer.session.transactions.addPartitions(id, producer, wanted, (refusal) => {
      const code = transactionCode(refusal, version >= FIRST_WITH_FENCED);
      call.answer(answer(topics, () => code));
    });
    return LATER;
  },
});

function refusalOf(peer: Peer, topic: string, partition: number): number {
  const found = findPartition(peer, "write", topic, partition);
  return typeof found === "number" ? found : CODES.NONE;
}

function answer(
  topics: Topics,
  codeOf: (topic: string, partition: number) => number,
): Response<typeof addPartitionsToTxn> {
  return {
    resultsByTopicV3AndBelow: topics.map(({ name, partitions }) => ({
      name,
      resultsByPartition: partitions.map((partition) => {
        return { partitionIndex: partition, partitionErrorCode: codeOf(name, partition) };
      }),
    })),
  };
}
