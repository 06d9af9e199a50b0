import { CLUSTER_RESOURCE } from "../../../broker/index.ts";
import { defineHandler, LATER, type Peer } from "../api.ts";
import { CODES } from "../errors.ts";
import { initProducerId } from "../schemas/init-producer-id.ts";
import { transactionCode } from "../transaction-codes.ts";

/** From here on clients know what it means to be fenced. */
const FIRST_WITH_FENCED = 4;

export const initProducerIdHandler = defineHandler({
  api: initProducerId,
  handle(request, call) {
    const { transactionalId, transactionTimeoutMs, producerId, producerEpoch: epoch } = request;
    const { peer, version } = call;
    const refusal = refusalOf(peer, transactionalId);
    if (refusal !== CODES.NONE) return { errorCode: refusal, producerEpoch: -1 };
    if (producerId < 0 !== epoch < 0) return { errorCode: CODES.INVALID_REQUEST, producerEpoch: -1 };
    const known = producerId < 0 ? null : { producerId, epoch };
    peer.session.transactions.initProducer(transactionalId, transactionTimeoutMs, known, (refused, given) =>
      call.answer({
        errorCode: transactionCode(refused, version >= FIRST_WITH_FENCED),
        producerId: given.producerId,
        producerEpoch: given.epoch,
      }),
    );
    return LATER;
  },
});

function refusalOf({ rights }: Peer, transactionalId: string | null): number {
  if (transactionalId !== null) {
    const may = rights.may("write", "transactional-id", transactionalId);
    return may ? CODES.NONE : CODES.TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
  }
  // Who may write anywhere may do so idempotently.
  const may = rights.may("idempotent-write", "cluster", CLUSTER_RESOURCE) || rights.mayAny("write", "stream");
  return may ? CODES.NONE : CODES.CLUSTER_AUTHORIZATION_FAILED;
}
