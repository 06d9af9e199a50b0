// What must not be said, byte by byte, and what the broker says to it. Nobody else is disturbed.
import { afterAll, describe, expect, test } from "vitest";
import { Client, startMqtt } from "../../support/mqtt.ts";
import { RawMqtt } from "../../support/mqtt-raw.ts";

const broker = await startMqtt({ handshakeTimeout: "1s" });
afterAll(() => broker.stop());

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const str = (text: string) =>
  `${Buffer.byteLength(text).toString(16).padStart(4, "0")}${Buffer.from(text).toString("hex")}`;

/** A packet of these first byte and body. */
function packet(first: number, body: string): Buffer {
  const bytes = hex(body);
  return Buffer.concat([Buffer.of(first, bytes.length), bytes]);
}

/** Likewise, of 128 bytes and more. */
function packet2(first: number, body: string): Buffer {
  const bytes = hex(body);
  return Buffer.concat([Buffer.of(first, (bytes.length & 127) | 128, bytes.length >> 7), bytes]);
}

const MQTT = str("MQTT");

describe("the first packet", () => {
  const cases: [name: string, bytes: Buffer, connack: number | null, version?: 3 | 4 | 5][] = [
    ["is not CONNECT", hex("c000"), null],
    ["is no MQTT", Buffer.from("GET / HTTP/1.1\r\n\r\n"), null],
    ["names another protocol", packet(0x10, `${str("MQTX")} 04 02 003c ${str("a")}`), 1, 4],
    ["has level 6", packet(0x10, `${MQTT} 06 02 003c ${str("a")}`), 1, 4],
    ["has level 3 with MQTT's new name", packet(0x10, `${MQTT} 03 02 003c ${str("a")}`), 1, 4],
    ["has the reserved flag (3.1.1)", packet(0x10, `${MQTT} 04 03 003c ${str("a")}`), null],
    ["has the reserved flag (5)", packet(0x10, `${MQTT} 05 03 003c 00 ${str("a")}`), 0x81],
    ["has flags in its first byte", packet(0x11, `${MQTT} 04 02 003c ${str("a")}`), null],
    ["has will QoS 3", packet(0x10, `${MQTT} 05 1e 003c 00 ${str("a")} 00 ${str("t")} 0000`), 0x81],
    ["has will flags without a will", packet(0x10, `${MQTT} 05 0a 003c 00 ${str("a")}`), 0x81],
    [
      "has a will to a wildcard",
      packet(0x10, `${MQTT} 05 06 003c 00 ${str("a")} 00 ${str("t/#")} 0000`),
      0x90,
    ],
    [
      "has a password without a user (3.1.1)",
      packet(0x10, `${MQTT} 04 42 003c ${str("a")} ${str("p")}`),
      null,
    ],
    ["has no client id and is not clean (3.1.1)", packet(0x10, `${MQTT} 04 00 003c 0000`), 2, 4],
    ["has no client id (3.1)", packet(0x10, `${str("MQIsdp")} 03 02 003c 0000`), 2, 4],
    ["has Receive Maximum 0", packet(0x10, `${MQTT} 05 02 003c 03 210000 ${str("a")}`), 0x82],
    ["has Maximum Packet Size 0", packet(0x10, `${MQTT} 05 02 003c 05 2700000000 ${str("a")}`), 0x82],
    ["has a property twice", packet(0x10, `${MQTT} 05 02 003c 06 210001 210001 ${str("a")}`), 0x82],
    ["has an unknown property", packet(0x10, `${MQTT} 05 02 003c 02 7f00 ${str("a")}`), 0x81],
    ["has a property of another packet", packet(0x10, `${MQTT} 05 02 003c 03 230001 ${str("a")}`), 0x81],
    ["has a client id that is not UTF-8", packet(0x10, `${MQTT} 05 02 003c 00 0002 c328`), 0x81],
    ["has a null character", packet(0x10, `${MQTT} 05 02 003c 00 0002 6100`), 0x81],
    ["is too short", packet(0x10, `${MQTT} 05 02`), 0x81],
    ["is too long", packet(0x10, `${MQTT} 05 02 003c 00 ${str("a")} 00`), 0x81],
    [
      "has an unknown authentication method",
      packet(0x10, `${MQTT} 05 02 003c 04 15 ${str("x")} ${str("a")}`),
      0x8c,
    ],
    [
      "has authentication data without a method",
      packet(0x10, `${MQTT} 05 02 003c 04 16 ${str("x")} ${str("a")}`),
      0x82,
    ],
    ["has a length of five bytes", hex("10 ff ff ff ff 01"), null],
  ];

  test.each(cases)("%s", async (_name, bytes, connack, version = 5) => {
    const raw = await RawMqtt.open(broker.url, version);
    raw.send(bytes);
    if (connack !== null) {
      const { reasonCode, returnCode, sessionPresent } = await raw.next("connack");
      expect([reasonCode ?? returnCode, sessionPresent]).toEqual([connack, false]);
    }
    await raw.closed;
    expect(raw.packets).toEqual([]);
  });

  test.each([
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ["SUBSCRIBE", packet(0x82, `0001 ${str("a")} 00`)],
  ])("is told from CONNECT at once: %s", async (_name, bytes) => {
    const patient = await startMqtt({ handshakeTimeout: "1m" });
    const raw = await RawMqtt.open(patient.url, 4);
    raw.send(bytes);
    await raw.closed;
    expect(raw.packets).toEqual([]);
    await patient.stop();
  });

  test("must come soon", async () => {
    const raw = await RawMqtt.open(broker.url);
    raw.send(hex("10"));
    await raw.closed;
  });
});

