// What a partition takes and what it refuses, in the versions of clients of all ages.

import { crc32, gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { batchBytes } from "../../../src/message/record-batch.ts";
import { RecordCursor } from "../../../src/message/record-cursor.ts";
import type { ByteRange } from "../../../src/wire/kafka/codec/reader.ts";
import { ZERO_UUID } from "../../../src/wire/kafka/codec/schema.ts";
import { createTopics } from "../../../src/wire/kafka/schemas/create-topics.ts";
import { deleteTopics } from "../../../src/wire/kafka/schemas/delete-topics.ts";
import { describeConfigs } from "../../../src/wire/kafka/schemas/describe-configs.ts";
import { fetch } from "../../../src/wire/kafka/schemas/fetch.ts";
import { incrementalAlterConfigs } from "../../../src/wire/kafka/schemas/incremental-alter-configs.ts";
import { metadata } from "../../../src/wire/kafka/schemas/metadata.ts";
import { produce } from "../../../src/wire/kafka/schemas/produce.ts";
import { useKafka } from "../../support/kafka.ts";
import { batchOf, RECENT_MS } from "../../support/kafka-batch.ts";
import { RawKafka } from "../../support/kafka-raw.ts";

const client = await RawKafka.open(await useKafka());
afterAll(() => client.close());

let topics = 0;
async function freshTopic(): Promise<string> {
  const name = `produce-${topics++}`;
  await client.ask(metadata, 4, { topics: [{ name }], allowAutoTopicCreation: true });
  return name;
}

async function send(version: number, name: string, records: ByteRange | null, acks = -1, index = 0) {
  const { responses } = await client.ask(produce, version, {
    acks,
    timeoutMs: 1000,
    topicData: [{ name, partitionData: [{ index, records }] }],
  });
  return responses[0]!.partitionResponses[0]!;
}

async function fetched(version: number, topic: string, fetchOffset = 0) {
  const { responses } = await client.ask(fetch, version, {
    maxWaitMs: 100,
    minBytes: 1,
    topics: [{ topic, partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1 << 20 }] }],
  });
  return responses[0]!.partitions[0]!;
}

async function values(topic: string): Promise<(string | null)[]> {
  const { records } = await fetched(12, topic);
  const found: (string | null)[] = [];
  const cursor = new RecordCursor();
  for (let at = records!.start; at < records!.end; at += batchBytes(records!.bytes, at)) {
    cursor.open(records!.bytes, at, at + batchBytes(records!.bytes, at));
    while (cursor.next()) found.push(cursor.value()?.toString() ?? null);
  }
  return found;
}

function rangeOf(bytes: Uint8Array): ByteRange {
  return { bytes, start: 0, end: bytes.length };
}

/** A message of the formats 0 and 1. */
function message(magic: 0 | 1, offset: number, value: Buffer | null, codec = 0, timestampMs = RECENT_MS) {
  const field = (bytes: Buffer | null): Buffer => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(bytes?.length ?? -1);
    return Buffer.concat([length, bytes ?? Buffer.alloc(0)]);
  };
  const timestamp = Buffer.alloc(magic === 1 ? 8 : 0);
  if (magic === 1) timestamp.writeBigInt64BE(BigInt(timestampMs));
  const body = Buffer.concat([Buffer.from([magic, codec]), timestamp, field(Buffer.from("k")), field(value)]);
  const head = Buffer.alloc(16);
  head.writeBigInt64BE(BigInt(offset));
  head.writeInt32BE(body.length + 4, 8);
  head.writeUInt32BE(crc32(body), 12);
  return Buffer.concat([head, body]);
}

