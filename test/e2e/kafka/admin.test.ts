// kafkajs's administration client: topics, configurations, access rules.
import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  ConfigResourceTypes,
  Kafka,
  logLevel,
  ResourcePatternTypes,
} from "kafkajs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { useKafka } from "../../support/kafka.ts";

const { address } = await useKafka();
const kafka = new Kafka({
  brokers: [address],
  logLevel: logLevel.NOTHING,
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
  await producer.send({ topic: "plain", messages: [{ value: "1" }, { value: "2" }, { value: "3" }] });
  await producer.disconnect();
  await admin.deleteTopicRecords({ topic: "plain", partitions: [{ partition: 0, offset: "2" }] });
  expect(await admin.fetchTopicOffsets("plain")).toMatchObject([{ low: "2", high: "3" }]);
  await admin.deleteTopics({ topics: ["plain"] });
  expect(await admin.listTopics()).not.toContain("plain");
  expect(await refusal(admin.deleteTopics({ topics: ["plain"] }))).toContain(
    "does not host this topic-partition",
  );
});
