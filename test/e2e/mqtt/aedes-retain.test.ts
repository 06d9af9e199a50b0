// What aedes' tests of retained messages and wills expect of a broker, over sockets.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { startMqtt } from "../../support/mqtt.ts";
import { lasting, leave, quiet, say, take } from "../../support/mqtt-flow.ts";
import { RawMqtt } from "../../support/mqtt-raw.ts";
import { PolymqProcess } from "../../support/polymq-process.ts";

const broker = await startMqtt();
afterAll(() => broker.stop());

let count = 0;
const unique = (name: string) => `${name}-${++count}`;

describe.each([4, 5] as const)("retained messages, version %i", (version) => {
  const connect = (fields: object = {}) =>
    RawMqtt.connect(broker.url, { protocolVersion: version, ...fields });

  test.each([
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
    [2, 2],
  ] as const)("kept with QoS %i for a subscription of QoS %i", async (kept, granted) => {
    const id = unique("kept");
    const qos = Math.min(kept, granted);
    const [publisher, present] = [await connect(), await connect()];
    await present.subscribe(`${id}/hello`, granted);
    await say(publisher, { topic: `${id}/hello`, payload: "world", qos: kept, retain: true });
    expect(await take(present)).toMatchObject({ payload: "world", qos, retain: false });
    for (const filter of [`${id}/hello`, `${id}/+`, `${id}/#`]) {
      const later = await connect();
      await later.subscribe(filter, granted);
      expect(await take(later)).toEqual({
        topic: `${id}/hello`,
        payload: "world",
        qos,
        retain: true,
        dup: false,
      });
      await quiet(later);
      await leave(later);
    }
    await Promise.all([leave(publisher), leave(present)]);
  });

  test("the last one counts; an empty one removes it, but only when it is retained itself", async () => {
    const id = unique("last");
    const publisher = await connect();
    const kept = async () => {
      const raw = await connect();
      await raw.subscribe(id, 0);
      await raw.settle();
      await leave(raw);
      return raw.packets.flatMap((packet) => (packet.cmd === "publish" ? [`${packet.payload}`] : []));
    };
    await say(publisher, { topic: id, payload: "", retain: true });
    expect(await kept()).toEqual([]);
    await say(publisher, { topic: id, payload: "world", retain: true });
    await say(publisher, { topic: id, payload: "foo", retain: true });
    expect(await kept()).toEqual(["foo"]);
    await say(publisher, { topic: id, payload: "", retain: false });
    expect(await kept()).toEqual(["foo"]);
    await say(publisher, { topic: id, payload: "", retain: true });
    expect(await kept()).toEqual([]);
    await leave(publisher);
  });

  test("one topic's live messages do not hide another's retained one", async () => {
    const id = unique("dedupe");
    const [publisher, subscriber] = [await connect(), await connect()];
    await say(publisher, { topic: `${id}/a`, payload: "kept", retain: true });
    await subscriber.subscribe(`${id}/b`, 0);
    await say(publisher, { topic: `${id}/b`, payload: "live" });
    expect(await take(subscriber)).toMatchObject({ payload: "live", retain: false });
    await subscriber.subscribe(`${id}/a`, 0);
    expect(await take(subscriber)).toMatchObject({ payload: "kept", retain: true });
    await Promise.all([leave(publisher), leave(subscriber)]);
  });

  test("connecting again is not subscribing again", async () => {
    const id = unique("again");
    const [publisher, first] = [await connect(), await connect(lasting(version, id))];
    await first.subscribe(id, 0);
    await leave(first);
    await say(publisher, { topic: id, payload: "foo", retain: true });
    const second = await connect(lasting(version, id));
    await quiet(second);
    await leave(second);
    const clean = await connect(lasting(version, id, true));
    await quiet(clean);
    await Promise.all([leave(clean), leave(publisher)]);
  });

  test("refused a subscription, refused its retained messages", async () => {
    const { access } = broker.broker;
    const [user, id] = [unique("user"), unique("secret")];
    await access.putUser(user, "secret", []);
    access.setPermissions(user, "/", { configure: ".*", write: ".*", read: ".*" });
    access.setTopicPermissions(user, "/", "amq.topic", { write: ".*", read: "^public" });
    const publisher = await connect();
    await say(publisher, { topic: id, payload: "world", qos: 1, retain: true });
    const raw = await connect({ username: user, password: Buffer.from("secret") });
    expect((await raw.subscribe(id, 1)).granted).toEqual([0x80]);
    await quiet(raw);
    await Promise.all([leave(raw), leave(publisher)]);
  });

  test("retained messages that came while the session was away: each once, as what they were then", async () => {
    const id = unique("away");
    const options = lasting(version, id);
    const [publisher, first] = [await connect(), await connect(options)];
    await first.subscribe(id, 1);
    first.send({ cmd: "disconnect" });
    await first.closed;
    for (const payload of ["world", "world2"])
      await say(publisher, { topic: id, payload, qos: 1, retain: true });
    const second = await connect(options);
    expect(second.connack).toMatchObject({ sessionPresent: true });
    // To a subscription that was there they are news, not history [MQTT-3.3.1-9].
    for (const payload of ["world", "world2"])
      expect(await take(second)).toMatchObject({ payload, retain: false });
    await quiet(second);
    await second.subscribe(id, 1);
    expect(await take(second)).toMatchObject({ payload: "world2", retain: true });
    await quiet(second);
    await Promise.all([leave(second), leave(publisher)]);
  });
});

