// One stream, two protocols: what a Kafka client writes an AMQP client reads, and the reverse.
import { type ConsumeMessage, connect } from "amqplib";
import { afterAll, expect, test } from "vitest";
import { startBroker } from "../../src/index.ts";
import { consume, eventually } from "../support/client.ts";
import { kafkaJs } from "../support/kafka.ts";

const broker = await startBroker({ engine: "memory:", amqp: { port: 0 }, kafka: { port: 0 } });
const kafka = kafkaJs({
  brokers: [`127.0.0.1:${broker.kafka?.port}`],
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

test("a dead letter tells a reader of records where it comes from", async () => {
  const channel = await amqp.createConfirmChannel();
  await channel.assertQueue("graveyard", { arguments: { "x-queue-type": "stream" } });
  await channel.assertQueue("ill", { deadLetterExchange: "", deadLetterRoutingKey: "graveyard" });
  channel.publish("", "ill", Buffer.from("x"), { expiration: "0" });
  const [record] = await kafkaRecords("graveyard", 1);
  expect(record?.headers).toMatchObject({
    "x-first-death-queue": "ill",
    "x-first-death-reason": "expired",
    "x-first-death-exchange": "",
  });
  expect(record?.headers).not.toHaveProperty("expiration");
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

test("a stream feeds an exchange: Kafka writes, queues behind the exchange get what is decided", async () => {
  const channel = await amqp.createConfirmChannel();
  const producer = await kafkaProducer();
  await producer.send({ topic: "feeding", messages: [{ key: "a.x", value: "too early" }] });
  await channel.assertExchange("fed", "topic", { arguments: { "x-source-stream": "feeding" } });
  await channel.assertQueue("fed-a");
  await channel.assertQueue("fed-all");
  await channel.bindQueue("fed-a", "fed", "a.#");
  await channel.bindQueue("fed-all", "fed", "#");
  // Bound to itself, a stream must not go round for ever.
  await channel.bindQueue("feeding", "fed", "#");
  await producer.send({
    topic: "feeding",
    messages: [
      { key: "a.1", value: "one", headers: { colour: "red" } },
      { key: "b.1", value: "two" },
    ],
  });
  channel.sendToQueue("feeding", Buffer.from("three"), { headers: { "x-key": "a.2" } });
  await channel.waitForConfirms();
  const all = await consume(await amqp.createChannel(), "fed-all", { noAck: true });
  const some = await consume(await amqp.createChannel(), "fed-a", { noAck: true });
  await all.count(3);
  await some.count(2);
  expect(all.messages.map(bodyOf)).toEqual(["one", "two", "three"]);
  expect(some.messages.map(bodyOf)).toEqual(["one", "three"]);
  expect(some.messages[0]?.fields).toMatchObject({ exchange: "fed", routingKey: "a.1" });
  expect(some.messages[0]?.properties.headers).toMatchObject({ colour: "red", "x-key": "a.1" });
  expect((await channel.checkQueue("feeding")).messageCount).toBe(4);
  await channel.deleteExchange("fed");
  await producer.send({ topic: "feeding", messages: [{ key: "a.3", value: "nobody listens" }] });
  await channel.assertExchange("fed", "topic", { arguments: { "x-source-stream": "feeding" } });
  await channel.bindQueue("fed-a", "fed", "a.#");
  await producer.send({ topic: "feeding", messages: [{ key: "a.4", value: "four" }] });
  await some.count(3);
  expect(some.messages.map(bodyOf)).toEqual(["one", "three", "four"]);
});

test("a feed goes on after a restart where it was, also with what came meanwhile", async () => {
  const { mkdtemp, rm } = await import("node:fs/promises");
  const { tmpdir } = await import("node:os");
  const { join } = await import("node:path");
  const dataDir = await mkdtemp(join(tmpdir(), "polymq-feed-"));
  try {
    const bodies: string[] = [];
    for (let run = 0; run < 3; run++) {
      const server = await startBroker({ engine: "file:", dataDir, amqp: { port: 0 } });
      const connection = await connect(server.amqp.url);
      const channel = await connection.createConfirmChannel();
      await channel.assertQueue("source", { arguments: { "x-queue-type": "stream" } });
      await channel.assertQueue("sink");
      await channel.assertExchange("feed", "fanout", { arguments: { "x-source-stream": "source" } });
      await channel.bindQueue("sink", "feed", "");
      channel.sendToQueue("source", Buffer.from(`run ${run}`));
      await channel.waitForConfirms();
      const inbox = await consume(channel, "sink", { noAck: true });
      await eventually(() => inbox.messages.some((message) => bodyOf(message) === `run ${run}`));
      await channel.cancel(inbox.consumerTag);
      bodies.push(...inbox.messages.map(bodyOf));
      // Passed on before the broker stops, or after the next start: at least once, and in order.
      channel.sendToQueue("source", Buffer.from(`late ${run}`));
      await channel.waitForConfirms();
      await connection.close();
      await server.stop();
    }
    expect([...new Set(bodies)]).toEqual(["run 0", "late 0", "run 1", "late 1", "run 2"]);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});
