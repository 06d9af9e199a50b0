// The storage of a stream fails: who publishes to it hears so in his protocol's words, and nobody else does.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConfirmChannel, connect } from "amqplib";
import { connectAsync } from "mqtt";
import { afterAll, expect, test } from "vitest";
import { startServer } from "../support/broker.ts";
import { kafkaJs } from "../support/kafka.ts";
import { RawConnection } from "../support/raw-connection.ts";
import { StompClient } from "../support/stomp-client.ts";

const dataDir = mkdtempSync(join(tmpdir(), "polymq-storage-"));
const texts = { engine: "file:", dataDir, kafkaPort: "0", mqttPort: "0", stompPort: "0" };
const { broker, address, port, stop } = await startServer(texts);
const amqp = await connect(`amqp://guest:guest@${address}`);
const channel: ConfirmChannel = await amqp.createConfirmChannel();
afterAll(async () => {
  await amqp.close();
  await stop();
  rmSync(dataDir, { recursive: true, force: true });
});

let count = 0;

/** A stream whose log cannot be made: a file is where its directory must be. */
async function doomed(): Promise<string> {
  const name = `doomed-${++count}`;
  await channel.assertQueue(name, { arguments: { "x-queue-type": "stream" } });
  mkdirSync(join(dataDir, "logs"), { recursive: true });
  writeFileSync(join(dataDir, "logs", `stream-${broker.streams.find("/", name)?.id}-0`), "");
  return name;
}

/** "ack" or "nack". */
function published(on: ConfirmChannel, queue: string): Promise<string> {
  return new Promise((resolve) =>
    on.publish("", queue, Buffer.from("x"), { persistent: true }, (error) => resolve(error ? "nack" : "ack")),
  );
}

test("AMQP: basic.nack, at once and from then on; others are confirmed", async () => {
  const stream = await doomed();
  await channel.assertQueue("healthy");
  await channel.assertQueue("healthy-stream", { arguments: { "x-queue-type": "stream" } });
  const other = await connect(`amqp://guest:guest@${address}`);
  const otherChannel = await other.createConfirmChannel();
  const sent = [published(channel, "healthy"), published(channel, stream), published(channel, "healthy")];
  const beside = [published(otherChannel, "healthy"), published(otherChannel, "healthy")];
  expect(await Promise.all(sent)).toEqual(["ack", "nack", "ack"]);
  expect(await Promise.all(beside)).toEqual(["ack", "ack"]);
  expect(await published(channel, stream)).toBe("nack");
  expect(await published(otherChannel, "healthy-stream")).toBe("ack");
  await other.close();
});

test("AMQP transactions: the commit fails", async () => {
  const stream = await doomed();
  for (const time of ["first", "second"]) {
    const raw = await RawConnection.open(`amqp://${address}`);
    await raw.openChannel(1);
    await raw.call("tx.select", 1);
    raw.publish(1, { routingKey: stream }, {}, time);
    const { name, args } = await raw.call("tx.commit", 1);
    expect([name, args.replyText]).toEqual(["channel.close", "PRECONDITION_FAILED - partial tx completion"]);
    raw.socket.destroy();
  }
});

test("MQTT 5: a PUBACK and a PUBREC that say so; MQTT 3.1.1: the connection ends", async () => {
  const stream = await doomed();
  await channel.bindQueue(stream, "amq.topic", "doomed.mqtt");
  const url = `mqtt://127.0.0.1:${port("mqtt")}`;
  const five = await connectAsync(url, { protocolVersion: 5, username: "guest", password: "guest" });
  const code = (qos: 1 | 2) =>
    five.publishAsync("doomed/mqtt", "x", { qos }).then(
      () => 0,
      (error: { code: number }) => error.code,
    );
  expect(await code(1)).toBe(0x83);
  expect(await code(2)).toBe(0x97);
  await five.endAsync();

  const again = await doomed();
  await channel.bindQueue(again, "amq.topic", "doomed.old");
  const old = await connectAsync(url, { protocolVersion: 4, reconnectPeriod: 0 });
  let acknowledged = false;
  old.publish("doomed/old", "x", { qos: 1 }, (error) => {
    acknowledged = error === undefined || error === null;
  });
  await new Promise<void>((resolve) => old.once("close", () => resolve()));
  expect(acknowledged).toBe(false);
  await old.endAsync(true);
});

test("STOMP: ERROR instead of a receipt", async () => {
  const stream = await doomed();
  const client = await StompClient.connect(`stomp://127.0.0.1:${port("stomp")}`, {});
  client.send("SEND", { destination: `/amq/queue/${stream}`, receipt: "r1" }, "x");
  const frame = await client.next();
  expect([frame.command, frame.headers.message, frame.headers["receipt-id"]]).toEqual([
    "ERROR",
    "internal_error",
    "r1",
  ]);
  client.destroy();
});

test("Kafka: KAFKA_STORAGE_ERROR", async () => {
  const topic = await doomed();
  const kafka = kafkaJs({ brokers: [`127.0.0.1:${port("kafka")}`] });
  const producer = kafka.producer({ retry: { retries: 0 } });
  await producer.connect();
  const send = () =>
    producer.send({ topic, acks: -1, messages: [{ value: "x" }] }).then(
      () => "none",
      (error: { type?: string; cause?: { type?: string } }) => error.cause?.type ?? error.type,
    );
  expect(await send()).toBe("KAFKA_STORAGE_ERROR");
  expect(await send()).toBe("KAFKA_STORAGE_ERROR");
  await producer.disconnect();
});
