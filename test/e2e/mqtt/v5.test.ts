// What MQTT 5 added, feature by feature, and the rules that come with it.
import { afterAll, describe, expect, test } from "vitest";
import { ManualClock } from "../../../src/index.ts";
import { Client, startMqtt } from "../../support/mqtt.ts";
import { RawMqtt } from "../../support/mqtt-raw.ts";

const broker = await startMqtt({ mqttKeepAliveMax: "60s", mqttReceiveMax: "20", mqttSessionExpiryMax: "1h" });
afterAll(() => broker.stop());

let count = 0;
const unique = (name: string) => `${name}${++count}`;

describe("connecting", () => {
  test("an assigned client id, limits, a shorter keep-alive and session than asked for", async () => {
    const raw = await RawMqtt.open(broker.url);
    const connack = await raw.login({
      clientId: "",
      keepalive: 120,
      properties: { sessionExpiryInterval: 0xffffffff, requestResponseInformation: true },
    });
    const { properties } = connack;
    expect(properties).toMatchObject({
      receiveMaximum: 20,
      topicAliasMaximum: 64,
      serverKeepAlive: 60,
      sessionExpiryInterval: 3600,
    });
    expect(properties?.assignedClientIdentifier).toMatch(/^polymq-/);
    expect(properties?.responseInformation).toBe(`replies/${properties?.assignedClientIdentifier}`);
    raw.close();
  });

  test("nothing is said that was not asked for", async () => {
    const raw = await RawMqtt.connect(broker.url, {
      keepalive: 30,
      properties: { sessionExpiryInterval: 10 },
    });
    expect(Object.keys(raw.connack?.properties ?? {}).sort()).toEqual([
      "maximumPacketSize",
      "receiveMaximum",
      "topicAliasMaximum",
    ]);
    raw.close();
  });

  test("a silent client is told, and closed, after one and a half intervals", async () => {
    // From before it speaks: how late its last word is read says nothing. Timers count whole milliseconds.
    const start = performance.now();
    const raw = await RawMqtt.connect(broker.url, { keepalive: 1 });
    expect(await raw.next("disconnect")).toMatchObject({ reasonCode: 0x8d });
    expect(performance.now() - start).toBeGreaterThan(1490);
    await raw.closed;
  });

  test("a wrong password", async () => {
    const raw = await RawMqtt.open(broker.url);
    const connack = await raw.login({ username: "guest", password: Buffer.from("no") });
    expect(connack).toMatchObject({ reasonCode: 0x86, sessionPresent: false });
    await raw.closed;
  });
});

