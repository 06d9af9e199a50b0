// What aedes' tests of connecting, keep-alive and closing expect of a broker, over sockets.
import { afterAll, describe, expect, test } from "vitest";
import { startMqtt } from "../../support/mqtt.ts";
import { lasting, leave, quiet, say, seen, take } from "../../support/mqtt-flow.ts";
import { RawMqtt } from "../../support/mqtt-raw.ts";

const broker = await startMqtt({ handshakeTimeout: "1s" });
afterAll(() => broker.stop());

let count = 0;
const unique = (name: string) => `${name}-${++count}`;
const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

describe("the first packet", () => {
  test.each([3, 4, 5] as const)("CONNECT of version %i, with a long client id", async (protocolVersion) => {
    const raw = await RawMqtt.connect(broker.url, { protocolVersion, clientId: "x".repeat(300) });
    expect(raw.connack).toMatchObject({ sessionPresent: false });
    await raw.ping();
    await leave(raw);
  });

  test.each([
    ["MQIsdp of level 5", "10 16 00 06 4d 51 49 73 64 70 05 02 00 00 00 00 08 6d 79 2d 63 6c 69 65 6e 74"],
    ["MQTT of level 2", "10 15 00 04 4d 51 54 54 02 02 00 00 00 09 6d 79 2d 63 6c 69 65 6e 74"],
    [
      "another name",
      "10 1a 00 0a 4d 51 54 54 5f 68 65 6c 6c 6f 03 02 00 00 00 09 6d 79 2d 63 6c 69 65 6e 74",
    ],
  ])("%s is refused", async (_, text) => {
    const raw = await RawMqtt.open(broker.url, 4);
    const bytes = hex(text);
    bytes[1] = bytes.length - 2;
    raw.send(bytes);
    await raw.closed;
    const answers = raw.packets.map((packet) => (packet.cmd === "connack" ? packet.returnCode : packet.cmd));
    expect(answers.every((answer) => answer === 1)).toBe(true);
  });

  test("PUBLISH is refused", async () => {
    const raw = await RawMqtt.open(broker.url, 4);
    raw.publish({ topic: "hello", payload: "world" });
    await raw.closed;
    expect(raw.packets).toEqual([]);
  });

  test.each([
    ["3.1.1, none, clean", 4, true],
    ["5, none, clean", 5, true],
  ] as const)("an id is found for a client without one: %s", async (_, protocolVersion, clean) => {
    const [one, two] = await Promise.all(
      [0, 1].map(() => RawMqtt.connect(broker.url, { protocolVersion, clientId: "", clean })),
    );
    expect([one?.connack, two?.connack]).toMatchObject([
      { sessionPresent: false },
      { sessionPresent: false },
    ]);
    // Neither takes the other's place.
    await Promise.all([one?.ping(), two?.ping()]);
    if (protocolVersion === 5) {
      const ids = [one, two].map((raw) => raw?.connack?.properties?.assignedClientIdentifier);
      expect(ids[0]).toBeTruthy();
      expect(ids[0]).not.toBe(ids[1]);
    }
    one?.close();
    two?.close();
  });
});

