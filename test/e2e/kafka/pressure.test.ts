// Producers are held while the broker is short of something; consumers go on; a stop says goodbye.
import { afterEach, describe, expect, test, vi } from "vitest";
import { fetch } from "../../../src/wire/kafka/schemas/fetch.ts";
import { metadata } from "../../../src/wire/kafka/schemas/metadata.ts";
import { produce } from "../../../src/wire/kafka/schemas/produce.ts";
import { startServer } from "../../support/broker.ts";
import { eventually } from "../../support/client.ts";
import { batchOf } from "../../support/kafka-batch.ts";
import { RawKafka } from "../../support/kafka-raw.ts";

const GiB = 1024 ** 3;
const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  vi.restoreAllMocks();
});

async function start(options: Record<string, string> = {}) {
  const server = await startServer({ kafkaPort: "0", ...options });
  cleanUps.push(server.stop);
  const address = { host: "127.0.0.1", port: server.port("kafka") as number };
  const connected = async () => {
    const client = await RawKafka.open(address);
    cleanUps.push(() => client.close());
    return client;
  };
  return { ...server, connected };
}

const records = (name: string, value: string) => ({
  acks: 1,
  topicData: [{ name, partitionData: [{ index: 0, records: batchOf([{ value }]) }] }],
});
const reading = (topic: string, maxWaitMs: number, minBytes = 1) => ({
  maxWaitMs,
  minBytes,
  maxBytes: 1 << 20,
  topics: [{ topic, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }],
});

test("a producer waits while memory is short, a consumer does not", async () => {
  const resident = vi.spyOn(process.memoryUsage, "rss").mockReturnValue(GiB / 10);
  const { broker, connected } = await start({ memoryBudget: "16MiB", memoryHighWatermark: "1GiB" });
  const [producer, consumer] = [await connected(), await connected()];
  await producer.ask(metadata, 4, { topics: [{ name: "t" }], allowAutoTopicCreation: true });
  resident.mockReturnValue(2 * GiB);
  await eventually(() => broker.alarm !== null, "an alarm");
  // The one that makes the broker stop reading is taken.
  expect(
    (await producer.ask(produce, 3, records("t", "a"))).responses[0]!.partitionResponses[0]!.errorCode,
  ).toBe(0);
  const behind = producer.post(produce, 3, records("t", "b"));
  for (let i = 0; i < 5; i++) {
    const { responses } = await consumer.ask(fetch, 4, reading("t", 0));
    expect(responses[0]!.partitions[0]).toMatchObject({ errorCode: 0, highWatermark: 1 });
  }
  expect(producer.answersWaiting).toBe(0);
  resident.mockReturnValue(GiB / 10);
  expect((await behind()).responses[0]!.partitionResponses[0]).toMatchObject({ errorCode: 0, baseOffset: 1 });
});

describe("a stop", () => {
  test("answers what waits for records with what there is, and hangs up", async () => {
    // Longer than a test may take: nobody is waited for in vain.
    const { connected, stop } = await start({ shutdownGrace: "10m" });
    const [client, other] = [await connected(), await connected()];
    const topics = [{ name: "t" }, { name: "marker" }];
    await client.ask(metadata, 4, { topics, allowAutoTopicCreation: true });
    await client.ask(produce, 3, records("t", "a"));
    const waiting = client.post(fetch, 4, reading("t", 60_000, 1_000_000));
    // What is behind the fetch was taken: so was the fetch.
    client.post(produce, 3, records("marker", "m"));
    await other.ask(fetch, 4, reading("marker", 20_000));
    const stopped = stop();
    expect((await waiting()).responses[0]!.partitions[0]).toMatchObject({ errorCode: 0, highWatermark: 1 });
    await Promise.all([client.hungUp(), other.hungUp()]);
    await stopped;
  });
});

test("a client that never reads its answers is not read from for ever", async () => {
  const { connected } = await start();
  const client = await connected();
  await client.ask(metadata, 4, { topics: [{ name: "t" }], allowAutoTopicCreation: true });
  for (let i = 0; i < 8; i++) await client.ask(produce, 3, records("t", `${i}`.repeat(800_000)));
  client.socket.pause();
  const answers = Array.from({ length: 100 }, () => client.post(fetch, 4, reading("t", 0)));
  // Another one is served all the while.
  const other = await connected();
  for (let i = 0; i < 5; i++) await other.ask(fetch, 4, reading("t", 0));
  client.socket.resume();
  for (const answer of answers) expect((await answer()).responses[0]!.partitions[0]!.errorCode).toBe(0);
});

test("many that do not read their answers take neither the memory nor the connections of others", async () => {
  const { connected } = await start({ memoryBudget: "16MiB" });
  const other = await connected();
  await other.ask(metadata, 4, { topics: [{ name: "t" }], allowAutoTopicCreation: true });
  for (let i = 0; i < 8; i++) await other.ask(produce, 3, records("t", `${i}`.repeat(800_000)));
  const greedy = {
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 2 ** 31 - 1,
    topics: [{ topic: "t", partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 2 ** 31 - 1 }] }],
  };
  const stalled = await Promise.all(Array.from({ length: 20 }, connected));
  const answers = stalled.flatMap((client) => {
    client.socket.pause();
    return Array.from({ length: 10 }, () => client.post(fetch, 4, greedy));
  });
  for (let i = 0; i < 5; i++) {
    const { responses } = await other.ask(produce, 3, records("t", `${i}`));
    expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0);
    expect((await other.ask(fetch, 4, reading("t", 0))).responses[0]!.partitions[0]!.errorCode).toBe(0);
  }
  for (const client of stalled) client.socket.resume();
  for (const answer of answers) expect((await answer()).responses[0]!.partitions[0]!.errorCode).toBe(0);
  // With the memory back he gets what there is.
  const { records: found } = (await other.ask(fetch, 4, reading("t", 0))).responses[0]!.partitions[0]!;
  expect(found!.end - found!.start).toBeGreaterThan(800_000);
});
