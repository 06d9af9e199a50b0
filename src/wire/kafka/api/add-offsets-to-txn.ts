import { defineHandler, LATER } from "../api.ts";
import { CODES } from "../errors.ts";
import { addOffsetsToTxn } from "../schemas/add-offsets-to-txn.ts";
import { transactionCode } from "../transaction-codes.ts";

/** From here on clients know what it means to be fenced. */
const FIRST_WITH_FENCED = 2;

export const addOffsetsToTxnHandler = defineHandler({
  api: addOffsetsToTxn,
  handle({ transactionalId, producerId, producerEpoch: epoch, groupId }, call) {
    const { peer, version } = call;
    if (!peer.rights.may("write", "transactional-id", transactionalId)) {
      return { errorCode: CODES.TRANSACTIONAL_ID_AUTHORIZATION_FAILED };
    }
    if (!peer.rights.may("read", "group", groupId)) return { errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
    peer.session.transactions.addGroup(transactionalId, { producerId, epoch }, groupId, (refusal) =>
      call.answer({ errorCode: transactionCode(refusal, version >= FIRST_WITH_FENCED) }),
    );
    return LATER;
  },
});
