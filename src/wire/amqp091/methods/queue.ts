import { BrokerError } from "../../../base/errors.ts";
import type { QueueOptions } from "../../../broker/index.ts";
import { checkLastingFlags, checkSameArguments, queueOptions } from "../arguments.ts";
import type { Channel } from "../channel.ts";
import type { MethodArguments } from "../codec/method.ts";
import { AmqpError } from "../errors.ts";
import { REPLY_TO_NAME } from "../publisher.ts";
import { cleanName } from "./exchange.ts";
import { refuseForStream } from "./stream.ts";

export function queueDeclare(channel: Channel, args: MethodArguments<"queue.declare">): void {
  const name = cleanName(args.queue);
  if (name.startsWith(REPLY_TO_NAME)) {
    declareReplyQueue(channel, name, args.noWait);
    return;
  }
  if (args.passive) {
    // Unlike all others, a passive declare takes an empty name literally.
    const counts = channel.session.queueCheck(name);
    channel.lastQueue = counts.name;
    channel.reply(args.noWait, "queue.declare-ok", {
      queue: counts.name,
      messageCount: counts.ready,
      consumerCount: counts.consumers,
    });
    return;
  }
  const { durable, exclusive, autoDelete } = args;
  const current = name === "" ? null : channel.session.declaredArguments("queue", name);
  const table = current ?? args.arguments;
  const options = queueOptions(name, channel.session.namespace, table);
  if (current === null) checkType(channel, name, options.type, args);
  const counts = channel.session.queueDeclare({
    name,
    durable,
    exclusive,
    autoDelete,
    options,
    arguments: table,
  });
  // Compared last, and only compared: nobody judges the arguments of a queue that is there.
  if (current !== null) checkSameArguments(name, channel.session.namespace, args.arguments, current);
  channel.lastQueue = counts.name;
  channel.replyDurable(args.noWait, "queue.declare-ok", {
    queue: counts.name,
    messageCount: counts.ready,
    consumerCount: counts.consumers,
  });
}

function checkType(
  channel: Channel,
  name: string,
  type: QueueOptions["type"],
  args: MethodArguments<"queue.declare">,
): void {
  if (type !== "quorum" && type !== "stream") return;
  if (name === "") {
    const text = `Cannot declare a server-named queue for type rabbit_${type}_queue`;
    throw new AmqpError("PRECONDITION_FAILED", text);
  }
  checkLastingFlags(name, channel.session.namespace, args);
}

/** A declare of a direct reply-to name only asks whether the requester is still there. */
function declareReplyQueue(channel: Channel, name: string, noWait: boolean): void {
  if (name !== REPLY_TO_NAME) {
    try {
      channel.session.queueCheck(name);
    } catch (error) {
      // Locked to its owner is as good as there.
      if (!(error instanceof BrokerError && error.code === "queue-locked")) throw error;
    }
  }
  channel.lastQueue = name;
  channel.reply(noWait, "queue.declare-ok", { queue: name, messageCount: 0, consumerCount: 1 });
}

/** An empty key of an empty queue name is the name of the queue last declared (0-9-1, queue.bind). */
function bindingKey(channel: Channel, queue: string, key: string): string {
  return queue === "" && key === "" ? channel.queueName("") : key;
}

export function queueBind(channel: Channel, args: MethodArguments<"queue.bind">): void {
  const queue = channel.queueName(cleanName(args.queue));
  const key = bindingKey(channel, args.queue, args.routingKey);
  channel.session.queueBind(queue, cleanName(args.exchange), key, args.arguments);
  channel.replyDurable(args.noWait, "queue.bind-ok", {});
}

export function queueUnbind(channel: Channel, args: MethodArguments<"queue.unbind">): void {
  const queue = channel.queueName(cleanName(args.queue));
  const key = bindingKey(channel, args.queue, args.routingKey);
  channel.session.queueUnbind(queue, cleanName(args.exchange), key, args.arguments);
  channel.replyDurable(false, "queue.unbind-ok", {});
}

export function queuePurge(channel: Channel, args: MethodArguments<"queue.purge">): void {
  const queue = channel.queueName(cleanName(args.queue));
  refuseForStream(channel, queue, (named) => `queue.purge not supported by stream queues ${named}`);
  const messageCount = channel.session.queuePurge(queue);
  channel.replyDurable(args.noWait, "queue.purge-ok", { messageCount });
}

export function queueDelete(channel: Channel, args: MethodArguments<"queue.delete">): void {
  const name = channel.queueName(cleanName(args.queue));
  const { session } = channel;
  if (args.ifUnused || args.ifEmpty) refuseForQuorum(channel, name, args.ifUnused);
  // The place is taken first: consumers on this channel hear of their end after the answer.
  const place = channel.gate.hold();
  let messageCount = 0;
  try {
    messageCount = session.queueDelete(name, args.ifUnused, args.ifEmpty);
  } catch (error) {
    place.complete(() => {});
    throw error;
  }
  const answer = (): void => {
    if (!args.noWait) channel.send("queue.delete-ok", { messageCount });
  };
  channel.link.context.broker.durable(() => place.complete(answer));
}

function refuseForQuorum(channel: Channel, name: string, ifUnused: boolean): void {
  const { session } = channel;
  if (session.declaredArguments("queue", name)?.get("x-queue-type")?.value !== "quorum") return;
  const flag = ifUnused ? "if-unused" : "if-empty";
  throw new AmqpError(
    "NOT_IMPLEMENTED",
    `cannot delete queue '${name}' in vhost '${session.namespace}'. queue.delete operations with ${flag} flag set are not supported by quorum queues`,
  );
}
