// A queue as a topic that can be written to: what a service needs that answers who waits at one.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConsumeMessage, connect } from "amqplib";
import { CompressionTypes, logLevel } from "kafkajs";
import { afterAll, describe, expect, test } from "vitest";
import { fetch } from "../../../src/wire/kafka/schemas/fetch.ts";
import { metadata } from "../../../src/wire/kafka/schemas/metadata.ts";
import { produce } from "../../../src/wire/kafka/schemas/produce.ts";
import { startInProcess } from "../../support/broker.ts";
import { kafkaJs } from "../../support/kafka.ts";
import { batchOf } from "../../support/kafka-batch.ts";
import { RawKafka } from "../../support/kafka-raw.ts";

const broker = await startInProcess({ kafka: { port: 0 } });
const { host, port } = broker.kafka as { host: string; port: number };
const kafka = kafkaJs({ brokers: [`${host}:${port}`], logLevel: logLevel.NOTHING, retry: { retries: 1 } });
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

async function code(topic: string, records: ReturnType<typeof batchOf>, client = raw): Promise<number> {
  const { responses } = await client.ask(produce, 7, {
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

test("it has an id for clients that go by ids, the same after a restart", async () => {
  await channel.assertQueue("by-id");
  const records = batchOf([{ value: "one" }]);
  const send = async (topicId: string) => {
    const topicData = [{ topicId, partitionData: [{ index: 0, records }] }];
    const { responses } = await raw.ask(produce, 13, { acks: -1, timeoutMs: 1000, topicData });
    return responses[0]!.partitionResponses[0]!.errorCode;
  };
  // Until it was told to somebody nobody means it.
  const id = "d344e45c62223ce3f076f1384f00c880";
  expect(await send(id)).toBe(100);
  const { topics } = await raw.ask(metadata, 12, { topics: [{ name: "by-id" }] });
  expect(topics[0]!.topicId).toBe(id);
  expect(await send(id)).toBe(0);
  expect((await taken("by-id")).map(({ content }) => content.toString())).toEqual(["one"]);
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

describe("idempotent producers", () => {
  const sent = (values: string[], baseSequence: number, epoch = 0, producerId = 77) =>
    batchOf(
      values.map((value) => ({ value })),
      { producerId, producerEpoch: epoch, baseSequence },
    );
  const bodies = async (queue: string) => (await taken(queue)).map(({ content }) => `${content}`);

  test("a batch that is sent again is there once", async () => {
    await channel.assertQueue("once");
    expect(await code("once", sent(["a", "b"], 0))).toBe(0);
    const twin = await RawKafka.open({ host, port });
    const twice = [code("once", sent(["c"], 2)), code("once", sent(["c"], 2), twin)];
    expect(await Promise.all(twice)).toEqual([0, 0]);
    twin.close();
    expect(await code("once", sent(["a", "b"], 0))).toBe(0);
    expect(await code("once", sent(["too far"], 9))).toBe(45);
    expect(await code("once", sent(["d"], 0, 1))).toBe(0);
    expect(await code("once", sent(["of before"], 3, 0))).toBe(47);
    expect(await code("once", sent(["another's"], 0, 0, 78))).toBe(0);
    expect(await bodies("once")).toEqual(["a", "b", "c", "d", "another's"]);
  });

  test("what a full queue took of a batch it does not take again", async () => {
    await channel.assertQueue("tight", { arguments: { "x-max-length": 2, "x-overflow": "reject-publish" } });
    expect(await code("tight", sent(["a", "b", "c", "d", "e"], 0))).toBe(56);
    expect(await bodies("tight")).toEqual(["a", "b"]);
    expect(await code("tight", sent(["a", "b", "c", "d", "e"], 0))).toBe(56);
    expect(await bodies("tight")).toEqual(["c", "d"]);
    expect(await code("tight", sent(["a", "b", "c", "d", "e"], 0))).toBe(0);
    expect(await code("tight", sent(["a", "b", "c", "d", "e"], 0))).toBe(0);
    expect(await bodies("tight")).toEqual(["e"]);
    expect(await code("tight", sent(["f"], 5))).toBe(0);
  });

  test("a client's own", async () => {
    await channel.assertQueue("client");
    const own = kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false });
    await own.connect();
    for (const value of ["1", "2", "3"]) await own.send({ topic: "client", messages: [{ value }] });
    await own.disconnect();
    expect(await bodies("client")).toEqual(["1", "2", "3"]);
  });

  test("also after a restart", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "polymq-queue-topic-"));
    try {
      for (let run = 0; run < 2; run++) {
        const again = await startInProcess({ engine: "file:", dataDir, kafka: { port: 0 } });
        const connection = await connect(again.amqp.url);
        const own = await connection.createChannel();
        await own.assertQueue("kept");
        const client = await RawKafka.open(again.kafka as { host: string; port: number });
        for (const batch of [sent(["a"], 0), sent(["b"], 1)])
          expect(await code("kept", batch, client)).toBe(0);
        expect((await own.checkQueue("kept")).messageCount).toBe(2);
        client.close();
        await connection.close();
        await again.stop();
      }
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  });
});
