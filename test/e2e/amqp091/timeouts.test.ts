// Whatever waits, waits on the broker's clock: these tests move it by hand. Peers live in real time, so
// connections outlive any jump.
import { afterAll, describe, expect, test } from "vitest";
import { ManualClock } from "../../../src/index.ts";
import { startInProcess } from "../../support/broker.ts";
import {
  barrier,
  Client,
  consume,
  drain,
  eventually,
  getOne,
  type Inbox,
  publishAll,
} from "../../support/client.ts";

const clock = new ManualClock();
const broker = await startInProcess({ clock });
const client = new Client(broker.amqp.url);
afterAll(async () => {
  await client.cleanUp();
  await broker.stop();
});

describe("x-consumer-timeout", () => {
  const MINUTE = { arguments: { "x-consumer-timeout": 60_000 } };

  test("only the late message goes back; its consumer and the others stay", async () => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, MINUTE);
    await channel.prefetch(2);
    const slow = await consume(channel, queue);
    await publishAll(channel, queue, ["late"]);
    await slow.count(1);
    clock.advance("40s");
    await publishAll(channel, queue, ["in time"]);
    await slow.count(2);
    const other = await consume(await client.channel(), queue, { priority: 10 });
    clock.advance("25s");
    const [back] = await other.count(1);
    expect(back).toMatchObject({ fields: { redelivered: true } });
    expect(other.bodies()).toEqual(["late"]);
    // The late acknowledgement is ignored: no error, and the message is the other's now.
    channel.ack(slow.messages[0]!);
    channel.ack(slow.messages[1]!);
    await barrier(channel);
    expect(slow.cancelled).toBe(false);
    clock.advance("40s");
    await barrier(channel);
    expect(other.messages).toHaveLength(1);
    // That one is late in its turn.
    clock.advance("30s");
    await eventually(() => slow.messages.length + other.messages.length > 3, "the next redelivery");
  });

  test("late up to a tag: what is not late is acknowledged", async () => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, MINUTE);
    await publishAll(channel, queue, ["a"]);
    const late = await getOne(channel, queue, {});
    clock.advance("50s");
    await publishAll(channel, queue, ["b", "c"]);
    await getOne(channel, queue, {});
    const last = await getOne(channel, queue, {});
    clock.advance("20s");
    expect((await channel.checkQueue(queue)).messageCount).toBe(1);
    channel.ack(last, true);
    channel.nack(late);
    await barrier(channel);
    expect(await drain(channel, queue)).toEqual(["a"]);
  });

  test("a tag is forgiven once: then it is unknown, as ever", async () => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, MINUTE);
    await publishAll(channel, queue, ["a"]);
    const late = await getOne(channel, queue, {});
    clock.advance("2m");
    const closed = new Promise<{ code: number }>((resolve) => channel.on("error", resolve));
    channel.ack(late);
    channel.ack(late);
    expect((await closed).code).toBe(406);
    const other = await client.channel();
    expect(await drain(other, queue)).toEqual(["a"]);
  });

  test("nothing is late in a queue without one", async () => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    await publishAll(channel, queue, ["patient"]);
    const message = await getOne(channel, queue, {});
    clock.advance("24h");
    expect((await channel.checkQueue(queue)).messageCount).toBe(0);
    channel.ack(message);
    await barrier(channel);
  });

  test("the broker's own, where a queue sets none", async () => {
    const own = new ManualClock();
    const strict = await startInProcess({ clock: own, consumerTimeoutMs: 30_000 });
    const guest = new Client(strict.amqp.url);
    const channel = await guest.confirmChannel();
    const [queue, longer] = [await guest.queue(channel), await guest.queue(channel, MINUTE)];
    for (const name of [queue, longer]) {
      await publishAll(channel, name, ["x"]);
      await getOne(channel, name, {});
    }
    own.advance("40s");
    expect((await channel.checkQueue(queue)).messageCount).toBe(1);
    expect((await channel.checkQueue(longer)).messageCount).toBe(0);
    await guest.cleanUp();
    await strict.stop();
  });

  test("a late message of a queue with retries waits, and ends as a dead letter", async () => {
    const channel = await client.confirmChannel();
    const graveyard = await client.queue(channel);
    const queue = await client.queue(channel, {
      deadLetterExchange: "",
      deadLetterRoutingKey: graveyard,
      arguments: { "x-consumer-timeout": 60_000, "x-retry-attempts": 1, "x-retry-backoff": "initial=10m" },
    });
    await publishAll(channel, queue, ["slow work"]);
    await getOne(channel, queue, {});
    clock.advance("62s");
    expect((await channel.checkQueue(queue)).messageCount).toBe(0);
    clock.advance("11m");
    await getOne(channel, queue, {});
    clock.advance("62s");
    clock.advance("11m");
    expect((await getOne(channel, graveyard)).content.toString()).toBe("slow work");
  });
});

