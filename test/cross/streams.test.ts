// One stream, two protocols: what a Kafka client writes an AMQP client reads, and the reverse.
import { type ConsumeMessage, connect } from "amqplib";
import { Kafka, logLevel } from "kafkajs";
import { afterAll, expect, test } from "vitest";
import { startBroker } from "../../src/index.ts";
import { consume } from "../support/client.ts";

const broker = await startBroker({ engine: "memory:", amqp: { port: 0 }, kafka: { port: 0 } });
const kafka = new Kafka({
  brokers: [`127.0.0.1:${broker.kafka?.port}`],
  logLevel: logLevel.NOTHING,
  retry: { initialRetryTime: 20, retries: 5 },
});
const amqp = await connect(broker.amqp.url);
const closers: (() => Promise<unknown>)[] = [() => amqp.close()];
afterAll(async () => {
  for (const close of closers) await close();
  await broker.stop();
});

async function kafkaProducer(options = {}) {
  const producer = kafka.producer(options);
  await producer.connect();
  closers.unshift(() => producer.disconnect());
  return producer;
}

async function kafkaRecords(topic: string, count: number) {
  const consumer = kafka.consumer({ groupId: `of ${topic}`, maxWaitTimeInMs: 50 });
  await consumer.connect();
  closers.unshift(() => consumer.disconnect());
  await consumer.subscribe({ topic, fromBeginning: true });
  const found: { key: string | null; value: string | null; headers: Record<string, string> }[] = [];
  await new Promise<void>((resolve, reject) => {
    const eachMessage = async ({ message }: { message: import("kafkajs").KafkaMessage }) => {
      const headers = Object.fromEntries(
        Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]),
      );
      found.push({ key: message.key?.toString() ?? null, value: message.value?.toString() ?? null, headers });
      if (found.length === count) resolve();
    };
    consumer.run({ eachMessage }).catch(reject);
  });
  return found;
}

async function amqpReader(queue: string) {
  const channel = await amqp.createChannel();
  await channel.prefetch(1_000);
  return consume(channel, queue, { arguments: { "x-stream-offset": "first" } });
}

const bodyOf = ({ content }: ConsumeMessage): string => content.toString();

test("a topic is a queue: Kafka writes, AMQP reads", async () => {
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: "orders", numPartitions: 1 }] });
  await admin.disconnect();
  const producer = await kafkaProducer();
  await producer.send({
    topic: "orders",
    compression: 1,
    messages: [
      { key: "k1", value: "first", headers: { "content-type": "text/plain", colour: "red" } },
      { key: "k2", value: null },
    ],
  });
  const inbox = await amqpReader("orders");
  const [first, second] = await inbox.count(2);
  expect(first?.content.toString()).toBe("first");
  expect(first?.fields).toMatchObject({ exchange: "", routingKey: "orders" });
  expect(first?.properties.contentType).toBe("text/plain");
  expect(first?.properties.headers).toMatchObject({ "x-key": "k1", colour: "red", "x-stream-offset": 0 });
  expect([second?.content.length, second?.properties.headers?.["x-tombstone"]]).toEqual([0, true]);
  const channel = await amqp.createChannel();
  expect((await channel.checkQueue("orders")).messageCount).toBe(2);
  await channel.assertQueue("orders", { arguments: { "x-queue-type": "stream" } });
});

test("a queue is a topic: AMQP writes through exchanges, Kafka reads", async () => {
  const channel = await amqp.createConfirmChannel();
  await channel.assertQueue("events", { arguments: { "x-queue-type": "stream" } });
  await channel.bindQueue("events", "amq.topic", "events.#");
  channel.publish("amq.topic", "events.a", Buffer.from("one"), {
    contentType: "application/json",
    headers: { "x-key": "k", number: 5 },
  });
  channel.publish("", "events", Buffer.from("two"), {});
  channel.publish("amq.topic", "elsewhere", Buffer.from("not here"), {});
  await channel.waitForConfirms();
  const [one, two] = await kafkaRecords("events", 2);
  expect(one).toMatchObject({
    key: "k",
    value: "one",
    headers: { "content-type": "application/json", number: "5" },
  });
  expect(two).toMatchObject({ key: null, value: "two" });
});

test("what is not decided, or was taken back, no AMQP client sees", async () => {
  const producer = await kafkaProducer({
    transactionalId: "cross",
    maxInFlightRequests: 1,
    idempotent: true,
  });
  const plain = await kafkaProducer();
  await plain.send({ topic: "decided", messages: [{ value: "before" }] });
  const inbox = await amqpReader("decided");
  const aborted = await producer.transaction();
  await aborted.send({ topic: "decided", messages: [{ value: "aborted" }] });
  await plain.send({ topic: "decided", messages: [{ value: "behind" }] });
  await inbox.count(1);
  expect(inbox.messages.map(bodyOf)).toEqual(["before"]);
  await aborted.abort();
  const committed = await producer.transaction();
  await committed.send({ topic: "decided", messages: [{ value: "committed" }] });
  await inbox.count(2);
  expect(inbox.messages.map(bodyOf)).toEqual(["before", "behind"]);
  await committed.commit();
  await inbox.count(3);
  expect(inbox.messages.map(bodyOf)).toEqual(["before", "behind", "committed"]);
});

test("a topic that is deleted is gone as a queue, and a queue as a topic", async () => {
  const channel = await amqp.createChannel();
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: "gone-1" }] });
  await channel.checkQueue("gone-1");
  await admin.deleteTopics({ topics: ["gone-1"] });
  expect(await channel.assertQueue("gone-1")).toMatchObject({ messageCount: 0 });
  await channel.deleteQueue("gone-1");
  await channel.assertQueue("gone-2", { arguments: { "x-queue-type": "stream" } });
  expect(await admin.listTopics()).toContain("gone-2");
  await channel.deleteQueue("gone-2");
  expect(await admin.listTopics()).not.toContain("gone-2");
  await channel.assertQueue("classic");
  expect(await admin.listTopics()).not.toContain("classic");
  // "exists already", says this client by false.
  expect(await admin.createTopics({ topics: [{ topic: "classic" }] })).toBe(false);
  await admin.disconnect();
});
