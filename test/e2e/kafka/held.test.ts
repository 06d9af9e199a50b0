// Requests that wait before the next one is taken, all of them in one packet. On files: in memory nothing waits.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { createTopics } from "../../../src/wire/kafka/schemas/create-topics.ts";
import { endTxn } from "../../../src/wire/kafka/schemas/end-txn.ts";
import { initProducerId } from "../../../src/wire/kafka/schemas/init-producer-id.ts";
import { produce } from "../../../src/wire/kafka/schemas/produce.ts";
import { startInProcess } from "../../support/broker.ts";
import { batchOf } from "../../support/kafka-batch.ts";
import { RawKafka } from "../../support/kafka-raw.ts";

const directory = await mkdtemp(path.join(tmpdir(), "polymq-held-"));
const broker = await startInProcess({ engine: `file:${directory}`, kafka: { port: 0 } });
const peer = await RawKafka.open(broker.kafka as { host: string; port: number });
afterAll(async () => {
  peer.close();
  await broker.stop();
  await rm(directory, { recursive: true });
});

test("a producer that joins partitions by writing to them, one request after the other, is read from on", async () => {
  await peer.ask(createTopics, 7, {
    topics: [{ name: "t", numPartitions: 4, replicationFactor: 1 }],
    timeoutMs: 1000,
  });
  const producer = await peer.ask(initProducerId, 4, { transactionalId: "id", transactionTimeoutMs: 60_000 });
  const as = { producerId: producer.producerId, producerEpoch: producer.producerEpoch };
  peer.socket.cork();
  const answers = [0, 1, 2, 3].map((partition) => {
    const records = batchOf([{ value: "a" }], { attributes: 16, baseSequence: 0, ...as });
    const topicData = [{ name: "t", topicId: "", partitionData: [{ index: partition, records }] }];
    return peer.post(produce, 12, { transactionalId: "id", acks: -1, timeoutMs: 1000, topicData });
  });
  peer.socket.uncork();
  for (const answer of answers) {
    const [topic] = (await answer()).responses;
    expect(topic?.partitionResponses[0]?.errorCode).toBe(0);
  }
  const ended = await peer.ask(endTxn, 5, { transactionalId: "id", committed: true, ...as });
  expect(ended.errorCode).toBe(0);
});