describe("consumers", () => {
  test("single active: the oldest takes over when the active one cancels, closes or goes", async () => {
    const publisher = await client.confirmChannel();
    const queue = await client.queue(publisher, { arguments: { "x-single-active-consumer": true } });
    const connection = await client.connection();
    const channels = [
      await client.channel(connection),
      await client.channel(await client.connection()),
      await client.channel(),
      await client.channel(),
    ];
    const inboxes: Inbox[] = [];
    for (const channel of channels) inboxes.push(await consume(channel, queue));
    const bodies = () => inboxes.map((inbox) => inbox.bodies());
    await publishAll(publisher, queue, ["1", "2"]);
    await inboxes[0]!.count(2);
    // The connection goes with two unacknowledged: the next gets them first, in order.
    await connection.close();
    await publishAll(publisher, queue, ["3"]);
    await inboxes[1]!.count(3);
    expect(bodies()).toEqual([["1", "2"], ["1", "2", "3"], [], []]);
    channels[1]!.ackAll();
    await channels[1]!.cancel(inboxes[1]!.consumerTag);
    await publishAll(publisher, queue, ["4"]);
    await inboxes[2]!.count(1);
    channels[2]!.ackAll();
    await channels[2]!.close();
    await publishAll(publisher, queue, ["5"]);
    await inboxes[3]!.count(1);
    expect(bodies().slice(2)).toEqual([["4"], ["5"]]);
  });

  test("exclusive: whoever holds it may leave, and the next may have it", async () => {
    const [one, two] = [await client.channel(), await client.channel()];
    const queue = await client.queue(one);
    const first = await consume(one, queue, { exclusive: true });
    await one.cancel(first.consumerTag);
    await consume(two, queue, { exclusive: true });
    const error = await client.errorOf((ch) => ch.consume(queue, () => {}, { exclusive: true }));
    expect(error).toMatchObject({ code: 403, scope: "channel" });
    await two.close();
    await consume(one, queue);
    expect((await client.errorOf((ch) => ch.consume(queue, () => {}, { exclusive: true }))).code).toBe(403);
  });

  test("keep a queue from expiring; without them it goes", async () => {
    const channel = await client.channel();
    const queue = await client.queue(channel, { expires: 60_000 });
    const inbox = await consume(channel, queue);
    clock.advance("1h");
    expect((await channel.checkQueue(queue)).consumerCount).toBe(1);
    expect(inbox.cancelled).toBe(false);
    await channel.cancel(inbox.consumerTag);
    clock.advance("61s");
    const error = await client.errorOf((ch) => ch.checkQueue(queue));
    expect(error).toMatchObject({ code: 404, text: `NOT_FOUND - no queue '${queue}' in vhost '/'` });
  });
});

describe("an hour in no time", () => {
  test("messages expire, delays end, unused queues go; the connection stays", async () => {
    const channel = await client.confirmChannel();
    const [ttl, perMessage, target] = [
      await client.queue(channel, { messageTtl: 1_800_000 }),
      await client.queue(channel),
      await client.queue(channel),
    ];
    const unused = await client.queue(channel, { expires: 1_800_000 });
    const exchange = await client.exchange(channel, "x-delayed-message", {
      arguments: { "x-delayed-type": "fanout" },
    });
    await channel.bindQueue(target, exchange, "");
    await publishAll(channel, ttl, ["1", "2"]);
    await publishAll(channel, perMessage, ["3"], { expiration: "3599999" });
    await publishAll(channel, perMessage, ["4"]);
    channel.publish(exchange, "", Buffer.from("delayed"), { headers: { "x-delay": 3_600_000 } });
    await channel.waitForConfirms();
    clock.advance("1h");
    expect((await channel.checkQueue(ttl)).messageCount).toBe(0);
    expect(await drain(channel, perMessage)).toEqual(["4"]);
    expect((await getOne(channel, target)).content.toString()).toBe("delayed");
    expect((await client.errorOf((ch) => ch.checkQueue(unused))).code).toBe(404);
  });

  test("a chain of queues that hand on what expires, hop by hop", async () => {
    const channel = await client.confirmChannel();
    const end = await client.queue(channel);
    const hop = (to: string) =>
      client.queue(channel, { messageTtl: 600_000, deadLetterExchange: "", deadLetterRoutingKey: to });
    const first = await hop(await hop(await hop(end)));
    await publishAll(channel, first, ["traveller"]);
    clock.advance("1h");
    const arrived = await getOne(channel, end);
    expect(arrived.properties.headers?.["x-death"]).toHaveLength(3);
  });

  test("heartbeats do not mind", async () => {
    const connection = await client.connection(`${broker.amqp.url}?heartbeat=1`);
    let ended = false;
    connection.on("close", () => {
      ended = true;
    });
    clock.advance("7d");
    await new Promise((resolve) => setTimeout(resolve, 2500));
    const channel = await client.channel(connection);
    await barrier(channel);
    expect(ended).toBe(false);
  });
});