describe("publishing", () => {
  test("properties arrive as they were sent, in order, duplicates kept", async () => {
    const topic = unique("props/");
    const client = await RawMqtt.connect(broker.url);
    await client.subscribe(topic, 1);
    const properties = {
      payloadFormatIndicator: true,
      messageExpiryInterval: 100,
      responseTopic: "answers/here",
      correlationData: Buffer.from([0, 255, 1]),
      userProperties: { b: "1", a: ["2", "3", ""], "": "empty" },
      contentType: "text/plain",
    };
    client.publish({ topic, payload: "x", qos: 1, messageId: 1, properties });
    expect((await client.next("publish")).properties).toEqual(properties);
    client.close();
  });

  test("what is left of the expiry is told; what has expired does not come", async () => {
    const topic = unique("expiry/");
    const id = unique("sleeper");
    const lasting = { clientId: id, clean: false, properties: { sessionExpiryInterval: 100 } };
    const clock = new ManualClock();
    const timed = await startMqtt({}, clock);
    const first = await RawMqtt.connect(timed.url, lasting);
    await first.subscribe(topic, 1);
    first.close();
    await first.closed;
    const publisher = await Client.connect(timed.url);
    const expiring = (messageExpiryInterval: number) => ({
      qos: 1 as const,
      properties: { messageExpiryInterval },
    });
    await publisher.mqtt.publishAsync(topic, "short", expiring(1));
    await publisher.mqtt.publishAsync(topic, "long", expiring(1000));
    clock.advance("1200ms");
    const second = await RawMqtt.connect(timed.url, lasting);
    const message = await second.next("publish");
    expect(`${message.payload}`).toBe("long");
    expect(message.properties?.messageExpiryInterval).toBe(999);
    second.close();
    await publisher.end();
    await timed.stop();
  });

  test("nobody subscribed is 0x10, for QoS 1 and 2", async () => {
    const raw = await RawMqtt.connect(broker.url);
    raw.publish({ topic: unique("nobody/"), payload: "", qos: 1, messageId: 1 });
    expect(await raw.next("puback")).toMatchObject({ messageId: 1, reasonCode: 0x10 });
    raw.publish({ topic: unique("nobody/"), payload: "", qos: 2, messageId: 2 });
    expect(await raw.next("pubrec")).toMatchObject({ messageId: 2, reasonCode: 0x10 });
    raw.send({ cmd: "pubrel", messageId: 2 });
    expect(await raw.next("pubcomp")).toMatchObject({ messageId: 2 });
    raw.send({ cmd: "pubrel", messageId: 9 });
    expect(await raw.next("pubcomp")).toMatchObject({ messageId: 9, reasonCode: 0x92 });
    raw.close();
  });

  test("topic aliases of the client", async () => {
    const [one, two] = [unique("alias/"), unique("alias/")];
    const raw = await RawMqtt.connect(broker.url);
    await raw.subscribe("alias/#", 1);
    const send = (topic: string, topicAlias: number, payload: string, qos: 0 | 1 | 2 = 0) =>
      raw.publish({ topic, payload, qos, ...(qos > 0 && { messageId: 5 }), properties: { topicAlias } });
    send(one, 1, "a");
    send("", 1, "b", 1);
    send(two, 64, "c");
    send("", 64, "d", 2);
    send(two, 1, "e");
    send("", 1, "f");
    const got = [];
    for (let i = 0; i < 6; i++) {
      const { topic, payload, properties } = await raw.next("publish");
      expect(properties?.topicAlias).toBeUndefined();
      got.push([topic, `${payload}`]);
    }
    expect(got).toEqual([
      [one, "a"],
      [one, "b"],
      [two, "c"],
      [two, "d"],
      [two, "e"],
      [two, "f"],
    ]);
    raw.close();
  });

  test("topic aliases of the broker, no more than the client allows", async () => {
    const base = unique("alias");
    const raw = await RawMqtt.connect(broker.url, { properties: { topicAliasMaximum: 3 } });
    await raw.subscribe(`${base}/#`, 0);
    const names = new Map<number, string>();
    let saved = 0;
    for (let i = 0; i < 60; i++) {
      // Each twice in a row: more names than aliases share them, and which do is not said.
      const expected = `${base}/${(i >> 1) % 4}`;
      raw.publish({ topic: expected, payload: `${i}` });
      const { topic, properties, payload } = await raw.next("publish");
      const alias = properties?.topicAlias as number;
      expect(alias).toBeGreaterThan(0);
      expect(alias).toBeLessThanOrEqual(3);
      if (topic === "") saved++;
      else names.set(alias, topic);
      expect([names.get(alias), `${payload}`]).toEqual([expected, `${i}`]);
    }
    expect(saved).toBeGreaterThanOrEqual(30);
    raw.close();
  });

  test("more unacknowledged than allowed ends the connection (0x93)", async () => {
    const raw = await RawMqtt.connect(broker.url);
    for (let messageId = 1; messageId <= 20; messageId++) {
      raw.publish({ topic: "flood", payload: "", qos: 2, messageId });
    }
    for (let i = 0; i < 20; i++) await raw.next("pubrec");
    raw.publish({ topic: "flood", payload: "", qos: 1, messageId: 21 });
    expect(await raw.next("disconnect")).toMatchObject({ reasonCode: 0x93 });
    await raw.closed;
  });
});