const topic = str("t");

describe("a connection of MQTT 5", () => {
  const cases: [name: string, bytes: Buffer, reason: number][] = [
    ["CONNECT again", packet(0x10, `${MQTT} 05 02 003c 00 ${str("a")}`), 0x82],
    ["a packet of the server", hex("2000"), 0x82],
    ["type 0", hex("0000"), 0x82],
    ["reserved flags of SUBSCRIBE", packet(0x80, `0001 00 ${topic} 00`), 0x81],
    ["reserved flags of PUBREL", packet(0x60, "0001"), 0x81],
    ["reserved flags of PINGREQ", hex("c100"), 0x81],
    ["a body of PINGREQ", hex("c001 00"), 0x81],
    ["QoS 3", packet(0x36, `${topic} 0001 00`), 0x81],
    ["DUP with QoS 0", packet(0x38, `${topic} 00`), 0x81],
    ["packet identifier 0", packet(0x32, `${topic} 0000 00`), 0x81],
    ["SUBSCRIBE with packet identifier 0", packet(0x82, `0000 00 ${topic} 00`), 0x81],
    ["a topic with a wildcard", packet(0x30, `${str("a/+")} 00`), 0x90],
    ["no topic and no alias", packet(0x30, "0000 00"), 0x82],
    ["an unknown alias", packet(0x30, "0000 03 230001"), 0x82],
    ["alias 0", packet(0x30, `${topic} 03 230000`), 0x94],
    ["an alias over the maximum", packet(0x30, `${topic} 03 230041`), 0x94],
    ["a topic that is not UTF-8", packet(0x30, "0002 c328 00"), 0x81],
    ["a surrogate in a topic", packet(0x30, "0003 eda080 00"), 0x81],
    ["a topic longer than the packet", packet(0x30, "00ff 74"), 0x81],
    ["a subscription identifier from a client", packet(0x30, `${topic} 02 0b01`), 0x82],
    ["properties longer than the packet", packet(0x30, `${topic} 20 01`), 0x81],
    ["a property twice", packet(0x30, `${topic} 04 0100 0100`), 0x82],
    ["a payload format of 2", packet(0x30, `${topic} 02 0102`), 0x82],
    ["a response topic with a wildcard", packet(0x30, `${topic} 04 08 ${str("#")}`), 0x82],
    ["a user property that is not UTF-8", packet(0x30, `${topic} 08 26 0002c328 ${str("v")}`), 0x81],
    ["SUBSCRIBE to nothing", packet(0x82, "0001 00"), 0x82],
    ["reserved subscription options", packet(0x82, `0001 00 ${topic} c0`), 0x81],
    ["subscription QoS 3", packet(0x82, `0001 00 ${topic} 03`), 0x81],
    ["retain handling 3", packet(0x82, `0001 00 ${topic} 30`), 0x82],
    ["subscription identifier 0", packet(0x82, `0001 02 0b00 ${topic} 00`), 0x82],
    ["no local on a shared subscription", packet(0x82, `0001 00 ${str("$share/g/t")} 04`), 0x82],
    ["UNSUBSCRIBE from nothing", packet(0xa2, "0001 00"), 0x82],
    ["AUTH without a method", packet(0xf0, "19 00"), 0x82],
    ["AUTH where none was agreed on", packet(0xf0, `19 04 15 ${str("x")}`), 0x82],
    ["a PUBACK that is too short", packet(0x40, "00"), 0x81],
    ["a packet that is too large", hex("30 ff ff ff 7f"), 0x95],
    ["a length of five bytes", hex("30 ff ff ff ff 01"), 0x81],
  ];

  test.each(cases)("%s", async (_name, bytes, reasonCode) => {
    const raw = await RawMqtt.connect(broker.url);
    raw.send(bytes);
    expect((await raw.next("disconnect")).reasonCode).toBe(reasonCode);
    await raw.closed;
    expect(raw.packets).toEqual([]);
  });
});

