import { LinearPattern } from "../../../base/linear-pattern.ts";
import { defineHandler, type Peer } from "../api.ts";
import type { Request, Response } from "../codec/api.ts";
import { CODES } from "../errors.ts";
import { listTransactions } from "../schemas/list-transactions.ts";
import { TRANSACTION_STATES } from "./describe-transactions.ts";

export const listTransactionsHandler = defineHandler({
  api: listTransactions,
  handle(request, { peer }): Response<typeof listTransactions> {
    const known = new Set(Object.values(TRANSACTION_STATES));
    const pattern = patternOf(request);
    if (pattern === undefined) return { errorCode: CODES.INVALID_REGULAR_EXPRESSION };
    return {
      unknownStateFilters: request.stateFilters.filter((state) => !known.has(state)),
      transactionStates: found(request, pattern, peer),
    };
  },
});

/** Of names, in RE2's syntax; null: any. Undefined when it is none. */
function patternOf({ transactionalIdPattern }: Request<typeof listTransactions>) {
  if (transactionalIdPattern === null || transactionalIdPattern === "") return null;
  try {
    return new LinearPattern(transactionalIdPattern);
  } catch {
    return undefined;
  }
}

function found(
  { stateFilters, producerIdFilters, durationFilter }: Request<typeof listTransactions>,
  pattern: LinearPattern | null,
  { node, rights, session }: Peer,
) {
  const nowMs = node.context.broker.now();
  return session.transactions
    .list()
    .filter(({ name, state, producerId, startedAtMs }) => {
      if (!rights.may("describe", "transactional-id", name)) return false;
      if (pattern !== null && !pattern.matches(name)) return false;
      if (stateFilters.length > 0 && !stateFilters.includes(TRANSACTION_STATES[state])) return false;
      if (producerIdFilters.length > 0 && !producerIdFilters.includes(producerId)) return false;
      return durationFilter < 0 || (startedAtMs >= 0 && nowMs - startedAtMs > durationFilter);
    })
    .map(({ name, producerId, state }) => {
      return { transactionalId: name, producerId, transactionState: TRANSACTION_STATES[state] };
    });
}
