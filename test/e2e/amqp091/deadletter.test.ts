// Expiry, length limits and dead-lettering, down to the x-death header's bytes.
import type { Channel, ConfirmChannel, GetMessage } from "amqplib";
import { describe, expect } from "vitest";
import { useBroker } from "../../support/broker.ts";
import {
  barrier,
  type Client,
  consume,
  drain,
  eventually,
  fresh,
  getOne,
  publishAll,
  testWith,
} from "../../support/client.ts";
import { RawConnection } from "../../support/raw-connection.ts";

const broker = await useBroker();
const test = testWith(broker);

interface Setup {
  channel: ConfirmChannel;
  source: string;
  graveyard: string;
  dlx: string;
}

/** A queue whose dead letters go through a fanout exchange into another queue. */
async function withGraveyard(client: Client, options: object = {}, args: object = {}): Promise<Setup> {
  const channel = await client.confirmChannel();
  const dlx = await client.exchange(channel, "fanout");
  const graveyard = await client.queue(channel);
  await channel.bindQueue(graveyard, dlx, "");
  const source = await client.queue(channel, { deadLetterExchange: dlx, ...options, arguments: args });
  return { channel, source, graveyard, dlx };
}

async function rejectOne(channel: Channel, queue: string): Promise<void> {
  channel.reject(await getOne(channel, queue, {}), false);
}

// biome-ignore lint/suspicious/noExplicitAny: headers are whatever the broker sent.
function deaths(message: GetMessage): any[] {
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  return message.properties.headers!["x-death"] as any[];
}

describe("expiry", () => {
  test("by the queue's limit, by the message's, whichever is sooner", async ({ client }) => {
    const { channel, source, graveyard } = await withGraveyard(client, { messageTtl: 60_000 });
    channel.sendToQueue(source, Buffer.from("soon"), { expiration: "50" });
    await channel.waitForConfirms();
    expect(deaths(await getOne(channel, graveyard))).toMatchObject([
      { reason: "expired", "original-expiration": "50" },
    ]);

    const quick = await withGraveyard(client, { messageTtl: 50 });
    quick.channel.sendToQueue(quick.source, Buffer.from("x"), { expiration: "60000" });
    const dead = await getOne(quick.channel, quick.graveyard);
    expect(deaths(dead)).toMatchObject([{ reason: "expired", "original-expiration": "60000" }]);
    expect(dead.properties.expiration).toBeUndefined();
  });

  test("only at the head: a patient message in front delays an impatient one", async ({ client }) => {
    const { channel, source, graveyard } = await withGraveyard(client);
    await publishAll(channel, source, ["patient"]);
    await publishAll(channel, source, ["impatient"], { expiration: "1" });
    expect((await channel.checkQueue(source)).messageCount).toBe(2);
    expect((await getOne(channel, source)).content.toString()).toBe("patient");
    expect((await getOne(channel, graveyard)).content.toString()).toBe("impatient");
  });

  test("what was hidden behind the head goes as soon as the head does", async ({ client }) => {
    const { channel, source, graveyard } = await withGraveyard(client);
    for (const expiration of [undefined, "0", undefined]) {
      await publishAll(channel, source, [`${expiration}`], expiration === undefined ? {} : { expiration });
    }
    const got = await getOne(channel, source);
    expect([got.content.toString(), got.fields.messageCount]).toEqual(["undefined", 1]);
    expect((await getOne(channel, graveyard)).content.toString()).toBe("0");

    const short = await client.queue(channel, { maxLength: 2 });
    await publishAll(channel, short, ["dropped by the limit"]);
    await publishAll(channel, short, ["expired"], { expiration: "0" });
    await publishAll(channel, short, ["last"]);
    expect((await channel.checkQueue(short)).messageCount).toBe(1);
  });

  test("zero means: to a waiting consumer, or not at all", async ({ client }) => {
    const { channel, source, graveyard } = await withGraveyard(client, { messageTtl: 0 });
    await publishAll(channel, source, ["nobody there"]);
    expect((await getOne(channel, graveyard)).content.toString()).toBe("nobody there");
    const inbox = await consume(channel, source, { noAck: true });
    await publishAll(channel, source, ["somebody there"]);
    await inbox.count(1);
    expect(await drain(channel, graveyard)).toEqual([]);

    const own = await client.queue(channel);
    const waiting = await consume(channel, own, { noAck: true });
    await publishAll(channel, own, ["at once"], { expiration: "0" });
    await waiting.count(1);
  });

  test("a requeued message keeps its deadline", async ({ client }) => {
    const { channel, source, graveyard } = await withGraveyard(client);
    await publishAll(channel, source, ["x"], { expiration: "150" });
    channel.nack(await getOne(channel, source, {}));
    expect(deaths(await getOne(channel, graveyard))).toMatchObject([{ reason: "expired", count: 1 }]);
  });
});