describe("a batch", () => {
  test.each([3, 5, 7, 8, 9, 11, 12])("is taken in version %i", async (version) => {
    const topic = await freshTopic();
    expect(await send(version, topic, batchOf([{ value: "a" }, { value: "b" }]))).toMatchObject({
      errorCode: 0,
      baseOffset: 0,
      logAppendTimeMs: -1,
    });
    expect(await send(version, topic, batchOf([{ value: "c" }]), 1)).toMatchObject({
      errorCode: 0,
      baseOffset: 2,
    });
    expect(await values(topic)).toEqual(["a", "b", "c"]);
  });

  const changed = (change: (bytes: Buffer) => void, records = batchOf([{ value: "value" }])): ByteRange => {
    const bytes = Buffer.from(records.bytes.subarray(records.start, records.end));
    change(bytes);
    return rangeOf(bytes);
  };
  const batch = batchOf([{ value: "value" }]);
  const whole = Buffer.from(batch.bytes.subarray(0, batch.end));

  test.each<[string, ByteRange | null, number]>([
    ["a wrong checksum", changed((bytes) => bytes.writeUInt8(1, bytes.length - 1)), 2],
    ["a length that does not fit", changed((bytes) => bytes.writeInt32BE(7, 8)), 87],
    ["two batches at once", rangeOf(Buffer.concat([whole, whole])), 87],
    ["half a batch", rangeOf(whole.subarray(0, 40)), 87],
    ["an old format", rangeOf(message(1, 0, Buffer.from("v"))), 87],
    ["no records at all", null, 87],
    ["a control batch", batchOf([{ value: "v" }], { attributes: 32 }), 87],
    ["more than a topic takes", batchOf([{ value: "x".repeat(1_100_000) }]), 10],
  ])("with %s is refused, and the topic as it was", async (_name, records, errorCode) => {
    const topic = await freshTopic();
    await send(9, topic, batchOf([{ value: "before" }]));
    expect(await send(9, topic, records)).toMatchObject({ errorCode, baseOffset: -1 });
    expect(await send(9, topic, batchOf([{ value: "after" }]))).toMatchObject({
      errorCode: 0,
      baseOffset: 1,
    });
    expect(await values(topic)).toEqual(["before", "after"]);
  });

  test("for a partition or topic that is not there is refused alone", async () => {
    const topic = await freshTopic();
    const records = batchOf([{ value: "v" }]);
    const { responses } = await client.ask(produce, 9, {
      acks: -1,
      topicData: [
        {
          name: topic,
          partitionData: [
            { index: 7, records },
            { index: 0, records },
          ],
        },
        { name: "not-there", partitionData: [{ index: 0, records }] },
      ],
    });
    const codes = responses.map(({ partitionResponses }) =>
      partitionResponses.map(({ errorCode }) => errorCode),
    );
    expect(codes).toEqual([[3, 0], [3]]);
  });

  test("goes by the topic's id from version 13 on", async () => {
    const byId = async (topicId: string, index = 0) => {
      const { responses } = await client.ask(produce, 13, {
        acks: -1,
        timeoutMs: 1000,
        topicData: [{ topicId, partitionData: [{ index, records: batchOf([{ value: "v" }]) }] }],
      });
      expect(responses[0]!.topicId).toBe(topicId);
      return responses[0]!.partitionResponses[0]!;
    };
    const name = await freshTopic();
    const idOf = async () => {
      const { topics } = await client.ask(metadata, 12, { topics: [{ name }], allowAutoTopicCreation: true });
      return topics[0]!.topicId;
    };
    const before = await idOf();
    expect(await byId(before)).toMatchObject({ errorCode: 0, baseOffset: 0 });
    expect(await byId(before, 7)).toMatchObject({ errorCode: 3, baseOffset: -1 });
    expect(await byId("0123456789abcdef0123456789abcdef")).toMatchObject({ errorCode: 100, baseOffset: -1 });
    expect(await byId(ZERO_UUID)).toMatchObject({ errorCode: 100, baseOffset: -1 });
    // Records for a topic that was deleted do not end up in the one that is now called like it.
    await client.ask(deleteTopics, 5, { topicNames: [name], timeoutMs: 1000 });
    const after = await idOf();
    expect(await byId(before)).toMatchObject({ errorCode: 100, baseOffset: -1 });
    expect(await byId(after)).toMatchObject({ errorCode: 0, baseOffset: 0 });
  });

  test("with acks that do not exist is refused", async () => {
    expect(await send(9, await freshTopic(), batchOf([{ value: "v" }]), 2)).toMatchObject({ errorCode: 21 });
  });

  test("of a topic that wants more replicas in sync than it has is acknowledged by the one, as Kafka 4.1 does", async () => {
    const name = `produce-${topics++}`;
    const configs = [{ name: "min.insync.replicas", value: "2" }];
    const topic = { name, numPartitions: 1, replicationFactor: 1, configs };
    const { topics: made } = await client.ask(createTopics, 7, { topics: [topic], timeoutMs: 1000 });
    expect(made[0]).toMatchObject({ errorCode: 0 });
    const one = batchOf([{ value: "v" }]);
    const numbered = batchOf([{ value: "v" }], { producerId: 78, producerEpoch: 0, baseSequence: 0 });
    expect(await send(9, name, one)).toMatchObject({ errorCode: 0, baseOffset: 0 });
    expect(await send(12, name, numbered)).toMatchObject({ errorCode: 0, baseOffset: 1 });
    // A topic that does not say has what the broker says.
    const alter = async (resourceType: number, resourceName: string, value: string | null) => {
      const change = { name: "min.insync.replicas", configOperation: value === null ? 1 : 0, value };
      const resources = [{ resourceType, resourceName, configs: [change] }];
      expect((await client.ask(incrementalAlterConfigs, 1, { resources })).responses[0]!.errorCode).toBe(0);
    };
    await alter(2, name, null);
    await alter(4, "", "3");
    const resources = [{ resourceType: 2, resourceName: name, configurationKeys: ["min.insync.replicas"] }];
    const { results } = await client.ask(describeConfigs, 4, { resources });
    expect(results[0]!.configs).toMatchObject([{ value: "3", configSource: 3, readOnly: false }]);
    await alter(4, "", null);
  });

  test("of an idempotent producer is stored once, and must follow the one before", async () => {
    const topic = await freshTopic();
    const numbered = (baseSequence: number, producerEpoch = 0) =>
      batchOf([{ value: `${baseSequence}` }], { producerId: 77, producerEpoch, baseSequence });
    expect(await send(9, topic, numbered(0))).toMatchObject({ errorCode: 0, baseOffset: 0 });
    expect(await send(9, topic, numbered(1))).toMatchObject({ errorCode: 0, baseOffset: 1 });
    expect(await send(9, topic, numbered(0))).toMatchObject({ errorCode: 0, baseOffset: 0 });
    expect(await send(9, topic, numbered(3))).toMatchObject({ errorCode: 45 });
    expect(await send(9, topic, numbered(0, 1))).toMatchObject({ errorCode: 0, baseOffset: 2 });
    expect(await send(9, topic, numbered(2))).toMatchObject({ errorCode: 47 });
  });

  test("with zstd is for clients that know it", async () => {
    const topic = await freshTopic();
    expect(await send(6, topic, batchOf([{ value: "v" }], { attributes: 4 }))).toMatchObject({
      errorCode: 76,
    });
    expect(await send(7, topic, batchOf([{ value: "v" }], { attributes: 4 }))).toMatchObject({
      errorCode: 0,
    });
    expect(await fetched(9, topic)).toMatchObject({ errorCode: 76 });
    expect(await fetched(10, topic)).toMatchObject({ errorCode: 0 });
  });
});

