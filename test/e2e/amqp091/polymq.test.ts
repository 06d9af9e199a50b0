// What PolyMQ adds to RabbitMQ's dialect: stacks, retries in place, delays. Against a
// rabbitmq-server these skip; delayed messages would need a plugin that it does not ship with.
import type { ConsumeMessage } from "amqplib";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { type Broker, ManualClock } from "../../../src/index.ts";
import { startInProcess, useBroker } from "../../support/broker.ts";
import {
  barrier,
  Client,
  consume,
  drain,
  eventually,
  getOne,
  publishAll,
  testWith,
} from "../../support/client.ts";

const broker = await useBroker();
const test = testWith(broker);
const clocked = process.env.AMQP_URL === undefined;

describe.skipIf(!broker.isPolymq)("lifo queues", () => {
  test("the newest first, and a requeued message on its old place", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, { arguments: { "x-queue-order": "lifo" } });
    await publishAll(channel, queue, ["1", "2", "3"]);
    const newest = await getOne(channel, queue, {});
    expect(newest.content.toString()).toBe("3");
    await publishAll(channel, queue, ["4"]);
    channel.nack(newest);
    await barrier(channel);
    expect(await drain(channel, queue)).toEqual(["4", "3", "2", "1"]);
  });

  test("the order is part of the declaration", async ({ client }) => {
    const channel = await client.channel();
    const queue = await client.queue(channel, { arguments: { "x-queue-order": "lifo" } });
    const error = await client.errorOf((ch) => ch.assertQueue(queue));
    expect(error).toMatchObject({ code: 406, scope: "channel" });
    expect(error.text).toContain("inequivalent arg 'x-queue-order'");
    const unknown = { arguments: { "x-queue-order": "sideways" } };
    expect(await client.errorOf((ch) => ch.assertQueue(`${queue}.bad`, unknown))).toMatchObject({
      code: 406,
    });
  });
});

describe.skipIf(!broker.isPolymq)("retry", () => {
  test("a refused message waits, comes back, and ends in the dead-letter exchange", async ({ client }) => {
    const channel = await client.confirmChannel();
    const dlx = await client.exchange(channel, "fanout");
    const graveyard = await client.queue(channel);
    await channel.bindQueue(graveyard, dlx, "");
    const queue = await client.queue(channel, {
      deadLetterExchange: dlx,
      arguments: { "x-retry-attempts": 2, "x-retry-backoff": "initial=20ms" },
    });
    const seen: boolean[] = [];
    await channel.consume(queue, (message) => {
      seen.push(message!.fields.redelivered);
      channel.nack(message!, false, false);
    });
    await publishAll(channel, queue, ["stubborn"]);
    const dead = await getOne(channel, graveyard);
    expect(dead.content.toString()).toBe("stubborn");
    expect(seen).toEqual([false, true, true]);
  });

  test("others are not held up by one that waits", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, {
      arguments: {
        "x-retry-attempts": 5,
        "x-retry-backoff": { initial: 600_000, multiplier: 1, ceiling: "10m" },
      },
    });
    await publishAll(channel, queue, ["waits", "goes on"]);
    channel.nack(await getOne(channel, queue, {}), false, false);
    expect((await getOne(channel, queue)).content.toString()).toBe("goes on");
  });
});

describe.skipIf(!broker.isPolymq)("arguments of its own that make no sense", () => {
  test.for([
    [
      { "x-retry-backoff": "initial=1x" },
      "'initial=1x' is not understood; initial and max are times (250ms, 1s, 5m)",
    ],
    [{ "x-retry-backoff": "initial=1s,multiplier=0" }, "'multiplier=0' is not understood"],
    [{ "x-retry-backoff": { initial: 1000, jiter: 0.1 } }, "'jiter=0.1' is not understood"],
    [{ "x-retry-backoff": "initial=1s,initial=2s" }, "'initial' is given twice"],
    [{ "x-retry-backoff": "initial=1s,max=5s,ceiling=6s" }, "'ceiling' is given twice"],
    [
      { "x-retry-backoff": "initial=5s,max=1s" },
      "the longest wait (1000 ms) is shorter than the first (5000 ms)",
    ],
    [{ "x-queue-order": "LIFO" }, "neither fifo nor lifo"],
    [{ "x-durability": "disk" }, "none of fsync, os, memory"],
  ] as const)("%j", async ([args, text], { client }) => {
    const [key] = Object.keys(args);
    const error = await client.errorOf((channel) => channel.assertQueue("senseless", { arguments: args }));
    expect(error).toMatchObject({ code: 406, scope: "channel" });
    expect(error.text).toContain(`invalid arg '${key}' for queue 'senseless' in vhost '/': `);
    expect(error.text).toContain(text);
  });
});