describe("subscribing", () => {
  test("overlapping subscriptions: one copy, the highest QoS, all identifiers", async () => {
    const base = unique("over");
    const raw = await RawMqtt.connect(broker.url);
    await raw.subscribe(`${base}/#`, 0, {}, { subscriptionIdentifier: 1 });
    await raw.subscribe(`${base}/+`, 2, {}, { subscriptionIdentifier: 268_435_455 });
    await raw.subscribe(`${base}/a`, 1);
    for (const qos of [0, 1, 2] as const) {
      raw.publish({ topic: `${base}/a`, payload: `${qos}`, qos, ...(qos > 0 && { messageId: qos }) });
    }
    for (const qos of [0, 1, 2]) {
      const message = await raw.next("publish");
      expect(message).toMatchObject({ qos });
      expect(`${message.payload}`).toBe(`${qos}`);
      const ids = message.properties?.subscriptionIdentifier as unknown as number[];
      expect(ids.toSorted()).toEqual([1, 268_435_455]);
    }
    await raw.ping();
    expect(raw.packets.filter(({ cmd }) => cmd === "publish")).toEqual([]);
    raw.close();
  });

  test("subscribing anew replaces options, without a second copy", async () => {
    const topic = unique("anew/");
    const client = await Client.connect(broker.url);
    const expected: [string, number][] = [];
    for (const qos of [0, 2, 1, 0, 1] as const) {
      await client.mqtt.subscribeAsync(topic, { qos });
      await client.mqtt.publishAsync(topic, `${expected.length}`, { qos: 2 });
      expected.push([`${expected.length}`, qos]);
    }
    await client.until(expected.length);
    await client.settle();
    expect(client.received.map(({ payload, packet }) => [payload, packet.qos])).toEqual(expected);
    await client.end();
  });

  test("no local", async () => {
    const topic = unique("own/");
    const [a, b] = [await Client.connect(broker.url), await Client.connect(broker.url)];
    for (const client of [a, b]) await client.mqtt.subscribeAsync(topic, { qos: 1, nl: true });
    await a.mqtt.publishAsync(topic, "of a", { qos: 1 });
    await b.mqtt.publishAsync(topic, "of b", { qos: 0 });
    await Promise.all([a.settle(), b.settle()]);
    expect([a.payloads(), b.payloads()]).toEqual([["of b"], ["of a"]]);
    await Promise.all([a.end(), b.end()]);
  });

  test("reasons for each filter", async () => {
    const raw = await RawMqtt.connect(broker.url);
    const filters = ["a/b", "a/#/b", "a+", "", "$share/x", "$share//a", "$share/a+/b", "$share/g/a/#"];
    raw.send({
      cmd: "subscribe",
      messageId: 3,
      subscriptions: filters.map((topic) => ({ topic, qos: 1 })),
    });
    const suback = await raw.next("suback");
    expect(suback.granted).toEqual([1, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 0x8f, 1]);
    raw.send({ cmd: "unsubscribe", messageId: 4, unsubscriptions: ["a/b", "a/b", "$share/g/a/#"] });
    expect((await raw.next("unsuback")).granted).toEqual([0, 0x11, 0]);
    raw.close();
  });

  test("the client's window is never overrun, and QoS 0 goes past it", async () => {
    const topic = unique("window/");
    const raw = await RawMqtt.connect(broker.url, { properties: { receiveMaximum: 3 } });
    await raw.subscribe(topic, 2);
    await raw.subscribe(`${topic}/plain`, 0);
    const publisher = await Client.connect(broker.url);
    for (let i = 0; i < 10; i++)
      await publisher.mqtt.publishAsync(topic, `${i}`, { qos: i % 2 === 0 ? 1 : 2 });
    await publisher.mqtt.publishAsync(`${topic}/plain`, "plain", { qos: 0 });
    const open = [await raw.next("publish"), await raw.next("publish"), await raw.next("publish")];
    expect(`${(await raw.next("publish")).payload}`).toBe("plain");
    let next = 3;
    while (open.length > 0) {
      await raw.ping();
      expect(raw.packets).toEqual([]);
      const { messageId, qos } = open.shift()!;
      if (qos === 1) raw.send({ cmd: "puback", messageId: messageId! });
      else {
        raw.send({ cmd: "pubrec", messageId: messageId! });
        await raw.next("pubrel");
        await raw.ping();
        // Only PUBCOMP makes room.
        expect(raw.packets).toEqual([]);
        raw.send({ cmd: "pubcomp", messageId: messageId! });
      }
      if (next++ < 10) open.push(await raw.next("publish"));
    }
    raw.close();
    await publisher.end();
  });

  test("nothing larger than the client takes", async () => {
    const topic = unique("size/");
    const raw = await RawMqtt.connect(broker.url, { properties: { maximumPacketSize: 100 } });
    await raw.subscribe(topic, 1);
    const publisher = await Client.connect(broker.url);
    for (const [payload, qos] of [
      ["x".repeat(200), 1],
      ["fits", 1],
      ["x".repeat(90), 0],
      ["fits, too", 0],
    ] as const) {
      await publisher.mqtt.publishAsync(topic, payload, { qos });
    }
    expect(`${(await raw.next("publish")).payload}`).toBe("fits");
    expect(`${(await raw.next("publish")).payload}`).toBe("fits, too");
    raw.close();
    await publisher.end();
  });

  test("a refused message leaves the queue; a refused QoS 2 ends there", async () => {
    const topic = unique("refuse/");
    const raw = await RawMqtt.connect(broker.url, { properties: { receiveMaximum: 1 } });
    await raw.subscribe(topic, 2);
    const publisher = await Client.connect(broker.url);
    for (const qos of [1, 2, 1] as const) await publisher.mqtt.publishAsync(topic, `${qos}`, { qos });
    raw.send({ cmd: "puback", messageId: (await raw.next("publish")).messageId!, reasonCode: 0x80 });
    raw.send({ cmd: "pubrec", messageId: (await raw.next("publish")).messageId!, reasonCode: 0x80 });
    expect(await raw.next("publish")).toMatchObject({ qos: 1, dup: false });
    expect(raw.packets).toEqual([]);
    raw.close();
    await publisher.end();
  });
});

