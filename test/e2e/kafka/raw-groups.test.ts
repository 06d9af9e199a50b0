// Groups, word by word: what clients' libraries do not let one say, in old and new versions.
import { afterAll, describe, expect, test } from "vitest";
import { addPartitionsToTxn } from "../../../src/wire/kafka/schemas/add-partitions-to-txn.ts";
import { consumerGroupHeartbeat } from "../../../src/wire/kafka/schemas/consumer-group-heartbeat.ts";
import { createTopics } from "../../../src/wire/kafka/schemas/create-topics.ts";
import { describeGroups } from "../../../src/wire/kafka/schemas/describe-groups.ts";
import { endTxn } from "../../../src/wire/kafka/schemas/end-txn.ts";
import { heartbeat } from "../../../src/wire/kafka/schemas/heartbeat.ts";
import { incrementalAlterConfigs } from "../../../src/wire/kafka/schemas/incremental-alter-configs.ts";
import { initProducerId } from "../../../src/wire/kafka/schemas/init-producer-id.ts";
import { joinGroup } from "../../../src/wire/kafka/schemas/join-group.ts";
import { listGroups } from "../../../src/wire/kafka/schemas/list-groups.ts";
import { offsetCommit } from "../../../src/wire/kafka/schemas/offset-commit.ts";
import { offsetFetch } from "../../../src/wire/kafka/schemas/offset-fetch.ts";
import { produce } from "../../../src/wire/kafka/schemas/produce.ts";
import { shareAcknowledge } from "../../../src/wire/kafka/schemas/share-acknowledge.ts";
import { shareFetch } from "../../../src/wire/kafka/schemas/share-fetch.ts";
import { syncGroup } from "../../../src/wire/kafka/schemas/sync-group.ts";
import { useKafka } from "../../support/kafka.ts";
import { batchOf } from "../../support/kafka-batch.ts";
import { RawKafka } from "../../support/kafka-raw.ts";
import { readBatches } from "../../support/kafka-read.ts";

const address = await useKafka();
const peers: RawKafka[] = [];
afterAll(() => {
  for (const peer of peers) peer.close();
});

let names = 0;
const fresh = (what: string): string => `${what}-${names++}`;

async function open(): Promise<RawKafka> {
  const peer = await RawKafka.open(address);
  peers.push(peer);
  return peer;
}

/** Its id. */
async function topicOf(peer: RawKafka, name: string, partitions = 1): Promise<string> {
  const topics = [{ name, numPartitions: partitions, replicationFactor: 1 }];
  const { topics: made } = await peer.ask(createTopics, 7, { topics, timeoutMs: 5000 });
  return made[0]?.topicId ?? "";
}

async function send(peer: RawKafka, topic: string, ...values: string[]): Promise<void> {
  const records = batchOf(values.map((value) => ({ value })));
  const topicData = [{ name: topic, partitionData: [{ index: 0, records }] }];
  const { responses } = await peer.ask(produce, 7, { acks: -1, timeoutMs: 5000, topicData });
  expect(responses[0]?.partitionResponses[0]?.errorCode).toBe(0);
}

