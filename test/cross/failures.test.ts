// What becomes of messages that fail, whoever consumes them: the policy is the queue's, not a protocol's.
import { type ConsumeMessage, connect } from "amqplib";
import mqtt from "mqtt";
import { afterAll, describe, expect, test } from "vitest";
import { startBroker } from "../../src/index.ts";
import { startServer } from "../support/broker.ts";
import { StompClient } from "../support/stomp-client.ts";

const broker = await startBroker({ engine: "memory:", amqp: { port: 0 }, stomp: { port: 0 } });
const amqp = await connect(broker.amqp.url);
const channel = await amqp.createChannel();
afterAll(async () => {
  await amqp.close();
  await broker.stop();
});

let names = 0;

/** The next message of a queue: what it was, and why it is there. */
async function dead(
  from: typeof channel,
  queue: string,
): Promise<{ body: string; reason: unknown; queue: unknown }> {
  const message = await new Promise<ConsumeMessage>((resolve) => {
    from.consume(queue, (got) => resolve(got as ConsumeMessage), { noAck: true });
  });
  const { "x-first-death-reason": reason, "x-first-death-queue": first } = message.properties.headers ?? {};
  return { body: message.content.toString(), reason, queue: first };
}

describe("STOMP", () => {
  const open = async (headers: Record<string, string>) => {
    const queue = `failing-${++names}`;
    await channel.assertQueue(`${queue}.dead`);
    const client = await StompClient.connect(broker.stomp?.url as string);
    await client.ask("SUBSCRIBE", {
      id: "s",
      destination: `/queue/${queue}`,
      ack: "client-individual",
      "x-dead-letter-exchange": "",
      "x-dead-letter-routing-key": `${queue}.dead`,
      ...headers,
    });
    return { queue, client };
  };

  test("NACK without requeue: the dead-letter target", async () => {
    const { queue, client } = await open({});
    channel.sendToQueue(queue, Buffer.from("bad"));
    const { headers } = await client.next();
    client.send("NACK", { id: headers.ack as string, requeue: "false" });
    expect(await dead(channel, `${queue}.dead`)).toEqual({ body: "bad", reason: "rejected", queue });
    client.destroy();
  });

  test("attempts, with a wait between them, then the dead-letter target", async () => {
    const { queue, client } = await open({ "x-retry-attempts": "2", "x-retry-backoff": "20ms" });
    channel.sendToQueue(queue, Buffer.from("stubborn"));
    const seen: (string | undefined)[] = [];
    for (let attempt = 1; attempt <= 3; attempt++) {
      const { headers } = await client.next();
      seen.push(headers.redelivered, headers["x-delivery-count"]);
      client.send("NACK", { id: headers.ack as string, requeue: "false" });
    }
    expect(seen).toEqual(["false", undefined, "true", "1", "true", "2"]);
    expect(await dead(channel, `${queue}.dead`)).toMatchObject({ body: "stubborn", queue });
    client.destroy();
  });

  test("a delivery limit, and a time to live", async () => {
    const limited = await open({ "x-delivery-limit": "1", "x-queue-type": "quorum" });
    channel.sendToQueue(limited.queue, Buffer.from("twice"));
    for (let i = 0; i < 2; i++) {
      const { headers } = await limited.client.next();
      limited.client.send("NACK", { id: headers.ack as string });
    }
    expect(await dead(channel, `${limited.queue}.dead`)).toMatchObject({ reason: "delivery_limit" });
    limited.client.destroy();
    const brief = await open({ "x-message-ttl": "1" });
    brief.client.destroy();
    channel.sendToQueue(brief.queue, Buffer.from("late"));
    expect(await dead(channel, `${brief.queue}.dead`)).toMatchObject({ body: "late", reason: "expired" });
  });
});

describe("MQTT 5", async () => {
  const started = await startServer({
    mqttPort: "0",
    mqttDeadLetterExchange: "refused",
    mqttRetryAttempts: "2",
    mqttRetryBackoff: "20ms",
  });
  const connection = await connect(`amqp://${started.address}`);
  const observer = await connection.createChannel();
  await observer.assertExchange("refused", "fanout");
  afterAll(async () => {
    await connection.close();
    await started.stop();
  });

  test.each([
    ["of its own", "orders/#"],
    ["of a group", "$share/workers/orders/#"],
  ])(
    "a message of a subscription %s that is refused comes again, then goes to the dead-letter target",
    async (_, filter) => {
      const { queue } = await observer.assertQueue("", { exclusive: true });
      await observer.bindQueue(queue, "refused", "");
      const seen: boolean[] = [];
      const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${started.port("mqtt")}`, {
        protocolVersion: 5,
        properties: { sessionExpiryInterval: 60 },
        clientId: `refuser ${filter}`,
        customHandleAcks: (_topic, _message, packet, done) => {
          seen.push(packet.dup);
          (done as (reason: number) => void)(0x80);
        },
      });
      await client.subscribeAsync(filter, { qos: 1 });
      observer.publish("amq.topic", "orders.1", Buffer.from("refuse me"), { persistent: true });
      expect(await dead(observer, queue)).toMatchObject({ body: "refuse me" });
      expect(seen).toEqual([false, true, true]);
      await client.unsubscribeAsync(filter);
      await client.endAsync();
    },
  );

  test("what expires in the session of an absent client goes there, too", async () => {
    const { queue } = await observer.assertQueue("", { exclusive: true });
    await observer.bindQueue(queue, "refused", "");
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${started.port("mqtt")}`, {
      protocolVersion: 5,
      properties: { sessionExpiryInterval: 60 },
      clientId: "absent",
    });
    await client.subscribeAsync("brief/#", { qos: 1 });
    await client.endAsync();
    observer.publish("amq.topic", "brief.1", Buffer.from("too late"), { expiration: "50", persistent: true });
    expect(await dead(observer, queue)).toMatchObject({ body: "too late", reason: "expired" });
  });
});
