// The protocol of transactions of KIP-890: partitions and groups join by being written to, and each end gives the
// producer a new epoch.
import { afterAll, beforeEach, expect, test } from "vitest";
import { apiVersions } from "../../../src/wire/kafka/schemas/api-versions.ts";
import { createTopics } from "../../../src/wire/kafka/schemas/create-topics.ts";
import { endTxn } from "../../../src/wire/kafka/schemas/end-txn.ts";
import { fetch } from "../../../src/wire/kafka/schemas/fetch.ts";
import { initProducerId } from "../../../src/wire/kafka/schemas/init-producer-id.ts";
import { listTransactions } from "../../../src/wire/kafka/schemas/list-transactions.ts";
import { offsetFetch } from "../../../src/wire/kafka/schemas/offset-fetch.ts";
import { produce } from "../../../src/wire/kafka/schemas/produce.ts";
import { txnOffsetCommit } from "../../../src/wire/kafka/schemas/txn-offset-commit.ts";
import { startInProcess } from "../../support/broker.ts";
import { batchOf } from "../../support/kafka-batch.ts";
import { RawKafka } from "../../support/kafka-raw.ts";

const broker = await startInProcess({ kafka: { port: 0 } });
const peer = await RawKafka.open(broker.kafka as { host: string; port: number });
afterAll(async () => {
  peer.close();
  await broker.stop();
});

let [id, topic, topicId, count] = ["", "", "", 0];
let producer = { producerId: -1, producerEpoch: -1 };

beforeEach(async () => {
  [id, topic] = [`id-${++count}`, `topic-${count}`];
  const { topics } = await peer.ask(createTopics, 7, {
    topics: [{ name: topic, numPartitions: 2, replicationFactor: 1 }],
    timeoutMs: 1000,
  });
  topicId = topics[0]?.topicId ?? "";
  const { producerId, producerEpoch } = await peer.ask(initProducerId, 4, {
    transactionalId: id,
    transactionTimeoutMs: 60_000,
  });
  producer = { producerId, producerEpoch };
});

function write(
  value: string,
  baseSequence: number,
  { as = producer, version = 12, partition = 0, acks = -1 } = {},
) {
  const records = batchOf([{ value }], { attributes: 16, baseSequence, ...as });
  const topicData = [{ name: topic, topicId, partitionData: [{ index: partition, records }] }];
  const answer = peer.post(produce, version, { transactionalId: id, acks, timeoutMs: 1000, topicData });
  return async () => (await answer()).responses[0]?.partitionResponses[0]?.errorCode;
}

const end = (committed: boolean, as = producer) =>
  peer.ask(endTxn, 5, { transactionalId: id, committed, ...as });

/** Bytes of records that are decided. */
async function decided(partition = 0): Promise<number> {
  const { responses } = await peer.ask(fetch, 11, {
    maxWaitMs: 100,
    minBytes: 1,
    isolationLevel: 1,
    topics: [{ topic, partitions: [{ partition, fetchOffset: 0, partitionMaxBytes: 100_000 }] }],
  });
  const records = responses[0]?.partitions[0]?.records;
  return records ? records.end - records.start : 0;
}

test("it is announced", async () => {
  const { finalizedFeatures, finalizedFeaturesEpoch, supportedFeatures } = await peer.ask(apiVersions, 4, {
    clientSoftwareName: "test",
    clientSoftwareVersion: "1",
  });
  const name = "transaction.version";
  expect(finalizedFeaturesEpoch).toBeGreaterThanOrEqual(0);
  expect(finalizedFeatures).toContainEqual({ name, maxVersionLevel: 2, minVersionLevel: 2 });
  expect(supportedFeatures).toContainEqual({ name, minVersion: 0, maxVersion: 2 });
});

test.each([12, 13])(
  "a partition joins by being written to, batches stay in order, and what is late is fenced (version %i)",
  async (version) => {
    const answers = [
      write("a", 0, { version }),
      write("b", 1, { version }),
      write("c", 2, { version }),
      write("d", 0, { partition: 1 }),
      write("e", 3),
    ];
    for (const answer of answers) expect(await answer()).toBe(0);
    expect([await decided(0), await decided(1)]).toEqual([0, 0]);
    const { errorCode, ...next } = await end(true);
    expect([errorCode, next.producerEpoch]).toEqual([0, producer.producerEpoch + 1]);
    expect(await write("of the next", 0, { as: next })()).toBe(0);
    expect([(await decided(0)) > 0, (await decided(1)) > 0]).toEqual([true, true]);
    expect(await write("late", 4)()).toBe(47);
    expect((await end(true)).errorCode).toBe(90);
    const after = await end(false, next);
    expect([after.errorCode, after.producerEpoch]).toEqual([0, next.producerEpoch + 1]);
    // Asked again, since the answer may have been lost.
    expect(await end(false, next)).toMatchObject({ errorCode: 0, producerEpoch: after.producerEpoch });
    expect((await end(true, next)).errorCode).toBe(48);
  },
);

test("with an older version nothing joins by itself", async () => {
  expect(await write("a", 0, { version: 11 })()).toBe(48);
  expect(await write("a", 0)()).toBe(0);
  expect(await write("b", 1, { version: 11 })()).toBe(0);
});

test("a group joins by its offsets", async () => {
  const { topics } = await peer.ask(txnOffsetCommit, 5, {
    transactionalId: id,
    groupId: `group of ${id}`,
    ...producer,
    memberId: "",
    topics: [
      { name: topic, partitions: [{ partitionIndex: 0, committedOffset: 3, committedMetadata: null }] },
    ],
  });
  expect(topics[0]?.partitions[0]?.errorCode).toBe(0);
  const offset = async () => {
    const wanted = { groupId: `group of ${id}`, topics: [{ name: topic, partitionIndexes: [0] }] };
    return (await peer.ask(offsetFetch, 5, wanted)).topics?.[0]?.partitions[0]?.committedOffset;
  };
  expect(await offset()).toBe(-1);
  expect((await end(true)).errorCode).toBe(0);
  expect(await offset()).toBe(3);
});

test("they are found by a pattern for their names", async () => {
  const found = async (transactionalIdPattern: string | null) => {
    const { errorCode, transactionStates } = await peer.ask(listTransactions, 2, { transactionalIdPattern });
    return [errorCode, transactionStates.map(({ transactionalId }) => transactionalId)];
  };
  expect(await found(id)).toEqual([0, [id]]);
  expect(await found(`i[cd]-${count}|nothing`)).toEqual([0, [id]]);
  expect(await found("d-.*")).toEqual([0, []]);
  expect((await found(""))[1]).toContain(id);
  expect((await found(null))[1]).toContain(id);
  expect(await found("i(")).toEqual([128, []]);
});

test("an end without a beginning", async () => {
  expect((await end(true)).errorCode).toBe(48);
  expect(await end(false)).toMatchObject({ errorCode: 0, producerEpoch: producer.producerEpoch + 1 });
});

test("who is not answered is hung up on, as before", async () => {
  const other = await RawKafka.open(broker.kafka as { host: string; port: number });
  const records = batchOf([{ value: "x" }], { attributes: 16, baseSequence: 0, ...producer });
  const topicData = [{ name: topic, partitionData: [{ index: 0, records }] }];
  other.post(produce, 12, { transactionalId: id, acks: 0, timeoutMs: 1000, topicData });
  await expect(other.frame()).rejects.toThrow("hung up");
});