describe("classic groups", () => {
  const joining = (groupId: string, memberId = "") => ({
    groupId,
    memberId,
    sessionTimeoutMs: 60_000,
    rebalanceTimeoutMs: 10_000,
    protocolType: "consumer",
    protocols: [{ name: "p", metadata: Uint8Array.of(1) }],
  });

  test("version 0 joins at once, version 4 with an id that it was given", async () => {
    const peer = await open();
    const group = fresh("group");
    const old = await peer.ask(joinGroup, 0, joining(group));
    expect(old).toMatchObject({ errorCode: 0, generationId: 1, leader: old.memberId, protocolName: "p" });
    const young = await peer.ask(joinGroup, 4, joining(fresh("group")));
    expect(young).toMatchObject({ errorCode: 79, generationId: -1 });
    expect(young.memberId).toMatch(/^raw-[0-9a-f-]{36}$/);
  });

  test("errors have their codes", async () => {
    const peer = await open();
    const group = fresh("group");
    const codes = [
      (await peer.ask(joinGroup, 2, joining(""))).errorCode,
      (await peer.ask(joinGroup, 2, { ...joining(group), sessionTimeoutMs: 1 })).errorCode,
      (await peer.ask(joinGroup, 2, { ...joining(group), protocols: [] })).errorCode,
      (await peer.ask(joinGroup, 2, joining(group, "nobody"))).errorCode,
      (await peer.ask(heartbeat, 0, { groupId: group, memberId: "m", generationId: 1 })).errorCode,
      (await peer.ask(syncGroup, 5, { groupId: group, memberId: "m", generationId: 1 })).errorCode,
    ];
    expect(codes).toEqual([24, 26, 23, 25, 25, 25]);
    const { memberId } = await peer.ask(joinGroup, 2, joining(group));
    const alive = (generationId: number) =>
      peer.ask(heartbeat, 3, { groupId: group, memberId, generationId }).then(({ errorCode }) => errorCode);
    expect([await alive(1), await alive(2)]).toEqual([0, 22]);
    const stolen = { groupId: group, memberId, generationId: 1, groupInstanceId: "i" };
    expect((await peer.ask(heartbeat, 3, stolen)).errorCode).toBe(25);
  });

  test("a group that is not there is dead, and an error from version 6 on", async () => {
    const peer = await open();
    const asked = { groups: ["nowhere"] };
    expect((await peer.ask(describeGroups, 5, asked)).groups[0]).toMatchObject({
      errorCode: 0,
      groupState: "Dead",
    });
    expect((await peer.ask(describeGroups, 6, asked)).groups[0]).toMatchObject({ errorCode: 69 });
  });
});

describe("offsets", () => {
  test.each([0, 1, 2, 5, 8])("version %i is committed and read", async (version) => {
    const peer = await open();
    const [topic, group] = [fresh("topic"), fresh("group")];
    await topicOf(peer, topic, 2);
    const partitions = [{ partitionIndex: 1, committedOffset: 7, committedMetadata: "note" }];
    const topics = [
      { name: topic, partitions },
      { name: "nowhere", partitions },
    ];
    const told = await peer.ask(offsetCommit, version, { groupId: group, topics });
    expect(told.topics.map((one) => one.partitions[0]?.errorCode)).toEqual([0, 3]);
    const wanted = [{ name: topic, partitionIndexes: [0, 1] }];
    const read = await peer.ask(offsetFetch, Math.min(version, 7), { groupId: group, topics: wanted });
    expect(read.topics[0]?.partitions).toMatchObject([
      { partitionIndex: 0, committedOffset: -1, errorCode: 0 },
      { partitionIndex: 1, committedOffset: 7, metadata: "note", errorCode: 0 },
    ]);
  });

  test("of many groups at once, and by the ids of topics", async () => {
    const peer = await open();
    const [topic, group] = [fresh("topic"), fresh("group")];
    const topicId = await topicOf(peer, topic);
    const partitions = [{ partitionIndex: 0, committedOffset: 9, committedMetadata: "" }];
    const topics = [
      { topicId, partitions },
      { topicId: "ab".repeat(16), partitions },
    ];
    const told = await peer.ask(offsetCommit, 10, { groupId: group, topics });
    expect(told.topics.map((one) => one.partitions[0]?.errorCode)).toEqual([0, 100]);
    const { groups } = await peer.ask(offsetFetch, 10, {
      groups: [
        { groupId: group, topics: null },
        { groupId: "nobody", topics: [{ topicId, partitionIndexes: [0] }] },
      ],
    });
    expect(groups[0]?.topics).toMatchObject([{ topicId, partitions: [{ committedOffset: 9 }] }]);
    expect(groups[1]?.topics).toMatchObject([{ topicId, partitions: [{ committedOffset: -1 }] }]);
  });
});

