// Wills: said when a client goes without a goodbye, after their delay, or not at all.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Client, startMqtt, type Version } from "../../support/mqtt.ts";
import { RawMqtt } from "../../support/mqtt-raw.ts";

const broker = await startMqtt();
afterAll(() => broker.stop());

let count = 0;
const unique = (name: string) => `${name}${++count}`;
const willOf = (topic: string, more: object = {}) => ({
  topic,
  payload: Buffer.from("gone"),
  qos: 1 as const,
  retain: false,
  ...more,
});

async function watcher(topic: string): Promise<Client> {
  const client = await Client.connect(broker.url);
  await client.mqtt.subscribeAsync(topic, { qos: 2 });
  return client;
}

describe.each([3, 4, 5] as const)("version %i", (protocolVersion: Version) => {
  const connect = (topic: string) =>
    RawMqtt.connect(broker.url, {
      protocolVersion,
      ...(protocolVersion === 3 && { protocolId: "MQIsdp" as const }),
      will: willOf(topic),
    });

  test("said when the connection breaks", async () => {
    const topic = unique("will/");
    const watching = await watcher(topic);
    (await connect(topic)).close();
    expect((await watching.until(1))[0]).toMatchObject({ topic, payload: "gone", packet: { qos: 1 } });
    await watching.end();
  });

  test("not said after a goodbye", async () => {
    const topic = unique("will/");
    const watching = await watcher(topic);
    const raw = await connect(topic);
    raw.send({ cmd: "disconnect" });
    await raw.closed;
    expect(await watching.settle()).toEqual([]);
    await watching.end();
  });

  test("said after a breach of the protocol", async () => {
    const topic = unique("will/");
    const watching = await watcher(topic);
    const raw = await connect(topic);
    raw.send(Buffer.from([0xf7, 0x00]));
    await watching.until(1);
    await raw.closed;
    await watching.end();
  });
});

test("said after a goodbye that asks for it (0x04)", async () => {
  const topic = unique("will/");
  const watching = await watcher(topic);
  const raw = await RawMqtt.connect(broker.url, { will: willOf(topic) });
  raw.send({ cmd: "disconnect", reasonCode: 4 });
  await watching.until(1);
  await watching.end();
});

test("said when another connection takes the session over, unless a delay spares it", async () => {
  const topic = unique("will/");
  const watching = await watcher(`${topic}/#`);
  const at = (name: string, willDelayInterval: number) => ({
    clientId: topic,
    clean: false,
    properties: { sessionExpiryInterval: 60 },
    will: willOf(`${topic}/${name}`, { properties: { willDelayInterval } }),
  });
  await RawMqtt.connect(broker.url, at("at-once", 0));
  await RawMqtt.connect(broker.url, at("delayed", 60));
  const last = await RawMqtt.connect(broker.url, at("last", 0));
  last.send({ cmd: "disconnect", reasonCode: 0 });
  await last.closed;
  await watching.settle();
  expect(watching.received.map((message) => message.topic)).toEqual([`${topic}/at-once`]);
  await watching.end();
});

test("a delayed will comes when the delay is over, with its properties", async () => {
  const topic = unique("will/");
  const watching = await watcher(topic);
  const raw = await RawMqtt.connect(broker.url, {
    clientId: topic,
    clean: false,
    properties: { sessionExpiryInterval: 60 },
    will: willOf(topic, {
      properties: {
        willDelayInterval: 1,
        contentType: "text/plain",
        responseTopic: "answers",
        correlationData: Buffer.from([1, 2]),
        messageExpiryInterval: 100,
        userProperties: { a: ["1", "2"] },
      },
    }),
  });
  const left = Date.now();
  raw.close();
  const [message] = await watching.until(1);
  expect(Date.now() - left).toBeGreaterThan(900);
  expect(message?.packet.properties).toMatchObject({
    contentType: "text/plain",
    responseTopic: "answers",
    correlationData: Buffer.from([1, 2]),
    userProperties: { a: ["1", "2"] },
  });
  await watching.end();
});

test("the end of the session does not wait for the delay", async () => {
  const topic = unique("will/");
  const watching = await watcher(topic);
  const options = {
    clientId: topic,
    clean: false,
    properties: { sessionExpiryInterval: 3600 },
    will: willOf(topic, { properties: { willDelayInterval: 3600 } }),
  };
  (await RawMqtt.connect(broker.url, options)).close();
  const again = await RawMqtt.connect(broker.url, { clientId: topic, clean: true });
  await watching.until(1);
  again.close();
  await watching.end();
});

test("a retained will is there for those who come later", async () => {
  const topic = unique("will/");
  const watching = await watcher(topic);
  (await RawMqtt.connect(broker.url, { will: willOf(topic, { retain: true }) })).close();
  expect((await watching.until(1))[0]?.packet.retain).toBe(false);
  const later = await watcher(topic);
  expect((await later.until(1))[0]).toMatchObject({ payload: "gone", packet: { retain: true } });
  await Promise.all([watching.end(), later.end()]);
});

test("a delayed will survives a restart", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "polymq-mqtt-"));
  const texts = { engine: "file:", dataDir };
  const one = await startMqtt(texts);
  const lasting = { clean: false, properties: { sessionExpiryInterval: 3600 } };
  const watching = await RawMqtt.connect(one.url, { clientId: "watcher", ...lasting });
  await watching.subscribe("will/kept", 1);
  const leaving = await RawMqtt.connect(one.url, {
    clientId: "leaving",
    ...lasting,
    will: willOf("will/kept", { properties: { willDelayInterval: 2 } }),
  });
  leaving.close();
  await leaving.closed;
  await one.stop();
  const two = await startMqtt(texts);
  const back = await RawMqtt.connect(two.url, { clientId: "watcher", ...lasting });
  expect(`${(await back.next("publish")).payload}`).toBe("gone");
  back.close();
  await two.stop();
  rmSync(dataDir, { recursive: true, force: true });
});
