// What clients are told of the cluster, and how long they may be silent.
import { afterEach, describe, expect, test } from "vitest";
import { alterReplicaLogDirs } from "../../../src/wire/kafka/schemas/alter-replica-log-dirs.ts";
import { createTopics } from "../../../src/wire/kafka/schemas/create-topics.ts";
import { describeCluster } from "../../../src/wire/kafka/schemas/describe-cluster.ts";
import { describeLogDirs } from "../../../src/wire/kafka/schemas/describe-log-dirs.ts";
import { describeTopicPartitions } from "../../../src/wire/kafka/schemas/describe-topic-partitions.ts";
import { fetch } from "../../../src/wire/kafka/schemas/fetch.ts";
import { findCoordinator } from "../../../src/wire/kafka/schemas/find-coordinator.ts";
import { joinGroup } from "../../../src/wire/kafka/schemas/join-group.ts";
import { metadata } from "../../../src/wire/kafka/schemas/metadata.ts";
import { startServer } from "../../support/broker.ts";
import { RawKafka } from "../../support/kafka-raw.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(options: Record<string, string> = {}) {
  const { port, stop } = await startServer({ kafkaPort: "0", ...options });
  cleanUps.push(stop);
  const address = { host: "127.0.0.1", port: port("kafka") as number };
  const connected = async () => {
    const client = await RawKafka.open(address);
    cleanUps.push(() => client.close());
    return client;
  };
  return { ...address, connected };
}

describe("the address that clients are told", () => {
  test.each([
    ["", { host: "127.0.0.1" }],
    ["broker.example.com", { host: "broker.example.com" }],
    ["broker.example.com:19092", { host: "broker.example.com", port: 19092 }],
    ["[2001:db8::7]:1", { host: "2001:db8::7", port: 1 }],
  ])("with kafka-advertised '%s'", async (kafkaAdvertised, expected) => {
    const { port, connected } = await start({ kafkaAdvertised, kafkaNodeId: "7" });
    const client = await connected();
    const told = { port, ...expected };
    const { brokers, controllerId, clusterId } = await client.ask(metadata, 9, { topics: [] });
    expect(brokers).toMatchObject([{ nodeId: 7, ...told }]);
    expect(controllerId).toBe(7);
    const described = await client.ask(describeCluster, 0, {});
    expect(described).toMatchObject({ clusterId, controllerId: 7, brokers: [{ brokerId: 7, ...told }] });
    expect(await client.ask(findCoordinator, 2, { key: "g" })).toMatchObject({
      errorCode: 0,
      errorMessage: null,
      nodeId: 7,
      ...told,
    });
    const { coordinators } = await client.ask(findCoordinator, 6, {
      keyType: 1,
      coordinatorKeys: ["a", "b"],
    });
    expect(coordinators).toMatchObject([
      { key: "a", errorCode: 0, nodeId: 7, ...told },
      { key: "b", errorCode: 0, nodeId: 7, ...told },
    ]);
  });
});

test("the operations that a user may do are told to who asks", async () => {
  const client = await (await start()).connected();
  const unasked = await client.ask(metadata, 8, { topics: [{ name: "t" }], allowAutoTopicCreation: true });
  expect(unasked.topics[0]!.topicAuthorizedOperations).toBe(-0x80000000);
  const asked = await client.ask(metadata, 8, {
    topics: [{ name: "t" }],
    includeTopicAuthorizedOperations: true,
    includeClusterAuthorizedOperations: true,
  });
  // Read 3, write 4, create 5, delete 6, alter 7, describe 8, describe and alter configs 10 and 11.
  expect(asked.topics[0]!.topicAuthorizedOperations).toBe(0b1101_1111_1000);
  expect(asked.clusterAuthorizedOperations & (1 << 8)).not.toBe(0);
});

test("a partition can be moved to the one directory that there is", async () => {
  const client = await (await start()).connected();
  await client.ask(createTopics, 4, {
    topics: [{ name: "t", numPartitions: 1, replicationFactor: 1 }],
    timeoutMs: 1000,
  });
  const path = (await client.ask(describeLogDirs, 2, { topics: null })).results[0]!.logDir;
  const move = async (to: string, version: number) => {
    const dirs = [{ path: to, topics: [{ name: "t", partitions: [0, 1] }] }];
    const { results } = await client.ask(alterReplicaLogDirs, version, { dirs });
    return results.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode));
  };
  expect(await move(path, 2)).toEqual([0, 3]);
  expect(await move(`${path}2`, 1)).toEqual([57, 57]);
});

test("the shortest session timeout is the operator's choice", async () => {
  const client = await (await start({ groupSessionTimeoutMin: "1s" })).connected();
  const join = (sessionTimeoutMs: number) =>
    client.ask(joinGroup, 1, {
      groupId: "g",
      sessionTimeoutMs,
      rebalanceTimeoutMs: 1000,
      protocolType: "consumer",
      protocols: [{ name: "range" }],
    });
  expect((await join(999)).errorCode).toBe(26);
  expect((await join(1000)).errorCode).toBe(0);
});

test("partitions of topics are described page by page", async () => {
  const client = await (await start()).connected();
  const sizes = { a: 3, b: 1, c: 4 };
  await client.ask(createTopics, 4, {
    topics: Object.entries(sizes).map(([name, numPartitions]) => ({
      name,
      numPartitions,
      replicationFactor: 1,
    })),
    timeoutMs: 1000,
  });
  const pages: string[][] = [];
  for (let cursor: { topicName: string; partitionIndex: number } | null = null, more = true; more; ) {
    const page: Awaited<ReturnType<typeof next>> = await next(cursor);
    pages.push(
      page.topics.flatMap(({ name, partitions }) =>
        partitions.map(({ partitionIndex }) => `${name}${partitionIndex}`),
      ),
    );
    cursor = page.nextCursor;
    more = cursor !== null;
  }
  expect(pages).toEqual([
    ["a0", "a1"],
    ["a2", "b0"],
    ["c0", "c1"],
    ["c2", "c3"],
  ]);
  const named = await client.ask(describeTopicPartitions, 0, {
    topics: [{ name: "b" }, { name: "not-there" }],
  });
  expect(named.topics).toMatchObject([
    { name: "b", errorCode: 0, partitions: [{ leaderId: 1, isrNodes: [1] }] },
    { name: "not-there", errorCode: 3 },
  ]);

  function next(cursor: { topicName: string; partitionIndex: number } | null) {
    return client.ask(describeTopicPartitions, 0, { topics: [], responsePartitionLimit: 2, cursor });
  }
});

test("who is silent is hung up on, who waits for an answer is not", async () => {
  const { connected } = await start({ kafkaIdleTimeout: "1s" });
  const [silent, waiting] = [await connected(), await connected()];
  await waiting.ask(metadata, 4, { topics: [{ name: "t" }], allowAutoTopicCreation: true });
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }];
  const answer = waiting.post(fetch, 4, {
    maxWaitMs: 4000,
    minBytes: 1,
    maxBytes: 1000,
    topics: [{ topic: "t", partitions }],
  });
  await silent.hungUp();
  expect((await answer()).responses[0]!.partitions[0]!.errorCode).toBe(0);
});