describe("groups that the broker divides", () => {
  test("join, are told their partitions, and leave; of another kind they are refused", async () => {
    const peer = await open();
    const [topic, group] = [fresh("topic"), fresh("group")];
    const topicId = await topicOf(peer, topic, 3);
    const joins = {
      groupId: group,
      memberId: "m",
      memberEpoch: 0,
      rebalanceTimeoutMs: 5000,
      subscribedTopicNames: [topic],
      topicPartitions: [],
    };
    const joined = await peer.ask(consumerGroupHeartbeat, 1, joins);
    expect(joined).toMatchObject({
      errorCode: 0,
      memberEpoch: 1,
      heartbeatIntervalMs: 5000,
      assignment: { topicPartitions: [{ topicId, partitions: [0, 1, 2] }] },
    });
    const again = { groupId: group, memberId: "m", memberEpoch: 1 };
    expect((await peer.ask(consumerGroupHeartbeat, 1, again)).assignment).toBeNull();
    const fenced = await peer.ask(consumerGroupHeartbeat, 1, { ...again, memberEpoch: 5 });
    expect(fenced.errorCode).toBe(110);
    const classic = {
      groupId: group,
      sessionTimeoutMs: 60_000,
      protocolType: "consumer",
      protocols: [{ name: "p", metadata: Uint8Array.of(1) }],
    };
    expect((await peer.ask(joinGroup, 3, classic)).errorCode).toBe(23);
    const listed = await peer.ask(listGroups, 5, { typesFilter: ["Consumer"] });
    expect(listed.groups).toContainEqual({
      groupId: group,
      protocolType: "consumer",
      groupState: "Stable",
      groupType: "consumer",
    });
    const left = await peer.ask(consumerGroupHeartbeat, 1, { ...again, memberEpoch: -1 });
    expect(left).toMatchObject({ errorCode: 0, memberEpoch: -1 });
  });

  test("members that cannot name themselves yet are named", async () => {
    const peer = await open();
    const topic = fresh("topic");
    await topicOf(peer, topic, 2);
    const base = { groupId: fresh("group"), memberId: "", rebalanceTimeoutMs: 5000 };
    const full = { ...base, memberEpoch: 0, subscribedTopicNames: [topic], topicPartitions: [] };
    const { memberId, ...joined } = await peer.ask(consumerGroupHeartbeat, 0, full);
    expect(memberId).toMatch(/^[0-9a-f-]{36}$/);
    expect(joined).toMatchObject({ errorCode: 0, assignment: { topicPartitions: [{ partitions: [0, 1] }] } });
    const again = { groupId: base.groupId, memberId: memberId ?? "", memberEpoch: 1 };
    expect((await peer.ask(consumerGroupHeartbeat, 0, again)).errorCode).toBe(0);
    expect((await peer.ask(consumerGroupHeartbeat, 0, { ...again, memberId: "" })).errorCode).toBe(42);
  });

  test("requests that cannot be meant are refused", async () => {
    const peer = await open();
    const base = { groupId: fresh("group"), memberId: "m", memberEpoch: 0, rebalanceTimeoutMs: 5000 };
    const full = { ...base, subscribedTopicNames: ["t"], topicPartitions: [] };
    const codeOf = async (request: object) =>
      (await peer.ask(consumerGroupHeartbeat, 1, { ...full, ...request })).errorCode;
    expect([
      await codeOf({ memberId: "" }),
      await codeOf({ groupId: "" }),
      await codeOf({ rebalanceTimeoutMs: -1 }),
      await codeOf({ topicPartitions: null }),
      await codeOf({ subscribedTopicNames: null }),
      await codeOf({ memberEpoch: -3 }),
      await codeOf({ memberEpoch: -2 }),
      await codeOf({ serverAssignor: "magic" }),
      await codeOf({ subscribedTopicNames: null, subscribedTopicRegex: "(" }),
      await codeOf({ memberEpoch: 4 }),
    ]).toEqual([42, 42, 42, 42, 42, 42, 42, 112, 128, 69]);
  });
});

