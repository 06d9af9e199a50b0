// Groups and transactions with kafkajs, and with brokers that go down in between.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Consumer, Kafka } from "kafkajs";
import { afterAll, describe, expect, test, vi } from "vitest";
import { ZERO_UUID } from "../../../src/wire/kafka/codec/schema.ts";
import { consumerGroupHeartbeat } from "../../../src/wire/kafka/schemas/consumer-group-heartbeat.ts";
import { listGroups } from "../../../src/wire/kafka/schemas/list-groups.ts";
import { startInProcess } from "../../support/broker.ts";
import { kafkaJs, useKafka } from "../../support/kafka.ts";
import { RawKafka } from "../../support/kafka-raw.ts";

const { address, host, port } = await useKafka();
const kafka = clientOf(address);
const clients: { disconnect(): Promise<void> }[] = [];
afterAll(async () => {
  await Promise.all(clients.map((client) => client.disconnect()));
});

function clientOf(broker: string): Kafka {
  return kafkaJs({
    clientId: "groups",
    brokers: [broker],
    retry: { initialRetryTime: 20, retries: 8 },
  });
}

let names = 0;
const fresh = (what: string): string => `${what}-${names++}`;
const until = <T>(check: () => T | Promise<T>) => vi.waitFor(check, { timeout: 60_000, interval: 10 });

async function topicOf(partitions: number, values: readonly string[], from = kafka): Promise<string> {
  const topic = fresh("topic");
  const admin = from.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions }] });
  await admin.disconnect();
  const producer = from.producer();
  await producer.connect();
  await producer.send({ topic, messages: values.map((value) => ({ key: value, value })) });
  await producer.disconnect();
  return topic;
}

interface Member {
  readonly consumer: Consumer;
  readonly values: string[];
  /** Partitions by the last assignment. */
  partitions: number[];
}