describe.each([4, 5] as const)("wills, version %i", (version) => {
  const connect = (fields: object = {}) =>
    RawMqtt.connect(broker.url, { protocolVersion: version, ...fields });
  const willOf = (topic: string, more: object = {}) => ({
    will: { topic, payload: Buffer.from("last will"), qos: 0 as const, retain: false, ...more },
  });

  test.each([0, 1, 2] as const)("said once, with what it was given (QoS %i)", async (qos) => {
    const id = unique("will");
    const watcher = await connect();
    await watcher.subscribe(id, 2);
    for (const retain of [false, true]) {
      await leave(await connect(willOf(id, { qos, retain })));
      expect(await take(watcher)).toMatchObject({ topic: id, payload: "last will", qos, retain: false });
      await quiet(watcher);
      const later = await connect();
      await later.subscribe(id, 2);
      if (retain) expect(await take(later)).toMatchObject({ payload: "last will", retain: true });
      await quiet(later);
      await leave(later);
    }
    await leave(watcher);
  });

  test("not after a goodbye, and then not when the same client breaks off without one", async () => {
    const clientId = unique("will");
    const watcher = await connect();
    await watcher.subscribe(clientId, 0);
    const polite = await connect({ clientId, ...willOf(clientId) });
    polite.send({ cmd: "disconnect" });
    await polite.closed;
    await leave(await connect({ clientId }));
    await quiet(watcher);
    await leave(await connect({ clientId, ...willOf(clientId) }));
    await take(watcher);
    await quiet(watcher);
    await leave(watcher);
  });

  test("not without permission, nor of a client that was not let in", async () => {
    const { access } = broker.broker;
    const [user, id] = [unique("user"), unique("forbidden")];
    await access.putUser(user, "secret", []);
    access.setPermissions(user, "/", { configure: ".*", write: ".*", read: ".*" });
    access.setTopicPermissions(user, "/", "amq.topic", { write: `^${id}\\.allowed`, read: ".*" });
    const watcher = await connect();
    await watcher.subscribe(`${id}/#`, 0);
    const login = { username: user, password: Buffer.from("secret") };
    for (const name of ["refused", "allowed"]) {
      const raw = await RawMqtt.open(broker.url, version);
      await raw.login({ ...login, ...willOf(`${id}/${name}`) });
      await leave(raw);
    }
    const stranger = await RawMqtt.open(broker.url, version);
    await stranger.login({ ...login, password: Buffer.from("wrong"), ...willOf(`${id}/allowed`) });
    await stranger.closed;
    expect(await take(watcher)).toMatchObject({ topic: `${id}/allowed` });
    await quiet(watcher);
    await leave(watcher);
  });
});

test("wills of sessions whose clients were there when the broker was killed", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "polymq-wills-"));
  const running = await PolymqProcess.start({ dataDir });
  const url = () => /mqtt:\/\/[\d.]+:\d+/.exec(running.output)?.[0] as string;
  const WILLS = 100;
  try {
    const watcher = await RawMqtt.connect(url(), lasting(5, "watcher"));
    await watcher.subscribe("wills/#", 1);
    const clients = await Promise.all(
      Array.from({ length: WILLS }, (_, i) =>
        RawMqtt.connect(url(), {
          ...lasting(5, `mortal-${i}`),
          will: { topic: `wills/${i}`, payload: Buffer.from(`${i}`), qos: 1, retain: false },
        }),
      ),
    );
    const polite = clients[0] as RawMqtt;
    polite.send({ cmd: "disconnect" });
    await polite.closed;
    // DISCONNECT has no answer: what is acknowledged after it says that it is durable.
    await say(watcher, { topic: "elsewhere", payload: "", qos: 1 });
    await running.kill9();
    await running.start();
    const back = await RawMqtt.connect(url(), lasting(5, "watcher"));
    const said = new Set<string>();
    while (said.size < WILLS - 1) said.add((await take(back)).payload);
    expect(said.has("0")).toBe(false);
    await quiet(back);
    await leave(back);
  } finally {
    await running.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
});
