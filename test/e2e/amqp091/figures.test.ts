// What /metrics tells is what was done.
import { connect } from "amqplib";
import { afterAll, expect, test } from "vitest";
import { startInProcess } from "../../support/broker.ts";
import { eventually } from "../../support/client.ts";

const broker = await startInProcess({ http: { port: 0 } });
const connection = await connect(broker.amqp.url);
afterAll(async () => {
  await connection.close();
  await broker.stop();
});

async function figures(): Promise<Record<string, number>> {
  const text = await (await fetch(`${broker.http?.url}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line.startsWith("polymq_"));
  return Object.fromEntries(lines.map((line) => [line.split(" ")[0], Number(line.split(" ")[1])]));
}

test("each publish, confirm, delivery and drop is counted once", async () => {
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("work");
  await channel.assertQueue("newest", { maxLength: 2 });
  await channel.assertQueue("full", { maxLength: 1, overflow: "reject-publish" });
  await channel.assertQueue("failing", { deadLetterExchange: "", deadLetterRoutingKey: "work" });
  const outcomes = { acked: 0, nacked: 0 };
  const publish = (queue: string, count: number) => {
    for (let i = 0; i < count; i++)
      channel.sendToQueue(queue, Buffer.from("12345"), { persistent: true }, (error) => {
        if (error) outcomes.nacked++;
        else outcomes.acked++;
      });
  };
  publish("work", 10);
  publish("full", 4);
  publish("newest", 5);
  publish("failing", 1);
  publish("nowhere", 2);
  await eventually(() => outcomes.acked + outcomes.nacked === 22);
  expect(outcomes).toEqual({ acked: 19, nacked: 3 });

  const failed = await channel.get("failing");
  if (failed) channel.reject(failed, false);
  const first = await channel.get("work");
  if (first) channel.nack(first, false, true);
  const again = await channel.get("work");
  expect((again || undefined)?.fields.redelivered).toBe(true);
  await channel.prefetch(4);
  const seen: number[] = [];
  const { consumerTag } = await channel.consume("work", (message) => {
    if (message !== null && seen.push(message.fields.deliveryTag) <= 3) channel.ack(message);
  });
  await eventually(() => seen.length === 7);
  expect(await figures()).toMatchObject({
    polymq_connections: 1,
    polymq_channels: 1,
    polymq_consumers: 1,
    polymq_queues: 4,
    polymq_messages_published_total: 22,
    polymq_published_bytes_total: 22 * 5,
    polymq_messages_confirmed_total: 19,
    polymq_messages_refused_total: 3,
    polymq_messages_unroutable_total: 2,
    polymq_messages_delivered_total: 3 + 7,
    polymq_messages_redelivered_total: 1,
    polymq_messages_requeued_total: 1,
    polymq_messages_acked_total: 3,
    polymq_messages_dead_lettered_total: 1,
    'polymq_messages_dropped_total{reason="maxlen"}': 3,
    // Of "work": ten and the dead letter, without three done and five held.
    polymq_messages_ready: 11 - 3 - 5 + 2 + 1,
    polymq_messages_unacked: 5,
  });
  await channel.cancel(consumerTag);
});
