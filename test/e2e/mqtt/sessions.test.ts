// Sessions that outlive their connection: what waits, what comes again, who is let in.
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
const VERSIONS: readonly Version[] = [4, 5];
const lasting = (protocolVersion: Version, clientId: string, clean = false) => ({
  protocolVersion,
  clientId,
  clean,
  ...(protocolVersion === 5 && { properties: { sessionExpiryInterval: 3600 } }),
});

describe.each(VERSIONS)("version %i", (version) => {
  test("QoS 1 and 2 wait for an absent client, in order; QoS 0 does not", async () => {
    const id = unique("lasting");
    const first = await Client.connect(broker.url, lasting(version, id));
    await first.mqtt.subscribeAsync(`${id}/#`, { qos: 2 });
    await first.end();
    const publisher = await Client.connect(broker.url);
    for (let i = 0; i < 9; i++) {
      await publisher.mqtt.publishAsync(`${id}/${i % 3}`, `${i}`, { qos: (i % 3) as 0 | 1 | 2 });
    }
    const raw = await RawMqtt.connect(broker.url, lasting(version, id));
    expect(raw.connack).toMatchObject({ sessionPresent: true });
    const packets = [];
    for (let i = 0; i < 6; i++) packets.push(await raw.next("publish"));
    expect(packets.map(({ payload }) => `${payload}`)).toEqual(["1", "2", "4", "5", "7", "8"]);
    expect(packets.map(({ qos }) => qos)).toEqual([1, 2, 1, 2, 1, 2]);
    raw.close();
    await publisher.end();
  });

  test("what was not acknowledged comes again with the same identifier, marked", async () => {
    const id = unique("again");
    const first = await RawMqtt.connect(broker.url, lasting(version, id));
    await first.subscribe(`${id}/t`, 2);
    const publisher = await Client.connect(broker.url);
    for (const qos of [1, 2, 1, 2] as const) await publisher.mqtt.publishAsync(`${id}/t`, `${qos}`, { qos });
    const before = [];
    for (let i = 0; i < 4; i++) before.push(await first.next("publish"));
    expect(before.every(({ dup }) => !dup)).toBe(true);
    // One of each is acknowledged.
    first.send({ cmd: "puback", messageId: before[0]!.messageId! });
    first.send({ cmd: "pubrec", messageId: before[1]!.messageId! });
    await first.next("pubrel");
    first.close();
    await first.closed;
    const second = await RawMqtt.connect(broker.url, lasting(version, id));
    const released = await second.next("pubrel");
    expect(released.messageId).toBe(before[1]!.messageId);
    const after = [await second.next("publish"), await second.next("publish")];
    expect(after.map(({ messageId }) => messageId)).toEqual([before[2]!.messageId, before[3]!.messageId]);
    expect(after.every(({ dup }) => dup)).toBe(true);
    second.close();
    await publisher.end();
  });

  test("a clean start forgets all of it", async () => {
    const id = unique("clean");
    const first = await Client.connect(broker.url, lasting(version, id));
    await first.mqtt.subscribeAsync(id, { qos: 1 });
    await first.end();
    const publisher = await Client.connect(broker.url);
    await publisher.mqtt.publishAsync(id, "lost", { qos: 1 });
    const clean = await RawMqtt.connect(broker.url, lasting(version, id, true));
    expect(clean.connack).toMatchObject({ sessionPresent: false });
    clean.close();
    await clean.closed;
    const third = await RawMqtt.connect(broker.url, lasting(version, id));
    expect(third.connack).toMatchObject({ sessionPresent: version === 5 });
    await publisher.mqtt.publishAsync(id, "nobody's", { qos: 1 });
    await third.ping();
    expect(third.packets).toEqual([]);
    third.close();
    await publisher.end();
  });

  test("who connects with an id in use takes it over", async () => {
    const id = unique("taken");
    const first = await RawMqtt.connect(broker.url, lasting(version, id));
    await first.subscribe(id, 1);
    const second = await RawMqtt.connect(broker.url, lasting(version, id));
    expect(second.connack).toMatchObject({ sessionPresent: true });
    if (version === 5) expect(await first.next("disconnect")).toMatchObject({ reasonCode: 0x8e });
    await first.closed;
    const publisher = await Client.connect(broker.url);
    await publisher.mqtt.publishAsync(id, "for the second", { qos: 1 });
    expect(`${(await second.next("publish")).payload}`).toBe("for the second");
    second.close();
    await publisher.end();
  });

  test("unsubscribing lasts, too", async () => {
    const id = unique("left");
    const first = await Client.connect(broker.url, lasting(version, id));
    await first.mqtt.subscribeAsync([`${id}/a`, `${id}/b`], { qos: 1 });
    await first.mqtt.unsubscribeAsync(`${id}/a`);
    await first.end();
    const publisher = await Client.connect(broker.url);
    await publisher.mqtt.publishAsync(`${id}/a`, "a", { qos: 1 });
    await publisher.mqtt.publishAsync(`${id}/b`, "b", { qos: 1 });
    const second = await Client.connect(broker.url, lasting(version, id));
    await second.settle();
    expect(second.payloads()).toEqual(["b"]);
    await Promise.all([second.end(), publisher.end()]);
  });
});