describe("share groups", () => {
  interface Asked {
    readonly epoch: number;
    readonly topicId: string;
    readonly acknowledge?: readonly { first: number; last: number; types: readonly number[] }[];
    readonly waitMs?: number;
  }

  async function fetchShare(peer: RawKafka, group: string, member: string, asked: Asked) {
    const { epoch, topicId, acknowledge = [], waitMs = 0 } = asked;
    const acknowledgementBatches = acknowledge.map(({ first, last, types }) => {
      return { firstOffset: first, lastOffset: last, acknowledgeTypes: types };
    });
    const answer = await peer.ask(shareFetch, 2, {
      groupId: group,
      memberId: member,
      shareSessionEpoch: epoch,
      maxWaitMs: waitMs,
      minBytes: 1,
      maxRecords: 100,
      batchSize: 100,
      topics: [{ topicId, partitions: [{ partitionIndex: 0, acknowledgementBatches }] }],
    });
    const told = answer.responses[0]?.partitions[0];
    return {
      code: answer.errorCode,
      acknowledged: told?.acknowledgeErrorCode,
      values: readBatches(told?.records ?? null, 0, []).records.map(({ value }) => value),
      acquired: (told?.acquiredRecords ?? []).map(
        ({ firstOffset, lastOffset, deliveryCount }) => `${firstOffset}-${lastOffset}x${deliveryCount}`,
      ),
    };
  }

  async function sharing(): Promise<{ peer: RawKafka; topic: string; topicId: string; group: string }> {
    const peer = await open();
    const [topic, group] = [fresh("topic"), fresh("group")];
    const topicId = await topicOf(peer, topic);
    const configs = [{ name: "share.auto.offset.reset", configOperation: 0, value: "earliest" }];
    const resources = [{ resourceType: 32, resourceName: group, configs }];
    const { responses } = await peer.ask(incrementalAlterConfigs, 1, { resources });
    expect(responses[0]?.errorCode).toBe(0);
    return { peer, topic, topicId, group };
  }

  test("lease records, and give back what is released", async () => {
    const { peer, topic, topicId, group } = await sharing();
    await send(peer, topic, "a", "b", "c");
    const first = await fetchShare(peer, group, "A", { epoch: 0, topicId });
    expect(first).toMatchObject({ code: 0, values: ["a", "b", "c"], acquired: ["0-2x1"] });
    expect(await fetchShare(peer, group, "B", { epoch: 0, topicId })).toMatchObject({
      code: 0,
      acquired: [],
    });
    const acknowledge = [{ first: 0, last: 2, types: [1, 2, 3] }];
    const second = await fetchShare(peer, group, "A", { epoch: 1, topicId, acknowledge });
    expect(second).toMatchObject({ acknowledged: 0, acquired: ["1-1x2"] });
    const again = [{ first: 0, last: 0, types: [1] }];
    expect(await fetchShare(peer, group, "A", { epoch: 2, topicId, acknowledge: again })).toMatchObject({
      acknowledged: 121,
    });
  });

  test("wait for records, and for those of a member whose connection ends", async () => {
    const { peer, topic, topicId, group } = await sharing();
    const other = await open();
    const waiting = fetchShare(other, group, "B", { epoch: 0, topicId, waitMs: 20_000 });
    await send(peer, topic, "a");
    expect(await waiting).toMatchObject({ values: ["a"], acquired: ["0-0x1"] });
    const next = fetchShare(peer, group, "A", { epoch: 0, topicId, waitMs: 20_000 });
    other.close();
    expect(await next).toMatchObject({ values: ["a"], acquired: ["0-0x1"] });
  });

  test("acknowledge by themselves, and give everything back with the last word", async () => {
    const { peer, topic, topicId, group } = await sharing();
    await send(peer, topic, "a", "b");
    await fetchShare(peer, group, "A", { epoch: 0, topicId });
    const says = (epoch: number, first: number, type: number) =>
      peer.ask(shareAcknowledge, 2, {
        groupId: group,
        memberId: "A",
        shareSessionEpoch: epoch,
        topics: [
          {
            topicId,
            partitions: [
              {
                partitionIndex: 0,
                acknowledgementBatches: [{ firstOffset: first, lastOffset: first, acknowledgeTypes: [type] }],
              },
            ],
          },
        ],
      });
    const accepted = await says(1, 0, 1);
    expect(accepted.responses[0]?.partitions[0]?.errorCode).toBe(0);
    expect((await says(2, 1, 9)).responses[0]?.partitions[0]?.errorCode).toBe(42);
    await peer.ask(shareAcknowledge, 2, { groupId: group, memberId: "A", shareSessionEpoch: -1, topics: [] });
    expect(await fetchShare(peer, group, "B", { epoch: 0, topicId })).toMatchObject({ acquired: ["1-1x1"] });
  });

  test("sessions that are not there, or not of this epoch, are refused", async () => {
    const { peer, topicId, group } = await sharing();
    expect((await fetchShare(peer, group, "A", { epoch: 3, topicId })).code).toBe(122);
    await fetchShare(peer, group, "A", { epoch: 0, topicId });
    expect((await fetchShare(peer, group, "A", { epoch: 3, topicId })).code).toBe(123);
    expect((await fetchShare(peer, group, "", { epoch: 0, topicId })).code).toBe(42);
    const acknowledge = [{ first: 0, last: 0, types: [1] }];
    expect((await fetchShare(peer, group, "A", { epoch: 0, topicId, acknowledge })).code).toBe(42);
  });
});

