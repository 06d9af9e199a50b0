// What aedes' tests of QoS 1 and 2 expect of a broker, over sockets.
import { afterAll, describe, expect, test } from "vitest";
import { startMqtt } from "../../support/mqtt.ts";
import { lasting, leave, quiet, say, seen, take, unsubscribe } from "../../support/mqtt-flow.ts";
import { RawMqtt } from "../../support/mqtt-raw.ts";

const broker = await startMqtt();
afterAll(() => broker.stop());

let count = 0;
const unique = (name: string) => `${name}-${++count}`;

describe.each([3, 4, 5] as const)("version %i", (version) => {
  const connect = (fields: object = {}) =>
    RawMqtt.connect(broker.url, { protocolVersion: version, ...fields });

  test.each([
    [0, 0],
    [0, 1],
    [0, 2],
    [1, 0],
    [1, 1],
    [1, 2],
    [2, 0],
    [2, 1],
    [2, 2],
  ] as const)("published with QoS %i, subscribed with %i", async (published, granted) => {
    const id = unique("pair");
    const [publisher, subscriber] = [await connect(), await connect()];
    await subscriber.subscribe(id, granted);
    await say(publisher, { topic: id, payload: "world", qos: published, messageId: 42 });
    const qos = Math.min(published, granted);
    const message = await take(subscriber);
    expect(message).toEqual({ topic: id, payload: "world", qos, retain: false, dup: false });
    await quiet(subscriber);
    // The publisher's identifier can be used again, whether or not somebody listens.
    await leave(subscriber);
    await say(publisher, { topic: id, payload: "worl2", qos: published, messageId: 42 });
    await leave(publisher);
  });

  test("upgraded from QoS 0 to 1 by subscribing again", async () => {
    const id = unique("up");
    const raw = await connect();
    for (const qos of [0, 1] as const) expect((await raw.subscribe(id, qos)).granted).toEqual([qos]);
    await say(raw, { topic: id, payload: "world", qos: 1 });
    expect(await take(raw)).toMatchObject({ qos: 1 });
    await quiet(raw);
    await leave(raw);
  });

  test("the same identifier again after its acknowledgement is another message (QoS 1)", async () => {
    const id = unique("reused");
    const [publisher, subscriber] = [await connect(), await connect()];
    await subscriber.subscribe(id, 1);
    for (const payload of ["one", "two"]) await say(publisher, { topic: id, payload, qos: 1, messageId: 10 });
    const messages = [await seen(subscriber), await seen(subscriber)];
    expect(messages.map(({ payload }) => payload)).toEqual(["one", "two"]);
    expect(messages[0]?.messageId).not.toBe(messages[1]?.messageId);
    await Promise.all([leave(publisher), leave(subscriber)]);
  });

  test("subscribing and publishing at once: all three are answered", async () => {
    const id = unique("parallel");
    const raw = await connect();
    raw.send({ cmd: "subscribe", messageId: 24, subscriptions: [{ topic: id, qos: 1 }] } as never);
    raw.publish({ topic: id, payload: "world", qos: 1, messageId: 42 });
    expect(await raw.next("puback")).toMatchObject({ messageId: 42 });
    expect(await raw.next("suback")).toMatchObject({ messageId: 24, granted: [1] });
    expect(await take(raw)).toMatchObject({ payload: "world", qos: 1 });
    await leave(raw);
  });

  test("QoS 2 published five times with one identifier is one message", async () => {
    const id = unique("five");
    const [publisher, subscriber] = [await connect(), await connect()];
    await subscriber.subscribe(id, 2);
    for (let i = 0; i < 5; i++) {
      publisher.publish({ topic: id, payload: "world", qos: 2, messageId: 42, dup: i > 0 });
      expect(await publisher.next("pubrec")).toMatchObject({ messageId: 42 });
    }
    publisher.send({ cmd: "pubrel", messageId: 42 });
    await publisher.next("pubcomp");
    expect(await take(subscriber)).toMatchObject({ payload: "world", qos: 2 });
    await quiet(subscriber);
    await Promise.all([leave(publisher), leave(subscriber)]);
  });

  test("PUBREL of an identifier that nobody knows is completed", async () => {
    const raw = await connect();
    raw.send({ cmd: "pubrel", messageId: 42 });
    const pubcomp = await raw.next("pubcomp");
    expect(pubcomp).toMatchObject({ messageId: 42 });
    if (version === 5) expect(pubcomp.reasonCode).toBe(0x92);
    await raw.ping();
    await leave(raw);
  });
});

