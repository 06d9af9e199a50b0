// What a client is told when it has had its share of the broker's time.
import { afterAll, expect, test } from "vitest";
import { alterClientQuotas } from "../../../src/wire/kafka/schemas/alter-client-quotas.ts";
import { fetch } from "../../../src/wire/kafka/schemas/fetch.ts";
import { findCoordinator } from "../../../src/wire/kafka/schemas/find-coordinator.ts";
import { metadata } from "../../../src/wire/kafka/schemas/metadata.ts";
import { produce } from "../../../src/wire/kafka/schemas/produce.ts";
import { startInProcess } from "../../support/broker.ts";
import { batchOf } from "../../support/kafka-batch.ts";
import { RawKafka } from "../../support/kafka-raw.ts";

const broker = await startInProcess({ kafka: { port: 0 } });
const address = broker.kafka as { host: string; port: number };
const [client, other] = [await RawKafka.open(address), await RawKafka.open(address)];
afterAll(async () => {
  client.close();
  other.close();
  await broker.stop();
});

async function limit(percentage: number | null): Promise<void> {
  const op = { key: "request_percentage", value: percentage ?? 0, remove: percentage === null };
  const entity = [{ entityType: "user", entityName: "guest" }];
  const { entries } = await other.ask(alterClientQuotas, 1, { entries: [{ entity, ops: [op] }] });
  expect(entries[0]?.errorCode).toBe(0);
}

const asked = {
  metadata: () => client.ask(metadata, 8, { topics: [{ name: "t" }] }),
  findCoordinator: () => client.ask(findCoordinator, 3, { key: "g", keyType: 0 }),
  produce: () =>
    client.ask(produce, 8, {
      acks: -1,
      timeoutMs: 1000,
      topicData: [{ name: "t", partitionData: [{ index: 0, records: batchOf([{ value: "x" }]) }] }],
    }),
  fetch: () =>
    client.ask(fetch, 11, {
      maxWaitMs: 0,
      topics: [{ topic: "t", partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }],
    }),
};

test.each(Object.entries(asked))(
  "%s: the time to wait is told, and nothing is read until it is over",
  async (_name, ask) => {
    expect((await ask()).throttleTimeMs).toBe(0);
    await limit(0.05);
    let throttleMs = 0;
    let askedAt = 0;
    while (throttleMs === 0) {
      askedAt = performance.now();
      throttleMs = (await ask()).throttleTimeMs;
    }
    await ask();
    // From when it was asked: how late the answer is seen says nothing. Timers count whole milliseconds.
    expect(performance.now() - askedAt).toBeGreaterThan(throttleMs - 5);
    await limit(null);
    while ((await ask()).throttleTimeMs > 0);
  },
);