describe("x-death", () => {
  test("exact bytes, types and order of fields", async ({ client }) => {
    const { source, graveyard, dlx } = await withGraveyard(client);
    const raw = await RawConnection.open(broker.url, { keepTags: true });
    await raw.openChannel(1);
    raw.publish(1, { routingKey: source }, { expiration: "600000", headers: { mine: "kept" } }, "x");
    const got = await raw.call("basic.get", 1, { queue: source });
    raw.send("basic.reject", 1, { deliveryTag: got.args.deliveryTag, requeue: false });
    const message = await eventually(async () => {
      const reply = await raw.call("basic.get", 1, { queue: graveyard, noAck: true });
      return reply.name === "basic.get-ok" ? reply : undefined;
    });
    expect(message.args).toMatchObject({ exchange: dlx, routingKey: source, redelivered: false });
    const headers = message.properties!.headers;
    const time = headers["x-death"][0].time;
    expect(time).toMatch(/^T:\d{10}$/);
    expect(headers).toEqual({
      mine: "S:kept",
      "x-death": [
        {
          count: "l:1",
          reason: "S:rejected",
          queue: `S:${source}`,
          time,
          exchange: "S:",
          "routing-keys": [`S:${source}`],
          "original-expiration": "S:600000",
        },
      ],
      "x-first-death-exchange": "S:",
      "x-first-death-queue": `S:${source}`,
      "x-first-death-reason": "S:rejected",
      ...(broker.isPolymq
        ? {
            "x-last-death-exchange": "S:",
            "x-last-death-queue": `S:${source}`,
            "x-last-death-reason": "S:rejected",
          }
        : {}),
    });
    expect(message.properties!.expiration).toBeUndefined();
    await raw.close();
  });

  test("counts up per queue and reason, newest first", async ({ client }) => {
    const channel = await client.confirmChannel();
    const dlx = await client.exchange(channel, "fanout");
    const source = await client.queue(channel, { deadLetterExchange: dlx });
    const waiting = await client.queue(channel, { deadLetterExchange: "", deadLetterRoutingKey: source });
    await channel.bindQueue(waiting, dlx, "");
    const atSource = { queue: source, reason: "rejected", exchange: "", "routing-keys": [source] };
    const atWaiting = { queue: waiting, reason: "rejected", exchange: dlx, "routing-keys": [source] };
    await publishAll(channel, source, ["x"]);
    for (let round = 1; round <= 3; round++) {
      await rejectOne(channel, source);
      const first = await getOne(channel, waiting, {});
      const before = round === 1 ? [] : [{ ...atWaiting, count: round - 1 }];
      expect(deaths(first)).toMatchObject([{ ...atSource, count: round }, ...before]);
      channel.reject(first, false);
      const second = await getOne(channel, source, {});
      expect(deaths(second)).toMatchObject([
        { ...atWaiting, count: round },
        { ...atSource, count: round },
      ]);
      channel.nack(second);
    }
  });

  test("goes by the dead-letter routing key, or by all of its own", async ({ client }) => {
    const channel = await client.confirmChannel();
    const dlx = await client.exchange(channel, "direct");
    const target = async (key: string) => {
      const queue = await client.queue(channel);
      await channel.bindQueue(queue, dlx, key);
      return queue;
    };
    const rekeyed = await client.queue(channel, {
      deadLetterExchange: dlx,
      deadLetterRoutingKey: "elsewhere",
    });
    const plain = await client.queue(channel, { deadLetterExchange: dlx });
    const [elsewhere, cc] = [await target("elsewhere"), await target("copy")];
    const own = await target(plain);
    for (const queue of [rekeyed, plain]) {
      channel.sendToQueue(queue, Buffer.from("x"), { CC: ["copy"] });
      await channel.waitForConfirms();
      await rejectOne(channel, queue);
    }
    const moved = await getOne(channel, elsewhere);
    expect(moved.fields.routingKey).toBe("elsewhere");
    expect(moved.properties.headers).not.toHaveProperty("CC");
    expect(deaths(moved)[0]["routing-keys"]).toEqual([rekeyed, "copy"]);
    for (const queue of [own, cc]) {
      const message = await getOne(channel, queue);
      expect(message.fields.routingKey).toBe(plain);
      expect(message.properties.headers!.CC).toEqual(["copy"]);
    }
  });

  test("an automatic cycle is broken, a rejected one goes on", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, { messageTtl: 50, deadLetterExchange: "" }, fresh("loop"));
    await publishAll(channel, queue, ["x"]);
    await eventually(async () => (await channel.checkQueue(queue)).messageCount === 0);
    const selfish = await client.queue(channel, { deadLetterExchange: "" }, fresh("self"));
    await publishAll(channel, selfish, ["y"]);
    for (let round = 1; round <= 3; round++) {
      await rejectOne(channel, selfish);
      const again = await getOne(channel, selfish, {});
      expect(deaths(again)).toMatchObject([{ count: round, reason: "rejected" }]);
      channel.nack(again);
    }
  });

  test("without its exchange a dead letter is dropped, and nothing else happens", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, { deadLetterExchange: fresh("no-such-exchange") });
    await publishAll(channel, queue, ["x"]);
    await rejectOne(channel, queue);
    await barrier(channel);
    expect((await channel.checkQueue(queue)).messageCount).toBe(0);
  });
});

