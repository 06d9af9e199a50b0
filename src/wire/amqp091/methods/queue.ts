import { BrokerError } from "../../../base/errors.ts";
import { checkLastingFlags, queueOptions } from "../arguments.ts";
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
  const options = optionsOf(channel, name, args);
  if (options.type === "quorum" || options.type === "stream") {
    if (name === "") {
      throw new AmqpError(
        "PRECONDITION_FAILED",
        `Cannot declare a server-named queue for type rabbit_${options.type}_queue`,
      );
    }
    // One that exists is compared first: the error then is what differs.
    const exists = channel.session.declaredArguments("queue", name) !== null;
    if (!exists) checkLastingFlags(name, channel.session.namespace, args);
  }
  const counts = channel.session.queueDeclare({
    name,
    durable,
    exclusive,
    autoDelete,
    options,
    arguments: args.arguments,
  });
  channel.lastQueue = counts.name;
  channel.replyDurable(args.noWait, "queue.declare-ok", {
    queue: counts.name,
    messageCount: counts.ready,
    consumerCount: counts.consumers,
  });
}

/** RabbitMQ names the first of these that differs. */
const COMPARED = [
  "x-expires",
  "x-message-ttl",
  "x-dead-letter-exchange",
  "x-dead-letter-routing-key",
  "x-max-length",
  "x-max-length-bytes",
  "x-max-priority",
  "x-overflow",
  "x-single-active-consumer",
  "x-queue-type",
  "x-max-age",
  "x-stream-max-segment-size-bytes",
  "x-partitions",
];

/** A queue that exists is compared before the arguments are judged: what differs is the error then. */
function optionsOf(
  channel: Channel,
  name: string,
  args: MethodArguments<"queue.declare">,
): ReturnType<typeof queueOptions> {
  const { session } = channel;
  try {
    return queueOptions(name, session.namespace, args.arguments);
  } catch (error) {
    const current = name === "" ? null : session.declaredArguments("queue", name);
    if (current === null) throw error;
    const { durable, exclusive, autoDelete } = args;
    const options = queueOptions(name, session.namespace, current);
    session.queueDeclare({ name, durable, exclusive, autoDelete, options, arguments: current });
    for (const option of COMPARED) {
      const [received, there] = [args.arguments.get(option), current.get(option)];
      if (received?.value === there?.value) continue;
      const detail = { kind: "queue", name, namespace: session.namespace, option, received, current: there };
      throw new BrokerError("inequivalent", "inequivalent argument", detail);
    }
    throw error;
  }
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
