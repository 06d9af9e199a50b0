// kafkajs's administration client: topics, configurations, access rules.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  type Admin,
  ConfigResourceTypes,
  ResourcePatternTypes,
} from "kafkajs";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Endpoint } from "../../../src/index.ts";
import { startInProcess } from "../../support/broker.ts";
import { kafkaJs, useKafka } from "../../support/kafka.ts";

const { address } = await useKafka();
const kafka = kafkaJs({
  brokers: [address],
  retry: { initialRetryTime: 10, retries: 2 },
});
const admin = kafka.admin();
beforeAll(() => admin.connect());
afterAll(() => admin.disconnect());

const refusal = (action: Promise<unknown>): Promise<string> =>
  action.then(
    () => "none",
    (error: { type?: string; errors?: { type: string }[] }) =>
      error.errors?.[0]?.type ?? error.type ?? `${error}`,
  );

test("topics are made with what is asked of them, and listed", async () => {
  const made = await admin.createTopics({
    topics: [
      {
        topic: "made",
        numPartitions: 3,
        replicationFactor: 3,
        configEntries: [{ name: "retention.ms", value: "9000" }],
      },
      { topic: "plain" },
    ],
  });
  expect(made).toBe(true);
  expect(await admin.listTopics()).toEqual(expect.arrayContaining(["made", "plain"]));
  const { topics } = await admin.fetchTopicMetadata({ topics: ["made"] });
  expect(topics[0]?.partitions.map(({ replicas }) => replicas)).toEqual([[1], [1], [1]]);
  await admin.createPartitions({ topicPartitions: [{ topic: "made", count: 5 }] });
  expect((await admin.fetchTopicMetadata({ topics: ["made"] })).topics[0]?.partitions).toHaveLength(5);
  expect(await admin.createTopics({ topics: [{ topic: "made" }] })).toBe(false);
});

test("topics that cannot be are refused", async () => {
  const create = (topic: string, more: object = {}) => admin.createTopics({ topics: [{ topic, ...more }] });
  expect(await refusal(create("b c"))).toBe("INVALID_TOPIC_EXCEPTION");
  expect(await refusal(create("x", { numPartitions: 0 }))).toBe("INVALID_PARTITIONS");
  expect(await refusal(create("x", { configEntries: [{ name: "what", value: "1" }] }))).toBe(
    "INVALID_CONFIG",
  );
  expect(await admin.listTopics()).not.toContain("x");
});

test("configurations are told and changed", async () => {
  await admin.createTopics({ topics: [{ topic: "configured" }] });
  const resource = { type: ConfigResourceTypes.TOPIC, name: "configured" };
  await admin.alterConfigs({
    validateOnly: false,
    resources: [{ ...resource, configEntries: [{ name: "cleanup.policy", value: "compact" }] }],
  });
  const { resources } = await admin.describeConfigs({ includeSynonyms: true, resources: [resource] });
  const found = resources[0]?.configEntries.find(({ configName }) => configName === "cleanup.policy");
  expect(found).toMatchObject({ configValue: "compact", configSource: 1, readOnly: false });
  const bad = { ...resource, configEntries: [{ name: "cleanup.policy", value: "burn" }] };
  expect(await refusal(admin.alterConfigs({ validateOnly: false, resources: [bad] }))).toBe("INVALID_CONFIG");
});

test("access rules are made, found and deleted", async () => {
  const rule = {
    resourceType: AclResourceTypes.TOPIC,
    resourceName: "made",
    resourcePatternType: ResourcePatternTypes.LITERAL,
    principal: "User:bob",
    host: "*",
    operation: AclOperationTypes.READ,
    permissionType: AclPermissionTypes.ALLOW,
  };
  await admin.createAcls({ acl: [rule] });
  const { resources } = await admin.describeAcls({ ...rule, principal: "User:bob", host: "*" });
  expect(resources).toHaveLength(1);
  expect(resources[0]).toMatchObject({ resourceName: "made", acls: [{ principal: "User:bob" }] });
  const { filterResponses } = await admin.deleteAcls({ filters: [rule] });
  expect(filterResponses[0]?.matchingAcls).toHaveLength(1);
  expect((await admin.describeAcls(rule)).resources).toEqual([]);
});

test("records and topics are deleted", async () => {
  const producer = kafka.producer();
  await producer.connect();
  await producer.send({ topic: "emptied", messages: [{ value: "1" }, { value: "2" }, { value: "3" }] });
  await producer.disconnect();
  // kafkajs deletes nothing of a topic whose leaders it has not asked for before.
  expect(await admin.fetchTopicOffsets("emptied")).toMatchObject([{ low: "0", high: "3" }]);
  await admin.deleteTopicRecords({ topic: "emptied", partitions: [{ partition: 0, offset: "2" }] });
  expect(await admin.fetchTopicOffsets("emptied")).toMatchObject([{ low: "2", high: "3" }]);
  await admin.deleteTopics({ topics: ["emptied"] });
  expect(await admin.listTopics()).not.toContain("emptied");
  expect(await refusal(admin.deleteTopics({ topics: ["emptied"] }))).toContain(
    "does not host this topic-partition",
  );
});

test("what was set outlives the broker", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "polymq-kafka-admin-"));
  const start = () => startInProcess({ engine: "file:", dataDir, durability: "os", kafka: { port: 0 } });
  const withAdmin = async <T>(work: (admin: Admin) => Promise<T>): Promise<T> => {
    const broker = await start();
    const { host, port } = broker.kafka as Endpoint;
    const admin = kafkaJs({ brokers: [`${host}:${port}`] }).admin();
    await admin.connect();
    try {
      return await work(admin);
    } finally {
      await admin.disconnect();
      await broker.stop();
    }
  };
  const broker = { type: ConfigResourceTypes.BROKER, name: "1" };
  const rule = {
    resourceType: AclResourceTypes.GROUP,
    resourceName: "g",
    resourcePatternType: ResourcePatternTypes.PREFIXED,
    principal: "User:bob",
    host: "*",
    operation: AclOperationTypes.READ,
    permissionType: AclPermissionTypes.DENY,
  };
  await withAdmin(async (admin) => {
    await admin.createTopics({
      topics: [
        {
          topic: "kept",
          configEntries: [
            { name: "retention.ms", value: "9000" },
            { name: "min.insync.replicas", value: "2" },
          ],
        },
      ],
    });
    await admin.createAcls({ acl: [rule] });
    const configEntries = [
      { name: "num.partitions", value: "3" },
      { name: "log.retention.bytes", value: "77" },
    ];
    await admin.alterConfigs({ validateOnly: false, resources: [{ ...broker, configEntries }] });
  });
  await withAdmin(async (admin) => {
    const textOf = async (resource: { type: number; name: string }, name: string) => {
      const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [resource] });
      return resources[0]?.configEntries.find(({ configName }) => configName === name)?.configValue;
    };
    const topic = { type: ConfigResourceTypes.TOPIC, name: "kept" };
    expect(await textOf(topic, "retention.ms")).toBe("9000");
    expect(await textOf(topic, "min.insync.replicas")).toBe("2");
    expect(await textOf(topic, "retention.bytes")).toBe("77");
    expect(await textOf(broker, "num.partitions")).toBe("3");
    expect((await admin.describeAcls(rule)).resources).toHaveLength(1);
  });
  rmSync(dataDir, { recursive: true });
});
