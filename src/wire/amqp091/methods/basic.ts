import { randomBytes } from "node:crypto";
import { copyBytes } from "../../../base/copy-bytes.ts";
import type { ConsumeOptions, Delivery } from "../../../broker/index.ts";
import { RecordView } from "../../../message/record.ts";
import type { Table } from "../../../message/values.ts";
import { consumeArguments } from "../arguments.ts";
import type { Channel } from "../channel.ts";
import { FRAME_END, FRAME_HEAD_BYTES, FRAME_METHOD, writeFrameHead } from "../codec/frame.ts";
import type { MethodArguments } from "../codec/method.ts";
import { Writer } from "../codec/writer.ts";
import { AmqpConsumer } from "../consumer.ts";
import { sendRecord } from "../content.ts";
import { AmqpError } from "../errors.ts";
import { writeRouting } from "../long-key.ts";
import { REPLY_TO_NAME } from "../publisher.ts";
import { headerChange, NO_DELIVERY_COUNT } from "../rebuild.ts";
import { cleanName } from "./exchange.ts";
import { checkStreamConsumer, refuseForStream } from "./stream.ts";

const BASIC_GET_OK = 0x003c0047;
const method = new Writer();

export function basicQos(channel: Channel, args: MethodArguments<"basic.qos">): void {
  if (args.prefetchSize !== 0) {
    throw new AmqpError("NOT_IMPLEMENTED", `prefetch_size!=0 (${args.prefetchSize})`);
  }
  if (!args.global) channel.prefetch = args.prefetchCount;
  // A limit for each consumer that follows lifts the channel's, as RabbitMQ has it.
  channel.ledger.prefetchMax = args.global ? args.prefetchCount : 0;
  channel.resumeConsumers();
  channel.reply(false, "basic.qos-ok", {});
}

export function basicConsume(channel: Channel, args: MethodArguments<"basic.consume">): void {
  const tag =
    args.consumerTag === "" ? `amq.ctag-${randomBytes(16).toString("base64url")}` : args.consumerTag;
  if (channel.consumers.has(tag))
    throw new AmqpError("NOT_ALLOWED", `attempt to reuse consumer tag '${tag}'`);
  const asked = cleanName(args.queue);
  if (asked === REPLY_TO_NAME) openReplies(channel, tag, args.noAck);
  const queue = channel.replyConsumer?.tag === tag ? channel.replyConsumer.queue : channel.queueName(asked);
  const { session, link } = channel;
  const declared = session.declaredArguments("queue", queue);
  const counts = isQuorum(declared);
  const type = declared === null ? "none" : `${declared.get("x-queue-type")?.value ?? "classic"}`;
  checkStreamConsumer(channel, queue, args.noAck);
  const sink = new AmqpConsumer(
    link,
    channel.number,
    tag,
    queue,
    counts,
    channel.position,
    channel.consumerCancelled,
  );
  const options: ConsumeOptions = {
    tag,
    noAck: args.noAck,
    // RabbitMQ's quorum queues take no notice of the flag: single active consumer is their way to be alone.
    exclusive: args.exclusive && !counts,
    priority: consumeArguments(queue, session.namespace, args.arguments, type),
    prefetch: channel.prefetch,
    arguments: args.arguments,
  };
  sink.attach(session.consume(queue, options, sink, channel.ledger));
  channel.consumers.set(tag, sink);
  channel.gate.pass(() => {
    if (!args.noWait) channel.send("basic.consume-ok", { consumerTag: tag });
    sink.announce();
  });
}

/** Direct reply-to: a queue that nobody declared, for the replies to this channel's requests. */
function openReplies(channel: Channel, tag: string, noAck: boolean): void {
  if (channel.replyConsumer !== null) {
    throw new AmqpError("PRECONDITION_FAILED", "reply consumer already set");
  }
  if (!noAck) throw new AmqpError("PRECONDITION_FAILED", "reply consumer cannot acknowledge");
  channel.replyConsumer = { tag, queue: channel.session.openReplyQueue() };
}

export function basicCancel(channel: Channel, args: MethodArguments<"basic.cancel">): void {
  const { consumerTag } = args;
  const consumer = channel.consumers.get(consumerTag);
  if (consumer !== undefined) {
    consumer.cancel();
    channel.consumers.delete(consumerTag);
    if (channel.replyConsumer?.tag === consumerTag) channel.closeReplies();
  }
  channel.reply(args.noWait, "basic.cancel-ok", { consumerTag });
}

