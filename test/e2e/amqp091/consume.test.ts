// Delivering: who gets which message, when, and what acknowledging does.
import { describe, expect } from "vitest";
import { useBroker } from "../../support/broker.ts";
import {
  barrier,
  consume,
  drain,
  eventually,
  getOne,
  type Inbox,
  publishAll,
  send,
  testWith,
} from "../../support/client.ts";
import { RawConnection } from "../../support/raw-connection.ts";

const broker = await useBroker();
const test = testWith(broker);

describe("acknowledgement", () => {
  test("ack, nack and reject, singly and up to a tag", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    await publishAll(channel, queue, ["a", "b", "c", "d", "e", "f", "g"]);
    const inbox = await consume(channel, queue);
    const [a, b, c, d, e, f, g] = await inbox.count(7);
    channel.ack(b!, true);
    channel.nack(d!, true, false);
    channel.reject(e!, false);
    channel.ack(g!);
    await channel.cancel(inbox.consumerTag);
    channel.reject(f!, true);
    const back = await getOne(channel, queue, {});
    expect([back.content.toString(), back.fields.redelivered, back.fields.messageCount]).toEqual([
      "f",
      true,
      0,
    ]);
    channel.ack(back);
    await barrier(channel);
    expect((await channel.checkQueue(queue)).messageCount).toBe(0);
    expect([a, c].every(Boolean)).toBe(true);
  });

  test("requeued messages go back to their place", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    await publishAll(channel, queue, ["1", "2", "3", "4", "5"]);
    const held = [];
    for (let i = 0; i < 3; i++) held.push(await getOne(channel, queue, {}));
    channel.nack(held[1]!);
    channel.nack(held[0]!);
    channel.nack(held[2]!);
    await barrier(channel);
    expect(await drain(channel, queue)).toEqual(["1", "2", "3", "4", "5"]);
  });

  test("an unknown or repeated tag is 406 and hurts this channel only", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    await publishAll(channel, queue, ["x"]);
    const unknown = (tag: number) => ({
      code: 406,
      text: `PRECONDITION_FAILED - unknown delivery tag ${tag}`,
      scope: "channel",
    });
    const fields = { deliveryTag: 7 } as never;
    expect(await client.errorOf((ch) => ch.ack({ fields } as never))).toMatchObject(unknown(7));
    expect(await client.errorOf((ch) => ch.nack({ fields } as never))).toMatchObject(unknown(7));
    const repeated = await client.errorOf(async (ch) => {
      const message = await getOne(ch, queue, {});
      ch.ack(message);
      ch.ack(message);
    });
    expect(repeated).toMatchObject(unknown(1));
    await barrier(channel);
  });

  test("what was not acknowledged comes back, redelivered and in order", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    await publishAll(channel, queue, ["1", "2", "3"]);
    const connection = await client.connection();
    const inbox = await consume(await client.channel(connection), queue);
    await inbox.count(3);
    await connection.close();
    const again = await consume(channel, queue);
    await again.count(3);
    expect(again.messages.map((m) => [m.content.toString(), m.fields.redelivered])).toEqual([
      ["1", true],
      ["2", true],
      ["3", true],
    ]);
  });

  test("recover requeues everything of the channel", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    await publishAll(channel, queue, ["1", "2"]);
    for (let i = 0; i < 2; i++) await getOne(channel, queue, {});
    await channel.recover();
    const first = await getOne(channel, queue);
    expect([first.content.toString(), first.fields.redelivered]).toEqual(["1", true]);
  });
});