test("another user does not get at somebody's session", async () => {
  const id = unique("mine");
  await broker.broker.access.putUser("other", "secret", []);
  broker.broker.access.setPermissions("other", "/", { configure: ".*", write: ".*", read: ".*" });
  const mine = await Client.connect(broker.url, lasting(5, id));
  await mine.mqtt.subscribeAsync(id, { qos: 1 });
  await mine.end();
  const other = await RawMqtt.connect(broker.url, {
    ...lasting(5, id),
    username: "other",
    password: Buffer.from("secret"),
  });
  expect(other.connack).toMatchObject({ sessionPresent: false });
  other.close();
});

test("a session ends when its time is up, and its queue with it", async () => {
  const id = unique("short");
  const client = await Client.connect(broker.url, {
    clientId: id,
    clean: false,
    properties: { sessionExpiryInterval: 1 },
  });
  await client.mqtt.subscribeAsync(id, { qos: 1 });
  const space = broker.broker.topology.namespace("/");
  expect(space.queue(`mqtt-subscription-${id}qos1`)).toBeDefined();
  await client.drop();
  while (space.queue(`mqtt-subscription-${id}qos1`) !== undefined)
    await new Promise((wake) => setTimeout(wake, 20));
  const again = await RawMqtt.connect(broker.url, lasting(5, id));
  expect(again.connack).toMatchObject({ sessionPresent: false });
  again.close();
});

test("a goodbye may shorten or lengthen what is left, but not make last what does not", async () => {
  const id = unique("bye");
  const first = await RawMqtt.connect(broker.url, lasting(5, id));
  first.send({ cmd: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 0 } });
  await first.closed;
  const second = await RawMqtt.connect(broker.url, { clientId: id, protocolVersion: 5, clean: false });
  expect(second.connack).toMatchObject({ sessionPresent: false });
  second.send({ cmd: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 5 } });
  expect(await second.next("disconnect")).toMatchObject({ reasonCode: 0x82 });
  await second.closed;
});

test("a queue of a session that ends with its connection is gone when it goes", async () => {
  const id = unique("passing");
  const client = await Client.connect(broker.url, { clientId: id });
  await client.mqtt.subscribeAsync([`${id}/a`], { qos: 1 });
  await client.mqtt.subscribeAsync([`${id}/b`], { qos: 0 });
  const space = broker.broker.topology.namespace("/");
  const names = [`mqtt-subscription-${id}qos1`, `mqtt-subscription-${id}qos0`];
  expect(names.map((name) => space.queue(name) !== undefined)).toEqual([true, true]);
  await client.end();
  while (names.some((name) => space.queue(name) !== undefined)) await new Promise(setImmediate);
});

test("sessions, what waits and identifiers under way survive a restart", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "polymq-mqtt-"));
  const id = unique("restart");
  const texts = { engine: "file:", dataDir };
  const one = await startMqtt(texts);
  const first = await RawMqtt.connect(one.url, lasting(5, id));
  await first.subscribe(`${id}/#`, 2);
  const publisher = await RawMqtt.connect(one.url, lasting(5, unique("p")));
  publisher.publish({ topic: `${id}/x`, payload: "one", qos: 2, messageId: 11 });
  await publisher.next("pubrec");
  const sent = await first.next("publish");
  first.send({ cmd: "pubrec", messageId: sent.messageId! });
  await first.next("pubrel");
  publisher.publish({ topic: `${id}/x`, payload: "two", qos: 2, messageId: 12 });
  await publisher.next("pubrec");
  const second = await first.next("publish");
  publisher.publish({ topic: `${id}/x`, payload: "two", qos: 2, messageId: 12, dup: true });
  await publisher.next("pubrec");
  await one.stop();
  const two = await startMqtt(texts);
  const back = await RawMqtt.connect(two.url, lasting(5, id));
  expect(back.connack).toMatchObject({ sessionPresent: true });
  expect((await back.next("pubrel")).messageId).toBe(sent.messageId);
  const resent = await back.next("publish");
  expect(resent).toMatchObject({ messageId: second.messageId, topic: `${id}/x`, dup: true });
  expect(`${resent.payload}`).toBe("two");
  const publisherBack = await RawMqtt.connect(two.url, lasting(5, publisher.clientId));
  expect(publisherBack.connack).toMatchObject({ sessionPresent: true });
  publisherBack.publish({ topic: `${id}/x`, payload: "two", qos: 2, messageId: 12, dup: true });
  await publisherBack.next("pubrec");
  publisherBack.send({ cmd: "pubrel", messageId: 12 });
  expect(await publisherBack.next("pubcomp")).toMatchObject({ messageId: 12 });
  back.send({ cmd: "pubcomp", messageId: sent.messageId! });
  await back.ping();
  expect(back.packets.filter(({ cmd }) => cmd === "publish")).toEqual([]);
  back.close();
  publisherBack.close();
  await two.stop();
  rmSync(dataDir, { recursive: true, force: true });
});
