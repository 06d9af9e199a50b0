// Streams as AMQP clients see them: queues that are read and not emptied. The texts are RabbitMQ 3.10's.
import type { Channel, ConsumeMessage, Options } from "amqplib";
import { afterAll, test as base, describe, expect } from "vitest";
import type { Partition } from "../../../src/broker/stream/partition.ts";
import { startServer } from "../../support/broker.ts";
import { consume, eventually, fresh, publishAll, testWith } from "../../support/client.ts";

const { broker, address, stop } = await startServer();
afterAll(stop);
const test = testWith({ url: `amqp://guest:guest@${address}` });
const STREAM = { arguments: { "x-queue-type": "stream" } };

/** A consumer that acknowledges everything, beginning where `offset` says. */
async function reader(channel: Channel, queue: string, offset: unknown, more: object = {}) {
  await channel.prefetch(50);
  const inbox = await consume(channel, queue, { arguments: { "x-stream-offset": offset, ...more } });
  return inbox;
}

function offsetOf(message: ConsumeMessage): number {
  return message.properties.headers?.["x-stream-offset"];
}

describe("declaring", () => {
  test("a stream is a queue with a type, found again with the same arguments", async ({ client }) => {
    const channel = await client.channel();
    const options = {
      arguments: {
        "x-queue-type": "stream",
        "x-max-age": "7D",
        "x-max-length-bytes": 1_000_000,
        "x-stream-max-segment-size-bytes": 100_000,
        "x-initial-cluster-size": 1,
      },
    };
    const queue = await client.queue(channel, options);
    await channel.assertQueue(queue, options);
    expect(broker.streams.find("/", queue)?.config).toMatchObject({
      retentionMs: 7 * 86_400_000,
      retentionBytes: 1_000_000,
      segmentBytes: 100_000,
    });
    const other = await client.errorOf((ch) =>
      ch.assertQueue(queue, { arguments: { ...options.arguments, "x-max-age": "1D" } }),
    );
    expect([other.code, other.text]).toEqual([
      406,
      `PRECONDITION_FAILED - inequivalent arg 'x-max-age' for queue '${queue}' in vhost '/': received '1D' but current is '7D'`,
    ]);
    const plain = await client.queue(channel, STREAM);
    const classic = await client.errorOf((ch) => ch.assertQueue(plain));
    expect(classic.text).toContain("inequivalent arg 'x-queue-type'");
  });

  test("refuses what a stream cannot be", async ({ client }) => {
    const refused = async (options: Options.AssertQueue, name = fresh("q")) => {
      const { code, text } = await client.errorOf((ch) =>
        ch.assertQueue(name, { ...options, arguments: { "x-queue-type": "stream", ...options.arguments } }),
      );
      return [code, text.replace(name, "Q")];
    };
    expect(await refused({ durable: false })).toEqual([
      406,
      "PRECONDITION_FAILED - invalid property 'non-durable' for queue 'Q' in vhost '/'",
    ]);
    expect((await refused({ exclusive: true }))[1]).toContain("invalid property 'exclusive-owner'");
    expect((await refused({ autoDelete: true }))[1]).toContain("invalid property 'auto-delete'");
    expect((await refused({ arguments: { "x-message-ttl": 5 } }))[1]).toContain(
      "invalid arg 'x-message-ttl' for queue 'Q' in vhost '/' of queue type rabbit_stream_queue",
    );
    expect((await refused({ arguments: { "x-max-age": "7 days" } }))[1]).toContain("invalid_max_age");
    expect((await refused({}, ""))[1]).toContain("Cannot declare a server-named queue");
  });
});