describe("prefetch", () => {
  test("per consumer: for each consumer that starts after it", async ({ client }) => {
    const publisher = await client.confirmChannel();
    const queue = await client.queue(publisher);
    const channel = await client.channel();
    await channel.prefetch(2);
    const narrow = await consume(channel, queue);
    await channel.prefetch(3);
    const wide = await consume(channel, queue);
    await publishAll(publisher, queue, [...Array(10).keys()].map(String));
    await eventually(async () => (await publisher.checkQueue(queue)).messageCount === 5);
    expect([narrow.messages.length, wide.messages.length]).toEqual([2, 3]);
    channel.ack(narrow.messages[0]!);
    await narrow.count(3);
    expect(wide.messages.length).toBe(3);
  });

  test("per channel: all consumers together, and both limits hold", async ({ client }) => {
    const publisher = await client.confirmChannel();
    const queue = await client.queue(publisher);
    const channel = await client.channel();
    await channel.prefetch(2, false);
    await channel.prefetch(3, true);
    const [first, second] = [await consume(channel, queue), await consume(channel, queue)];
    await publishAll(publisher, queue, [...Array(6).keys()].map(String));
    await eventually(() => first.messages.length + second.messages.length === 3);
    await barrier(channel);
    expect((await publisher.checkQueue(queue)).messageCount).toBe(3);
    channel.ackAll();
    await eventually(() => first.messages.length + second.messages.length === 6);
  });

  test("a limit per consumer lifts the channel's, also for consumers that are there", async ({ client }) => {
    const publisher = await client.confirmChannel();
    const queue = await client.queue(publisher);
    const channel = await client.channel();
    await channel.prefetch(1, true);
    const inbox = await consume(channel, queue);
    await publishAll(publisher, queue, ["1", "2", "3"]);
    await inbox.count(1);
    await channel.prefetch(1, false);
    // RabbitMQ looks at the queue again when something happens to it.
    channel.ack(inbox.messages[0]!);
    await inbox.count(3);
  });

  test("a message that was fetched takes no consumer's place", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    await publishAll(channel, queue, ["1", "2", "3", "4"]);
    await channel.prefetch(1, true);
    const held = await getOne(channel, queue, {});
    const inbox = await consume(channel, queue);
    expect((await inbox.count(1))[0]!.content.toString()).toBe("2");
    channel.ack(held);
    await barrier(channel);
    expect(inbox.messages.length).toBe(1);
    channel.ack(inbox.messages[0]!);
    await inbox.count(2);
  });

  test("arguments of a consumer are checked", async ({ client }) => {
    const queue = await client.queue(await client.channel());
    const refused = async (args: object) =>
      (await client.errorOf((ch) => ch.consume(queue, () => {}, { arguments: args }))).text;
    const named = `for queue '${queue}' in vhost '/'`;
    expect(await refused({ "x-priority": "5" })).toBe(
      `PRECONDITION_FAILED - invalid arg 'x-priority' ${named}: "expected integer, got longstr"`,
    );
    expect(await refused({ "x-cancel-on-ha-failover": 1 })).toBe(
      `PRECONDITION_FAILED - invalid arg 'x-cancel-on-ha-failover' ${named}: {unacceptable_type,byte}`,
    );
    expect(await refused({ "x-stream-offset": "first" })).toBe(
      `PRECONDITION_FAILED - invalid arg 'x-stream-offset' ${named} of queue type rabbit_classic_queue`,
    );
  });

  test("auto-acknowledging consumers and gets ignore it", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    await channel.prefetch(1);
    await publishAll(channel, queue, ["1", "2", "3", "4", "5"]);
    expect((await getOne(channel, queue, {})).content.toString()).toBe("1");
    expect((await getOne(channel, queue, {})).content.toString()).toBe("2");
    const inbox = await consume(channel, queue, { noAck: true });
    await inbox.count(3);
  });
});

describe("competing consumers", () => {
  test("share round robin", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    const inboxes: Inbox[] = [];
    for (let i = 0; i < 3; i++) inboxes.push(await consume(channel, queue));
    await publishAll(channel, queue, [...Array(30).keys()].map(String));
    await eventually(() => inboxes.every((inbox) => inbox.messages.length === 10));
    expect(inboxes.map((inbox) => inbox.bodies()[1])).toEqual(["3", "4", "5"]);
  });

  test("higher priority first, lower only while higher ones are full", async ({ client }) => {
    const publisher = await client.confirmChannel();
    const queue = await client.queue(publisher);
    const channel = await client.channel();
    await channel.prefetch(2);
    const low = await consume(channel, queue, { priority: -1 });
    const high = await consume(channel, queue, { arguments: { "x-priority": 10 } });
    const plain = await consume(channel, queue);
    await publishAll(publisher, queue, ["1", "2"]);
    await high.count(2);
    await publishAll(publisher, queue, ["3", "4", "5"]);
    await plain.count(2);
    await low.count(1);
    expect([high.bodies(), plain.bodies(), low.bodies()]).toEqual([["1", "2"], ["3", "4"], ["5"]]);
    channel.ack(high.messages[0]!);
    await barrier(channel);
    await publishAll(publisher, queue, ["6"]);
    await high.count(3);
  });

  test("single active consumer: one at a time, the next one takes over", async ({ client }) => {
    const publisher = await client.confirmChannel();
    const queue = await client.queue(publisher, { arguments: { "x-single-active-consumer": true } });
    const connection = await client.connection();
    const first = await consume(await client.channel(connection), queue);
    const second = await consume(await client.channel(await client.connection()), queue);
    await publishAll(publisher, queue, ["1", "2", "3"]);
    await first.count(3);
    expect(second.messages.length).toBe(0);
    await connection.close();
    await second.count(3);
    expect(second.bodies()).toEqual(["1", "2", "3"]);
    const refused = await client.errorOf((ch) => ch.consume(queue, () => {}, { exclusive: true }));
    expect(refused).toMatchObject({ code: 403, scope: "channel" });
  });

  test("an exclusive consumer keeps others out, and is kept out", async ({ client }) => {
    const channel = await client.channel();
    const queue = await client.queue(channel);
    const { consumerTag } = await consume(channel, queue, { exclusive: true });
    const inUse = {
      code: 403,
      text: `ACCESS_REFUSED - queue '${queue}' in vhost '/' in exclusive use`,
      scope: "channel",
    };
    expect(await client.errorOf((ch) => ch.consume(queue, () => {}))).toMatchObject(inUse);
    await channel.cancel(consumerTag);
    await consume(channel, queue);
    expect(await client.errorOf((ch) => ch.consume(queue, () => {}, { exclusive: true }))).toMatchObject(
      inUse,
    );
  });
});