describe("sets of single messages, from before Kafka 0.11", () => {
  const [a, b] = [Buffer.from("a"), Buffer.from("b")];

  test.each([
    [0, 0],
    [1, 0],
    [2, 1],
  ] as const)("version %i writes format %i", async (version, magic) => {
    const topic = await freshTopic();
    const set = Buffer.concat([message(magic, 0, a), message(magic, 1, null), message(magic, 2, b)]);
    expect(await send(version, topic, rangeOf(set), 1)).toMatchObject({ errorCode: 0, baseOffset: 0 });
    expect(await send(version, topic, rangeOf(message(magic, 0, b)), 1)).toMatchObject({ baseOffset: 3 });
    expect(await values(topic)).toEqual(["a", null, "b", "b"]);
  });

  test.each([0, 1] as const)("of format %i may be compressed", async (magic) => {
    const topic = await freshTopic();
    const inner = gzipSync(Buffer.concat([message(magic, 0, a), message(magic, 1, b)]));
    expect(await send(1, topic, rangeOf(message(magic, 1, inner, 1)), 1)).toMatchObject({ errorCode: 0 });
    expect(await values(topic)).toEqual(["a", "b"]);
  });

  test("are as large as they come, compressed", async () => {
    const topic = await freshTopic();
    const texts = Array.from({ length: 50_000 }, (_, i) => `one of very many messages: ${i}`);
    const all = Buffer.concat(texts.map((text, i) => message(0, i, Buffer.from(text))));
    const set = message(0, 0, gzipSync(all), 1);
    expect(set.length).toBeLessThan(1 << 20);
    expect(await send(0, topic, rangeOf(set), 1)).toMatchObject({ errorCode: 0, baseOffset: 0 });
    expect(await values(topic)).toEqual(texts);
    expect(await send(0, topic, rangeOf(message(0, 0, b)), 1)).toMatchObject({ baseOffset: 50_000 });
    expect(await send(0, topic, rangeOf(all), 1)).toMatchObject({ errorCode: 10 });
    const bomb = gzipSync(message(0, 0, Buffer.alloc(20 << 20)));
    expect(await send(0, topic, rangeOf(message(0, 0, bomb, 1)), 1)).toMatchObject({ errorCode: 10 });
  });

  test("that are damaged are refused", async () => {
    const topic = await freshTopic();
    const set = message(0, 0, a);
    set.writeUInt8(99, set.length - 1);
    expect(await send(1, topic, rangeOf(set), 1)).toMatchObject({ errorCode: 2 });
    expect(await send(1, topic, rangeOf(set.subarray(0, 20)), 1)).toMatchObject({ errorCode: 2 });
    const garbage = message(0, 0, Buffer.from("not gzip"), 1);
    expect(await send(1, topic, rangeOf(garbage), 1)).toMatchObject({ errorCode: 2 });
  });

  test("are what old versions of fetch read, byte for byte", async () => {
    const topic = await freshTopic();
    const set = (magic: 0 | 1) =>
      Buffer.concat([message(magic, 0, a), message(magic, 1, null), message(magic, 2, b)]);
    await send(2, topic, rangeOf(set(1)), 1);
    for (const [version, magic] of [
      [0, 0],
      [1, 0],
      [2, 1],
      [3, 1],
    ] as const) {
      const { records } = await fetched(version, topic);
      expect(Buffer.from(records!.bytes.subarray(records!.start, records!.end))).toEqual(set(magic));
    }
    const { records } = await fetched(2, topic, 2);
    expect(Buffer.from(records!.bytes.subarray(records!.start, records!.end))).toEqual(message(1, 2, b));
  });
});
