// A message published by one protocol and read by another: every ordered pair, property by property.
import { afterAll, describe, expect, test } from "vitest";
import { startBroker } from "../../src/index.ts";
import type { Message, Property, Side } from "./side.ts";
import { amqpSide } from "./sides/amqp.ts";
import { kafkaSide } from "./sides/kafka.ts";
import { mqttSide } from "./sides/mqtt.ts";
import { stompSide } from "./sides/stomp.ts";

const broker = await startBroker({
  engine: "memory:",
  amqp: { port: 0 },
  mqtt: { port: 0 },
  stomp: { port: 0 },
  kafka: { port: 0 },
});
const sides: readonly Side[] = await Promise.all([
  amqpSide(broker.amqp.url),
  stompSide(broker.stomp?.url as string),
  mqttSide(broker.mqtt?.url as string, 4),
  mqttSide(broker.mqtt?.url as string, 5),
  kafkaSide(broker.kafka?.port as number, broker.amqp.url),
]);
afterAll(async () => {
  await Promise.all(sides.map((side) => side.close()));
  await broker.stop();
});

const FULL: Message = {
  body: Buffer.from([0, 255, 10, 13, 0x7b]),
  key: "schlüssel 7",
  contentType: "application/json; charset=utf-8",
  contentEncoding: "identity",
  correlationId: "c:1\\2",
  replyTo: "replies",
  messageId: "m-1",
  expirationMs: 60_000,
  priority: 7,
  timestampMs: 1_700_000_000_000,
  persistent: true,
  type: "order.created",
  appId: "shop",
  headers: [
    ["x-first", "1"],
    ["größe", "ä:b\\c"],
    ["empty", ""],
    ["twice", "a"],
    ["twice", "b"],
  ],
};

let addresses = 0;

/** What is left of a message when both have had their say. */
function expected(message: Message, from: Side, to: Side): Partial<Message> {
  const both = (property: Property): boolean => from.says.has(property) && to.says.has(property);
  const entries = Object.entries(message).filter(([property]) => both(property as Property));
  const left = Object.fromEntries(entries) as Partial<Message>;
  if (left.headers !== undefined && !(from.duplicates && to.duplicates)) {
    const names = left.headers.map(([name]) => name);
    left.headers = left.headers.filter(([name], index) => names.indexOf(name) === index);
  }
  return left;
}

/** Time that passed in the broker, and time that a protocol puts on every message, are no loss. */
function comparable(message: Partial<Message>, like: Partial<Message>): Partial<Message> {
  const kept = { ...message };
  if (like.timestampMs === undefined) delete kept.timestampMs;
  if (kept.expirationMs !== undefined && like.expirationMs !== undefined) {
    const passed = like.expirationMs - kept.expirationMs;
    if (passed >= 0 && passed <= 5000) kept.expirationMs = like.expirationMs;
  }
  return kept;
}

for (const from of sides) {
  describe(`from ${from.name}`, () => {
    for (const to of sides) {
      test(`to ${to.name}: all that both can say`, async () => {
        const address = `cross.pair.${++addresses}`;
        const inbox = await to.subscribe(address);
        await from.publish(address, FULL);
        const like = expected(FULL, from, to);
        expect(comparable(await inbox.next(), like)).toEqual({ headers: [], ...like });
      });

      test(`to ${to.name}: nothing that was not said`, async () => {
        const address = `cross.pair.${++addresses}`;
        const inbox = await to.subscribe(address);
        const bare: Message = { body: Buffer.alloc(0), persistent: true, headers: [] };
        await from.publish(address, bare);
        const like = expected(bare, from, to);
        expect(comparable(await inbox.next(), like)).toEqual({ headers: [], ...like });
      });
    }
  });
}
