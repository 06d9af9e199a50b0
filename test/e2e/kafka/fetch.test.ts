// What a fetch gives and when: every version, waiting, limits, sessions, epochs.
import { afterAll, describe, expect, test } from "vitest";
import { batchBytes, nextOffsetOf, readI64 } from "../../../src/message/record-batch.ts";
import type { ByteRange } from "../../../src/wire/kafka/codec/reader.ts";
import { addPartitionsToTxn } from "../../../src/wire/kafka/schemas/add-partitions-to-txn.ts";
import { endTxn } from "../../../src/wire/kafka/schemas/end-txn.ts";
import { fetch } from "../../../src/wire/kafka/schemas/fetch.ts";
import { initProducerId } from "../../../src/wire/kafka/schemas/init-producer-id.ts";
import { listOffsets } from "../../../src/wire/kafka/schemas/list-offsets.ts";
import { metadata } from "../../../src/wire/kafka/schemas/metadata.ts";
import { offsetForLeaderEpoch } from "../../../src/wire/kafka/schemas/offset-for-leader-epoch.ts";
import { produce } from "../../../src/wire/kafka/schemas/produce.ts";
import { useKafka } from "../../support/kafka.ts";
import { batchOf, RECENT_MS } from "../../support/kafka-batch.ts";
import { RawKafka } from "../../support/kafka-raw.ts";

const broker = await useKafka();
const [client, other] = await Promise.all([RawKafka.open(broker), RawKafka.open(broker)]);
afterAll(() => {
  client.close();
  other.close();
});

let topics = 0;
async function freshTopic(): Promise<{ name: string; topicId: string }> {
  const name = `fetch-${topics++}`;
  const { topics: made } = await client.ask(metadata, 12, {
    topics: [{ name }],
    allowAutoTopicCreation: true,
  });
  return { name, topicId: made[0]!.topicId };
}

async function send(name: string, ...values: string[]): Promise<void> {
  for (const value of values) {
    const { responses } = await other.ask(produce, 9, {
      acks: -1,
      topicData: [{ name, partitionData: [{ index: 0, records: batchOf([{ value }]) }] }],
    });
    expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0);
  }
}

interface Options {
  readonly version?: number;
  readonly offset?: number;
  readonly maxWaitMs?: number;
  readonly minBytes?: number;
  readonly maxBytes?: number;
  readonly partitionMaxBytes?: number;
  readonly currentLeaderEpoch?: number;
  readonly isolationLevel?: number;
}

function post(names: readonly { name: string; topicId: string }[], options: Options = {}) {
  const { version = 12, offset = 0, maxWaitMs = 0, minBytes = 1, maxBytes = 1 << 20 } = options;
  const { partitionMaxBytes = 1 << 20, currentLeaderEpoch = -1, isolationLevel = 0 } = options;
  const partition = { partition: 0, fetchOffset: offset, partitionMaxBytes, currentLeaderEpoch };
  return client.post(fetch, version, {
    maxWaitMs,
    minBytes,
    maxBytes,
    isolationLevel,
    topics: names.map(({ name, topicId }) => ({ topic: name, topicId, partitions: [partition] })),
  });
}

async function fetched(topic: { name: string; topicId: string }, options: Options = {}) {
  const { responses } = await post([topic], options)();
  return responses[0]!.partitions[0]!;
}

/** First and next offset of each batch. */
function batches(records: ByteRange | null): [number, number][] {
  const found: [number, number][] = [];
  for (let at = records!.start; at < records!.end; at += batchBytes(records!.bytes, at))
    found.push([readI64(records!.bytes, at), nextOffsetOf(records!.bytes, at)]);
  return found;
}

