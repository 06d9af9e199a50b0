// @platformatic/kafka: speaks the newest versions only, with topic ids and flexible messages throughout.
import {
  Base,
  Consumer,
  MessagesStreamModes,
  Producer,
  stringDeserializers,
  stringSerializers,
} from "@platformatic/kafka";
import { afterAll, expect, test } from "vitest";
import { useKafka } from "../../support/kafka.ts";

const { address } = await useKafka();
const options = { clientId: "platformatic-tests", bootstrapBrokers: [address] };
const closers: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of closers) await close();
});

let topics = 0;
const freshTopic = (): string => `platformatic-${topics++}`;

function producing(): Producer<string, string, string, string> {
  const producer = new Producer({ ...options, serializers: stringSerializers, autocreateTopics: true });
  closers.push(() => producer.close());
  return producer;
}

async function consumed(topic: string, count: number) {
  const consumer = new Consumer({
    ...options,
    groupId: `group-of-${topic}`,
    deserializers: stringDeserializers,
  });
  const stream = await consumer.consume({
    topics: [topic],
    mode: MessagesStreamModes.EARLIEST,
    autocommit: false,
    maxWaitTime: 100,
  });
  const messages: { offset: bigint; key: string; value: string; headers: Map<string, string> }[] = [];
  for await (const { offset, key, value, headers } of stream) {
    messages.push({ offset, key, value, headers });
    if (messages.length === count) break;
  }
  await stream.close();
  await consumer.close(true);
  return messages;
}

test("messages come back with key, value, headers and offset", async () => {
  const topic = freshTopic();
  const producer = producing();
  const { offsets } = await producer.send({
    messages: [
      { topic, key: "k", value: "v", headers: { h: "1" } },
      { topic, key: "k2", value: "größer" },
    ],
  });
  expect(offsets).toEqual([{ topic, partition: 0, offset: 0n }]);
  expect(await consumed(topic, 2)).toEqual([
    { offset: 0n, key: "k", value: "v", headers: new Map([["h", "1"]]) },
    { offset: 1n, key: "k2", value: "größer", headers: new Map() },
  ]);
});

test("a topic is known by an id that stays", async () => {
  const topic = freshTopic();
  await producing().send({ messages: [{ topic, key: "k", value: "v" }] });
  const [first, second] = [new Base(options), new Base(options)];
  const ids = await Promise.all(
    [first, second].map(async (client) => (await client.metadata({ topics: [topic] })).topics.get(topic)?.id),
  );
  expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/);
  expect(ids[1]).toBe(ids[0]);
  await Promise.all([first.close(), second.close()]);
});
