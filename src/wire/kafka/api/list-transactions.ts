import { defineHandler, type Peer } from "../api.ts";
import type { Request, Response } from "../codec/api.ts";
import { listTransactions } from "../schemas/list-transactions.ts";
import { TRANSACTION_STATES } from "./describe-transactions.ts";

/** Version 2 searches by a regular expression of another language (RE2), which is not spoken here. */
export const listTransactionsHandler = defineHandler({
  api: listTransactions,
  versions: [0, 1],
  handle(request, { peer }): Response<typeof listTransactions> {
    const known = new Set(Object.values(TRANSACTION_STATES));
    return {
      unknownStateFilters: request.stateFilters.filter((state) => !known.has(state)),
      transactionStates: found(request, peer),
    };
  },
});

function found(
  { stateFilters, producerIdFilters, durationFilter }: Request<typeof listTransactions>,
  { node, rights, session }: Peer,
) {
  const nowMs = node.context.clock.now();
  return session.transactions
    .list()
    .filter(({ name, state, producerId, startedAtMs }) => {
      if (!rights.may("describe", "transactional-id", name)) return false;
      if (stateFilters.length > 0 && !stateFilters.includes(TRANSACTION_STATES[state])) return false;
      if (producerIdFilters.length > 0 && !producerIdFilters.includes(producerId)) return false;
      return durationFilter < 0 || (startedAtMs >= 0 && nowMs - startedAtMs > durationFilter);
    })
    .map(({ name, producerId, state }) => {
      return { transactionalId: name, producerId, transactionState: TRANSACTION_STATES[state] };
    });
}
