import { connect } from "amqplib";
import { type IHeaders, Kafka, logLevel } from "kafkajs";
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

/**
 * Kafka, by kafkajs. A topic is a stream of the same name: bound to the topic exchange for what others
 * publish, and bound from for what they are to get.
 */
export async function kafkaSide(port: number, amqpUrl: string): Promise<Side> {
  const kafka = new Kafka({ clientId: "cross", brokers: [`127.0.0.1:${port}`], logLevel: logLevel.NOTHING });
  const [producer, admin] = [kafka.producer(), kafka.admin()];
  const [, , amqp] = await Promise.all([producer.connect(), admin.connect(), connect(amqpUrl)]);
  const channel = await amqp.createChannel();
  const consumers: { disconnect(): Promise<void> }[] = [];
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
      await producer.send({ topic: address, messages: [record] });
    },
    async subscribe(address) {
      const mailbox = new Mailbox();
      await admin.createTopics({ topics: [{ topic: address, numPartitions: 1 }] });
      await channel.bindQueue(address, "amq.topic", address);
      const consumer = kafka.consumer({ groupId: `cross-${address}`, maxWaitTimeInMs: 50 });
      consumers.push(consumer);
      await consumer.connect();
      await consumer.subscribe({ topic: address, fromBeginning: true });
      await consumer.run({ eachMessage: async ({ message }) => mailbox.add(received(message)) });
      return mailbox;
    },
    async close() {
      await Promise.all(consumers.map((consumer) => consumer.disconnect()));
      await Promise.all([producer.disconnect(), admin.disconnect(), amqp.close()]);
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