describe("a connection of MQTT 3.1.1 is just closed", () => {
  const cases: [name: string, bytes: Buffer][] = [
    ["CONNECT again", packet(0x10, `${MQTT} 04 02 003c ${str("a")}`)],
    ["AUTH", hex("f000")],
    ["a topic with a wildcard", packet(0x30, str("a/#"))],
    ["an empty topic", packet(0x30, "0000")],
    ["a topic of 202 levels", packet2(0x30, str("/".repeat(201)))],
    ["options of MQTT 5", packet(0x82, `0001 ${topic} 04`)],
    ["a reason in PUBACK", packet(0x40, "0001 00")],
    ["a body of DISCONNECT", hex("e001 00")],
  ];

  test.each(cases)("%s", async (_name, bytes) => {
    const raw = await RawMqtt.connect(broker.url, { protocolVersion: 4 });
    raw.send(bytes);
    await raw.closed;
    expect(raw.packets).toEqual([]);
  });
});

test("MQTT 3.1 marks what is sent again, and its CONNACK says nothing of a session", async () => {
  const fields = { protocolVersion: 3, protocolId: "MQIsdp", clientId: "old", clean: false } as const;
  const first = await RawMqtt.connect(broker.url, fields);
  first.send(packet(0x8a, `0001 ${topic} 01`));
  expect(await first.next("suback")).toMatchObject({ messageId: 1, granted: [1] });
  first.publish({ topic: "elsewhere", payload: "x", qos: 2, messageId: 2 });
  await first.next("pubrec");
  first.send(packet(0x6a, "0002"));
  expect(await first.next("pubcomp")).toMatchObject({ messageId: 2 });
  first.send(packet(0xaa, `0003 ${str("none")}`));
  await first.next("unsuback");
  first.close();
  await first.closed;
  const publisher = await RawMqtt.connect(broker.url);
  publisher.publish({ topic: "t", payload: "waits", qos: 1, messageId: 1 });
  await publisher.next("puback");
  const second = await RawMqtt.connect(broker.url, fields);
  expect(second.connack).toMatchObject({ sessionPresent: false });
  expect(`${(await second.next("publish")).payload}`).toBe("waits");
  second.close();
  publisher.close();
});

test("packets may come in any pieces", async () => {
  const raw = await RawMqtt.open(broker.url, 4);
  const send = async (bytes: Buffer) => {
    for (const byte of bytes) {
      raw.send(Buffer.of(byte));
      await new Promise(setImmediate);
    }
  };
  await send(packet(0x10, `${MQTT} 04 02 003c ${str("pieces")}`));
  await raw.next("connack");
  await send(packet(0x82, `0001 ${str("p/#")} 01`));
  await raw.next("suback");
  await send(
    raw.encode({
      cmd: "publish",
      topic: "p/x",
      payload: "y".repeat(300),
      qos: 1,
      messageId: 7,
      dup: false,
      retain: false,
    }),
  );
  expect(await raw.next("puback")).toMatchObject({ messageId: 7 });
  expect(`${(await raw.next("publish")).payload}`).toBe("y".repeat(300));
  raw.close();
});

