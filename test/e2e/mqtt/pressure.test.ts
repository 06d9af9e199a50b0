// Clients that do not keep up, and publishers that are too many: who is held back, and what is dropped.
import { connect } from "node:net";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import { Client, startMqtt } from "../../support/mqtt.ts";
import { RawMqtt } from "../../support/mqtt-raw.ts";

const MiB = 1024 * 1024;
const broker = await startMqtt({ memoryBudget: "64MiB", memoryHighWatermark: "8GiB" });
afterAll(() => broker.stop());
afterEach(() => {
  vi.restoreAllMocks();
});

/** A subscriber that never reads. */
async function deaf(topic: string, qos: 0 | 1): Promise<() => void> {
  const codec = await RawMqtt.open(broker.url);
  const { hostname, port } = new URL(broker.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on("error", () => {});
  const hello = { protocolId: "MQTT" as const, protocolVersion: 5 as const, clean: true, keepalive: 0 };
  socket.write(codec.encode({ cmd: "connect", clientId: `deaf-${topic}`, ...hello }));
  socket.write(codec.encode({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos }] }));
  codec.close();
  const space = broker.broker.topology.namespace("/");
  const queue = `mqtt-subscription-deaf-${topic}qos${qos}`;
  while ((space.queue(queue)?.consumerCount ?? 0) === 0) await new Promise(setImmediate);
  // Reading has begun and must stop: else the socket takes it all.
  socket.pause();
  return () => socket.destroy();
}

test("QoS 0 to a client that does not read is dropped and counted; others get everything", async () => {
  const topic = "slow/zero";
  const stop = await deaf(topic, 0);
  const reader = await Client.connect(broker.url);
  await reader.mqtt.subscribeAsync(topic, { qos: 0 });
  const publisher = await Client.connect(broker.url);
  const payload = "x".repeat(100_000);
  const { dropped } = broker.broker.counters;
  const before = dropped.slow;
  let sent = 0;
  // Its socket's buffers, ours and a short queue: then it begins.
  while (dropped.slow === before) {
    await publisher.mqtt.publishAsync(topic, payload, { qos: 0 });
    await reader.until(++sent);
    expect(sent).toBeLessThan(5000);
  }
  for (let i = 0; i < 100; i++) await publisher.mqtt.publishAsync(topic, payload, { qos: 0 });
  await reader.until(sent + 100);
  expect(dropped.slow - before).toBeGreaterThan(50);
  expect(broker.broker.stats().messageMemoryBytes).toBeLessThan(200 * MiB);
  stop();
  await Promise.all([reader.end(), publisher.end()]);
});

test("QoS 0 does not pile up behind a session that is away, or in its QoS 1 queue", async () => {
  const options = { clientId: "away", clean: false, properties: { sessionExpiryInterval: 100 } };
  const away = await Client.connect(broker.url, options);
  await away.mqtt.subscribeAsync("away/#", { qos: 1 });
  await away.end();
  const publisher = await Client.connect(broker.url);
  const before = broker.broker.counters.dropped.offline;
  for (let i = 0; i < 50; i++) await publisher.mqtt.publishAsync("away/x", "zero", { qos: 0 });
  await publisher.mqtt.publishAsync("away/x", "one", { qos: 1 });
  expect(broker.broker.counters.dropped.offline - before).toBe(50);
  const back = await Client.connect(broker.url, options);
  await back.settle();
  expect(back.payloads()).toEqual(["one"]);
  await Promise.all([back.end(), publisher.end()]);
});

test("an alarm holds publishers, QoS 0 as well, until it is over; what was taken still comes", async () => {
  const rss = vi.spyOn(process.memoryUsage, "rss").mockReturnValue(16 * 1024 * MiB);
  while (broker.broker.alarm === null) await new Promise((resolve) => setTimeout(resolve, 20));
  const reader = await RawMqtt.connect(broker.url);
  await reader.subscribe("alarm", 1);
  const publisher = await RawMqtt.connect(broker.url);
  // The first publish is how it is found out that this one publishes.
  publisher.publish({ topic: "alarm", payload: "0", qos: 0 });
  expect(`${(await reader.next("publish")).payload}`).toBe("0");
  for (let i = 1; i <= 3; i++)
    publisher.publish({ topic: "alarm", payload: `${i}`, qos: i === 2 ? 1 : 0, messageId: 5 });
  for (let i = 0; i < 20; i++) await reader.ping();
  expect(reader.packets).toEqual([]);
  rss.mockReturnValue(100 * MiB);
  for (let i = 1; i <= 3; i++) expect(`${(await reader.next("publish")).payload}`).toBe(`${i}`);
  publisher.close();
  reader.close();
});
