// What Kafka's own command line tools rely on, as a comparison with Kafka 4.1 found it.
import { afterAll, expect, test } from "vitest";
import { alterClientQuotas } from "../../../src/wire/kafka/schemas/alter-client-quotas.ts";
import { apiVersions } from "../../../src/wire/kafka/schemas/api-versions.ts";
import { consumerGroupDescribe } from "../../../src/wire/kafka/schemas/consumer-group-describe.ts";
import { createTopics } from "../../../src/wire/kafka/schemas/create-topics.ts";
import { describeConfigs } from "../../../src/wire/kafka/schemas/describe-configs.ts";
import { incrementalAlterConfigs } from "../../../src/wire/kafka/schemas/incremental-alter-configs.ts";
import { offsetCommit } from "../../../src/wire/kafka/schemas/offset-commit.ts";
import { offsetDelete } from "../../../src/wire/kafka/schemas/offset-delete.ts";
import { updateFeatures } from "../../../src/wire/kafka/schemas/update-features.ts";
import { useKafka } from "../../support/kafka.ts";
import { RawKafka } from "../../support/kafka-raw.ts";

const { host, port } = await useKafka();
const client = await RawKafka.open({ host, port });
afterAll(() => client.close());

const TOPIC = 2;
const BROKER = 4;
const [SET, DELETE] = [0, 1];

async function create(name: string) {
  const { topics } = await client.ask(createTopics, 5, {
    topics: [{ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
  });
  return topics[0];
}

async function alter(
  resourceType: number,
  name: string,
  configOperation: number,
  config: string,
  value?: string,
) {
  const configs = [{ name: config, configOperation, value: value ?? null }];
  const { responses } = await client.ask(incrementalAlterConfigs, 1, {
    resources: [{ resourceType, resourceName: name, configs }],
  });
  return responses[0];
}

/** Makes a classic group without members. */
async function commit(groupId: string, name: string) {
  const partitions = [{ partitionIndex: 0, committedOffset: 0, committedMetadata: "" }];
  const { topics } = await client.ask(offsetCommit, 2, {
    groupId,
    memberId: "",
    topics: [{ name, partitions }],
  });
  expect(topics[0]?.partitions[0]?.errorCode).toBe(0);
}

test.each([
  ["", "empty"],
  [".", "'.' is not allowed"],
  ["..", "'..' is not allowed"],
  ["a".repeat(250), "250 characters, of at most 249"],
  ["a b", "'a b' has others"],
  ["__cluster_metadata", "reserved"],
])("the name '%s' is refused, and the reason told", async (name, reason) => {
  const answer = await create(name);
  expect(answer).toMatchObject({ errorCode: 17 });
  expect(answer?.errorMessage).toContain(reason);
});

test("what is not set can be cleared: kafka-reassign-partitions does so after each move", async () => {
  await create("moved");
  expect(await alter(TOPIC, "moved", DELETE, "leader.replication.throttled.replicas")).toMatchObject({
    errorCode: 0,
  });
  expect(await alter(TOPIC, "moved", DELETE, "no.such")).toMatchObject({ errorCode: 0 });
  for (const broker of ["1", ""]) {
    const cleared = await alter(BROKER, broker, DELETE, "leader.replication.throttled.rate");
    expect(cleared).toMatchObject({ errorCode: 0 });
  }
  expect(await alter(TOPIC, "moved", SET, "no.such", "1")).toMatchObject({ errorCode: 40 });
});

test("what of a broker cannot be changed is a bad request, a bad value a bad configuration", async () => {
  expect(await alter(BROKER, "1", SET, "node.id", "3")).toMatchObject({ errorCode: 42 });
  expect(await alter(BROKER, "1", SET, "num.partitions", "x")).toMatchObject({ errorCode: 40 });
});

test("offsets of a partition that there is not cannot be forgotten", async () => {
  await create("read");
  await commit("g", "read");
  const { topics } = await client.ask(offsetDelete, 0, {
    groupId: "g",
    topics: [
      { name: "read", partitions: [{ partitionIndex: 7 }, { partitionIndex: 0 }] },
      { name: "absent", partitions: [{ partitionIndex: 0 }] },
    ],
  });
  expect(topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode))).toEqual([3, 0, 3]);
});

test("a group that is not there is told from one of another kind", async () => {
  await create("either");
  await commit("classic", "either");
  const { groups } = await client.ask(consumerGroupDescribe, 0, { groupIds: ["classic", "absent"] });
  expect(groups).toMatchObject([
    { errorCode: 69, errorMessage: "Group classic is not a consumer group." },
    { errorCode: 69, errorMessage: "Group absent not found." },
  ]);
});

test("bytes a second are whole, a percentage need not be", async () => {
  const set = async (key: string, value: number) => {
    const { entries } = await client.ask(alterClientQuotas, 1, {
      entries: [{ entity: [{ entityType: "user", entityName: "u" }], ops: [{ key, value, remove: false }] }],
    });
    return entries[0]?.errorCode;
  };
  expect(await set("producer_byte_rate", 1.5)).toBe(42);
  expect(await set("consumer_byte_rate", 2.5)).toBe(42);
  expect(await set("request_percentage", 2.5)).toBe(0);
});

test("a feature can be set to what it is, and to nothing else", async () => {
  const { finalizedFeatures } = await client.ask(apiVersions, 4, {
    clientSoftwareName: "test",
    clientSoftwareVersion: "1",
  });
  const levels = Object.fromEntries(
    finalizedFeatures.map(({ name, maxVersionLevel }) => [name, maxVersionLevel]),
  );
  expect(levels).toEqual({ "group.version": 1, "share.version": 1, "transaction.version": 2 });
  const update = async (feature: string, maxVersionLevel: number) =>
    (await client.ask(updateFeatures, 2, { featureUpdates: [{ feature, maxVersionLevel }] })).errorCode;
  for (const [feature, level] of Object.entries(levels)) {
    expect(await update(feature, level)).toBe(0);
    expect(await update(feature, level - 1)).toBe(95);
  }
  expect(await update("metadata.version", 21)).toBe(95);
});

test("what is set for one broker is told and cleared there, and counts before what is set for all", async () => {
  const name = "log.segment.bytes";
  const found = async (broker: string) => {
    const { results } = await client.ask(describeConfigs, 4, {
      resources: [{ resourceType: BROKER, resourceName: broker, configurationKeys: [name] }],
      includeSynonyms: true,
    });
    const config = results[0]?.configs[0];
    return config && [config.value, config.configSource, config.synonyms.map(({ value }) => value)];
  };
  const usual = "1073741824";
  expect([await found("1"), await found("")]).toEqual([[usual, 5, [usual]], undefined]);
  await alter(BROKER, "1", SET, name, "2000000");
  expect([await found("1"), await found("")]).toEqual([["2000000", 2, ["2000000", usual]], undefined]);
  await alter(BROKER, "", SET, name, "3000000");
  const both = ["2000000", "3000000", usual];
  expect([await found("1"), await found("")]).toEqual([
    ["2000000", 2, both],
    ["3000000", 3, ["3000000"]],
  ]);
  await alter(BROKER, "1", DELETE, name);
  expect(await found("1")).toEqual(["3000000", 3, ["3000000", usual]]);
  await alter(BROKER, "", DELETE, name);
  expect([await found("1"), await found("")]).toEqual([[usual, 5, [usual]], undefined]);
});