describe("refusals", () => {
  test("in the words of RabbitMQ", async ({ client }) => {
    const channel = await client.channel();
    const queue = await client.queue(channel, STREAM);
    const named = `queue '${queue}' in vhost '/'`;
    const error = async (operation: (ch: Channel) => unknown) => {
      const { code, text } = await client.errorOf(operation);
      return [code, text];
    };
    expect(await error((ch) => ch.get(queue))).toEqual([
      540,
      `NOT_IMPLEMENTED - basic.get not supported by stream queues ${named}`,
    ]);
    expect(await error((ch) => ch.purgeQueue(queue))).toEqual([
      540,
      `NOT_IMPLEMENTED - queue.purge not supported by stream queues ${named}`,
    ]);
    expect(await error((ch) => ch.consume(queue, () => {}))).toEqual([
      406,
      `PRECONDITION_FAILED - consumer prefetch count is not set for '${named}'`,
    ]);
    expect(
      await error(async (ch) => {
        await ch.prefetch(10);
        await ch.consume(queue, () => {}, { noAck: true });
      }),
    ).toEqual([540, `NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queues ${named}`]);
    expect(
      await error(async (ch) => {
        await ch.prefetch(10, true);
        await ch.consume(queue, () => {});
      }),
    ).toEqual([540, `NOT_IMPLEMENTED - ${named} does not support global qos`]);
    const place = await error(async (ch) => {
      await ch.prefetch(10);
      await ch.consume(queue, () => {}, { arguments: { "x-stream-offset": "somewhere" } });
    });
    expect(place[0]).toBe(406);
    expect(place[1]).toContain("invalid arg 'x-stream-offset'");
    expect((await client.errorOf((ch) => ch.consume(`${queue}-none`, () => {}))).code).toBe(404);
  });
});