describe("length limits", () => {
  test("drop-head drops the oldest, as dead letters with reason maxlen", async ({ client }) => {
    const { channel, source, graveyard } = await withGraveyard(client, { maxLength: 2 });
    await publishAll(channel, source, ["1", "2", "3", "4"]);
    expect(await drain(channel, source)).toEqual(["3", "4"]);
    const first = await getOne(channel, graveyard);
    expect(first.content.toString()).toBe("1");
    expect(deaths(first)).toMatchObject([{ reason: "maxlen", count: 1 }]);
    expect((await getOne(channel, graveyard)).content.toString()).toBe("2");
  });

  test("a message that is put back to a full queue is the oldest, and goes", async ({ client }) => {
    const { channel, source, graveyard } = await withGraveyard(client, { maxLength: 2 });
    await publishAll(channel, source, ["1", "2"]);
    const first = await getOne(channel, source, {});
    await publishAll(channel, source, ["3"]);
    channel.nack(first);
    expect(deaths(await getOne(channel, graveyard))).toMatchObject([{ reason: "maxlen" }]);
    expect(await drain(channel, source)).toEqual(["2", "3"]);
  });

  test("what is unacknowledged does not count", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, { maxLength: 1 });
    await publishAll(channel, queue, ["held"]);
    const held = await getOne(channel, queue, {});
    await publishAll(channel, queue, ["next"]);
    channel.ack(held);
    await barrier(channel);
    expect(await drain(channel, queue)).toEqual(["next"]);
  });

  test("by bytes of bodies", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, { arguments: { "x-max-length-bytes": 10 } });
    await publishAll(channel, queue, ["aaaa", "bbbb", "cc", "dddd"]);
    expect(await drain(channel, queue)).toEqual(["bbbb", "cc", "dddd"]);
    await publishAll(channel, queue, ["larger than all of it"]);
    expect(await drain(channel, queue)).toEqual([]);
  });

  test("zero holds nothing, but lets a waiting consumer have it", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel, { maxLength: 0 });
    await publishAll(channel, queue, ["gone"]);
    expect(await drain(channel, queue)).toEqual([]);
    const inbox = await consume(channel, queue, { noAck: true });
    await publishAll(channel, queue, ["taken"]);
    await inbox.count(1);
  });

  /** Publishes each body and tells which were confirmed positively. */
  async function verdicts(channel: ConfirmChannel, exchange: string, key: string, bodies: string[]) {
    const accepted: boolean[] = [];
    for (const body of bodies) {
      const verdict = await new Promise<boolean>((resolve) =>
        channel.publish(exchange, key, Buffer.from(body), {}, (error) => resolve(!error)),
      );
      accepted.push(verdict);
    }
    return accepted;
  }

  test("reject-publish refuses the newest with a nack; other queues still get it", async ({ client }) => {
    const channel = await client.confirmChannel();
    const exchange = await client.exchange(channel, "fanout");
    const full = await client.queue(channel, { maxLength: 2, arguments: { "x-overflow": "reject-publish" } });
    const roomy = await client.queue(channel);
    for (const queue of [full, roomy]) await channel.bindQueue(queue, exchange, "");
    expect(await verdicts(channel, exchange, "", ["1", "2", "3"])).toEqual([true, true, false]);
    expect(await drain(channel, full)).toEqual(["1", "2"]);
    expect(await drain(channel, roomy)).toEqual(["1", "2", "3"]);
    expect(await verdicts(channel, exchange, "", ["4"])).toEqual([true]);
  });

  test("a limit in bytes refuses what would go beyond it, and what still fits is taken", async ({
    client,
  }) => {
    const channel = await client.confirmChannel();
    const args = { "x-overflow": "reject-publish", "x-max-length-bytes": 5 };
    const full = await client.queue(channel, { arguments: args });
    const bodies = ["123456", "1234", "12", "", "1", "x"];
    expect(await verdicts(channel, "", full, bodies)).toEqual([false, true, false, true, true, false]);
    expect(await drain(channel, full)).toEqual(["1234", "", "1"]);
  });

  test("reject-publish-dlx also dead-letters what it refuses", async ({ client }) => {
    const args = { "x-overflow": "reject-publish-dlx" };
    const { channel, source, graveyard } = await withGraveyard(client, { maxLength: 1 }, args);
    expect(await verdicts(channel, "", source, ["1", "2"])).toEqual([true, false]);
    const refused = await getOne(channel, graveyard);
    expect(refused.content.toString()).toBe("2");
    expect(deaths(refused)).toMatchObject([{ reason: "maxlen" }]);
  });
});

describe("quorum queues", () => {
  test("count deliveries and dead-letter at the limit", async ({ client }) => {
    const quorum = { "x-queue-type": "quorum", "x-delivery-limit": 2 };
    const { channel, source, graveyard } = await withGraveyard(client, { durable: true }, quorum);
    await publishAll(channel, source, ["x"]);
    const counts = [];
    for (let i = 0; i < 3; i++) {
      const message = await getOne(channel, source, {});
      counts.push(message.properties.headers?.["x-delivery-count"]);
      channel.nack(message);
    }
    expect(counts).toEqual([0, 1, 2]);
    expect(deaths(await getOne(channel, graveyard))).toMatchObject([{ reason: "delivery_limit" }]);
  });
});