describe.each([4, 5] as const)("version %i", (version) => {
  const connect = (fields: object = {}) =>
    RawMqtt.connect(broker.url, { protocolVersion: version, ...fields });

  test.each([
    ["later", false],
    ["in the same chunk", true],
  ])("a second CONNECT %s closes the connection", async (_, together) => {
    const [first, second] = [unique("first"), unique("second")];
    const raw = await RawMqtt.open(broker.url, version);
    const hello = (clientId: string) =>
      raw.encode({
        cmd: "connect",
        protocolId: "MQTT",
        protocolVersion: version,
        clean: true,
        keepalive: 0,
        clientId,
      });
    if (together) raw.send(Buffer.concat([hello(first), hello(second)]));
    else raw.send(hello(first));
    await raw.next("connack");
    if (!together) raw.send(hello(second));
    await raw.closed;
    const rest = raw.packets;
    expect(rest.filter(({ cmd }) => cmd === "connack")).toEqual([]);
    if (version === 5) expect(rest).toMatchObject([{ cmd: "disconnect", reasonCode: 0x82 }]);
  });

  test("what comes right behind CONNECT is done after it, in order", async () => {
    const id = unique("eager");
    const raw = await RawMqtt.open(broker.url, version);
    const publish = { cmd: "publish", topic: id, qos: 0, dup: false, retain: false } as const;
    raw.send(
      Buffer.concat([
        raw.encode({
          cmd: "connect",
          protocolId: "MQTT",
          protocolVersion: version,
          clean: true,
          keepalive: 0,
          clientId: id,
        }),
        raw.encode({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: id, qos: 0 }] } as never),
        ...Array.from({ length: 500 }, (_, i) => raw.encode({ ...publish, payload: `${i}` })),
      ]),
    );
    await raw.next("connack");
    await raw.next("suback");
    for (let i = 0; i < 500; i++) expect((await seen(raw)).payload).toBe(`${i}`);
    await leave(raw);
  });

  test("connecting clean drops what was waiting, and what was on its way", async () => {
    const id = unique("clear");
    const first = await connect(lasting(version, id));
    await first.subscribe(id, 1);
    const publisher = await connect();
    await say(publisher, { topic: id, payload: "on its way", qos: 1 });
    await seen(first);
    await leave(first);
    await say(publisher, { topic: id, payload: "waiting", qos: 1 });
    const clean = await connect(lasting(version, id, true));
    expect(clean.connack).toMatchObject({ sessionPresent: false });
    await quiet(clean);
    await leave(clean);
    await leave(publisher);
  });

  test("the same client id: the one who was there has to go", async () => {
    const clientId = unique("same");
    const one = await connect({ clientId });
    const two = await connect({ clientId });
    await one.closed;
    await two.ping();
    await leave(two);
  });

  test("who fails to log in does not disturb the client that has this id", async () => {
    const clientId = unique("mine");
    const mine = await connect({ clientId });
    const other = await RawMqtt.open(broker.url, version);
    const connack = await other.login({ clientId, username: "guest", password: Buffer.from("wrong") });
    expect(connack.reasonCode ?? connack.returnCode).toBe(version === 5 ? 0x86 : 4);
    await other.closed;
    await mine.subscribe(clientId, 1);
    await say(mine, { topic: clientId, payload: "still here", qos: 1 });
    expect(await take(mine)).toMatchObject({ payload: "still here" });
    await leave(mine);
  });

  test("who leaves in the middle of logging in, subscribing or publishing leaves nothing behind", async () => {
    const id = unique("hasty");
    const watcher = await connect();
    await watcher.subscribe(`${id}/#`, 1);
    for (let i = 0; i < 20; i++) {
      const raw = await RawMqtt.open(broker.url, version);
      const hello = {
        cmd: "connect",
        protocolId: "MQTT",
        protocolVersion: version,
        clean: true,
        keepalive: 0,
        clientId: `${id}-${i}`,
      } as const;
      raw.send(raw.encode(hello));
      raw.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: id, qos: 1 }] } as never);
      raw.publish({ topic: `${id}/x`, payload: `${i}`, qos: 1, messageId: 1 });
      if (i % 2 === 0) await new Promise(setImmediate);
      raw.close();
    }
    const last = await connect();
    await say(last, { topic: `${id}/last`, payload: "last", qos: 1 });
    for (let message = await take(watcher); message.payload !== "last"; message = await take(watcher));
    const space = broker.broker.topology.namespace("/");
    const left = () =>
      Array.from({ length: 20 }, (_, i) => space.queue(`mqtt-subscription-${id}-${i}qos1`)).filter(Boolean);
    while (left().length > 0) await new Promise(setImmediate);
    await Promise.all([leave(watcher), leave(last)]);
  });

  test("PINGREQ is answered; a silent client is closed after one and a half intervals", async () => {
    const raw = await connect({ keepalive: 1 });
    // From before it speaks: how late its last word is read says nothing. Timers count whole milliseconds.
    const asked = performance.now();
    await raw.ping();
    await raw.closed;
    expect(performance.now() - asked).toBeGreaterThan(1490);
    if (version === 5) expect(await raw.next("disconnect")).toMatchObject({ reasonCode: 0x8d });
  });
});

test("a connection that says nothing is closed in time", async () => {
  const raw = await RawMqtt.open(broker.url);
  await raw.closed;
  expect(raw.packets).toEqual([]);
});

test("several subscribers: those who stay get everything when one goes", async () => {
  const id = unique("several");
  const subscribers = await Promise.all(Array.from({ length: 4 }, () => RawMqtt.connect(broker.url)));
  await Promise.all(subscribers.map((raw) => raw.subscribe(id, 0)));
  const [gone, ...stay] = subscribers as [RawMqtt, ...RawMqtt[]];
  gone.close();
  const publisher = await RawMqtt.connect(broker.url);
  await say(publisher, { topic: id, payload: "world" });
  for (const raw of stay) expect(await take(raw)).toMatchObject({ payload: "world" });
  await Promise.all([...stay, publisher].map(leave));
});
