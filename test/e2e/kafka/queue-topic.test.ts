// A queue as a topic that can be written to: what a service needs that answers who waits at one.
import { type ConsumeMessage, connect } from "amqplib";
import { CompressionTypes, Kafka, logLevel } from "kafkajs";
import { afterAll, expect, test } from "vitest";
import { fetch } from "../../../src/wire/kafka/schemas/fetch.ts";
import { produce } from "../../../src/wire/kafka/schemas/produce.ts";
import { startInProcess } from "../../support/broker.ts";
import { batchOf } from "../../support/kafka-batch.ts";
import { RawKafka } from "../../support/kafka-raw.ts";

const broker = await startInProcess({ kafka: { port: 0 } });
const { host, port } = broker.kafka as { host: string; port: number };
const kafka = new Kafka({ brokers: [`${host}:${port}`], logLevel: logLevel.NOTHING, retry: { retries: 1 } });
const [producer, admin, raw, amqp] = [
  kafka.producer({ allowAutoTopicCreation: false }),
  kafka.admin(),
  await RawKafka.open({ host, port }),
  await connect(broker.amqp.url),
];
await Promise.all([producer.connect(), admin.connect()]);
const channel = await amqp.createChannel();
afterAll(async () => {
  await Promise.all([producer.disconnect(), admin.disconnect()]);
  raw.close();
  await amqp.close();
  await broker.stop();
});

async function taken(queue: string): Promise<ConsumeMessage[]> {
  const messages: ConsumeMessage[] = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (message === false) return messages;
    messages.push(message as unknown as ConsumeMessage);
  }
}

async function code(topic: string, records: ReturnType<typeof batchOf>): Promise<number> {
  const { responses } = await raw.ask(produce, 7, {
    acks: -1,
    timeoutMs: 1000,
    topicData: [{ name: topic, partitionData: [{ index: 0, records }] }],
  });
  return responses[0]!.partitionResponses[0]!.errorCode;
}

test("records arrive as messages, with what they say", async () => {
  await channel.assertQueue("orders", { maxPriority: 9 });
  await producer.send({
    topic: "orders",
    compression: CompressionTypes.GZIP,
    messages: [
      {
        key: "k",
        value: "one",
        headers: { "content-type": "text/plain", "correlation-id": "7", other: "x" },
      },
      { value: "two", headers: { priority: "5" }, timestamp: "1700000000000" },
      { key: "gone", value: null },
    ],
  });
  const [two, one, gone] = await taken("orders");
  expect(one!.content.toString()).toBe("one");
  expect(one!.properties).toMatchObject({
    contentType: "text/plain",
    correlationId: "7",
    deliveryMode: 2,
    headers: { "x-key": "k", other: "x" },
  });
  expect(two!.properties).toMatchObject({ priority: 5, timestamp: 1_700_000_000 });
  expect(gone!.content.length).toBe(0);
  expect(gone!.properties.headers).toEqual({ "x-key": "gone", "x-tombstone": true });
});

test("a time to live ends", async () => {
  await channel.assertQueue("brief");
  await producer.send({ topic: "brief", messages: [{ value: "now", headers: { expiration: "0" } }] });
  expect(await taken("brief")).toEqual([]);
});

test("it is nothing to list, and nothing to read", async () => {
  await channel.assertQueue("secret");
  await producer.send({ topic: "secret", messages: [{ value: "one" }] });
  expect(await admin.listTopics()).not.toContain("secret");
  const { responses } = await raw.ask(fetch, 7, {
    maxWaitMs: 0,
    topics: [{ topic: "secret", partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }],
  });
  expect(responses[0]!.partitions[0]!.errorCode).toBe(3);
});

test("nobody's queue is no topic", async () => {
  await expect(producer.send({ topic: "nobody", messages: [{ value: "one" }] })).rejects.toThrow(
    /does not host this topic-partition/,
  );
  expect(await code("nobody", batchOf([{ value: "one" }]))).toBe(3);
});

test("a queue that is full refuses", async () => {
  await channel.assertQueue("full", { arguments: { "x-max-length": 1, "x-overflow": "reject-publish" } });
  expect(await code("full", batchOf([{ value: "one" }]))).toBe(0);
  expect(await code("full", batchOf([{ value: "two" }]))).toBe(56);
  expect((await taken("full")).map(({ content }) => `${content}`)).toEqual(["one"]);
});

test("damaged and transactional batches are refused whole", async () => {
  await channel.assertQueue("careful");
  const damaged = batchOf([{ value: "one" }, { value: "two" }]);
  damaged.bytes[damaged.end - 2]! ^= 1;
  expect(await code("careful", damaged)).toBe(2);
  const transactional = { attributes: 16, producerId: 1, producerEpoch: 0, baseSequence: 0 };
  expect(await code("careful", batchOf([{ value: "one" }], transactional))).toBe(48);
  expect(await taken("careful")).toEqual([]);
});

test("the name of an answer that goes to a topic is one", async () => {
  const { queue } = await channel.assertQueue("", { exclusive: true });
  await channel.bindQueue(queue, "amq.topic", "answers.to/1");
  await producer.send({ topic: "amq.reply-topic.answers.to_2f1", messages: [{ value: "one" }] });
  expect((await taken(queue)).map(({ content }) => `${content}`)).toEqual(["one"]);
});