describe("transactions", () => {
  test("errors have the codes of their version", async () => {
    const peer = await open();
    const [topic, id] = [fresh("topic"), fresh("id")];
    await topicOf(peer, topic);
    const asked = { transactionalId: id, transactionTimeoutMs: 60_000 };
    const { producerId } = await peer.ask(initProducerId, 1, asked);
    await peer.ask(initProducerId, 1, asked);
    const codeOf = async (version: number, overrides: object) =>
      (
        await peer.ask(endTxn, version, {
          transactionalId: id,
          producerId,
          producerEpoch: 0,
          committed: true,
          ...overrides,
        })
      ).errorCode;
    expect([await codeOf(1, {}), await codeOf(2, {})]).toEqual([47, 90]);
    expect(await codeOf(3, { producerEpoch: 1 })).toBe(48);
    expect(await codeOf(3, { producerId: producerId + 1 })).toBe(49);
    expect(
      (await peer.ask(initProducerId, 4, { ...asked, transactionTimeoutMs: 2 ** 31 - 1 })).errorCode,
    ).toBe(50);
    expect((await peer.ask(initProducerId, 4, { ...asked, producerId, producerEpoch: 7 })).errorCode).toBe(
      90,
    );
    expect((await peer.ask(initProducerId, 4, { ...asked, producerId })).errorCode).toBe(42);
  });

  test("one partition that cannot be added keeps out the others", async () => {
    const peer = await open();
    const [topic, id] = [fresh("topic"), fresh("id")];
    await topicOf(peer, topic);
    const { producerId } = await peer.ask(initProducerId, 1, {
      transactionalId: id,
      transactionTimeoutMs: 60_000,
    });
    const { resultsByTopicV3AndBelow: told } = await peer.ask(addPartitionsToTxn, 3, {
      v3AndBelowTransactionalId: id,
      v3AndBelowProducerId: producerId,
      v3AndBelowProducerEpoch: 0,
      v3AndBelowTopics: [{ name: topic, partitions: [0, 5] }],
    });
    expect(told[0]?.resultsByPartition.map(({ partitionErrorCode }) => partitionErrorCode)).toEqual([55, 3]);
  });

  test("records of a transaction that was not begun are refused", async () => {
    const peer = await open();
    const [topic, id] = [fresh("topic"), fresh("id")];
    await topicOf(peer, topic);
    const { producerId } = await peer.ask(initProducerId, 1, {
      transactionalId: id,
      transactionTimeoutMs: 60_000,
    });
    const records = batchOf([{ value: "x" }], {
      attributes: 16,
      producerId,
      producerEpoch: 0,
      baseSequence: 0,
    });
    const topicData = [{ name: topic, partitionData: [{ index: 0, records }] }];
    const { responses } = await peer.ask(produce, 7, {
      transactionalId: id,
      acks: -1,
      timeoutMs: 5000,
      topicData,
    });
    expect(responses[0]?.partitionResponses[0]?.errorCode).toBe(48);
  });
});
