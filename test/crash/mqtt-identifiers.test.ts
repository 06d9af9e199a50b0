// Packet identifiers go round, and a client may leave one unacknowledged for as long as it likes: nothing waits for it,
// and what is under way keeps its identifier over kill -9.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { lasting, leave, quiet, seen } from "../support/mqtt-flow.ts";
import { RawMqtt } from "../support/mqtt-raw.ts";
import { PolymqProcess } from "../support/polymq-process.ts";

const ROUND = 65_535;
const BURST = 500;

const dataDir = mkdtempSync(join(tmpdir(), "polymq-mqtt-identifiers-"));
let broker: PolymqProcess | null = null;
afterEach(async () => {
  await broker?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

function mqttUrl({ output }: PolymqProcess): string {
  return /mqtt:\/\/[\d.]+:\d+/.exec(output)?.[0] as string;
}

/** Publishes so many with QoS 1, each acknowledged by its subscriber; returns the identifiers that they had there. */
async function fill(
  publisher: RawMqtt,
  subscriber: RawMqtt,
  topic: string,
  count: number,
): Promise<number[]> {
  const ids: number[] = [];
  for (let sent = 0; sent < count; ) {
    const burst = Math.min(BURST, count - sent);
    const packets = Array.from({ length: burst }, (_, i) =>
      publisher.encode({
        ...{ cmd: "publish", topic, payload: "filler", qos: 1, dup: false, retain: false },
        messageId: 1 + i,
      }),
    );
    publisher.send(Buffer.concat(packets));
    for (let i = 0; i < burst; i++) {
      const { messageId = 0 } = await subscriber.next("publish");
      ids.push(messageId);
      subscriber.send({ cmd: "puback", messageId });
      await publisher.next("puback");
    }
    sent += burst;
  }
  return ids;
}

test("a message that is never acknowledged holds up nobody; its identifier stays its own, as that of whoever gave way", async () => {
  broker = await PolymqProcess.start({ dataDir, args: ["--durability", "os"] });
  const publisher = await RawMqtt.connect(mqttUrl(broker));
  let subscriber = await RawMqtt.connect(mqttUrl(broker), lasting(5, "device"));
  await subscriber.subscribe("t/#", 2);
  const publish = async (payload: string, qos: 1 | 2): Promise<void> => {
    publisher.publish({ topic: "t/kept", payload, qos, messageId: 7 });
    await publisher.next(qos === 1 ? "puback" : "pubrec");
    if (qos === 1) return;
    publisher.send({ cmd: "pubrel", messageId: 7 });
    await publisher.next("pubcomp");
  };
  await publish("first", 2);
  const first = await seen(subscriber);
  const round = await fill(publisher, subscriber, "t/filler", ROUND - 1);
  expect(new Set(round).size).toBe(ROUND - 1);
  expect(round).not.toContain(first.messageId);

  await publish("second", 2);
  await publish("third", 1);
  const [second, third] = [await seen(subscriber), await seen(subscriber)];
  expect([first.payload, second.payload, third.payload]).toEqual(["first", "second", "third"]);
  expect(new Set([first.messageId, second.messageId, third.messageId]).size).toBe(3);

  // Nothing was acknowledged: all three again, as they were.
  const again = async (): Promise<void> => {
    subscriber = await RawMqtt.connect(mqttUrl(broker as PolymqProcess), lasting(5, "device"));
    expect(subscriber.connack?.sessionPresent).toBe(true);
  };
  const marked = [first, second, third].map((message) => ({ ...message, dup: true }));
  for (const how of ["break", "kill"]) {
    await leave(subscriber);
    if (how === "kill") {
      await broker.kill9();
      await broker.start();
    }
    await again();
    expect([await seen(subscriber), await seen(subscriber), await seen(subscriber)]).toEqual(marked);
  }

  // The client has the second now; only its identifier is remembered, and given to nobody else.
  subscriber.send({ cmd: "pubrec", messageId: second.messageId });
  await subscriber.next("pubrel");
  await broker.kill9();
  await broker.start();
  await again();
  expect(await subscriber.next("pubrel")).toMatchObject({ messageId: second.messageId });
  subscriber.send({ cmd: "pubcomp", messageId: second.messageId });
  for (const message of [first, third]) expect(await seen(subscriber)).toEqual({ ...message, dup: true });
  subscriber.send({ cmd: "pubrec", messageId: first.messageId });
  await subscriber.next("pubrel");
  subscriber.send({ cmd: "pubcomp", messageId: first.messageId });
  subscriber.send({ cmd: "puback", messageId: third.messageId });
  await quiet(subscriber);
  await leave(subscriber);
  await again();
  await quiet(subscriber);
  await leave(subscriber);
}, 120_000);