async function member(groupId: string, topic: string, options = {}, from = kafka): Promise<Member> {
  const consumer = from.consumer({
    groupId,
    maxWaitTimeInMs: 50,
    heartbeatInterval: 100,
    sessionTimeout: 6000,
    ...options,
  });
  clients.push(consumer);
  const self: Member = { consumer, values: [], partitions: [] };
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    self.partitions = payload.memberAssignment[topic] ?? [];
  });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      self.values.push(String(message.value));
    },
  });
  return self;
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`);
const sorted = (values: readonly string[]): string[] => [...values].sort((a, b) => Number(a) - Number(b));

describe("a group", () => {
  test("divides the partitions among its members, and again when one leaves", async () => {
    const topic = await topicOf(6, numbers(60));
    const group = fresh("group");
    const [first, second] = await Promise.all([member(group, topic), member(group, topic)]);
    await until(() => {
      expect([first.partitions.length, second.partitions.length]).toEqual([3, 3]);
      expect(sorted([...first.values, ...second.values])).toEqual(numbers(60));
    });
    await second.consumer.disconnect();
    await until(() => expect(first.partitions.length).toBe(6));
    const all = first.values.length + second.values.length;
    const producer = kafka.producer();
    clients.push(producer);
    await producer.connect();
    await producer.send({ topic, messages: numbers(30).map((value) => ({ key: value, value })) });
    await until(() => expect(first.values.length + second.values.length).toBe(all + 30));
  });

  test("goes on where it was", async () => {
    const topic = await topicOf(1, numbers(10));
    const group = fresh("group");
    const first = await member(group, topic);
    await until(() => expect(first.values.length).toBe(10));
    await first.consumer.disconnect();
    const producer = kafka.producer();
    clients.push(producer);
    await producer.connect();
    await producer.send({ topic, messages: [{ value: "new" }] });
    const second = await member(group, topic);
    await until(() => expect(second.values).toEqual(["new"]));
  });

  test("can be seen, moved and deleted", async () => {
    const topic = await topicOf(2, numbers(10));
    const group = fresh("group");
    const one = await member(group, topic);
    const admin = kafka.admin();
    clients.push(admin);
    await admin.connect();
    await until(async () => {
      const [described] = (await admin.describeGroups([group])).groups;
      expect(described).toMatchObject({
        state: "Stable",
        protocolType: "consumer",
        protocol: "RoundRobinAssigner",
        members: [{ clientId: "groups", clientHost: "/127.0.0.1" }],
      });
    });
    expect((await admin.listGroups()).groups).toContainEqual({ groupId: group, protocolType: "consumer" });
    await expect(admin.deleteGroups([group])).rejects.toMatchObject({
      groups: [{ groupId: group, errorCode: 68 }],
    });
    await one.consumer.disconnect();
    const partitions = [
      { partition: 0, offset: "3" },
      { partition: 1, offset: "1" },
    ];
    await admin.setOffsets({ groupId: group, topic, partitions });
    const [offsets] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
    expect(offsets?.partitions).toMatchObject(partitions);
    await admin.deleteGroups([group]);
    await expect(admin.deleteGroups([group])).rejects.toMatchObject({
      groups: [{ groupId: group, errorCode: 69 }],
    });
    const [gone] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
    expect(gone?.partitions).toMatchObject([{ offset: "-1" }, { offset: "-1" }]);
  });

  test("forgets what it read of a topic that is deleted", async () => {
    const topic = await topicOf(1, numbers(5));
    const group = fresh("group");
    const one = await member(group, topic);
    await until(() => expect(one.values.length).toBe(5));
    await one.consumer.disconnect();
    const admin = kafka.admin();
    clients.push(admin);
    await admin.connect();
    await admin.deleteTopics({ topics: [topic] });
    await admin.createTopics({ topics: [{ topic }] });
    const [offsets] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
    expect(offsets?.partitions).toMatchObject([{ offset: "-1" }]);
  });
});

/** Records that a reader of what is decided sees, once there are `count` or more. */
async function decided(topic: string, count: number, from = kafka): Promise<string[]> {
  const reader = await member(fresh("readers"), topic, { readUncommitted: false }, from);
  await until(() => expect(reader.values.length).toBeGreaterThanOrEqual(count));
  await reader.consumer.disconnect();
  return reader.values;
}

async function transactional(id: string, from = kafka) {
  const producer = from.producer({ transactionalId: id, idempotent: true, maxInFlightRequests: 1 });
  clients.push(producer);
  await producer.connect();
  return producer;
}

/** A member for whom the broker divides (KIP-848): says what it has, and takes what it is given. */
class Reader848 {
  owned: number[] = [];
  private epoch = 0;
  private readonly peer: RawKafka;
  private readonly group: string;
  private readonly topic: string;
  private topicId = ZERO_UUID;

  constructor(peer: RawKafka, group: string, topic: string) {
    this.peer = peer;
    this.group = group;
    this.topic = topic;
  }

  async beat(memberEpoch = this.epoch): Promise<void> {
    const joins = this.epoch === 0;
    const topicPartitions = [{ topicId: this.topicId, partitions: this.owned }];
    const answer = await this.peer.ask(consumerGroupHeartbeat, 1, {
      groupId: this.group,
      memberId: "reader",
      memberEpoch,
      rebalanceTimeoutMs: joins ? 60_000 : -1,
      subscribedTopicNames: joins ? [this.topic] : null,
      topicPartitions: this.owned.length === 0 ? [] : topicPartitions,
    });
    expect(answer.errorCode).toBe(0);
    this.epoch = answer.memberEpoch;
    if (answer.assignment === null) return;
    this.owned = answer.assignment.topicPartitions.flatMap(({ partitions }) => partitions);
    this.topicId = answer.assignment.topicPartitions[0]?.topicId ?? this.topicId;
  }
}

test("members who divide the work themselves go on beside one for whom the broker does, and without it", async () => {
  const topic = await topicOf(6, []);
  const group = fresh("group");
  const producer = kafka.producer();
  clients.push(producer);
  await producer.connect();
  let sent = 0;
  const produce = async () => {
    const messages = Array.from({ length: 60 }, () => ({ partition: sent % 6, value: `${sent++}` }));
    await producer.send({ topic, messages });
  };
  const [a, b] = await Promise.all([member(group, topic), member(group, topic)]);
  await until(() => expect([a.partitions.length, b.partitions.length]).toEqual([3, 3]));
  await produce();
  const peer = await RawKafka.open({ host, port });
  const reader = new Reader848(peer, group, topic);
  await until(async () => {
    await reader.beat();
    expect([a.partitions.length, b.partitions.length, reader.owned.length]).toEqual([2, 2, 2]);
  });
  const all = [...a.partitions, ...b.partitions, ...reader.owned].sort();
  expect(all).toEqual([0, 1, 2, 3, 4, 5]);
  const { groups } = await peer.ask(listGroups, 5, { typesFilter: ["consumer"] });
  expect(groups.map(({ groupId }) => groupId)).toContain(group);
  await produce();
  await reader.beat(-1);
  peer.close();
  await until(() => expect([a.partitions.length, b.partitions.length]).toEqual([3, 3]));
  await produce();
  await until(() => expect(new Set([...a.values, ...b.values]).size).toBe(180));
  const admin = kafka.admin();
  clients.push(admin);
  await admin.connect();
  const [described] = (await admin.describeGroups([group])).groups;
  expect(described).toMatchObject({ state: "Stable", members: [{}, {}] });
});

describe("a transaction", () => {
  test("is seen as a whole or not at all", async () => {
    const topic = await topicOf(2, ["0"]);
    const producer = await transactional(fresh("id"));
    const kept = await producer.transaction();
    await kept.send({ topic, messages: numbers(5).map((value) => ({ key: value, value: `kept ${value}` })) });
    await kept.commit();
    const dropped = await producer.transaction();
    await dropped.send({ topic, messages: [{ value: "dropped" }] });
    await dropped.abort();
    const last = await producer.transaction();
    await last.send({ topic, messages: [{ value: "last" }] });
    await last.commit();
    const seen = await decided(topic, 7);
    expect(seen.sort()).toEqual(["0", ...numbers(5).map((value) => `kept ${value}`), "last"].sort());
  });

  test("moves a group's offsets along with what it writes", async () => {
    const source = await topicOf(1, numbers(3));
    const target = await topicOf(1, ["0"]);
    const groupId = fresh("group");
    const admin = kafka.admin();
    clients.push(admin);
    await admin.connect();
    const producer = await transactional(fresh("id"));
    const move = async (offset: string, commit: boolean): Promise<void> => {
      const transaction = await producer.transaction();
      await transaction.send({ topic: target, messages: [{ value: offset }] });
      const topics = [{ topic: source, partitions: [{ partition: 0, offset }] }];
      await transaction.sendOffsets({ consumerGroupId: groupId, topics });
      await (commit ? transaction.commit() : transaction.abort());
    };
    const offset = async () => {
      const [found] = await admin.fetchOffsets({ groupId, topics: [source] });
      return found?.partitions[0]?.offset;
    };
    await move("2", false);
    expect(await offset()).toBe("-1");
    await move("3", true);
    await until(async () => expect(await offset()).toBe("3"));
    expect(await decided(target, 2)).toEqual(["0", "3"]);
  });

  test("of a producer whose name another has taken is over", async () => {
    const topic = await topicOf(1, ["0"]);
    const id = fresh("id");
    const old = await (await transactional(id)).transaction();
    await old.send({ topic, messages: [{ value: "old" }] });
    const young = await (await transactional(id)).transaction();
    await young.send({ topic, messages: [{ value: "young" }] });
    await expect(old.commit()).rejects.toMatchObject({ type: "INVALID_PRODUCER_EPOCH" });
    await young.commit();
    expect(await decided(topic, 2)).toEqual(["0", "young"]);
  });
});

test("what a broker that goes down had answered is there when it is back", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "polymq-groups-"));
  const options = { engine: "file:", dataDir, kafka: { port: 0 } };
  let broker = await startInProcess(options);
  const before = clientOf(`127.0.0.1:${broker.kafka?.port}`);
  const topic = await topicOf(1, ["first"], before);
  const groupId = fresh("group");
  const admin = before.admin();
  await admin.connect();
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: "1" }] });
  await admin.disconnect();
  const producer = await transactional(fresh("id"), before);
  const kept = await producer.transaction();
  await kept.send({ topic, messages: [{ value: "kept" }] });
  await kept.commit();
  const open = await producer.transaction();
  await open.send({ topic, messages: [{ value: "open" }] });
  await broker.stop();

  broker = await startInProcess(options);
  const after = clientOf(`127.0.0.1:${broker.kafka?.port}`);
  const reader = await member(groupId, topic, {}, after);
  await until(() => expect(reader.values).toEqual(["kept"]));
  // Nobody ends the open one but its successor.
  const successor = await transactional(`id-${names - 1}`, after);
  const next = await successor.transaction();
  await next.send({ topic, messages: [{ value: "next" }] });
  await next.commit();
  await until(() => expect(reader.values).toEqual(["kept", "next"]));
  await Promise.all([reader, { consumer: successor }].map(({ consumer }) => consumer.disconnect()));
  await broker.stop();
  await rm(dataDir, { recursive: true });
});
