// The scenarios of RabbitMQ's official tutorials, the way their JavaScript versions do them.
import type { Channel } from "amqplib";
import { describe, expect } from "vitest";
import { useBroker } from "../../support/broker.ts";
import { type Client, consume, eventually, fresh, getOne, send, testWith } from "../../support/client.ts";

const broker = await useBroker();
const test = testWith(broker);

async function subscriber(client: Client, exchange: string, keys: string[]) {
  const channel = await client.channel(await client.connection());
  const { queue } = await channel.assertQueue("", { exclusive: true });
  for (const key of keys) await channel.bindQueue(queue, exchange, key);
  return consume(channel, queue, { noAck: true });
}

function emit(channel: Channel, exchange: string, keys: string[]): void {
  for (const key of keys) channel.publish(exchange, key, Buffer.from(`to ${key}`));
}

describe("tutorials", () => {
  test("1: hello world", async ({ client }) => {
    const sender = await client.channel(await client.connection());
    const queue = await client.queue(sender, { durable: false });
    send(sender, queue, "Hello World!");
    const receiver = await client.channel(await client.connection());
    await receiver.assertQueue(queue, { durable: false });
    const inbox = await consume(receiver, queue, { noAck: true });
    const [message] = await inbox.count(1);
    expect(message!.content.toString()).toBe("Hello World!");
    expect(message!.fields).toMatchObject({
      exchange: "",
      routingKey: queue,
      redelivered: false,
      deliveryTag: 1,
    });
  });

  test("2: work queues share fairly and a dead worker's task goes to another", async ({ client }) => {
    const sender = await client.channel();
    const queue = await client.queue(sender, { durable: true });
    const worker = async () => {
      const connection = await client.connection();
      const channel = await client.channel(connection);
      await channel.prefetch(1);
      return { connection, channel, inbox: await consume(channel, queue) };
    };
    const [first, second] = [await worker(), await worker()];
    for (const body of ["a", "b", "c"]) send(sender, queue, body, { persistent: true });
    await first.inbox.count(1);
    await second.inbox.count(1);
    expect([...first.inbox.bodies(), ...second.inbox.bodies()].sort()).toEqual(["a", "b"]);

    second.channel.ack(second.inbox.messages[0]!);
    await second.inbox.count(2);
    expect(second.inbox.bodies()[1]).toBe("c");
    const orphan = first.inbox.bodies()[0];
    await first.connection.close();
    second.channel.ack(second.inbox.messages[1]!);
    await second.inbox.count(3);
    expect(second.inbox.bodies()[2]).toBe(orphan);
    expect(second.inbox.messages[2]!.fields.redelivered).toBe(true);
  });

  test("3: publish/subscribe", async ({ client }) => {
    const channel = await client.channel();
    const exchange = await client.exchange(channel, "fanout", { durable: false });
    const inboxes = [await subscriber(client, exchange, [""]), await subscriber(client, exchange, [""])];
    emit(channel, exchange, ["anything"]);
    for (const inbox of inboxes) expect((await inbox.count(1))[0]!.content.toString()).toBe("to anything");
  });

  test("4: routing", async ({ client }) => {
    const channel = await client.channel();
    const exchange = await client.exchange(channel, "direct", { durable: false });
    const errors = await subscriber(client, exchange, ["error"]);
    const all = await subscriber(client, exchange, ["info", "warning", "error"]);
    emit(channel, exchange, ["info", "error", "debug", "warning"]);
    await all.count(3);
    await errors.count(1);
    expect(all.bodies()).toEqual(["to info", "to error", "to warning"]);
    expect(errors.bodies()).toEqual(["to error"]);
  });

  test("5: topics", async ({ client }) => {
    const channel = await client.channel();
    const exchange = await client.exchange(channel, "topic", { durable: false });
    const orange = await subscriber(client, exchange, ["*.orange.*"]);
    const rabbits = await subscriber(client, exchange, ["*.*.rabbit", "lazy.#"]);
    emit(channel, exchange, [
      "quick.orange.rabbit",
      "lazy.orange.elephant",
      "quick.orange.fox",
      "lazy.brown.fox",
      "lazy.pink.rabbit",
      "quick.brown.fox",
      "orange",
      "quick.orange.new.rabbit",
      "lazy.orange.new.rabbit",
    ]);
    await orange.count(3);
    await rabbits.count(5);
    expect(orange.bodies()).toEqual([
      "to quick.orange.rabbit",
      "to lazy.orange.elephant",
      "to quick.orange.fox",
    ]);
    expect(rabbits.bodies()).toEqual([
      "to quick.orange.rabbit",
      "to lazy.orange.elephant",
      "to lazy.brown.fox",
      "to lazy.pink.rabbit",
      "to lazy.orange.new.rabbit",
    ]);
  });

  test("6: RPC over a reply queue", async ({ client }) => {
    const server = await client.channel(await client.connection());
    const queue = await client.queue(server, { durable: false });
    await server.prefetch(1);
    await server.consume(queue, (request) => {
      const n = Number(request!.content.toString());
      const { replyTo, correlationId } = request!.properties;
      server.sendToQueue(replyTo, Buffer.from(String(n * n)), { correlationId });
      server.ack(request!);
    });
    const caller = await client.channel(await client.connection());
    const { queue: replyTo } = await caller.assertQueue("", { exclusive: true });
    const replies = await consume(caller, replyTo, { noAck: true });
    for (const n of [3, 12]) send(caller, queue, String(n), { correlationId: `call-${n}`, replyTo });
    await replies.count(2);
    expect(
      replies.messages.map((reply) => [reply.properties.correlationId, reply.content.toString()]),
    ).toEqual([
      ["call-3", "9"],
      ["call-12", "144"],
    ]);
  });

  test("7: publisher confirms, singly, in batches and asynchronously", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    await new Promise<void>((resolve, reject) => {
      channel.sendToQueue(queue, Buffer.from("one"), {}, (error) => (error ? reject(error) : resolve()));
    });
    for (let i = 0; i < 100; i++) send(channel, queue, `batch ${i}`, { persistent: true });
    await channel.waitForConfirms();
    const confirmed: number[] = [];
    for (let i = 0; i < 100; i++)
      channel.sendToQueue(queue, Buffer.from(`${i}`), {}, () => confirmed.push(i));
    await eventually(() => confirmed.length === 100, "100 confirms");
    expect(confirmed).toEqual([...Array(100).keys()]);
    expect((await channel.checkQueue(queue)).messageCount).toBe(201);
  });

  test("the textbook case: producer and consumer disagree on durable", async ({ client }) => {
    const channel = await client.channel();
    const queue = await client.queue(channel, { durable: false }, fresh("hello"));
    const error = await client.errorOf((ch) => ch.assertQueue(queue, { durable: true }));
    expect(error).toEqual({
      code: 406,
      text: `PRECONDITION_FAILED - inequivalent arg 'durable' for queue '${queue}' in vhost '/': received 'true' but current is 'false'`,
      scope: "channel",
      classId: 50,
      methodId: 10,
    });
    send(channel, queue, "still works");
    expect((await getOne(channel, queue)).content.toString()).toBe("still works");
  });
});
