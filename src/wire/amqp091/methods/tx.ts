import { PUBLISH_APART, PUBLISH_DONE, PUBLISH_PENDING } from "../../../broker/index.ts";
import type { Channel } from "../channel.ts";
import { methodId } from "../codec/method.ts";
import { AmqpError } from "../errors.ts";
import type { Publisher } from "../publisher.ts";
import { restore, Transaction, tooLarge } from "../transaction.ts";

const TX_COMMIT = methodId("tx.commit");

export function txSelect(channel: Channel): void {
  if (channel.confirms !== null) {
    throw new AmqpError("PRECONDITION_FAILED", "cannot switch from confirm to tx mode");
  }
  channel.transaction ??= new Transaction(channel.link.context.limits.arenaBytes);
  channel.reply(false, "tx.select-ok", {});
}

function transactionOf(channel: Channel): Transaction {
  if (channel.transaction === null)
    throw new AmqpError("PRECONDITION_FAILED", "channel is not transactional");
  return channel.transaction;
}

/**
 * Everything in one batch; commit-ok when that is durable. What could be refused is looked at first,
 * so that a commit which fails has done nothing.
 */
export function txCommit(channel: Channel, publisher: Publisher): void {
  const transaction = transactionOf(channel);
  transaction.refuseWhileCommitting();
  const rejections = transaction.settlements.filter(({ kind }) => kind !== "accept");
  if (rejections.length === 0) {
    perform(channel, transaction, publisher);
    return;
  }
  // A rejected message may have to be copied to a dead-letter target, and may be on disk only.
  transaction.committing = true;
  const place = channel.gate.hold();
  channel.session.hold(channel.ledger, rejections, (release) => {
    place.complete(() => {});
    if (channel.transaction !== transaction || !channel.link.live) {
      release?.();
      return;
    }
    try {
      if (release === null) throw tooLarge();
      publisher.routes.refresh();
      perform(channel, transaction, publisher);
    } catch (error) {
      channel.link.failed(channel.number, TX_COMMIT, error);
    }
    release?.();
  });
}

/** @throws AmqpError, BrokerError */
function perform(channel: Channel, transaction: Transaction, publisher: Publisher): void {
  const { publishes, settlements } = transaction;
  const { session, ledger } = channel;
  for (const kept of publishes) publisher.resolve(kept.bytes, kept.routingLength);
  let waits = settlements.length > 0;
  let refused = false;
  let apart = false;
  session.atomically(() => {
    for (const kept of publishes) {
      restore(publisher.incoming, kept);
      const outcome = publisher.publish(kept.mandatory, channel);
      if ((outcome & PUBLISH_APART) !== 0) apart = true;
      if ((outcome & 3) === PUBLISH_PENDING) waits = true;
      else if ((outcome & 3) !== PUBLISH_DONE) refused = true;
    }
    for (const { tag, multiple, kind } of settlements) {
      if (kind === "accept") ledger.accept(tag, multiple);
      else ledger.reject(tag, multiple, kind === "requeue");
    }
  });
  transaction.reset();
  if (refused) throw partial();
  if (!waits) {
    channel.reply(false, "tx.commit-ok", {});
    return;
  }
  const place = channel.gate.hold();
  session.whenCommitted({
    committed: (_batch, lost) => {
      if (!lost || !apart) place.complete(() => channel.send("tx.commit-ok", {}));
      else {
        place.complete(() => {});
        channel.link.failed(channel.number, TX_COMMIT, partial());
      }
    },
  });
}

/** A queue or a stream did not take what the others did. */
function partial(): AmqpError {
  return new AmqpError("PRECONDITION_FAILED", "partial tx completion");
}

export function txRollback(channel: Channel): void {
  const transaction = transactionOf(channel);
  transaction.refuseWhileCommitting();
  transaction.reset();
  channel.reply(false, "tx.rollback-ok", {});
}
