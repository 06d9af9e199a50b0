import { defineHandler, LATER } from "../api.ts";
import { CODES } from "../errors.ts";
import { endTxn } from "../schemas/end-txn.ts";
import { transactionCode } from "../transaction-codes.ts";

/** From here on clients know what it means to be fenced. */
const FIRST_WITH_FENCED = 2;

/** From here on the producer goes on under a new epoch, which the answer tells (KIP-890). */
const FIRST_TO_RENEW = 5;

/** Answered when the decision is durable. */
export const endTxnHandler = defineHandler({
  api: endTxn,
  handle({ transactionalId, producerId, producerEpoch: epoch, committed }, call) {
    const { peer, version } = call;
    if (!peer.rights.may("write", "transactional-id", transactionalId)) {
      return { errorCode: CODES.TRANSACTIONAL_ID_AUTHORIZATION_FAILED };
    }
    const renews = version >= FIRST_TO_RENEW;
    const producer = { producerId, epoch };
    peer.session.transactions.end(transactionalId, producer, committed, renews, (refusal, next) =>
      call.answer({
        errorCode: transactionCode(refusal, version >= FIRST_WITH_FENCED),
        producerId: next.producerId,
        producerEpoch: next.epoch,
      }),
    );
    return LATER;
  },
});