describe("records", () => {
  test.each(Array.from({ length: 19 }, (_, version) => version))("in version %i", async (version) => {
    const topic = await freshTopic();
    await send(topic.name, "a", "b");
    for (const isolationLevel of [0, 1]) {
      const got = await fetched(topic, { version, isolationLevel });
      expect(got).toMatchObject({ partitionIndex: 0, errorCode: 0, highWatermark: 2 });
      expect(got.records!.end - got.records!.start).toBeGreaterThan(20);
      if (version >= 4) expect(got.lastStableOffset).toBe(2);
      if (version >= 4) expect(got.abortedTransactions).toEqual(isolationLevel === 1 ? [] : null);
      if (version >= 5) expect(got.logStartOffset).toBe(0);
    }
  });

  test("begin with the batch that has the offset, and end at the limit, but never before one batch", async () => {
    const topic = await freshTopic();
    await send(topic.name, "x".repeat(1000), "y".repeat(1000), "z".repeat(1000));
    expect(batches((await fetched(topic, { offset: 1 })).records)).toEqual([
      [1, 2],
      [2, 3],
    ]);
    expect(batches((await fetched(topic, { partitionMaxBytes: 1 })).records)).toEqual([[0, 1]]);
    expect(batches((await fetched(topic, { maxBytes: 1, offset: 2 })).records)).toEqual([[2, 3]]);
    expect(batches((await fetched(topic, { maxBytes: 2500 })).records)).toEqual([
      [0, 1],
      [1, 2],
    ]);
  });

  test("of the second topic wait where the first has used up the limit", async () => {
    const [first, second] = [await freshTopic(), await freshTopic()];
    await send(first.name, "x".repeat(1000));
    await send(second.name, "y".repeat(1000));
    const { responses } = await post([first, second], { maxBytes: 1500 })();
    expect(responses.map(({ partitions }) => batches(partitions[0]!.records).length)).toEqual([1, 0]);
  });

  test("outside of what there is are an error, at its end there are none", async () => {
    const topic = await freshTopic();
    await send(topic.name, "a", "b");
    expect(await fetched(topic, { offset: 3 })).toMatchObject({ errorCode: 1 });
    expect(await fetched(topic, { offset: -1 })).toMatchObject({ errorCode: 1 });
    const atEnd = await fetched(topic, { offset: 2 });
    expect(atEnd).toMatchObject({ errorCode: 0, highWatermark: 2 });
    expect(batches(atEnd.records)).toEqual([]);
  });

  test("of topics that are not there", async () => {
    const missing = { name: "not-there", topicId: "0123456789abcdef0123456789abcdef" };
    expect(await fetched(missing)).toMatchObject({ errorCode: 3 });
    expect(await fetched(missing, { version: 13 })).toMatchObject({ errorCode: 100 });
  });
});

describe("transactions", () => {
  const transactionalId = "fetch-tests";

  /** One record, committed or aborted: with the mark behind it, two offsets. */
  async function transaction(name: string, value: string, committed: boolean): Promise<void> {
    let producer = await other.ask(initProducerId, 1, { transactionalId, transactionTimeoutMs: 60_000 });
    // The transaction before may still be ending.
    while (producer.errorCode === 51)
      producer = await other.ask(initProducerId, 1, { transactionalId, transactionTimeoutMs: 60_000 });
    const { producerId, producerEpoch } = producer;
    const ours = { transactionalId, v3AndBelowTransactionalId: transactionalId, producerId, producerEpoch };
    await other.ask(addPartitionsToTxn, 1, {
      ...ours,
      v3AndBelowProducerId: producerId,
      v3AndBelowProducerEpoch: producerEpoch,
      v3AndBelowTopics: [{ name, partitions: [0] }],
    });
    const records = batchOf([{ value }], { producerId, producerEpoch, baseSequence: 0, attributes: 16 });
    const { responses } = await other.ask(produce, 9, {
      transactionalId,
      acks: -1,
      topicData: [{ name, partitionData: [{ index: 0, records }] }],
    });
    expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0);
    expect((await other.ask(endTxn, 1, { ...ours, committed })).errorCode).toBe(0);
  }

  /** Until the marks are there that make `offset` the last stable one. */
  async function decided(topic: { name: string; topicId: string }, offset: number): Promise<void> {
    while ((await fetched(topic, { isolationLevel: 1 })).lastStableOffset < offset);
  }

  test("that were aborted are told to those who read what is committed", async () => {
    const topic = await freshTopic();
    await transaction(topic.name, "aborted", false);
    await transaction(topic.name, "committed", true);
    await decided(topic, 4);
    const got = await fetched(topic, { isolationLevel: 1 });
    expect(got).toMatchObject({ errorCode: 0, highWatermark: 4, lastStableOffset: 4 });
    expect(got.abortedTransactions).toMatchObject([{ firstOffset: 0 }]);
    expect((await fetched(topic)).abortedTransactions).toBeNull();
  });

  test.each([1, 2])(
    "leave marks that clients of version %i never see, nor ask for in vain",
    async (version) => {
      const topic = await freshTopic();
      await transaction(topic.name, "a", true);
      await decided(topic, 2);
      const startMs = performance.now();
      const nothing = (await fetched(topic, { version, offset: 1, maxWaitMs: 100 })).records!;
      expect(nothing.end - nothing.start).toBe(0);
      expect(performance.now() - startMs).toBeGreaterThan(90);
      const waiting = post([topic], { version, offset: 1, maxWaitMs: 20_000 });
      await send(topic.name, "b");
      const { records } = (await waiting()).responses[0]!.partitions[0]!;
      expect(Buffer.from(records!.bytes.subarray(records!.start, records!.end)).readBigInt64BE()).toBe(2n);
    },
  );
});

