// What aedes' tests of topics and filters expect of a broker, over sockets.
import { afterAll, describe, expect, test } from "vitest";
import { startMqtt } from "../../support/mqtt.ts";
import { lasting, leave, quiet, say, take } from "../../support/mqtt-flow.ts";
import { RawMqtt } from "../../support/mqtt-raw.ts";

const broker = await startMqtt();
afterAll(() => broker.stop());

let count = 0;
const unique = (name: string) => `${name}-${++count}`;
const LEVELS_MAX = 201;
const levels = (base: string, howMany: number) => [base, ...Array(howMany - 1).fill("a")].join("/");

describe.each([4, 5] as const)("version %i", (version) => {
  const connect = (fields: object = {}) =>
    RawMqtt.connect(broker.url, { protocolVersion: version, ...fields });
  const told = (raw: RawMqtt) =>
    raw.packets.flatMap((packet) => (packet.cmd === "disconnect" ? [packet.reasonCode] : []));

  test.each(["", "hello/#", "hello/+/eee", "#", "+"])(
    "PUBLISH to %j closes the connection",
    async (topic) => {
      const [watcher, raw] = [await connect(), await connect()];
      await watcher.subscribe("#", 0);
      // The encoder of the tests refuses such a topic, so it is written by hand.
      const name = Buffer.from(topic);
      const end = version === 5 ? Buffer.from("\0world") : Buffer.from("world");
      const head = Buffer.of(0x30, 2 + name.length + end.length, 0, name.length);
      raw.send(Buffer.concat([head, name, end]));
      await raw.closed;
      if (version === 5) expect(told(raw)).toEqual([topic === "" ? 0x82 : 0x90]);
      await quiet(watcher);
      await leave(watcher);
    },
  );

  describe.each(["base/#/sub", "base/#sub", "base/sub#", "base/xyz+/sub", "base/+xyz/sub", ""])(
    "the filter %j",
    (topic) => {
      test.each([0x82, 0xa2])("is refused in packet %i", async (first) => {
        const raw = await connect();
        const filter = Buffer.from(topic);
        const body = Buffer.concat([
          version === 5 ? Buffer.of(0, 24, 0) : Buffer.of(0, 24),
          Buffer.of(0, filter.length),
          filter,
          first === 0x82 ? Buffer.of(0) : Buffer.alloc(0),
        ]);
        raw.send(Buffer.concat([Buffer.of(first, body.length), body]));
        const refused = version === 5 ? 0x8f : 0x80;
        if (first === 0x82) expect((await raw.next("suback")).granted).toEqual([refused]);
        else {
          const { granted } = await raw.next("unsuback");
          // Before MQTT 5 it has no codes.
          if (version === 5) expect(granted).toEqual([refused]);
        }
        await raw.ping();
        raw.close();
      });
    },
  );

  test("case counts, and + takes an empty level", async () => {
    const id = unique("Case");
    const [publisher, raw] = [await connect(), await connect()];
    await raw.subscribe(`${id}/hello`, 0);
    await raw.subscribe(`${id}/a/+/b`, 0);
    for (const topic of [
      `${id}/HELLO`,
      `${id}/heLLo`,
      `${id.toLowerCase()}/hello`,
      `${id}/hello`,
      `${id}/a//b`,
    ])
      await say(publisher, { topic, payload: "world" });
    expect([await take(raw), await take(raw)]).toMatchObject([
      { topic: `${id}/hello` },
      { topic: `${id}/a//b` },
    ]);
    await quiet(raw);
    await Promise.all([leave(publisher), leave(raw)]);
  });

  test.each([
    [[1, 1], 1],
    [[0, 2], 0],
    [[0, 2], 2],
    [[2, 0], 2],
    [[1, 1], 0],
  ] as const)(
    "overlapping filters of QoS %j, published with %i: one copy, the highest",
    async (granted, qos) => {
      const id = unique("over");
      const [publisher, raw] = [await connect(), await connect()];
      const subscriptions = [`${id}/world`, `${id}/#`].map((topic, i) => ({
        topic,
        qos: granted[i] as 0 | 1 | 2,
      }));
      raw.send({ cmd: "subscribe", messageId: 24, subscriptions });
      expect((await raw.next("suback")).granted).toEqual(granted);
      await say(publisher, { topic: `${id}/world`, payload: "world", qos });
      expect(await take(raw)).toMatchObject({ qos: Math.min(qos, Math.max(...granted)) });
      await quiet(raw);
      await Promise.all([leave(publisher), leave(raw)]);
    },
  );

  test(`${LEVELS_MAX} levels are carried, also for sessions that last`, async () => {
    const id = unique("deep");
    const topic = levels(id, LEVELS_MAX);
    const raw = await connect(lasting(version, id));
    await raw.subscribe(topic, 1);
    await say(raw, { topic, payload: "deep", qos: 1 });
    expect(await take(raw)).toMatchObject({ topic, payload: "deep" });
    await leave(raw);
  });

  test.each([0, 1, 2] as const)(
    "one level more is refused, before anything else is said (QoS %i)",
    async (qos) => {
      const raw = await connect();
      raw.publish({
        topic: levels("over", LEVELS_MAX + 1),
        payload: "x",
        qos,
        ...(qos > 0 && { messageId: 42 }),
      });
      await raw.closed;
      expect(raw.packets.filter(({ cmd }) => cmd !== "disconnect")).toEqual([]);
      if (version === 5) expect(told(raw)).toEqual([0x90]);
    },
  );

  test.each([true, false])("also of a filter, clean %o, and nothing of it is kept", async (clean) => {
    const id = unique("deep");
    const raw = await connect(lasting(version, id, clean));
    raw.send({
      cmd: "subscribe",
      messageId: 24,
      subscriptions: [{ topic: levels(id, LEVELS_MAX + 1), qos: 1 }],
    } as never);
    expect((await raw.next("suback")).granted).toEqual([version === 5 ? 0x8f : 0x80]);
    raw.close();
    await raw.closed;
    const again = await connect(lasting(version, id));
    await say(again, { topic: levels(id, LEVELS_MAX), payload: "x", qos: 1 });
    await quiet(again);
    await leave(again);
  });

  test("a will's topic likewise, and the broker goes on", async () => {
    const raw = await RawMqtt.open(broker.url, version);
    const topic = levels("will", LEVELS_MAX + 1);
    const will = { topic, payload: Buffer.from("bye"), qos: 0 as const, retain: false };
    raw.login({ will }).catch(() => {});
    await raw.closed;
    const other = await connect();
    await other.ping();
    await leave(other);
  });
});
