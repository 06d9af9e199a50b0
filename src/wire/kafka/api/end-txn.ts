import { defineHandler, LATER } from "../api.ts";
import { CODES } from "../errors.ts";
import { endTxn } from "../schemas/end-txn.ts";
import { transactionCode } from "../transaction-codes.ts";

/** From here on clients know what it means to be fenced. */
const FIRST_WITH_FENCED = 2;

/** Answered when the decision is durable. Version 5 is for a protocol of transactions that is not spoken (KIP-890). */
export const endTxnHandler = defineHandler({
  api: endTxn,
  versions: [0, 4],
  handle({ transactionalId, producerId, producerEpoch: epoch, committed }, call) {
    const { peer, version } = call;
    if (!peer.rights.may("write", "transactional-id", transactionalId)) {
      return { errorCode: CODES.TRANSACTIONAL_ID_AUTHORIZATION_FAILED };
    }
    peer.session.transactions.end(transactionalId, { producerId, epoch }, committed, (refusal) =>
      call.answer({ errorCode: transactionCode(refusal, version >= FIRST_WITH_FENCED) }),
    );
    return LATER;
  },
});