describe("waiting", () => {
  test("ends with the first record", async () => {
    const topic = await freshTopic();
    const answer = post([topic], { maxWaitMs: 20_000 });
    await send(topic.name, "a");
    expect(batches((await answer()).responses[0]!.partitions[0]!.records)).toEqual([[0, 1]]);
  });

  test("goes on until there are enough bytes", async () => {
    const topic = await freshTopic();
    const answer = post([topic], { maxWaitMs: 20_000, minBytes: 2500 });
    await send(topic.name, "x".repeat(1000), "y".repeat(1000));
    expect(client.answersWaiting).toBe(0);
    await send(topic.name, "z".repeat(1000));
    expect(batches((await answer()).responses[0]!.partitions[0]!.records).length).toBe(3);
  });

  test("ends in time with what there is", async () => {
    const topic = await freshTopic();
    await send(topic.name, "a");
    const got = await fetched(topic, { maxWaitMs: 50, minBytes: 1_000_000 });
    expect(batches(got.records)).toEqual([[0, 1]]);
  });

  test("is over at once where something is wrong", async () => {
    const [good, bad] = [await freshTopic(), { name: "not-there", topicId: "" }];
    const { responses } = await post([good, bad], { maxWaitMs: 60_000 })();
    expect(responses.map(({ partitions }) => partitions[0]!.errorCode)).toEqual([0, 3]);
  });
});

describe("sessions", () => {
  async function session(version: number, names: { name: string; topicId: string }[], more: object) {
    const partition = { partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 };
    return client.ask(fetch, version, {
      maxWaitMs: 0,
      minBytes: 1,
      topics: names.map(({ name, topicId }) => ({ topic: name, topicId, partitions: [partition] })),
      ...more,
    });
  }

  test.each([7, 12, 13, 18])("tell only what has changed (version %i)", async (version) => {
    const all = [await freshTopic(), await freshTopic(), await freshTopic()];
    const told = ({ responses }: Awaited<ReturnType<typeof session>>) =>
      responses.map(({ topic, topicId }) =>
        all.findIndex((one) => one.name === topic || one.topicId === topicId),
      );
    const first = await session(version, all, { sessionId: 0, sessionEpoch: 0 });
    expect(first.sessionId).toBeGreaterThan(0);
    expect(told(first)).toEqual([0, 1, 2]);
    const { sessionId } = first;
    expect(told(await session(version, [], { sessionId, sessionEpoch: 1 }))).toEqual([]);
    await send(all[1]!.name, "a");
    const second = await session(version, [], { sessionId, sessionEpoch: 2 });
    expect(told(second)).toEqual([1]);
    expect(batches(second.responses[0]!.partitions[0]!.records)).toEqual([[0, 1]]);
    // Forgotten, it is not told any more; another one is new.
    const { name, topicId } = all[1]!;
    const forgottenTopicsData = [{ topic: name, topicId, partitions: [0] }];
    await send(all[1]!.name, "b");
    expect(told(await session(version, [], { sessionId, sessionEpoch: 3, forgottenTopicsData }))).toEqual([]);
    await send(all[0]!.name, "c");
    expect(told(await session(version, [all[1]!], { sessionId, sessionEpoch: 4 }))).toEqual([0, 1]);
  });

  test("that are not there, or at another epoch", async () => {
    const topic = await freshTopic();
    const { sessionId } = await session(12, [topic], { sessionId: 0, sessionEpoch: 0 });
    expect(await session(12, [], { sessionId, sessionEpoch: 7 })).toMatchObject({
      errorCode: 71,
      responses: [],
    });
    expect(await session(12, [], { sessionId: sessionId ^ 1, sessionEpoch: 1 })).toMatchObject({
      errorCode: 70,
    });
    expect(await session(13, [], { sessionId, sessionEpoch: 1 })).toMatchObject({ errorCode: 106 });
    // Closed by its client.
    expect(await session(12, [topic], { sessionId, sessionEpoch: -1 })).toMatchObject({
      errorCode: 0,
      sessionId: 0,
    });
    expect(await session(12, [], { sessionId, sessionEpoch: 1 })).toMatchObject({ errorCode: 70 });
  });

  test("let everybody have a turn where there is a limit", async () => {
    const all = [await freshTopic(), await freshTopic()];
    for (const { name } of all) await send(name, "x".repeat(1000));
    const first = await session(12, all, { sessionId: 0, sessionEpoch: 0, maxBytes: 100 });
    const withRecords = ({ responses }: typeof first) =>
      responses
        .filter(({ partitions }) => batches(partitions[0]!.records).length > 0)
        .map(({ topic }) => topic);
    expect(withRecords(first)).toEqual([all[0]!.name]);
    const { sessionId } = first;
    expect(withRecords(await session(12, [], { sessionId, sessionEpoch: 1, maxBytes: 100 }))).toEqual([
      all[1]!.name,
    ]);
  });
});

