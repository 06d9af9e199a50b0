// What aedes' tests of basics, sessions' subscriptions, bridges and permissions expect of a broker, over sockets.
import { afterAll, describe, expect, test } from "vitest";
import { startMqtt } from "../../support/mqtt.ts";
import { lasting, leave, quiet, say, seen, take, unsubscribe } from "../../support/mqtt-flow.ts";
import { RawMqtt } from "../../support/mqtt-raw.ts";

const broker = await startMqtt({ mqttSysInterval: "1s" });
afterAll(() => broker.stop());

let count = 0;
const unique = (name: string) => `${name}-${++count}`;
const QOS = [0, 1, 2] as const;

describe.each([4, 5] as const)("version %i", (version) => {
  const connect = (fields: object = {}) =>
    RawMqtt.connect(broker.url, { protocolVersion: version, ...fields });

  test.each([
    [0, true],
    [0, false],
    [1, true],
    [1, false],
  ] as const)("subscriptions of QoS %i, clean %o: one and several", async (qos, clean) => {
    const id = unique("sub");
    const raw = await connect(lasting(version, id, clean));
    expect((await raw.subscribe(`${id}/one`, qos)).granted).toEqual([qos]);
    const subscriptions = [`${id}/two`, `${id}/three`].map((topic) => ({ topic, qos }));
    raw.send({ cmd: "subscribe", messageId: 24, subscriptions });
    expect(await raw.next("suback")).toMatchObject({ messageId: 24, granted: [qos, qos] });
    for (const topic of [`${id}/one`, `${id}/two`, `${id}/three`]) {
      await say(raw, { topic, payload: "world" });
      expect(await take(raw)).toEqual({ topic, payload: "world", qos: 0, retain: false, dup: false });
    }
    await leave(raw);
  });

  test("identifiers of deliveries go round, leave out 0, and are not used twice at once", async () => {
    const id = unique("round");
    const [publisher, raw] = [await connect(), await connect()];
    await raw.subscribe(id, 1);
    await say(publisher, { topic: id, payload: "held", qos: 1 });
    const { messageId: held } = await seen(raw);
    const ids: number[] = [];
    const payload = Buffer.alloc(1);
    for (let sent = 0; sent < 66_000; sent += 500) {
      if (sent === 65_000) {
        expect(ids).not.toContain(held);
        raw.send({ cmd: "puback", messageId: held });
      }
      for (let i = 1; i <= 500; i++) publisher.publish({ topic: id, payload, qos: 1, messageId: i });
      for (let i = 0; i < 500; i++) {
        const { messageId } = await raw.next("publish");
        ids.push(messageId as number);
        raw.send({ cmd: "puback", messageId: messageId as number });
      }
      for (let i = 0; i < 500; i++) await publisher.next("puback");
    }
    const after = (messageId: number) => (messageId === 65_535 ? 1 : messageId + 1);
    expect(ids.every((messageId, i) => i === 0 || messageId === after(ids[i - 1] as number))).toBe(true);
    await Promise.all([leave(raw), leave(publisher)]);
  });

  test("a subscription made twice, or overlapping, gives one copy", async () => {
    const id = unique("twice");
    const raw = await connect();
    await raw.subscribe(`${id}/hello`, 0);
    await raw.subscribe(`${id}/hello`, 0);
    await raw.subscribe(`${id}/hello/#`, 0);
    await say(raw, { topic: `${id}/hello`, payload: "world" });
    expect(await take(raw)).toMatchObject({ payload: "world" });
    await quiet(raw);
    await leave(raw);
  });

  test("SUBSCRIBE needs an identifier, and it is not 0", async () => {
    const raw = await connect();
    const body = version === 5 ? "00 00 00 0001 61 00" : "00 00 0001 61 00";
    const bytes = Buffer.from(body.replaceAll(" ", ""), "hex");
    raw.send(Buffer.concat([Buffer.of(0x82, bytes.length), bytes]));
    await raw.closed;
    expect(raw.packets.filter(({ cmd }) => cmd !== "disconnect")).toEqual([]);
  });

  test("unsubscribed: nothing more comes; never subscribed: answered just the same", async () => {
    const id = unique("un");
    const raw = await connect();
    await unsubscribe(raw, `${id}/never`);
    await raw.subscribe(id, 0);
    await unsubscribe(raw, id);
    await say(raw, { topic: id, payload: "world" });
    await quiet(raw);
    await leave(raw);
  });

  test("who breaks off with a subscription harms nobody who publishes to it", async () => {
    const id = unique("broken");
    const [gone, stays, publisher] = [await connect(), await connect(), await connect()];
    await gone.subscribe(id, 0);
    await stays.subscribe(id, 0);
    gone.close();
    await say(publisher, { topic: id, payload: "world" });
    expect(await take(stays)).toMatchObject({ payload: "world" });
    await gone.closed;
    await Promise.all([leave(stays), leave(publisher)]);
  });

  test("subscriptions of QoS 0 go with a clean session, and stay with one that lasts", async () => {
    const id = unique("restored");
    const publisher = await connect();
    const first = await connect(lasting(version, id));
    await first.subscribe(id, 0);
    await leave(first);
    const second = await connect(lasting(version, id));
    expect(second.connack).toMatchObject({ sessionPresent: true });
    await say(publisher, { topic: id, payload: "again" });
    expect(await take(second)).toMatchObject({ payload: "again", qos: 0 });
    await leave(second);
    const third = await connect(lasting(version, id, true));
    expect(third.connack).toMatchObject({ sessionPresent: false });
    await say(publisher, { topic: id, payload: "not again" });
    await quiet(third);
    await Promise.all([leave(third), leave(publisher)]);
  });

  test("$SYS cannot be written to, and nothing under $ comes to filters that begin with a wildcard", async () => {
    const raw = await connect();
    await raw.subscribe("#", 1);
    await raw.subscribe("+/#", 1);
    await say(raw, { topic: "$mine/hello", payload: "world" });
    const old = await connect();
    old.publish({ topic: "$SYS/not/allowed", payload: "world", qos: 1, messageId: 1 });
    const puback = await old.next("puback");
    if (version === 5) expect(puback.reasonCode).toBe(0x87);
    const reader = await connect();
    await reader.subscribe("$SYS/#", 0);
    for (let got = 0; got < 20; got++) expect((await seen(reader)).topic).not.toBe("$SYS/not/allowed");
    await raw.ping();
    const topics = raw.packets.flatMap((packet) => (packet.cmd === "publish" ? [packet.topic] : []));
    expect(topics.filter((topic) => topic.startsWith("$"))).toEqual([]);
    await Promise.all([raw, old, reader].map(leave));
  });

  test("a session subscribed to # that is away does not gather $SYS", async () => {
    const id = unique("everything");
    const first = await connect(lasting(version, id));
    await first.subscribe("#", 1);
    await leave(first);
    const watcher = await connect();
    await watcher.subscribe("$SYS/broker/uptime", 0);
    for (let i = 0; i < 3; i++) await seen(watcher);
    const second = await connect(lasting(version, id));
    await second.settle();
    const topics = second.packets.flatMap((packet) => (packet.cmd === "publish" ? [packet.topic] : []));
    expect(topics.filter((topic) => topic.startsWith("$"))).toEqual([]);
    await unsubscribe(second, "#");
    await Promise.all([leave(second), leave(watcher)]);
  });

  test("connected clients are counted", async () => {
    const watcher = await connect();
    await watcher.subscribe("$SYS/broker/clients/connected", 0);
    const more = [await connect(), await connect(), await connect()];
    const reaches = async (least: number, most: number) => {
      for (;;) {
        const connected = Number((await seen(watcher)).payload);
        if (connected >= least && connected <= most) return;
      }
    };
    await reaches(4, 1000);
    await Promise.all(more.map(leave));
    await reaches(1, 3);
    await leave(watcher);
  });

  test.each(QOS)("an ordinary client gets back what it publishes, QoS %i", async (qos) => {
    const id = unique("echo");
    const raw = await connect();
    await raw.subscribe(id, qos);
    await say(raw, { topic: id, payload: "world", qos });
    expect(await take(raw)).toMatchObject({ payload: "world", qos });
    await leave(raw);
  });

  test("one permitted, one not: each is answered for itself, and only one is kept", async () => {
    const { access } = broker.broker;
    const user = unique("reader");
    const id = unique("permitted");
    await access.putUser(user, "secret", []);
    access.setPermissions(user, "/", { configure: ".*", write: ".*", read: ".*" });
    access.setTopicPermissions(user, "/", "amq.topic", { write: `^${id}\\.b`, read: `^${id}\\.b` });
    const login = { ...lasting(version, id), username: user, password: Buffer.from("secret") };
    const raw = await connect(login);
    const subscriptions = [`${id}/a`, `${id}/b`].map((topic) => ({ topic, qos: 0 as const }));
    raw.send({ cmd: "subscribe", messageId: 24, subscriptions });
    expect((await raw.next("suback")).granted).toEqual([0x80, 0]);
    await leave(raw);
    const again = await connect(login);
    const publisher = await connect();
    await say(publisher, { topic: `${id}/a`, payload: "a" });
    await say(publisher, { topic: `${id}/b`, payload: "b" });
    expect(await take(again)).toMatchObject({ payload: "b" });
    // Nor may it publish there: QoS 0 is dropped without a word.
    const watcher = await connect();
    await watcher.subscribe(`${id}/#`, 0);
    await say(again, { topic: `${id}/a`, payload: "refused" });
    await say(again, { topic: `${id}/b`, payload: "allowed" });
    expect(await take(watcher)).toMatchObject({ payload: "allowed" });
    await Promise.all([again, publisher, watcher].map(leave));
  });

  test("one filter twice in a SUBSCRIBE: a code for each, and the last one counts", async () => {
    const id = unique("same");
    const raw = await connect();
    const subscriptions = ([0, 1] as const).map((qos) => ({ topic: id, qos }));
    raw.send({ cmd: "subscribe", messageId: 24, subscriptions });
    expect((await raw.next("suback")).granted).toEqual([0, 1]);
    await say(raw, { topic: id, payload: "once", qos: 1 });
    expect(await take(raw)).toMatchObject({ qos: 1 });
    await quiet(raw);
    await leave(raw);
  });
});

