import type { TransactionState, TransactionView } from "../../../broker/index.ts";
import { defineHandler } from "../api.ts";
import { CODES } from "../errors.ts";
import { describeTransactions } from "../schemas/describe-transactions.ts";

export const TRANSACTION_STATES: Readonly<Record<TransactionState, string>> = {
  empty: "Empty",
  ongoing: "Ongoing",
  committing: "PrepareCommit",
  aborting: "PrepareAbort",
  committed: "CompleteCommit",
  aborted: "CompleteAbort",
};

export const describeTransactionsHandler = defineHandler({
  api: describeTransactions,
  handle({ transactionalIds }, { peer: { rights, session } }) {
    return {
      transactionStates: transactionalIds.map((transactionalId) => {
        if (!rights.may("describe", "transactional-id", transactionalId)) {
          return { transactionalId, errorCode: CODES.TRANSACTIONAL_ID_AUTHORIZATION_FAILED };
        }
        const view = session.transactions.describe(transactionalId);
        if (view === null) return { transactionalId, errorCode: CODES.TRANSACTIONAL_ID_NOT_FOUND };
        return described(view, (topic) => rights.may("describe", "stream", topic));
      }),
    };
  },
});

/** Topics that the user may not see are left out. */
function described(view: TransactionView, visible: (topic: string) => boolean) {
  const topics = new Map<string, number[]>();
  for (const { stream, partition } of view.partitions) {
    if (!visible(stream)) continue;
    const partitions = topics.get(stream);
    if (partitions === undefined) topics.set(stream, [partition]);
    else partitions.push(partition);
  }
  return {
    transactionalId: view.name,
    transactionState: TRANSACTION_STATES[view.state],
    transactionTimeoutMs: view.timeoutMs,
    transactionStartTimeMs: view.startedAtMs,
    producerId: view.producerId,
    producerEpoch: view.epoch,
    topics: Array.from(topics, ([topic, partitions]) => ({ topic, partitions })),
  };
}
