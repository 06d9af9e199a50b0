// What is published by MQTT and STOMP waits where AMQP made something to wait in, and what they do not settle is tried
// again, waits longer each time, and ends where the queue's policy says.
import { type ConsumeMessage, connect } from "amqplib";
import { afterAll, describe, expect, test } from "vitest";
import { ManualClock } from "../../src/index.ts";
import { startServer } from "../support/broker.ts";
import { eventually } from "../support/client.ts";
import { lasting, leave, quiet, seen } from "../support/mqtt-flow.ts";
import { RawMqtt } from "../support/mqtt-raw.ts";
import { StompClient } from "../support/stomp-client.ts";

const BACKOFF_MS = 1000;
/** Nothing comes before it is moved, however long a test takes to get there. */
const clock = new ManualClock();
const broker = await startServer(
  {
    mqttPort: "0",
    stompPort: "0",
    mqttDeadLetterExchange: "given-up",
    mqttRetryAttempts: "2",
    mqttRetryBackoff: `${BACKOFF_MS}ms`,
  },
  clock,
);
const mqttUrl = `mqtt://127.0.0.1:${broker.port("mqtt")}`;
const stompUrl = `stomp://127.0.0.1:${broker.port("stomp")}`;
const connection = await connect(`amqp://${broker.address}`);
const channel = await connection.createChannel();
await channel.assertExchange("given-up", "topic");
afterAll(async () => {
  await connection.close();
  await broker.stop();
});

const DELAY_MS = 60_000;
let names = 0;

/** What comes to a queue. */
async function arrivals(queue: string) {
  const came: { text: string; headers: Record<string, unknown> }[] = [];
  let wake = () => {};
  await channel.consume(
    queue,
    (message) => {
      const { content, properties } = message as ConsumeMessage;
      came.push({ text: content.toString(), headers: properties.headers ?? {} });
      wake();
    },
    { noAck: true },
  );
  return async (count: number) => {
    while (came.length < count) await new Promise<void>((resolve) => (wake = resolve));
    return came;
  };
}

/** Messages that wait for their time. */
const waiting = () => broker.broker.stats().messagesWaiting;

/** One message waits, until `ms` have passed and not for less. */
function passes(ms: number, left = 0): void {
  const before = waiting();
  clock.advance(ms - 1);
  expect(waiting()).toBe(before);
  clock.advance(1);
  expect(waiting()).toBe(left);
}

/** The next attempt comes after the backoff; jitter takes away a part of it, never more than half. */
async function backoffPasses(attempt: number): Promise<void> {
  await eventually(() => waiting() === 1, "the message to wait");
  const mostMs = BACKOFF_MS * 2 ** attempt;
  clock.advance(mostMs / 2 - 1);
  expect(waiting()).toBe(1);
  clock.advance(mostMs / 2 + 1);
  expect(waiting()).toBe(0);
}

const textsOf = (came: readonly { readonly text: string }[]) => came.map(({ text }) => text);

/** A delaying exchange with a queue behind it. */
async function delaying() {
  const name = `later-${++names}`;
  await channel.assertExchange(name, "x-delayed-message", { arguments: { "x-delayed-type": "topic" } });
  await channel.assertQueue(name);
  await channel.bindQueue(name, name, "#");
  return { name, until: await arrivals(name) };
}

describe("published by MQTT", () => {
  test("x-delay waits at a delaying exchange; subscribers get it now, and what has none waits nowhere", async () => {
    const { name, until } = await delaying();
    await channel.bindExchange(name, "amq.topic", `${name}.#`);
    const raw = await RawMqtt.connect(mqttUrl);
    await raw.subscribe(`${name}/#`, 1);
    const userProperties = { "x-delay": `${DELAY_MS}`, other: "kept" };
    raw.publish({
      topic: `${name}/a`,
      payload: "late",
      qos: 1,
      messageId: 1,
      properties: { userProperties },
    });
    expect(await raw.next("puback")).toMatchObject({ messageId: 1, reasonCode: 0 });
    raw.publish({ topic: `${name}/b`, payload: "soon", qos: 1, messageId: 2 });
    await raw.next("puback");
    expect([(await seen(raw)).payload, (await seen(raw)).payload]).toEqual(["late", "soon"]);
    expect(textsOf(await until(1))).toEqual(["soon"]);
    passes(DELAY_MS);
    const came = await until(2);
    expect(textsOf(came)).toEqual(["soon", "late"]);
    expect(came[1]?.headers).toMatchObject({ other: "kept", "x-delay": -DELAY_MS });
    await leave(raw);
  });

  test.each(["soon", "-1", "1.5", "99999999999"])("x-delay of %j is refused", async (delay) => {
    const { name } = await delaying();
    await channel.bindExchange(name, "amq.topic", `${name}.#`);
    const raw = await RawMqtt.connect(mqttUrl);
    const properties = { userProperties: { "x-delay": delay } };
    raw.publish({ topic: `${name}/a`, payload: "x", qos: 1, messageId: 1, properties });
    expect(await raw.next("puback")).toMatchObject({ messageId: 1, reasonCode: 0x83 });
    expect(await channel.checkQueue(name)).toMatchObject({ messageCount: 0 });
    // Where nothing delays it is a user property like any other.
    raw.publish({ topic: `elsewhere/${name}`, payload: "x", qos: 1, messageId: 2, properties });
    expect(await raw.next("puback")).toMatchObject({ messageId: 2, reasonCode: 0x10 });
    await leave(raw);
  });

  test("a will with x-delay waits as well", async () => {
    const { name, until } = await delaying();
    await channel.bindExchange(name, "amq.topic", `${name}.#`);
    const properties = { userProperties: { "x-delay": `${DELAY_MS}` } };
    const will = {
      topic: `${name}/will`,
      payload: Buffer.from("gone"),
      qos: 1 as const,
      retain: false,
      properties,
    };
    const raw = await RawMqtt.connect(mqttUrl, { will });
    // An exchange of the same kind as the will's: the will has been routed when this is here.
    await channel.assertQueue(`${name}-seen`);
    await channel.bindQueue(`${name}-seen`, "amq.topic", `${name}.#`);
    const seen = await arrivals(`${name}-seen`);
    await leave(raw);
    expect(textsOf(await seen(1))).toEqual(["gone"]);
    passes(DELAY_MS);
    expect(textsOf(await until(1))).toEqual(["gone"]);
  });
});

