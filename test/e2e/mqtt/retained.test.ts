// Retained messages: the last of each topic, for those who come later.
import { afterAll, describe, expect, test } from "vitest";
import { ManualClock } from "../../../src/index.ts";
import { Client, startMqtt } from "../../support/mqtt.ts";
import { RawMqtt } from "../../support/mqtt-raw.ts";

/** For what expires. */
const clock = new ManualClock();
const broker = await startMqtt({}, clock);
afterAll(() => broker.stop());

let count = 0;
const unique = (name: string) => `${name}${++count}`;
const publisher = await Client.connect(broker.url);
afterAll(() => publisher.end());
const retain = (topic: string, payload: string, qos: 0 | 1 | 2 = 1, properties = {}) =>
  publisher.mqtt.publishAsync(topic, payload, { qos, retain: true, properties });

describe.each([3, 4, 5] as const)("version %i", (protocolVersion) => {
  const connect = () => Client.connect(broker.url, { protocolVersion, clientId: unique("c") });

  test("a new subscription gets the last one, marked; a live one is not marked", async () => {
    const topic = unique("kept/");
    await retain(topic, "first");
    await retain(topic, "second", 2);
    const client = await connect();
    await client.mqtt.subscribeAsync(topic, { qos: 2 });
    await client.until(1);
    await retain(topic, "third", 0);
    await client.until(2);
    const seen = client.received.map(({ payload, packet: { qos, retain } }) => ({ payload, qos, retain }));
    expect(seen).toEqual([
      { payload: "second", qos: 2, retain: true },
      { payload: "third", qos: 0, retain: false },
    ]);
    await client.end();
  });

  test("wildcards get all of them, with the lower QoS", async () => {
    const base = unique("kept");
    const topics = [`${base}/a`, `${base}/a/b`, `${base}//c`, `${base}.d/e`];
    for (const [i, topic] of topics.entries()) await retain(topic, topic, (i % 3) as 0 | 1 | 2);
    const client = await connect();
    await client.mqtt.subscribeAsync(`${base}/#`, { qos: 1 });
    await client.until(3);
    await client.settle();
    expect(client.payloads().sort()).toEqual(topics.slice(0, 3).sort());
    expect(client.received.every(({ packet }) => packet.retain)).toBe(true);
    expect(new Set(client.received.map(({ packet }) => packet.qos))).toEqual(new Set([0, 1]));
    await client.end();
  });

  test("an empty one deletes, and is delivered as it is", async () => {
    const topic = unique("kept/");
    await retain(topic, "there");
    const live = await connect();
    await live.mqtt.subscribeAsync(topic, { qos: 1 });
    await live.until(1);
    await retain(topic, "");
    expect((await live.until(2))[1]).toMatchObject({ payload: "", packet: { retain: false } });
    const later = await connect();
    await later.mqtt.subscribeAsync(topic, { qos: 1 });
    expect(await later.settle()).toEqual([]);
    await Promise.all([live.end(), later.end()]);
  });
});

test("retain handling: always, only for a new subscription, never", async () => {
  const topic = unique("kept/");
  await retain(topic, "kept");
  const client = await Client.connect(broker.url);
  for (const [rh, expected] of [
    [2, 0],
    [1, 0],
    [0, 1],
    [1, 1],
    [0, 2],
  ] as const) {
    await client.mqtt.subscribeAsync(topic, { qos: 1, rh });
    await client.settle();
    expect(client.received.length).toBe(expected);
  }
  await client.mqtt.unsubscribeAsync(topic);
  await client.mqtt.subscribeAsync(topic, { qos: 1, rh: 1 });
  await client.settle();
  expect(client.received.length).toBe(3);
  await client.end();
});

test("retain as published", async () => {
  const topic = unique("kept/");
  const client = await Client.connect(broker.url);
  await client.mqtt.subscribeAsync(topic, { qos: 1, rap: true });
  await retain(topic, "marked");
  await publisher.mqtt.publishAsync(topic, "not marked", { qos: 1 });
  await client.until(2);
  expect(client.received.map(({ packet }) => packet.retain)).toEqual([true, false]);
  await client.end();
});

test("properties are kept, and an expired one is gone", async () => {
  const base = unique("kept");
  await retain(`${base}/a`, "a", 1, { contentType: "text/plain", userProperties: { k: ["1", "2"] } });
  await retain(`${base}/b`, "b", 1, { messageExpiryInterval: 1 });
  await retain(`${base}/c`, "c", 1, { messageExpiryInterval: 1000 });
  clock.advance("1300ms");
  const client = await Client.connect(broker.url);
  await client.mqtt.subscribeAsync(`${base}/+`, { qos: 1, properties: { subscriptionIdentifier: 7 } });
  await client.until(2);
  await client.settle();
  const found = Object.fromEntries(
    client.received.map(({ payload, packet }) => [payload, packet.properties]),
  );
  expect(Object.keys(found).sort()).toEqual(["a", "c"]);
  expect(found.a).toMatchObject({ contentType: "text/plain", userProperties: { k: ["1", "2"] } });
  expect(found.a?.subscriptionIdentifier).toBe(7);
  expect(found.c?.messageExpiryInterval).toBe(999);
  await client.end();
});

test("not for shared subscriptions", async () => {
  const topic = unique("kept/");
  await retain(topic, "kept");
  const client = await Client.connect(broker.url);
  await client.mqtt.subscribeAsync(`$share/group/${topic}`, { qos: 1 });
  expect(await client.settle()).toEqual([]);
  await client.end();
});

test("more than a client's window, each once", async () => {
  const base = unique("many");
  await Promise.all(Array.from({ length: 3000 }, (_, i) => retain(`${base}/${i}`, `${i}`)));
  const raw = await RawMqtt.connect(broker.url, { properties: { receiveMaximum: 10 } });
  await raw.subscribe(`${base}/#`, 1);
  const seen = new Set<string>();
  while (seen.size < 3000) {
    const { payload, messageId, retain: marked } = await raw.next("publish");
    expect(marked).toBe(true);
    expect(seen.has(`${payload}`)).toBe(false);
    seen.add(`${payload}`);
    raw.send({ cmd: "puback", messageId: messageId! });
  }
  await raw.ping();
  expect(raw.packets).toEqual([]);
  raw.close();
});