test("everything at once, before the CONNACK", async () => {
  const raw = await RawMqtt.open(broker.url, 4);
  const publish = (i: number) =>
    raw.encode({
      cmd: "publish",
      topic: "early/x",
      payload: `${i}`,
      qos: 1,
      messageId: i,
      dup: false,
      retain: false,
    });
  raw.send(
    Buffer.concat([
      packet(0x10, `${MQTT} 04 02 003c ${str("early")}`),
      packet(0x82, `0001 ${str("early/#")} 01`),
      ...Array.from({ length: 5000 }, (_, i) => publish(i + 1)),
      hex("c000"),
    ]),
  );
  await raw.next("pingresp");
  const got = raw.packets.filter(({ cmd }) => cmd === "publish").length;
  for (let i = got; i < 1000; i++) await raw.next("puback");
  expect(raw.packets[0]?.cmd).toBe("connack");
  raw.close();
});

describe("permissions", () => {
  test("of topics: publishing and subscribing", async () => {
    const { access } = broker.broker;
    await access.putUser("limited", "secret", []);
    access.setPermissions("limited", "/", { configure: ".*", write: ".*", read: ".*" });
    const pattern = "^limited\\.(read|write)";
    access.setTopicPermissions("limited", "/", "amq.topic", {
      write: "^limited\\.write\\.",
      read: "^limited\\.read\\.",
    });
    expect(pattern).toBeDefined();
    const login = { username: "limited", password: Buffer.from("secret") };
    const raw = await RawMqtt.connect(broker.url, login);
    expect((await raw.subscribe("limited/read/#", 1)).granted).toEqual([1]);
    expect((await raw.subscribe("limited/other", 1)).granted).toEqual([0x80]);
    expect((await raw.subscribe("#", 1)).granted).toEqual([0x80]);
    expect((await raw.subscribe("$share/g/limited/other", 1)).granted).toEqual([0x80]);
    const reader = await Client.connect(broker.url);
    await reader.mqtt.subscribeAsync("limited/#", { qos: 1 });
    raw.publish({ topic: "limited/write/a", payload: "allowed", qos: 1, messageId: 1 });
    expect(await raw.next("puback")).toMatchObject({ messageId: 1 });
    raw.publish({ topic: "limited/read/a", payload: "refused", qos: 1, messageId: 2 });
    expect(await raw.next("puback")).toMatchObject({ messageId: 2, reasonCode: 0x87 });
    raw.publish({ topic: "limited/read/a", payload: "refused", qos: 2, messageId: 3 });
    expect(await raw.next("pubrec")).toMatchObject({ messageId: 3, reasonCode: 0x87 });
    raw.publish({ topic: "limited/read/a", payload: "refused", qos: 0, retain: true });
    await raw.ping();
    await reader.settle();
    expect(reader.payloads()).toEqual(["allowed"]);
    const old = await RawMqtt.connect(broker.url, { ...login, protocolVersion: 4 });
    old.publish({ topic: "limited/read/a", payload: "refused", qos: 2, messageId: 3 });
    await old.next("pubrec");
    old.send({ cmd: "pubrel", messageId: 3 });
    await old.next("pubcomp");
    expect((await old.subscribe("limited/other", 1)).granted).toEqual([0x80]);
    await reader.settle();
    expect(reader.payloads()).toEqual(["allowed"]);
    raw.close();
    old.close();
    await reader.end();
  });

  test("a change acts on open connections", async () => {
    const { access } = broker.broker;
    await access.putUser("changing", "secret", []);
    access.setPermissions("changing", "/", { configure: ".*", write: ".*", read: ".*" });
    const raw = await RawMqtt.connect(broker.url, { username: "changing", password: Buffer.from("secret") });
    raw.publish({ topic: "c", payload: "", qos: 1, messageId: 1 });
    expect((await raw.next("puback")).reasonCode).toBe(0x10);
    access.setPermissions("changing", "/", { configure: ".*", write: "^$", read: ".*" });
    raw.publish({ topic: "c", payload: "", qos: 1, messageId: 1 });
    expect((await raw.next("puback")).reasonCode).toBe(0x87);
    raw.close();
  });

  test("of virtual hosts", async () => {
    const raw = await RawMqtt.open(broker.url);
    const connack = await raw.login({ username: "nowhere:guest", password: Buffer.from("guest") });
    expect(connack.reasonCode).toBe(0x87);
    const right = await RawMqtt.connect(broker.url, { username: "/:guest", password: Buffer.from("guest") });
    expect(right.connack?.reasonCode).toBe(0);
    right.close();
  });
});
