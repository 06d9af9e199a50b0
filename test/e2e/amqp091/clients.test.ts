// The other two Node clients, each doing its everyday work: they make choices amqplib does not.
import { AMQPClient } from "@cloudamqp/amqp-client";
import { Connection } from "rabbitmq-client";
import { describe, expect, test } from "vitest";
import { useBroker } from "../../support/broker.ts";
import { eventually, fresh } from "../../support/client.ts";

const broker = await useBroker();

describe("@cloudamqp/amqp-client", () => {
  async function withChannel(run: (channel: Awaited<ReturnType<AMQPClient["channel"]>>) => Promise<void>) {
    const connection = await new AMQPClient(broker.url).connect();
    try {
      await run(await connection.channel());
    } finally {
      await connection.close();
    }
  }

  test("publishes with confirms, consumes and acknowledges", async () => {
    await withChannel(async (channel) => {
      await channel.confirmSelect();
      const queue = await channel.queueDeclare("", { exclusive: true });
      for (let tag = 1; tag <= 20; tag++) {
        const properties = {
          contentType: "text/plain",
          headers: { n: tag, nested: { list: [1, "two", true] } },
        };
        expect(await channel.basicPublish("", queue.name, `message ${tag}`, properties)).toBe(tag);
      }
      await channel.prefetch(5);
      const seen: string[] = [];
      const consumer = await channel.basicConsume(queue.name, { noAck: false }, async (message) => {
        seen.push(message.bodyString() ?? "");
        expect(message.properties.headers).toMatchObject({
          n: seen.length,
          nested: { list: [1, "two", true] },
        });
        await message.ack();
      });
      await eventually(() => seen.length === 20);
      await consumer.cancel();
      expect(seen).toEqual([...Array(20).keys()].map((n) => `message ${n + 1}`));
      expect(await channel.queueDelete(queue.name)).toMatchObject({ messageCount: 0 });
    });
  });

  test("returns, gets, transactions and errors", async () => {
    await withChannel(async (channel) => {
      const queue = await channel.queueDeclare("", { exclusive: true });
      let returned = 0;
      channel.onReturn = () => returned++;
      await channel.basicPublish("", fresh("nowhere"), "lost", {}, true);
      await eventually(() => returned === 1);
      await channel.txSelect();
      await channel.basicPublish("", queue.name, "kept");
      await channel.txCommit();
      await channel.basicPublish("", queue.name, "undone");
      await channel.txRollback();
      const message = await channel.basicGet(queue.name, { noAck: true });
      expect(message?.bodyString()).toBe("kept");
      expect(await channel.basicGet(queue.name)).toBeNull();
      await expect(channel.queueDeclare(fresh("missing"), { passive: true })).rejects.toThrow(
        /NOT_FOUND - no queue/,
      );
    });
  });

  test("exchanges and large bodies", async () => {
    await withChannel(async (channel) => {
      const exchange = fresh("topic");
      await channel.exchangeDeclare(exchange, "topic", { autoDelete: true, durable: false });
      const queue = await channel.queueDeclare("", { exclusive: true });
      await channel.queueBind(queue.name, exchange, "a.#");
      await channel.confirmSelect();
      const body = new Uint8Array(300_000).fill(7);
      await channel.basicPublish(exchange, "a.b.c", body);
      const message = await channel.basicGet(queue.name, { noAck: true });
      expect(message?.bodySize).toBe(body.length);
      expect(Buffer.from(message?.body as Uint8Array).equals(Buffer.from(body))).toBe(true);
    });
  });
});

describe("rabbitmq-client", () => {
  async function withConnection(run: (connection: Connection) => Promise<void>) {
    const connection = new Connection({ url: broker.url });
    connection.on("error", () => {});
    try {
      await connection.onConnect();
      await run(connection);
    } finally {
      await connection.close();
    }
  }

  test("its publisher and its consumer, which retries what throws", async () => {
    await withConnection(async (connection) => {
      const queue = fresh("rabbitmq-client");
      const seen: [unknown, boolean][] = [];
      const consumer = connection.createConsumer(
        { queue, queueOptions: { autoDelete: true }, qos: { prefetchCount: 2 } },
        async (message) => {
          seen.push([message.body, message.redelivered]);
          if (message.body.n === 2 && !message.redelivered) throw new Error("try again");
        },
      );
      consumer.on("error", () => {});
      await new Promise((resolve) => consumer.once("ready", resolve as () => void));
      const publisher = connection.createPublisher({ confirm: true, maxAttempts: 2 });
      for (let n = 1; n <= 3; n++) await publisher.send(queue, { n });
      await eventually(() => seen.length === 4);
      const sorted = seen.map((entry) => JSON.stringify(entry)).sort();
      expect(sorted).toEqual(['[{"n":1},false]', '[{"n":2},false]', '[{"n":2},true]', '[{"n":3},false]']);
      await publisher.close();
      await consumer.close();
    });
  });

  test("its RPC client, over direct reply-to", async () => {
    await withConnection(async (connection) => {
      const queue = fresh("rpc");
      const server = connection.createConsumer(
        { queue, queueOptions: { exclusive: true } },
        async (request, reply) => {
          await reply(`hello ${request.body}`);
        },
      );
      await new Promise((resolve) => server.once("ready", resolve as () => void));
      const rpc = connection.createRPCClient({ confirm: true });
      const answers = await Promise.all(
        ["ann", "bob"].map(async (name) => (await rpc.send(queue, name)).body),
      );
      expect(answers).toEqual(["hello ann", "hello bob"]);
      await rpc.close();
      await server.close();
    });
  });
});