describe("publishing and consuming", () => {
  test("everybody reads everything, from where he likes", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, STREAM);
    await publishAll(channel, queue, ["a", "b", "c"]);
    await publishAll(channel, queue, ["d", "e"]);
    expect((await channel.checkQueue(queue)).messageCount).toBe(5);
    const [first, second] = [
      await reader(await client.channel(), queue, "first"),
      await reader(await client.channel(), queue, 3),
    ];
    const last = await reader(await client.channel(), queue, "last");
    const next = await reader(await client.channel(), queue, "next");
    const hour = await reader(await client.channel(), queue, "1h");
    const timed = await reader(await client.channel(), queue, { "!": "timestamp", value: 1_000 });
    const future = await reader(await client.channel(), queue, 6);
    await first.count(5);
    await publishAll(channel, queue, ["f", "g"]);
    await Promise.all([first.count(7), second.count(4), next.count(2), hour.count(7), timed.count(7)]);
    await future.count(1);
    expect(first.bodies()).toEqual(["a", "b", "c", "d", "e", "f", "g"]);
    expect(first.messages.map(offsetOf)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(second.bodies()).toEqual(["d", "e", "f", "g"]);
    expect(next.bodies()).toEqual(["f", "g"]);
    expect(future.bodies()).toEqual(["g"]);
    await last.count(3);
    expect(last.bodies().slice(-4)).toEqual(["d", "e", "f", "g"].slice(-last.bodies().length));
    expect((await channel.checkQueue(queue)).consumerCount).toBe(7);
  });

  test("a message comes back as it was published, but for its place", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, STREAM);
    const properties = {
      contentType: "text/plain",
      correlationId: "c",
      replyTo: "r",
      messageId: "m",
      timestamp: 1_700_000_000,
      type: "t",
      appId: "app",
      priority: 3,
      persistent: false,
      expiration: "60000",
      headers: { text: "ä", number: 5, nested: { list: [1, true] } },
    };
    channel.publish("", queue, Buffer.from("body"), properties);
    channel.publish("", queue, Buffer.alloc(3_000_000, "x"), {});
    channel.publish("", queue, Buffer.alloc(0), {});
    await channel.waitForConfirms();
    const inbox = await reader(await client.channel(), queue, "first");
    const [message, large, empty] = await inbox.count(3);
    const { headers, ...rest } = message?.properties ?? {};
    const { persistent, headers: sent, ...expected } = properties;
    expect(rest).toMatchObject({ ...expected, deliveryMode: 1 });
    expect(headers).toEqual({ ...sent, "x-stream-offset": 0 });
    expect([message?.fields.exchange, message?.fields.routingKey]).toEqual(["", queue]);
    expect([large?.content.length, empty?.content.length]).toEqual([3_000_000, 0]);
    expect(persistent).toBe(false);
  });

  test("a consumer gets no more than its prefetch, and settling only gives credit", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, STREAM);
    await publishAll(
      channel,
      queue,
      Array.from({ length: 20 }, (_, index) => `${index}`),
    );
    const reading = await client.channel();
    await reading.prefetch(5);
    const inbox = await consume(reading, queue, { arguments: { "x-stream-offset": "first" } });
    await inbox.count(5);
    await reading.checkQueue(queue);
    expect(inbox.messages).toHaveLength(5);
    reading.ack(inbox.messages[2] as ConsumeMessage, true);
    await inbox.count(8);
    reading.nack(inbox.messages[3] as ConsumeMessage, false, true);
    await inbox.count(9);
    reading.reject(inbox.messages[4] as ConsumeMessage, false);
    await inbox.count(10);
    await reading.checkQueue(queue);
    expect(inbox.bodies()).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    await reading.cancel(inbox.consumerTag);
    expect((await channel.checkQueue(queue)).messageCount).toBe(20);
  });

  test("filters by what publishers say", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, STREAM);
    const publish = (body: string, filter?: string) =>
      channel.publish("", queue, Buffer.from(body), {
        headers: filter === undefined ? {} : { "x-stream-filter-value": filter },
      });
    publish("1", "red");
    publish("2", "blue");
    publish("3");
    publish("4", "green");
    await channel.waitForConfirms();
    const reds = await reader(await client.channel(), queue, "first", { "x-stream-filter": "red" });
    const some = await reader(await client.channel(), queue, "first", {
      "x-stream-filter": ["red", "green"],
      "x-stream-match-unfiltered": true,
    });
    await some.count(3);
    publish("5", "red");
    await reds.count(2);
    expect(reds.bodies()).toEqual(["1", "5"]);
    expect((await some.count(4)).map(({ content }) => content.toString())).toEqual(["1", "3", "4", "5"]);
  });

  test("is bound to exchanges like any queue, and stands beside them", async ({ client }) => {
    const channel = await client.confirmChannel();
    const exchange = await client.exchange(channel, "topic");
    const queue = await client.queue(channel, STREAM);
    const plain = await client.queue(channel);
    await channel.bindQueue(queue, exchange, "orders.*");
    await channel.bindQueue(plain, exchange, "#");
    channel.publish(exchange, "orders.new", Buffer.from("both"));
    channel.publish(exchange, "other", Buffer.from("one"));
    await channel.waitForConfirms();
    const inbox = await reader(await client.channel(), queue, "first");
    expect((await inbox.count(1))[0]?.fields).toMatchObject({ exchange, routingKey: "orders.new" });
    expect((await channel.checkQueue(plain)).messageCount).toBe(2);
    expect((await channel.checkQueue(queue)).messageCount).toBe(1);
  });

  test("takes dead letters", async ({ client }) => {
    const channel = await client.confirmChannel();
    const stream = await client.queue(channel, STREAM);
    const queue = await client.queue(channel, {
      arguments: { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": stream, "x-max-length": 1 },
    });
    await publishAll(channel, queue, ["old", "new"]);
    const inbox = await reader(await client.channel(), stream, "first");
    await inbox.count(1);
    expect(inbox.bodies()).toEqual(["old"]);
    expect(inbox.messages[0]?.properties.headers).toEqual({
      "x-death": [
        {
          count: 1,
          reason: "maxlen",
          queue,
          time: { "!": "timestamp", value: expect.any(Number) },
          exchange: "",
          "routing-keys": [queue],
        },
      ],
      "x-first-death-exchange": "",
      "x-first-death-queue": queue,
      "x-first-death-reason": "maxlen",
      "x-last-death-exchange": "",
      "x-last-death-queue": queue,
      "x-last-death-reason": "maxlen",
      "x-stream-offset": 0,
    });
  });

  test("records with one key stay in one partition, and partitions are read together or alone", async ({
    client,
  }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, { arguments: { "x-queue-type": "stream", "x-partitions": 3 } });
    for (let index = 0; index < 60; index++) {
      channel.publish("", queue, Buffer.from(`${index}`), { headers: { "x-key": `key ${index % 7}` } });
    }
    await channel.waitForConfirms();
    const inbox = await reader(await client.channel(), queue, "first", {});
    await inbox.count(50);
    const partitions = broker.streams.find("/", queue)?.partitions as Partition[];
    const counts = partitions.map(({ endOffset }) => endOffset);
    expect(counts.reduce((sum, count) => sum + count)).toBe(60);
    expect(counts.filter((count) => count > 0).length).toBeGreaterThan(1);
    const homes = new Map<string, Set<number>>();
    for (const { properties } of inbox.messages) {
      const { "x-key": key, "x-stream-partition": partition } = properties.headers ?? {};
      homes.set(key, (homes.get(key) ?? new Set()).add(partition));
    }
    expect([...homes.values()].every((found) => found.size === 1)).toBe(true);
    const largest = counts.indexOf(Math.max(...counts));
    const alone = await reader(await client.channel(), `${queue}-${largest}`, "first");
    const found = await alone.count(Math.min(50, counts[largest] as number));
    expect(found.every(({ properties }) => properties.headers?.["x-stream-partition"] === largest)).toBe(
      true,
    );
  });

  test("a consumer reads partitions that are added while it reads, and so does an exchange that is fed", async ({
    client,
  }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, { arguments: { "x-queue-type": "stream", "x-partitions": 2 } });
    const exchange = fresh("fed");
    await channel.assertExchange(exchange, "fanout", { arguments: { "x-source-stream": queue } });
    const sink = await client.queue(channel);
    await channel.bindQueue(sink, exchange, "");
    const inbox = await reader(await client.channel(), queue, "next");
    const alone = await reader(await client.channel(), `${queue}-0`, "first");
    await publishAll(channel, queue, ["before"]);
    await inbox.count(1);
    broker.streams.grow(broker.streams.find("/", queue) as never, 5);
    const partitions = broker.streams.find("/", queue)?.partitions as Partition[];
    const ends = partitions.map(({ endOffset }) => endOffset);
    for (let index = 0; index < 40; index++)
      channel.publish("", queue, Buffer.from(`${index}`), { headers: { "x-key": `key ${index}` } });
    await channel.waitForConfirms();
    await inbox.count(41);
    const read = new Set(inbox.messages.map(({ properties }) => properties.headers?.["x-stream-partition"]));
    expect([...read].sort()).toEqual([0, 1, 2, 3, 4]);
    await eventually(async () => (await channel.checkQueue(sink)).messageCount === 41, "all of it was fed");
    expect(ends.slice(2)).toEqual([0, 0, 0]);
    await alone.count(partitions[0]?.endOffset as number);
    const others = alone.messages.filter(
      ({ properties }) => properties.headers?.["x-stream-partition"] !== 0,
    );
    expect(others).toEqual([]);
  });

  test("many publishers at once, all confirmed, all there", async ({ client }) => {
    const declaring = await client.channel();
    const queue = await client.queue(declaring, STREAM);
    await Promise.all(
      Array.from({ length: 8 }, async (_, which) => {
        const channel = await client.confirmChannel();
        await publishAll(
          channel,
          queue,
          Array.from({ length: 200 }, (_, index) => `${which} ${index}`),
        );
      }),
    );
    expect((await declaring.checkQueue(queue)).messageCount).toBe(1_600);
    const reading = await client.channel();
    await reading.prefetch(100);
    const bodies: string[] = [];
    await reading.consume(
      queue,
      (message) => {
        if (message === null) return;
        bodies.push(message.content.toString());
        reading.ack(message);
      },
      { arguments: { "x-stream-offset": "first" } },
    );
    await eventually(() => bodies.length === 1_600);
    for (let which = 0; which < 8; which++) {
      const own = bodies.filter((body) => body.startsWith(`${which} `));
      expect(own).toEqual(Array.from({ length: 200 }, (_, index) => `${which} ${index}`));
    }
  });

  test("a deleted stream takes its consumers along", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, STREAM);
    await publishAll(channel, queue, ["a", "b"]);
    const inbox = await reader(await client.channel(), queue, "next");
    expect((await channel.deleteQueue(queue)).messageCount).toBe(2);
    await eventually(() => inbox.cancelled, "the cancellation");
    expect(broker.streams.find("/", queue)).toBe(null);
    await channel.assertQueue(queue);
    await channel.deleteQueue(queue);
  });
});

base("streams and what is bound to them are there after a restart", async () => {
  const { mkdtemp, rm } = await import("node:fs/promises");
  const { tmpdir } = await import("node:os");
  const { join } = await import("node:path");
  const { connect } = await import("amqplib");
  const dataDir = await mkdtemp(join(tmpdir(), "polymq-streams-"));
  try {
    const options = { arguments: { "x-queue-type": "stream", "x-max-age": "1D" } };
    for (let run = 0; run < 3; run++) {
      const server = await startServer({ engine: "file:", dataDir });
      const connection = await connect(`amqp://guest:guest@${server.address}`);
      const channel = await connection.createConfirmChannel();
      expect((await channel.assertQueue("kept", options)).messageCount).toBe(run);
      await channel.assertExchange("to-kept", "fanout");
      if (run === 0) await channel.bindQueue("kept", "to-kept", "");
      channel.publish("to-kept", "", Buffer.from(`run ${run}`));
      await channel.waitForConfirms();
      const inbox = await reader(channel, "kept", "first");
      await inbox.count(run + 1);
      expect(inbox.bodies()).toEqual(Array.from({ length: run + 1 }, (_, index) => `run ${index}`));
      await connection.close();
      await server.stop();
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});
