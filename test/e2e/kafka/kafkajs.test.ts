// kafkajs: the client of Node's world for years, at versions that were current around Kafka 2.4.
import { CompressionTypes, type Consumer } from "kafkajs";
import { afterAll, describe, expect, test } from "vitest";
import { kafkaJs, useKafka } from "../../support/kafka.ts";

const { port, address } = await useKafka();
const kafka = kafkaJs({
  clientId: "kafkajs-tests",
  brokers: [address],
  retry: { initialRetryTime: 20, retries: 5 },
});
const clients: { disconnect(): Promise<void> }[] = [];
afterAll(async () => {
  await Promise.all(clients.map((client) => client.disconnect()));
});

let topics = 0;
const freshTopic = (): string => `kafkajs-${topics++}`;

async function producing(options = {}) {
  const producer = kafka.producer(options);
  clients.push(producer);
  await producer.connect();
  return producer;
}

/** Reads until there are `count` messages. */
async function consumed(topic: string, count: number, groupId = `group-of-${topic}`, options = {}) {
  const consumer: Consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100, ...options });
  clients.push(consumer);
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const messages: {
    partition: number;
    offset: number;
    key: string | null;
    value: string | null;
    headers: object;
  }[] = [];
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        eachMessage: async ({ partition, message }) => {
          const headers = Object.fromEntries(
            Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]),
          );
          messages.push({
            partition,
            offset: Number(message.offset),
            key: message.key?.toString() ?? null,
            value: message.value?.toString() ?? null,
            headers,
          });
          if (messages.length === count) resolve();
        },
      })
      .catch(reject);
  });
  await consumer.disconnect();
  return messages;
}

describe("messages", () => {
  test("come back with key, value, headers and offset", async () => {
    const topic = freshTopic();
    const producer = await producing();
    const [told] = await producer.send({
      topic,
      messages: [
        { key: "k", value: "v", headers: { h: "1", ünïcode: "日本" } },
        { key: null, value: "no key" },
        { key: "tombstone", value: null },
        { value: "" },
      ],
    });
    expect(told).toMatchObject({ partition: 0, errorCode: 0, baseOffset: "0", logStartOffset: "0" });
    expect(await consumed(topic, 4)).toEqual([
      { partition: 0, offset: 0, key: "k", value: "v", headers: { h: "1", ünïcode: "日本" } },
      { partition: 0, offset: 1, key: null, value: "no key", headers: {} },
      { partition: 0, offset: 2, key: "tombstone", value: null, headers: {} },
      { partition: 0, offset: 3, key: null, value: "", headers: {} },
    ]);
  });

  test.each([
    ["larger than a read", 300_000, 3],
    ["of a megabyte", 1_000_000, 2],
  ])("%s arrive whole", async (_name, size, count) => {
    const topic = freshTopic();
    const producer = await producing();
    const values = Array.from({ length: count }, (_, i) => String(i).repeat(size));
    // One after the other: a batch of them all would be over what a topic takes.
    for (const value of values) await producer.send({ topic, messages: [{ value }] });
    const got = await consumed(topic, count);
    expect(got.map(({ value }) => value === values.shift())).toEqual(Array(count).fill(true));
  });

  test("compressed with gzip are passed on as they are", async () => {
    const topic = freshTopic();
    const producer = await producing();
    const messages = Array.from({ length: 100 }, (_, i) => ({ value: `value ${i}` }));
    await producer.send({ topic, compression: CompressionTypes.GZIP, messages });
    expect((await consumed(topic, 100)).map(({ value }) => ({ value }))).toEqual(messages);
  });

  test("without acknowledgement are kept, too", async () => {
    const topic = freshTopic();
    const producer = await producing();
    await producer.send({ topic, acks: 0, messages: [{ value: "fire" }, { value: "forget" }] });
    expect((await consumed(topic, 2)).map(({ value }) => value)).toEqual(["fire", "forget"]);
  });

  test("of many producers at once are all there, in the order of each", async () => {
    const topic = freshTopic();
    const producers = await Promise.all(Array.from({ length: 4 }, () => producing()));
    await Promise.all(
      producers.map(async (producer, p) => {
        for (let i = 0; i < 50; i++) await producer.send({ topic, messages: [{ value: `${p}:${i}` }] });
      }),
    );
    const got = await consumed(topic, 200);
    expect(got.map(({ offset }) => offset)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    for (let p = 0; p < 4; p++) {
      const mine = got.map(({ value }) => value).filter((value) => value?.startsWith(`${p}:`));
      expect(mine).toEqual(Array.from({ length: 50 }, (_, i) => `${p}:${i}`));
    }
  });
});

describe("offsets", () => {
  test("by time, and the ends of a topic", async () => {
    const topic = freshTopic();
    const producer = await producing();
    const first = Date.now() - 60_000;
    const timestamps = [first, first + 1000, first + 2000];
    for (const timestamp of timestamps)
      await producer.send({ topic, messages: [{ value: "x", timestamp: String(timestamp) }] });
    const admin = kafka.admin();
    clients.push(admin);
    await admin.connect();
    expect(await admin.fetchTopicOffsets(topic)).toEqual([
      { partition: 0, offset: "3", high: "3", low: "0" },
    ]);
    const at = async (timestamp: number) =>
      (await admin.fetchTopicOffsetsByTimestamp(topic, timestamp)).map(({ offset }) => offset);
    expect(await at(first)).toEqual(["0"]);
    expect(await at(first + 1)).toEqual(["1"]);
    expect(await at(first + 2001)).toEqual(["3"]);
  });

  test("records below one can be deleted", async () => {
    const topic = freshTopic();
    const producer = await producing();
    for (const value of ["a", "b", "c"]) await producer.send({ topic, messages: [{ value }] });
    const admin = kafka.admin();
    clients.push(admin);
    await admin.connect();
    // The admin client asks for the leaders of topics that it has met, and of no others.
    expect(await admin.fetchTopicOffsets(topic)).toMatchObject([{ high: "3", low: "0" }]);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "2" }] });
    expect(await admin.fetchTopicOffsets(topic)).toMatchObject([{ high: "3", low: "2" }]);
    expect((await consumed(topic, 1)).map(({ value }) => value)).toEqual(["c"]);
  });
});

describe("the cluster", () => {
  test("is this broker, where the client came to", async () => {
    const admin = kafka.admin();
    clients.push(admin);
    await admin.connect();
    const cluster = await admin.describeCluster();
    expect(cluster).toMatchObject({ brokers: [{ nodeId: 1, host: "127.0.0.1", port }], controller: 1 });
    expect(cluster.clusterId).toMatch(/^[\w-]{22}$/);
  });

  test("a topic that may not be created is unknown", async () => {
    const producer = await producing({ allowAutoTopicCreation: false, retry: { retries: 0 } });
    const refusal = await producer.send({ topic: "never-made", messages: [{ value: "x" }] }).catch((e) => e);
    expect(refusal).toMatchObject({ cause: { type: "UNKNOWN_TOPIC_OR_PARTITION" } });
  });

  test("a topic with a bad name is refused", async () => {
    const producer = await producing({ retry: { retries: 0 } });
    const refusal = await producer
      .send({ topic: "no such/name", messages: [{ value: "x" }] })
      .catch((e) => e);
    expect(refusal).toMatchObject({ cause: { type: "INVALID_TOPIC_EXCEPTION" } });
  });
});
