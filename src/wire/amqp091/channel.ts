import type { Ledger, Session } from "../../broker/index.ts";
import type { Assembly } from "./assembly.ts";
import type { MethodArguments, MethodName } from "./codec/method.ts";
import { type ConfirmSink, Confirms } from "./confirms.ts";
import type { AmqpConsumer } from "./consumer.ts";
import { AmqpError } from "./errors.ts";
import { ReplyGate } from "./gate.ts";
import type { Link } from "./link.ts";
import type { DeliveryPosition, Transaction } from "./transaction.ts";

/**
 * One channel of an open connection: from channel.open until close-ok has gone either way. What its
 * methods do is in methods/; here is what they share.
 */
export class Channel implements ConfirmSink {
  readonly number: number;
  readonly link: Link;
  readonly ledger: Ledger;
  readonly gate = new ReplyGate();
  readonly consumers = new Map<string, AmqpConsumer>();
  /** Closing: channel.close is sent; everything but its close-ok is ignored (AMQP 0-9-1, 2.2.4). */
  state: "open" | "closing" | "closed" = "open";
  /** Name that "" stands for in queue methods. */
  lastQueue: string | null = null;
  /** basic.qos with global=false: for consumers to come. */
  prefetch = 0;
  /** Last delivery tag sent. */
  readonly position: DeliveryPosition = { tag: 0 };
  confirms: Confirms | null = null;
  transaction: Transaction | null = null;
  /** A message whose frames did not come in one piece. */
  assembly: Assembly | null = null;
  /** Direct reply-to: the tag of its consumer, and the queue behind it. */
  replyConsumer: { readonly tag: string; readonly queue: string } | null = null;
  /** Noted by the connection for the end of the chunk. */
  touched = false;

  constructor(number: number, link: Link) {
    this.number = number;
    this.link = link;
    this.ledger = link.session.openLedger();
  }

  get session(): Session {
    return this.link.session;
  }

  send<N extends MethodName>(name: N, values: MethodArguments<N>): void {
    this.link.send(this.number, name, values);
  }

  /** Answers in order; nothing is sent when the client asked not to be answered. */
  reply<N extends MethodName>(noWait: boolean, name: N, values: MethodArguments<N>): void {
    if (noWait) return;
    this.gate.pass(() => this.send(name, values));
  }

  /** Answers once all changes of topology so far are durable. */
  replyDurable<N extends MethodName>(noWait: boolean, name: N, values: MethodArguments<N>): void {
    if (noWait) return;
    const place = this.gate.hold();
    this.link.context.broker.durable(() => place.complete(() => this.send(name, values)));
  }

  startConfirms(): void {
    this.confirms ??= new Confirms(this);
  }

  acknowledge(tag: number, multiple: boolean, count: number): void {
    if (this.state !== "open") return;
    this.link.context.broker.counters.confirmed += count;
    this.send("basic.ack", { deliveryTag: tag, multiple });
  }

  refuse(tag: number, multiple: boolean): void {
    if (this.state === "open") this.send("basic.nack", { deliveryTag: tag, multiple, requeue: false });
  }

  /** The queue that a method means: its argument, or the last one declared. @throws AmqpError 404 */
  queueName(argument: string): string {
    if (argument !== "") return argument;
    if (this.lastQueue === null) throw new AmqpError("NOT_FOUND", "no previously declared queue");
    return this.lastQueue;
  }

  /** A consumer that the broker took off its queue. */
  readonly consumerCancelled = (consumer: AmqpConsumer): void => {
    this.consumers.delete(consumer.tag);
    if (this.replyConsumer?.tag === consumer.tag) this.replyConsumer = null;
    if (this.state !== "open" || !this.link.capabilities.has("consumer_cancel_notify")) return;
    this.gate.pass(() => this.send("basic.cancel", { consumerTag: consumer.tag, noWait: true }));
  };

  resumeConsumers(): void {
    for (const consumer of this.consumers.values()) consumer.resume();
  }

  /** The reply consumer leaves, and with it the address that others may have of it. */
  closeReplies(): void {
    if (this.replyConsumer !== null) this.session.closeReplyQueue(this.replyConsumer.queue);
    this.replyConsumer = null;
  }

  /** Closes with an error that concerns this channel only. */
  fail(error: AmqpError, classId: number, methodId: number): void {
    if (this.state !== "open") return;
    this.release();
    this.state = "closing";
    const close = { replyCode: error.code, replyText: error.text, classId, methodId };
    this.gate.pass(() => this.send("channel.close", close));
  }

  /** Unsettled deliveries go back, consumers leave; replies that are due are still sent. */
  release(): void {
    this.confirms?.flush();
    for (const consumer of this.consumers.values()) consumer.cancel();
    this.consumers.clear();
    this.ledger.close();
    this.assembly = null;
    this.transaction = null;
    this.closeReplies();
  }
}