describe("leader epochs", () => {
  test("that are not the present one", async () => {
    const topic = await freshTopic();
    const { topics: described } = await client.ask(metadata, 7, { topics: [topic] });
    const { leaderEpoch } = described[0]!.partitions[0]!;
    expect(await fetched(topic, { currentLeaderEpoch: leaderEpoch })).toMatchObject({ errorCode: 0 });
    expect(await fetched(topic, { currentLeaderEpoch: leaderEpoch + 1 })).toMatchObject({ errorCode: 75 });
    await send(topic.name, "a");
    for (const [asked, expected] of [
      [leaderEpoch, { leaderEpoch, endOffset: 1 }],
      [leaderEpoch + 1, { leaderEpoch: -1, endOffset: -1 }],
    ] as const) {
      const { topics } = await client.ask(offsetForLeaderEpoch, 3, {
        topics: [{ topic: topic.name, partitions: [{ partition: 0, leaderEpoch: asked }] }],
      });
      expect(topics[0]!.partitions[0]).toMatchObject(expected);
    }
  });
});

describe("offsets", () => {
  const asked = async (version: number, name: string, timestamp: number) => {
    const { topics } = await client.ask(listOffsets, version, {
      topics: [{ name, partitions: [{ partitionIndex: 0, timestamp, maxNumOffsets: 10 }] }],
    });
    return topics[0]!.partitions[0]!;
  };

  test("in the oldest version are a list", async () => {
    const { name } = await freshTopic();
    await send(name, "a", "b");
    expect(await asked(0, name, -1)).toMatchObject({ errorCode: 0, oldStyleOffsets: [2, 0] });
    expect(await asked(0, name, -2)).toMatchObject({ errorCode: 0, oldStyleOffsets: [0] });
  });

  test.each([1, 4, 7, 9, 10, 11])("in version %i", async (version) => {
    const { name } = await freshTopic();
    await send(name, "a", "b");
    expect(await asked(version, name, -1)).toMatchObject({ errorCode: 0, offset: 2, timestamp: -1 });
    expect(await asked(version, name, -2)).toMatchObject({ errorCode: 0, offset: 0, timestamp: -1 });
    expect(await asked(version, name, 5)).toMatchObject({ offset: 0, timestamp: RECENT_MS });
    expect(await asked(version, name, RECENT_MS + 1)).toMatchObject({ offset: -1, timestamp: -1 });
    if (version >= 7) expect(await asked(version, name, -3)).toMatchObject({ timestamp: RECENT_MS });
  });

  // As Kafka 4.1 answers; -6 is Kafka 4.2's.
  test.each([
    [-3, 6, 7, 2],
    [-4, 7, 8, 0],
    [-5, 8, 9, -1],
    [-6, 10, 11, -1],
  ])(
    "what %i stands for is unknown to version %i, and not to %i",
    async (timestamp, before, from, offset) => {
      const { name } = await freshTopic();
      await send(name, "a", "b");
      await client.ask(produce, 7, {
        acks: -1,
        timeoutMs: 1000,
        topicData: [
          {
            name,
            partitionData: [{ index: 0, records: batchOf([{ value: "c", timestampMs: RECENT_MS + 9 }]) }],
          },
        ],
      });
      expect(await asked(before, name, timestamp)).toMatchObject({ errorCode: 35, offset: -1 });
      expect(await asked(from, name, timestamp)).toMatchObject({ errorCode: 0, offset });
      expect(await asked(11, name, -7)).toMatchObject({ errorCode: 35, offset: -1 });
    },
  );
});