describe.each([4, 5] as const)("sessions, version %i", (version) => {
  const connect = (fields: object = {}) =>
    RawMqtt.connect(broker.url, { protocolVersion: version, ...fields });

  test.each([1, 2] as const)("subscriptions of QoS %i are restored", async (qos) => {
    const id = unique("restored");
    const first = await connect(lasting(version, id));
    await first.subscribe(`${id}/a`, qos);
    await first.subscribe(`${id}/b`, qos);
    await leave(first);
    const second = await connect(lasting(version, id));
    expect(second.connack).toMatchObject({ sessionPresent: true });
    const publisher = await connect();
    for (const name of ["a", "b"]) await say(publisher, { topic: `${id}/${name}`, payload: name, qos });
    expect([await take(second), await take(second)]).toMatchObject([{ payload: "a" }, { payload: "b" }]);
    await Promise.all([leave(second), leave(publisher)]);
  });

  test.each([1, 2] as const)("what is acknowledged is not sent again, the rest is (QoS %i)", async (qos) => {
    const id = unique("resent");
    const options = lasting(version, id);
    const first = await connect(options);
    await first.subscribe(id, qos);
    await leave(first);
    const publisher = await connect();
    for (const payload of ["world", "world world"]) await say(publisher, { topic: id, payload, qos });
    const second = await connect(options);
    expect(await take(second)).toEqual({ topic: id, payload: "world", qos, retain: false, dup: false });
    expect((await seen(second)).payload).toBe("world world");
    await second.ping();
    await leave(second);
    const third = await connect(options);
    expect(await take(third)).toMatchObject({ payload: "world world", qos, dup: true });
    await quiet(third);
    await leave(third);
    const fourth = await connect(options);
    await quiet(fourth);
    await Promise.all([leave(fourth), leave(publisher)]);
  });

  test("hundreds that wait come in order, and then nothing", async () => {
    const id = unique("many");
    const options = lasting(version, id);
    const first = await connect(options);
    await first.subscribe(id, 1);
    await leave(first);
    const publisher = await connect();
    for (let i = 0; i < 300; i++) await say(publisher, { topic: id, payload: `${i}`, qos: 1 });
    const second = await connect(options);
    for (let i = 0; i < 300; i++) expect(await take(second)).toMatchObject({ payload: `${i}`, dup: false });
    await quiet(second);
    await Promise.all([leave(second), leave(publisher)]);
  });

  test("an acknowledgement right before the connection breaks counts", async () => {
    const id = unique("hasty");
    const options = lasting(version, id);
    const first = await connect(options);
    await first.subscribe(id, 1);
    const publisher = await connect();
    await say(publisher, { topic: id, payload: "world", qos: 1 });
    const { messageId } = await seen(first);
    first.send(
      Buffer.concat([first.encode({ cmd: "puback", messageId }), first.encode({ cmd: "disconnect" })]),
    );
    await first.closed;
    const second = await connect(options);
    await quiet(second);
    await Promise.all([leave(second), leave(publisher)]);
  });

  test("PUBREL is sent again until PUBCOMP, and PUBLISH is not", async () => {
    const id = unique("released");
    const options = lasting(version, id);
    const first = await connect(options);
    await first.subscribe(id, 2);
    const publisher = await connect();
    await say(publisher, { topic: id, payload: "world", qos: 2 });
    const { messageId } = await seen(first);
    first.send({ cmd: "pubrec", messageId });
    await first.next("pubrel");
    await leave(first);
    for (let again = 0; again < 2; again++) {
      const raw = await connect(options);
      expect(await raw.next("pubrel")).toMatchObject({ messageId });
      await quiet(raw);
      if (again === 1) raw.send({ cmd: "pubcomp", messageId });
      await raw.ping();
      await leave(raw);
    }
    const last = await connect(options);
    await last.settle();
    expect(last.packets).toEqual([]);
    await Promise.all([leave(last), leave(publisher)]);
  });

  test("a clean start, and UNSUBSCRIBE, remove what was stored", async () => {
    const id = unique("removed");
    const publisher = await connect();
    for (const how of ["clean", "unsubscribe"] as const) {
      const first = await connect(lasting(version, id));
      await first.subscribe(id, 1);
      if (how === "unsubscribe") await unsubscribe(first, id);
      await leave(first);
      if (how === "clean") await leave(await connect(lasting(version, id, true)));
      await say(publisher, { topic: id, payload: "lost", qos: 1 });
      const again = await connect(lasting(version, id));
      await say(publisher, { topic: id, payload: "lost as well", qos: 1 });
      await quiet(again);
      await leave(again);
    }
    await leave(publisher);
  });
});
