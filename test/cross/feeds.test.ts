// Exchanges that streams feed, in a circle: a message goes round once.
import { connect } from "amqplib";
import { afterAll, expect, test } from "vitest";
import { startServer } from "../support/broker.ts";
import { consume, eventually } from "../support/client.ts";
import { kafkaJs } from "../support/kafka.ts";

const { broker, address, port, stop } = await startServer({ kafkaPort: "0" });
const amqp = await connect(`amqp://${address}`);
const producer = kafkaJs({
  brokers: [`127.0.0.1:${port("kafka")}`],
}).producer();
await producer.connect();
const channel = await amqp.createConfirmChannel();
afterAll(async () => {
  await producer.disconnect();
  await amqp.close();
  await stop();
});
const cycles = () => broker.stats().dropped.cycle ?? 0;

test("streams that feed each other have each message once", async () => {
  const stream = { arguments: { "x-queue-type": "stream" } };
  for (const [from, to] of [
    ["ring-a", "ring-b"],
    ["ring-b", "ring-c"],
    ["ring-c", "ring-a"],
  ] as const) {
    await channel.assertQueue(from, stream);
    await channel.assertQueue(to, stream);
    await channel.assertExchange(`of ${from}`, "fanout", { arguments: { "x-source-stream": from } });
    await channel.bindQueue(to, `of ${from}`, "");
  }
  await channel.assertQueue("ring-end");
  await channel.bindQueue("ring-end", "of ring-c", "");
  const before = cycles();
  await producer.send({ topic: "ring-a", messages: [{ value: "from a" }] });
  channel.sendToQueue("ring-b", Buffer.from("from b"));
  await channel.waitForConfirms();
  await eventually(() => cycles() === before + 2, "the end of both rounds");
  for (const name of ["ring-a", "ring-b", "ring-c", "ring-end"]) {
    expect([name, (await channel.checkQueue(name)).messageCount]).toEqual([name, 2]);
  }
  await channel.prefetch(10);
  const inbox = await consume(channel, "ring-a", { arguments: { "x-stream-offset": "first" } });
  await inbox.count(2);
  expect(inbox.bodies()).toEqual(["from a", "from b"]);
});

test("a message that a queue gives back to the stream that fed it does not go round", async () => {
  await channel.assertQueue("boomerang", { arguments: { "x-queue-type": "stream" } });
  await channel.assertExchange("of boomerang", "fanout", { arguments: { "x-source-stream": "boomerang" } });
  await channel.assertQueue("hand", {
    messageTtl: 1,
    deadLetterExchange: "",
    deadLetterRoutingKey: "boomerang",
  });
  await channel.bindQueue("hand", "of boomerang", "");
  const before = cycles();
  channel.sendToQueue("boomerang", Buffer.from("x"));
  await eventually(() => cycles() === before + 1, "the end of the round");
  expect((await channel.checkQueue("boomerang")).messageCount).toBe(2);
});
