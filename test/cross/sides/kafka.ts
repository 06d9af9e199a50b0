import { connect } from "amqplib";
import type { IHeaders } from "kafkajs";
import { kafkaJs } from "../../support/kafka.ts";
import { Mailbox, type Message, type Property, type Side, said } from "../side.ts";

const NAMES = {
  contentType: "content-type",
  contentEncoding: "content-encoding",
  correlationId: "correlation-id",
  replyTo: "reply-to",
  messageId: "message-id",
  expirationMs: "expiration",
  priority: "priority",
  type: "type",
  appId: "app-id",
} as const;

/** Where everything arrives that anybody subscribes to. */
const TOPIC = "cross.kafka";
/** A topic of this name stands for a routing key of the topic exchange. */
const topicOf = (address: string): string => `amq.reply-topic.${address}`;

/** Kafka, by kafkajs. What others publish reaches it by a stream that is bound to the topic exchange. */
export async function kafkaSide(port: number, amqpUrl: string): Promise<Side> {
  const kafka = kafkaJs({ clientId: "cross", brokers: [`127.0.0.1:${port}`] });
  const producer = kafka.producer();
  const consumer = kafka.consumer({ groupId: "cross", maxWaitTimeInMs: 50 });
  const [amqp] = await Promise.all([connect(amqpUrl), producer.connect(), consumer.connect()]);
  const channel = await amqp.createChannel();
  await channel.assertQueue(TOPIC, { arguments: { "x-queue-type": "stream" } });
  const mailbox = new Mailbox();
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
  await consumer.run({ eachMessage: async ({ message }) => mailbox.add(received(message)) });
  return {
    name: "Kafka",
    says: new Set<Property>([
      "body",
      "key",
      "timestampMs",
      "persistent",
      "headers",
      ...(Object.keys(NAMES) as Property[]),
    ]),
    duplicates: true,
    async publish(address, message) {
      const headers: IHeaders = {};
      const add = (name: string, value: string): void => {
        const before = headers[name] as string | string[] | undefined;
        headers[name] = before === undefined ? value : [before, value].flat();
      };
      for (const [property, name] of Object.entries(NAMES)) {
        const value = message[property as keyof typeof NAMES];
        if (value !== undefined) add(name, `${value}`);
      }
      for (const [name, value] of message.headers ?? []) add(name, value);
      const timestamp = message.timestampMs === undefined ? {} : { timestamp: `${message.timestampMs}` };
      const record = { key: message.key ?? null, value: message.body, headers, ...timestamp };
      await producer.send({ topic: topicOf(address), messages: [record] });
    },
    async subscribe(address) {
      await channel.bindQueue(TOPIC, "amq.topic", address);
      return mailbox;
    },
    async close() {
      await consumer.disconnect();
      await Promise.all([producer.disconnect(), amqp.close()]);
    },
  };
}

function received(record: {
  key: Buffer | null;
  value: Buffer | null;
  timestamp: string;
  headers?: IHeaders;
}): Message {
  const named: Record<string, string | number> = {};
  const headers: [string, string][] = [];
  for (const [name, values] of Object.entries(record.headers ?? {})) {
    const property = Object.entries(NAMES).find(([, header]) => header === name)?.[0];
    for (const value of [values].flat()) {
      if (property === "expirationMs" || property === "priority") named[property] = Number(`${value}`);
      else if (property !== undefined) named[property] = `${value}`;
      else if (name !== "polymq-native") headers.push([name, `${value}`]);
    }
  }
  return said({
    ...named,
    body: record.value ?? Buffer.alloc(0),
    key: record.key?.toString(),
    persistent: true,
    timestampMs: Number(record.timestamp),
    headers,
  });
}