export function basicGet(channel: Channel, args: MethodArguments<"basic.get">): void {
  const queue = channel.queueName(cleanName(args.queue));
  refuseGet(channel, queue);
  const place = channel.gate.hold();
  try {
    channel.session.get(queue, args.noAck, channel.ledger, (delivery, ready) => {
      if (delivery === null) place.complete(() => channel.send("basic.get-empty", { reserved1: "" }));
      else if (place.first) place.complete(() => sendGetOk(channel, delivery, ready));
      else {
        // The delivery is only lent, and its turn has not come.
        const kept = keep(delivery);
        place.complete(() => sendGetOk(channel, kept, ready));
      }
    });
  } catch (error) {
    place.complete(() => {});
    throw error;
  }
}

function refuseGet(channel: Channel, queue: string): void {
  const { session } = channel;
  refuseForStream(channel, queue, (named) => `basic.get not supported by stream queues ${named}`);
  const declared = session.declaredArguments("queue", queue);
  if (declared?.get("x-single-active-consumer")?.value !== true || !isQuorum(declared)) return;
  throw new AmqpError(
    "RESOURCE_LOCKED",
    `cannot obtain access to locked queue '${queue}' in vhost '${session.namespace}'. basic.get operations are not supported by quorum queues with single active consumer`,
  );
}

function isQuorum(declared: Table | null): boolean {
  return declared?.get("x-queue-type")?.value === "quorum";
}

function keep(delivery: Delivery): Delivery {
  const { record, id, expiresAt, priority, retained, tag, redelivered, deliveryCount, queue } = delivery;
  const copy = new RecordView();
  copy.bytes = copyBytes(record.bytes, record.offset, record.offset + record.length);
  copy.length = record.length;
  const { streamOffset, streamPartition } = delivery;
  const stored = { record: copy, id, expiresAt, priority, retained };
  return { ...stored, tag, redelivered, deliveryCount, queue, streamOffset, streamPartition };
}

function sendGetOk(channel: Channel, delivery: Delivery, ready: number): void {
  const { link, session } = channel;
  if (!link.live) return;
  const { record, tag } = delivery;
  channel.position.tag = tag;
  method.reset();
  const frameAt = method.room(FRAME_HEAD_BYTES);
  method.long(BASIC_GET_OK);
  method.longlong(tag);
  method.octet(delivery.redelivered ? 1 : 0);
  writeRouting(method, record);
  method.long(ready);
  const size = method.length - frameAt - FRAME_HEAD_BYTES;
  writeFrameHead(method.buffer, frameAt, FRAME_METHOD, channel.number, size);
  method.octet(FRAME_END);
  // Quorum queues tell of no deliveries too, to a get (3.10); to a consumer they do not.
  const count = isQuorum(session.declaredArguments("queue", delivery.queue))
    ? delivery.deliveryCount
    : NO_DELIVERY_COUNT;
  const change = headerChange(record.annotations(), count);
  sendRecord(
    link.outbox,
    channel.number,
    link.bodyPartBytesMax,
    method,
    record,
    change,
    link.context.readers,
  );
}

export function basicAck(channel: Channel, tag: number, multiple: boolean): void {
  if (channel.transaction === null) channel.ledger.accept(tag, multiple);
  else channel.transaction.settle(channel.ledger, channel.position, tag, multiple, "accept");
}

export function basicReject(channel: Channel, args: MethodArguments<"basic.reject">): void {
  reject(channel, args.deliveryTag, false, args.requeue);
}

export function basicNack(channel: Channel, args: MethodArguments<"basic.nack">): void {
  reject(channel, args.deliveryTag, args.multiple, args.requeue);
}

function reject(channel: Channel, tag: number, multiple: boolean, requeue: boolean): void {
  const { transaction, ledger, position } = channel;
  if (transaction === null) ledger.reject(tag, multiple, requeue);
  else transaction.settle(ledger, position, tag, multiple, requeue ? "requeue" : "reject");
}

export function basicRecover(channel: Channel, args: MethodArguments<"basic.recover">): void {
  recover(channel, args.requeue);
  channel.reply(false, "basic.recover-ok", {});
}

export function basicRecoverAsync(channel: Channel, args: MethodArguments<"basic.recover-async">): void {
  recover(channel, args.requeue);
}

function recover(channel: Channel, requeue: boolean): void {
  if (!requeue) throw new AmqpError("NOT_IMPLEMENTED", "requeue=false");
  channel.ledger.recover();
}