describe.skipIf(!clocked)("x-delayed-message", () => {
  // Delays begin when the broker gets to a message, which may be late: they end when the clock is moved.
  const clock = new ManualClock();
  let frozen: Broker;
  let client: Client;
  beforeAll(async () => {
    frozen = await startInProcess({ clock });
    client = new Client(frozen.amqp.url);
  });
  afterAll(async () => {
    await client.cleanUp();
    await frozen.stop();
  });

  test("routes when the delay is over, and shows it negated", async () => {
    const channel = await client.confirmChannel();
    const exchange = await client.exchange(channel, "x-delayed-message", {
      arguments: { "x-delayed-type": "direct" },
    });
    const queue = await client.queue(channel);
    await channel.bindQueue(queue, exchange, "k");
    const inbox = await consume(channel, queue, { noAck: true });
    for (const [body, delay] of [
      ["third", 120],
      ["second", 40],
      ["first", undefined],
    ] as const) {
      channel.publish(exchange, "k", Buffer.from(body), delay ? { headers: { "x-delay": delay } } : {});
    }
    await channel.waitForConfirms();
    await inbox.count(1);
    clock.advance(40);
    await inbox.count(2);
    clock.advance(79);
    await barrier(channel);
    expect(inbox.messages).toHaveLength(2);
    clock.advance(1);
    await inbox.count(3);
    expect(
      inbox.messages.map((message) => [message.content.toString(), message.properties.headers?.["x-delay"]]),
    ).toEqual([
      ["first", undefined],
      ["second", -40],
      ["third", -120],
    ]);
  });

  test("delays also what comes by another exchange, and only its own share of it", async () => {
    const channel = await client.confirmChannel();
    const later = await client.exchange(channel, "x-delayed-message", {
      arguments: { "x-delayed-type": "topic" },
    });
    const headers = await client.exchange(channel, "headers");
    const fanout = await client.exchange(channel, "fanout");
    const [now, afterwards] = [await client.queue(channel), await client.queue(channel)];
    await channel.bindExchange(later, fanout, "");
    await channel.bindExchange(later, headers, "", { "x-match": "all", way: "round" });
    await channel.bindQueue(now, fanout, "");
    await channel.bindQueue(afterwards, later, "k.*");
    const soon = await consume(channel, now, { noAck: true });
    const inbox = await consume(channel, afterwards, { noAck: true });
    const delayed = { mandatory: true, persistent: true };
    channel.publish(fanout, "k.2", Buffer.from("2"), { ...delayed, headers: { "x-delay": 80 } });
    channel.publish(fanout, "other", Buffer.from("not for it"), { ...delayed, headers: { "x-delay": 20 } });
    channel.publish(headers, "k.1", Buffer.from("1"), {
      ...delayed,
      headers: { "x-delay": 40, way: "round" },
    });
    channel.publish(fanout, "k.0", Buffer.from("0"));
    await channel.waitForConfirms();
    await soon.count(3);
    await inbox.count(1);
    clock.advance(40);
    await inbox.count(2);
    clock.advance(40);
    await inbox.count(3);
    const seen = (messages: ConsumeMessage[]) =>
      messages.map((m) => [m.content.toString(), m.fields.exchange, m.properties.headers?.["x-delay"]]);
    expect(seen(inbox.messages)).toEqual([
      ["0", fanout, undefined],
      ["1", headers, -40],
      ["2", fanout, -80],
    ]);
    expect(seen(soon.messages)).toEqual([
      ["2", fanout, 80],
      ["not for it", fanout, 20],
      ["0", fanout, undefined],
    ]);
  });

  test("needs to know the type it delays for", async () => {
    for (const args of [{}, { "x-delayed-type": "no-such-type" }, { "x-delayed-type": 5 }]) {
      const error = await client.errorOf((ch) =>
        ch.assertExchange("x", "x-delayed-message", { arguments: args }),
      );
      expect(error).toMatchObject({ code: 406, scope: "channel" });
    }
  });
});

describe.skipIf(!clocked)("an injected clock", () => {
  test("an hour's TTL and a day's delay pass in no time", async () => {
    const clock = new ManualClock();
    const frozen = await startInProcess({ clock });
    const client = new Client(frozen.amqp.url);
    const channel = await client.confirmChannel();
    const graveyard = await client.queue(channel);
    const queue = await client.queue(channel, {
      messageTtl: 3_600_000,
      deadLetterExchange: "",
      deadLetterRoutingKey: graveyard,
    });
    const later = await client.exchange(channel, "x-delayed-message", {
      arguments: { "x-delayed-type": "fanout" },
    });
    const tomorrow = await client.queue(channel);
    await channel.bindQueue(tomorrow, later, "");
    await publishAll(channel, queue, ["ages"]);
    channel.publish(later, "", Buffer.from("tomorrow"), { headers: { "x-delay": 86_400_000 } });
    channel.publish(later, "", Buffer.from("in sixty days"), {
      headers: { "x-delay": 60 * 86_400_000 },
    });
    await channel.waitForConfirms();
    clock.advance("59m");
    expect((await channel.checkQueue(queue)).messageCount).toBe(1);
    clock.advance("1m");
    expect((await getOne(channel, graveyard)).content.toString()).toBe("ages");
    expect(await drain(channel, tomorrow)).toEqual([]);
    clock.advance("23h");
    await eventually(async () => (await channel.checkQueue(tomorrow)).messageCount === 1);
    clock.advance("58d");
    expect(await drain(channel, tomorrow)).toEqual(["tomorrow"]);
    clock.advance("1d");
    await eventually(async () => (await channel.checkQueue(tomorrow)).messageCount === 1);
    const late = await getOne(channel, tomorrow);
    expect(late.properties.headers?.["x-delay"]).toBe(-60 * 86_400_000);
    await client.cleanUp();
    await frozen.stop();
  });
});
