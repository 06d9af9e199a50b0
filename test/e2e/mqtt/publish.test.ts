// Publishing and subscribing with MQTT.js, in every version and quality of service.
import { afterAll, describe, expect, test } from "vitest";
import { Client, startMqtt, type Version } from "../../support/mqtt.ts";
import { RawMqtt } from "../../support/mqtt-raw.ts";

const broker = await startMqtt();
afterAll(() => broker.stop());

const VERSIONS: readonly Version[] = [3, 4, 5];
const QOS = [0, 1, 2] as const;

let count = 0;
const unique = (name: string) => `${name}${++count}`;

describe.each(VERSIONS)("version %i", (protocolVersion) => {
  const connect = () => Client.connect(broker.url, { protocolVersion, clientId: unique("c"), clean: true });

  test.each(QOS)("a message of QoS %i arrives with it", async (qos) => {
    const [a, b] = [await connect(), await connect()];
    const topic = unique("plain/");
    await b.mqtt.subscribeAsync(topic, { qos });
    await a.mqtt.publishAsync(topic, "hello", { qos });
    const [message] = await b.until(1);
    expect(message).toMatchObject({ topic, payload: "hello", packet: { qos, retain: false, dup: false } });
    await Promise.all([a.end(), b.end()]);
  });

  test("delivered with the lower of what was published and what was granted", async () => {
    const client = await connect();
    const topic = unique("lower/");
    for (const granted of QOS) {
      await client.mqtt.subscribeAsync(topic, { qos: granted });
      for (const qos of QOS) await client.mqtt.publishAsync(topic, `${granted}${qos}`, { qos });
    }
    const received = await client.until(9);
    for (const { payload, packet } of received) {
      expect(packet.qos).toBe(Math.min(Number(payload[0]), Number(payload[1])));
    }
    await client.end();
  });

  test("wildcards, empty levels and Unicode", async () => {
    const client = await connect();
    const base = unique("wild");
    await client.mqtt.subscribeAsync([`${base}/+/x`, `${base}//#`, `/${base}`, `${base}/日本/#`], { qos: 1 });
    const topics = [`${base}/a/x`, `${base}//x`, `${base}/`, `/${base}`, `${base}/日本`, `${base}/a/y`, base];
    for (const topic of topics) await client.mqtt.publishAsync(topic, topic, { qos: 1 });
    await client.settle();
    expect(client.payloads()).toEqual(topics.slice(0, 5));
    await client.end();
  });

  test("large messages come through whole", async () => {
    const client = await connect();
    const topic = unique("large/");
    await client.mqtt.subscribeAsync(topic, { qos: 2 });
    const sizes = [0, 1, 127, 128, 16_383, 16_384, 65_535, 65_536, 1_000_000, 5_000_000];
    for (const [i, size] of sizes.entries()) {
      const payload = Buffer.alloc(size, `${i}`);
      await client.mqtt.publishAsync(topic, payload, { qos: (i % 3) as 0 | 1 | 2 });
      const received = await client.until(i + 1);
      expect(received[i]?.payload.length).toBe(size);
      expect(received[i]?.payload).toBe(payload.toString());
    }
    await client.end();
  });

  test("thousands of messages keep their order", async () => {
    const [a, b] = [await connect(), await connect()];
    const topic = unique("order/");
    await b.mqtt.subscribeAsync(topic, { qos: 1 });
    const sent = Array.from({ length: 3000 }, (_, i) => `${i}`);
    await Promise.all(sent.map((payload) => a.mqtt.publishAsync(topic, payload, { qos: 1 })));
    await b.until(sent.length);
    expect(b.payloads()).toEqual(sent);
    await Promise.all([a.end(), b.end()]);
  });
});

test("topics with dots, stars and other protocols' wildcards are topics like any other", async () => {
  const client = await Client.connect(broker.url, { clientId: unique("c") });
  await client.mqtt.subscribeAsync(["v1.0/*/data", "x/+/data"], { qos: 1 });
  for (const topic of ["v1.0/*/data", "v1.0/a/data", "v1/0/*/data", "x/*/data", "x/v1.0/data"]) {
    await client.mqtt.publishAsync(topic, topic, { qos: 1 });
  }
  await client.settle();
  expect(client.payloads()).toEqual(["v1.0/*/data", "x/*/data", "x/v1.0/data"]);
  await client.end();
});

test("a bridge does not get back what it sent, and sees what was retained as such", async () => {
  const bridge = await RawMqtt.connect(broker.url, { protocolVersion: 4, bridgeMode: true } as never);
  const other = await Client.connect(broker.url, { clientId: "beyond" });
  await bridge.subscribe("bridged/#", 1);
  await other.mqtt.subscribeAsync("bridged/#", { qos: 1 });
  bridge.publish({ topic: "bridged/a", payload: "from here", qos: 1, messageId: 1 });
  await bridge.next("puback");
  await other.mqtt.publishAsync("bridged/b", "from there", { qos: 1, retain: true });
  await other.until(2);
  expect(other.payloads()).toEqual(["from here", "from there"]);
  const message = await bridge.next("publish");
  expect([`${message.payload}`, message.retain]).toEqual(["from there", true]);
  await bridge.ping();
  expect(bridge.packets).toEqual([]);
  bridge.close();
  await other.end();
});

test("a client that does not log in is guest, and only from this machine", async () => {
  const client = await Client.connect(broker.url);
  expect(client.mqtt.connected).toBe(true);
  await client.end();
  await expect(Client.connect(broker.url, { username: "guest", password: "wrong" })).rejects.toThrow(
    /Bad user|Bad username/i,
  );
});
