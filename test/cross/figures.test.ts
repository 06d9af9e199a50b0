// What is told of streams, whoever writes and reads them.
import { connect } from "amqplib";
import { afterAll, expect, test } from "vitest";
import { startInProcess } from "../support/broker.ts";
import { consume, eventually } from "../support/client.ts";
import { kafkaJs } from "../support/kafka.ts";

const broker = await startInProcess({ kafka: { port: 0 }, http: { port: 0 } });
const amqp = await connect(broker.amqp.url);
const kafka = kafkaJs({ brokers: [`127.0.0.1:${broker.kafka?.port}`] });
const [producer, consumer] = [
  kafka.producer(),
  kafka.consumer({ groupId: "readers", maxWaitTimeInMs: 50, allowAutoTopicCreation: false }),
];
afterAll(async () => {
  await Promise.all([producer.disconnect(), consumer.disconnect()]);
  await amqp.close();
  await broker.stop();
});

async function figures(): Promise<Record<string, number>> {
  const text = await (await fetch(`${broker.http?.url}/metrics`)).text();
  const lines = text.split("\n").filter((line) => /^polymq_(stream|group)/.test(line));
  return Object.fromEntries(lines.map((line) => [line.split(" ")[0], Number(line.split(" ")[1])]));
}

test("streams, their records and the lag of groups are in /metrics", async () => {
  const channel = await amqp.createConfirmChannel();
  await channel.assertQueue("s", { arguments: { "x-queue-type": "stream", "x-partitions": 3 } });
  await producer.connect();
  await producer.send({ topic: "s", messages: ["a", "b"].map((value) => ({ value, partition: 0 })) });
  await consumer.connect();
  await consumer.subscribe({ topic: "s", fromBeginning: true });
  let read = 0;
  await consumer.run({ eachMessage: async () => void read++ });
  await eventually(() => read === 2);
  await consumer.commitOffsets([{ topic: "s", partition: 0, offset: "0" }]);
  await consumer.stop();
  for (let index = 0; index < 5; index++)
    channel.sendToQueue("s", Buffer.from("c"), { headers: { "x-key": `${index}` } });
  await channel.waitForConfirms();
  const before = await figures();
  expect(before).toMatchObject({
    polymq_streams: 1,
    polymq_stream_partitions: 3,
    polymq_stream_records_written_total: 7,
    polymq_stream_records_read_total: 2,
    polymq_groups: 1,
  });
  expect(before.polymq_stream_log_bytes).toBe(before.polymq_stream_written_bytes_total);
  expect(before.polymq_stream_log_bytes).toBeGreaterThan(7 * 60);
  expect(before.polymq_stream_read_bytes_total).toBeGreaterThan(60);
  await channel.prefetch(10);
  const inbox = await consume(channel, "s", { arguments: { "x-stream-offset": "first" } });
  await inbox.count(7);
  const admin = kafka.admin();
  await admin.connect();
  await admin.setOffsets({
    groupId: "readers",
    topic: "s",
    partitions: [0, 1, 2].map((partition) => ({ partition, offset: partition === 0 ? "1" : "0" })),
  });
  const [ends] = [await admin.fetchTopicOffsets("s")];
  await admin.disconnect();
  const after = await figures();
  expect(after.polymq_stream_records_read_total).toBe(9);
  const lag = 'polymq_group_lag_records{namespace="/",group="readers",stream="s"}';
  expect(after[lag]).toBe(ends.reduce((sum, { high }) => sum + Number(high), 0) - 1);
  expect(after[lag]).toBe(6);
});