describe("a consumer's life", () => {
  test("tags: given, generated, and not to be reused", async ({ client }) => {
    const channel = await client.channel();
    const queue = await client.queue(channel);
    expect((await consume(channel, queue, { consumerTag: "mine" })).consumerTag).toBe("mine");
    expect((await consume(channel, queue)).consumerTag).toMatch(/^amq\.ctag-[\w-]{22}$/);
    const error = await client.errorOf(async (ch) => {
      await ch.consume(queue, () => {}, { consumerTag: "twice" });
      await ch.consume(queue, () => {}, { consumerTag: "twice" });
    });
    expect(error).toMatchObject({
      code: 530,
      text: "NOT_ALLOWED - attempt to reuse consumer tag 'twice'",
      scope: "connection",
    });
  });

  test("cancelled by the broker when its queue goes", async ({ client }) => {
    const channel = await client.channel();
    const queue = await client.queue(channel);
    const inbox = await consume(channel, queue);
    await (await client.channel()).deleteQueue(queue);
    await eventually(() => inbox.cancelled);
    await barrier(channel);
  });

  test("who deletes the queue it consumes from hears of the deletion first", async ({ client }) => {
    const channel = await client.channel();
    const queue = await client.queue(channel);
    const raw = await RawConnection.open(broker.url);
    await raw.openChannel(1);
    await raw.call("basic.consume", 1, { queue, consumerTag: "c" });
    raw.send("queue.delete", 1, { queue });
    expect((await raw.next()).name).toBe("queue.delete-ok");
    expect(await raw.next()).toMatchObject({ name: "basic.cancel", args: { consumerTag: "c" } });
    await raw.close();
  });

  test("cancelling keeps what it holds until that is acknowledged", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    await publishAll(channel, queue, ["1"]);
    const inbox = await consume(channel, queue);
    const [held] = await inbox.count(1);
    await channel.cancel(inbox.consumerTag);
    await channel.cancel("never existed");
    send(channel, queue, "2");
    await channel.waitForConfirms();
    expect((await channel.checkQueue(queue)).messageCount).toBe(1);
    expect(inbox.messages.length).toBe(1);
    channel.ack(held!);
    await barrier(channel);
    expect(await drain(channel, queue)).toEqual(["2"]);
  });

  test("get tells how many are left, and empty when none", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    await publishAll(channel, queue, ["1", "2"]);
    const first = await getOne(channel, queue);
    expect(first.fields).toEqual({
      deliveryTag: 1,
      redelivered: false,
      exchange: "",
      routingKey: queue,
      messageCount: 1,
    });
    await getOne(channel, queue);
    expect(await channel.get(queue)).toBe(false);
  });
});

describe("priority queue", () => {
  test("highest first, in order within a level; above the maximum is the maximum", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, { maxPriority: 5 });
    for (const [body, priority] of [
      ["a", 1],
      ["b", 5],
      ["c", undefined],
      ["d", 200],
      ["e", 1],
      ["f", 0],
      ["g", 3],
    ] as const) {
      channel.sendToQueue(queue, Buffer.from(body), priority === undefined ? {} : { priority });
    }
    await channel.waitForConfirms();
    expect(await drain(channel, queue)).toEqual(["b", "d", "g", "a", "e", "c", "f"]);
  });

  test("a requeued message keeps its level and place", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, { maxPriority: 3 });
    for (const [body, priority] of [
      ["low1", 1],
      ["high1", 3],
      ["high2", 3],
      ["low2", 1],
    ] as const) {
      channel.sendToQueue(queue, Buffer.from(body), { priority });
    }
    await channel.waitForConfirms();
    const held = [];
    for (let i = 0; i < 3; i++) held.push(await getOne(channel, queue, {}));
    for (const message of held) channel.nack(message);
    await barrier(channel);
    expect(await drain(channel, queue)).toEqual(["high1", "high2", "low1", "low2"]);
  });
});
