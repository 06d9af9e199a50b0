// Clients that send what no client library would, or ask for what only some of them do.
import { afterAll, expect, test } from "vitest";
import { BATCH_OVERHEAD_BYTES, COUNT_AT, sealBatch, writeI32 } from "../../../src/message/record-batch.ts";
import { createTopics } from "../../../src/wire/kafka/schemas/create-topics.ts";
import { fetch } from "../../../src/wire/kafka/schemas/fetch.ts";
import { produce } from "../../../src/wire/kafka/schemas/produce.ts";
import { useKafka } from "../../support/kafka.ts";
import { batchOf } from "../../support/kafka-batch.ts";
import { RawKafka } from "../../support/kafka-raw.ts";

const INVALID_RECORD = 87;
const { host, port } = await useKafka();
const client = await RawKafka.open({ host, port });
afterAll(() => client.close());

async function create(name: string, numPartitions = 1) {
  await client.ask(createTopics, 5, {
    topics: [{ name, numPartitions, replicationFactor: 1, assignments: [], configs: [] }],
  });
}

async function send(name: string, index: number, records: ReturnType<typeof batchOf>) {
  const { responses } = await client.ask(produce, 7, {
    acks: -1,
    timeoutMs: 1000,
    topicData: [{ name, partitionData: [{ index, records }] }],
  });
  return responses[0]?.partitionResponses[0]?.errorCode;
}

test("a batch that nobody could read is refused, and the partition goes on", async () => {
  await create("readable");
  const damage: ((bytes: Uint8Array) => void)[] = [
    // Two records where there is one.
    (bytes) => writeI32(bytes, COUNT_AT, 2),
    (bytes) => bytes.fill(0xff, BATCH_OVERHEAD_BYTES),
    (bytes) => bytes.fill(0, BATCH_OVERHEAD_BYTES),
  ];
  for (const harm of damage) {
    const batch = batchOf([{ value: "v" }]);
    const { bytes, start, end } = batch;
    harm(bytes);
    if (harm === damage[0]) writeI32(bytes, 23, 1);
    sealBatch(bytes, start, end);
    expect(await send("readable", 0, batch)).toBe(INVALID_RECORD);
  }
  expect(await send("readable", 0, batchOf([{ value: "v" }]))).toBe(0);
});

test("who wants at most 0 bytes gets the first batch all the same, so that he gets on", async () => {
  await create("tight", 2);
  for (const index of [0, 1]) expect(await send("tight", index, batchOf([{ value: "v" }]))).toBe(0);
  const ask = (partition: number) => ({ partition, fetchOffset: 0, partitionMaxBytes: 0 });
  const { responses } = await client.ask(fetch, 11, {
    maxWaitMs: 100,
    minBytes: 1,
    maxBytes: 0,
    topics: [{ topic: "tight", partitions: [ask(0), ask(1)] }],
  });
  const sizes = responses[0]?.partitions.map(({ records }) => (records ? records.end - records.start : 0));
  expect(sizes?.map((size) => size > 0)).toEqual([true, false]);
});
