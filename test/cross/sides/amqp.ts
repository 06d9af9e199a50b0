import { type ConsumeMessage, connect } from "amqplib";
import { Mailbox, type Message, type Property, type Side, said } from "../side.ts";

const TOPIC_EXCHANGE = "amq.topic";

/** AMQP 0-9-1, by amqplib. */
export async function amqpSide(url: string): Promise<Side> {
  const connection = await connect(url);
  const channel = await connection.createConfirmChannel();
  return {
    name: "AMQP 0-9-1",
    says: new Set<Property>([
      "body",
      "key",
      "contentType",
      "contentEncoding",
      "correlationId",
      "replyTo",
      "messageId",
      "expirationMs",
      "priority",
      "timestampMs",
      "persistent",
      "type",
      "appId",
      "headers",
    ]),
    duplicates: false,
    async publish(address, message) {
      const headers: Record<string, string> = {};
      for (const [name, value] of message.headers ?? []) headers[name] ??= value;
      if (message.key !== undefined) headers["x-key"] = message.key;
      channel.publish(TOPIC_EXCHANGE, address, message.body, {
        ...pick(message),
        ...(message.expirationMs !== undefined && { expiration: `${message.expirationMs}` }),
        ...(message.timestampMs !== undefined && { timestamp: Math.floor(message.timestampMs / 1000) }),
        headers,
      });
      await channel.waitForConfirms();
    },
    async subscribe(address) {
      const mailbox = new Mailbox();
      const { queue } = await channel.assertQueue("", { exclusive: true });
      await channel.bindQueue(queue, TOPIC_EXCHANGE, address);
      await channel.consume(queue, (got) => got && mailbox.add(received(got)), { noAck: true });
      return mailbox;
    },
    close: () => connection.close(),
  };
}

const SAME = [
  "contentType",
  "contentEncoding",
  "correlationId",
  "replyTo",
  "messageId",
  "priority",
  "persistent",
  "type",
  "appId",
] as const;

function pick(message: Message) {
  return Object.fromEntries(
    SAME.filter((name) => message[name] !== undefined).map((name) => [name, message[name]]),
  );
}

export function received({ content, properties }: ConsumeMessage): Message {
  const { "x-key": key, ...headers } = properties.headers ?? {};
  const { expiration, timestamp, deliveryMode } = properties;
  return said({
    ...pick(properties as unknown as Message),
    body: content,
    key,
    persistent: deliveryMode === 2,
    expirationMs: expiration === undefined ? undefined : Number(expiration),
    timestampMs: timestamp === undefined ? undefined : Number(timestamp) * 1000,
    headers: Object.entries(headers).map(([name, value]) => [name, `${value}`]),
  });
}