describe("published by STOMP", () => {
  test("x-delay waits at a delaying exchange, also in a transaction, and MQTT hears of it then", async () => {
    const { name, until } = await delaying();
    await channel.bindExchange("amq.topic", name, "#");
    const listener = await RawMqtt.connect(mqttUrl);
    await listener.subscribe(`${name}/#`, 1);
    const client = await StompClient.connect(stompUrl);
    const destination = `/exchange/${name}/${name}.a`;
    await client.ask("SEND", { destination, "x-delay": `${DELAY_MS}` }, "late");
    client.send("BEGIN", { transaction: "t" });
    client.send("SEND", { destination, transaction: "t", "x-delay": `${DELAY_MS * 2}` }, "later");
    await client.ask("COMMIT", { transaction: "t" });
    await client.ask("SEND", { destination }, "soon");
    expect(textsOf(await until(1))).toEqual(["soon"]);
    passes(DELAY_MS, 1);
    expect(textsOf(await until(2))).toEqual(["soon", "late"]);
    passes(DELAY_MS);
    expect(textsOf(await until(3))).toEqual(["soon", "late", "later"]);
    const heard = [await seen(listener), await seen(listener), await seen(listener)];
    expect(heard.map(({ payload }) => payload)).toEqual(["soon", "late", "later"]);
    await leave(listener);
    client.destroy();
  });

  test("x-delay that is no number is refused", async () => {
    const { name } = await delaying();
    const client = await StompClient.connect(stompUrl);
    client.send("SEND", { destination: `/exchange/${name}/a`, "x-delay": "soon" }, "x");
    expect((await client.next()).command).toBe("ERROR");
    await client.ended;
  });
});

describe("consumed by STOMP", () => {
  test.each([
    ["not given back", "false"],
    ["given back", "true"],
  ])("NACK, %s: waits grow from attempt to attempt, then the dead-letter target", async (_, requeue) => {
    const queue = `tried-${++names}`;
    await channel.assertQueue(`${queue}.dead`);
    const until = await arrivals(`${queue}.dead`);
    const client = await StompClient.connect(stompUrl);
    await client.ask("SUBSCRIBE", {
      id: "s",
      destination: `/queue/${queue}`,
      ack: "client-individual",
      "x-dead-letter-exchange": "",
      "x-dead-letter-routing-key": `${queue}.dead`,
      "x-retry-attempts": "2",
      "x-retry-backoff": `${BACKOFF_MS}ms`,
      ...(requeue === "true" && { "x-queue-type": "quorum", "x-delivery-limit": "2" }),
    });
    await client.ask("SEND", { destination: `/queue/${queue}` }, "stubborn");
    for (let attempt = 0; attempt < 3; attempt++) {
      const { headers } = await client.next();
      client.send("NACK", { id: headers.ack as string, requeue });
      if (attempt < 2) await backoffPasses(attempt);
    }
    const [dead] = await until(1);
    expect(dead?.text).toBe("stubborn");
    client.destroy();
  });
});

describe("consumed by MQTT 5", () => {
  test.each([1, 2] as const)(
    "refused with 0x80 and more (QoS %i): waits that grow, then the dead-letter target",
    async (qos) => {
      const id = `refuser-${++names}`;
      await channel.assertQueue(`${id}.dead`);
      await channel.bindQueue(`${id}.dead`, "given-up", "#");
      const until = await arrivals(`${id}.dead`);
      const raw = await RawMqtt.connect(mqttUrl, lasting(5, id));
      await raw.subscribe(id, qos);
      const publisher = await RawMqtt.connect(mqttUrl);
      publisher.publish({ topic: id, payload: "refused", qos, messageId: 1 });
      for (let attempt = 0; attempt < 3; attempt++) {
        const { messageId } = await raw.next("publish");
        const reasonCode = [0x80, 0x83, 0x97][attempt] as number;
        raw.send({
          cmd: qos === 1 ? "puback" : "pubrec",
          messageId: messageId as number,
          reasonCode,
        } as never);
        if (attempt < 2) await backoffPasses(attempt);
      }
      expect((await until(1))[0]).toMatchObject({
        text: "refused",
        headers: { "x-first-death-reason": "rejected" },
      });
      await quiet(raw);
      await Promise.all([leave(raw), leave(publisher)]);
    },
  );

  test("not acknowledged at all: sent again at once when the client is back, and no attempt is lost", async () => {
    const id = `silent-${++names}`;
    const publisher = await RawMqtt.connect(mqttUrl);
    const first = await RawMqtt.connect(mqttUrl, lasting(5, id));
    await first.subscribe(id, 1);
    publisher.publish({ topic: id, payload: "unanswered", qos: 1, messageId: 1 });
    const { messageId } = await seen(first);
    await leave(first);
    for (let again = 0; again < 4; again++) {
      const raw = await RawMqtt.connect(mqttUrl, lasting(5, id));
      expect(await seen(raw)).toMatchObject({ payload: "unanswered", messageId, dup: true });
      await leave(raw);
    }
    await leave(publisher);
  });
});