describe("shared subscriptions", () => {
  test.each([0, 1, 2] as const)("QoS %i: each message once, to each member its share", async (qos) => {
    const topic = unique("share/");
    const members = await Promise.all([1, 2, 3].map(() => Client.connect(broker.url)));
    for (const member of members) await member.mqtt.subscribeAsync(`$share/group/${topic}/#`, { qos });
    const other = await Client.connect(broker.url);
    await other.mqtt.subscribeAsync(`${topic}/+`, { qos });
    const publisher = await Client.connect(broker.url);
    for (let i = 0; i < 90; i++) await publisher.mqtt.publishAsync(`${topic}/x`, `${i}`, { qos });
    await other.until(90);
    while (members.reduce((sum, { received }) => sum + received.length, 0) < 90)
      await new Promise(setImmediate);
    const all = members.flatMap((member) => member.payloads());
    expect(new Set(all).size).toBe(90);
    expect(members.every(({ received }) => received.length === 30)).toBe(true);
    await Promise.all([...members, other, publisher].map((client) => client.end()));
  });

  test("QoS 1 of a member that leaves goes to another; QoS 2 that was begun does not", async () => {
    const topic = unique("share/");
    const id = unique("member");
    const lasting = { clientId: id, clean: false, properties: { sessionExpiryInterval: 100 } };
    const first = await RawMqtt.connect(broker.url, lasting);
    await first.subscribe(`$share/group/${topic}`, 2);
    const publisher = await Client.connect(broker.url);
    await publisher.mqtt.publishAsync(topic, "moves", { qos: 1 });
    await publisher.mqtt.publishAsync(topic, "stays", { qos: 2 });
    const [one, two] = [await first.next("publish"), await first.next("publish")];
    expect([one, two].map(({ payload }) => `${payload}`).sort()).toEqual(["moves", "stays"]);
    const second = await Client.connect(broker.url);
    await second.mqtt.subscribeAsync(`$share/group/${topic}`, { qos: 2 });
    first.close();
    await second.until(1);
    expect(second.payloads()).toEqual(["moves"]);
    const back = await RawMqtt.connect(broker.url, lasting);
    const again = await back.next("publish");
    const stays = `${one.payload}` === "stays" ? one : two;
    expect(again).toMatchObject({ dup: true, qos: 2, messageId: stays.messageId });
    await second.settle();
    expect(second.payloads()).toEqual(["moves"]);
    back.close();
    await Promise.all([second.end(), publisher.end()]);
  });

  test("a group keeps messages while a lasting member is away, and goes with its last member", async () => {
    const topic = unique("share/");
    const options = { clientId: topic, clean: false, properties: { sessionExpiryInterval: 100 } };
    const first = await Client.connect(broker.url, options);
    await first.mqtt.subscribeAsync(`$share/g/${topic}`, { qos: 1 });
    await first.end();
    const publisher = await Client.connect(broker.url);
    await publisher.mqtt.publishAsync(topic, "waits", { qos: 1 });
    const second = await Client.connect(broker.url, options);
    await second.until(1);
    const space = broker.broker.topology.namespace("/");
    expect(space.queue(`mqtt-share-g/${topic}`)).toBeDefined();
    await second.mqtt.unsubscribeAsync(`$share/g/${topic}`);
    expect(space.queue(`mqtt-share-g/${topic}`)).toBeUndefined();
    await Promise.all([second.end(), publisher.end()]);
  });
});

test("statistics: to those who ask by name, retained and live; not to wildcards; not to be written", async () => {
  const all = await Client.connect(broker.url);
  await all.mqtt.subscribeAsync(["#", "+/broker/version"], { qos: 0, rh: 2 });
  const client = await Client.connect(broker.url);
  await client.mqtt.subscribeAsync("$SYS/broker/#", { qos: 1 });
  await client.until(15);
  const values = new Map(client.received.map(({ topic, payload }) => [topic, payload]));
  expect(values.get("$SYS/broker/version")).toMatch(/^PolyMQ /);
  expect(Number(values.get("$SYS/broker/clients/connected"))).toBeGreaterThanOrEqual(2);
  expect(values.get("$SYS/broker/clients/active")).toBe(values.get("$SYS/broker/clients/connected"));
  expect(client.received[0]?.packet.retain).toBe(true);
  await all.settle();
  expect(all.received.filter(({ topic }) => topic.startsWith("$"))).toEqual([]);
  // What was told just now is itself counted.
  const later = await Client.connect(broker.url);
  await later.mqtt.subscribeAsync("$SYS/broker/publish/bytes/sent", { qos: 0 });
  const [told] = await later.until(1);
  expect(Number(told?.payload)).toBeGreaterThan(Number(values.get("$SYS/broker/publish/bytes/sent")));
  await later.end();
  const raw = await RawMqtt.connect(broker.url);
  raw.publish({ topic: "$SYS/broker/version", payload: "mine", qos: 1, messageId: 1, retain: true });
  expect(await raw.next("puback")).toMatchObject({ reasonCode: 0x87 });
  raw.close();
  await Promise.all([all.end(), client.end()]);
});