test.each(QOS)("a bridge does not get back what it publishes, QoS %i", async (qos) => {
  const id = unique("bridge");
  const raw = await RawMqtt.connect(broker.url, { protocolVersion: 4, bridgeMode: true } as never);
  await raw.subscribe(id, qos);
  await say(raw, { topic: id, payload: "world", qos });
  await quiet(raw);
  await leave(raw);
});

test("a broker that stops closes all its clients", async () => {
  const other = await startMqtt();
  const clients = [
    await RawMqtt.connect(other.url),
    await RawMqtt.connect(other.url, { protocolVersion: 4 }),
  ];
  await other.stop();
  await Promise.all(clients.map(({ closed }) => closed));
  expect(clients[0]?.packets).toMatchObject([{ cmd: "disconnect", reasonCode: 0x8b }]);
});

test("500 clients at once, and ten thousand messages to overlapping filters", async () => {
  const clients = await Promise.all(Array.from({ length: 500 }, () => RawMqtt.connect(broker.url)));
  await Promise.all(clients.map((client) => client.ping()));
  const [publisher, subscriber] = [clients[0] as RawMqtt, clients[1] as RawMqtt];
  await subscriber.subscribe("flood/#", 0);
  await subscriber.subscribe("flood/x", 0);
  for (let i = 0; i < 10_000; i++) {
    publisher.publish({ topic: "flood/x", payload: `${i}` });
    if (i % 200 === 199) await publisher.ping();
  }
  for (let i = 0; i < 10_000; i++) expect(`${(await subscriber.next("publish")).payload}`).toBe(`${i}`);
  await quiet(subscriber);
  await Promise.all(clients.map(leave));
});
