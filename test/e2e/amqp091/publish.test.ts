// Publishing: bodies, properties, mandatory, confirms, extra routing keys, direct reply-to.
import { describe, expect } from "vitest";
import { useBroker } from "../../support/broker.ts";
import { consume, drain, eventually, fresh, getOne, testWith } from "../../support/client.ts";
import { RawConnection } from "../../support/raw-connection.ts";
import { encodeHeader, encodeMethod, frame } from "../../support/wire.ts";

const broker = await useBroker();
const test = testWith(broker);

describe("messages", () => {
  test("every property and every field type survives, byte for byte", async ({ client }) => {
    const raw = await RawConnection.open(broker.url, { keepTags: true });
    const queue = await client.queue(await client.channel());
    const headers = {
      bool: true,
      int8: { "!": "b", value: -5 },
      uint8: { "!": "B", value: 200 },
      int16: { "!": "s", value: -300 },
      uint16: { "!": "u", value: 60_000 },
      int32: { "!": "I", value: -70_000 },
      uint32: { "!": "i", value: 4_000_000_000 },
      int64: { "!": "l", value: 1n << 40n },
      float: { "!": "f", value: 1.5 },
      double: 0.1,
      decimal: { "!": "D", value: 12_345 },
      text: "smörgås",
      bytes: Buffer.from([0, 255]),
      array: [1, "two", [true], { three: 3 }],
      time: new Date(1_700_000_000_000),
      nested: { deep: { er: null } },
      nothing: null,
    };
    const properties = {
      contentType: "text/plain",
      contentEncoding: "utf-8",
      headers,
      deliveryMode: 2,
      priority: 7,
      correlationId: "c-1",
      replyTo: "r-1",
      expiration: "600000",
      messageId: "m-1",
      timestamp: 1_700_000_000,
      type: "t-1",
      userId: "guest",
      appId: "app",
      clusterId: "cluster",
    };
    await raw.openChannel(1);
    raw.publish(1, { routingKey: queue }, properties, "body");
    raw.send("basic.get", 1, { queue, noAck: true });
    const message = await raw.expect("basic.get-ok", 1);
    expect(message.properties).toEqual({
      ...properties,
      headers: {
        bool: "t:true",
        int8: "b:-5",
        uint8: "B:200",
        int16: "s:-300",
        uint16: "u:60000",
        int32: "I:-70000",
        uint32: "i:4000000000",
        int64: "l:1099511627776",
        float: "f:1.5",
        double: "d:0.1",
        decimal: "D:0000003039",
        text: "S:smörgås",
        bytes: `x:${Buffer.from([0, 255])}`,
        array: ["I:1", "S:two", ["t:true"], { three: "I:3" }],
        time: "T:1700000000",
        nested: { deep: { er: "V:null" } },
        nothing: "V:null",
      },
    });
    await raw.close();
  });

  test("empty, small and larger than a frame", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    for (const size of [0, 1, 131_064, 131_065, 1_000_000]) {
      const body = Buffer.alloc(size, "polymq");
      channel.sendToQueue(queue, body);
      await channel.waitForConfirms();
      expect((await getOne(channel, queue)).content.equals(body)).toBe(true);
    }
  });

  test("many sizes in one go keep their order", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    const inbox = await consume(channel, queue, { noAck: true });
    const sizes = [...Array(200).keys()].map((i) => (i * 7919) % 40_000);
    for (const size of sizes) channel.sendToQueue(queue, Buffer.alloc(size));
    await inbox.count(200);
    expect(inbox.messages.map((message) => message.content.length)).toEqual(sizes);
  });
});

describe("mandatory and confirms", () => {
  test("the return comes before its confirm; routed ones come without", async ({ client }) => {
    const queue = await client.queue(await client.channel());
    const raw = await RawConnection.open(broker.url);
    await raw.openChannel(1);
    await raw.call("confirm.select", 1);
    const missing = fresh("nowhere");
    raw.publish(1, { routingKey: missing, mandatory: true }, { messageId: "m" }, "unroutable");
    const returned = await raw.expect("basic.return", 1);
    expect(returned.args).toEqual({
      replyCode: 312,
      replyText: "NO_ROUTE",
      exchange: "",
      routingKey: missing,
    });
    expect([returned.properties, returned.body?.toString()]).toEqual([{ messageId: "m" }, "unroutable"]);
    expect((await raw.expect("basic.ack", 1)).args).toMatchObject({ deliveryTag: 1 });
    raw.publish(1, { routingKey: queue, mandatory: true }, {}, "routed");
    expect((await raw.expect("basic.ack", 1)).args).toMatchObject({ deliveryTag: 2 });
    raw.publish(1, { routingKey: missing }, {}, "unroutable, nobody asked");
    expect((await raw.expect("basic.ack", 1)).args).toMatchObject({ deliveryTag: 3 });
    await raw.close();
  });

  test("immediate is not implemented", async ({ client }) => {
    const queue = await client.queue(await client.channel());
    const raw = await RawConnection.open(broker.url);
    await raw.openChannel(1);
    raw.publish(1, { routingKey: queue, immediate: true });
    const { name, args } = await raw.next();
    expect([name, args]).toEqual([
      "connection.close",
      { replyCode: 540, replyText: "NOT_IMPLEMENTED - immediate=true", classId: 60, methodId: 40 },
    ]);
    raw.destroy();
  });

  test("a bad expiration is refused", async ({ client }) => {
    for (const expiration of ["abc", "-1", "1.5", ""]) {
      const error = await client.errorOf((ch) => ch.publish("", "q", Buffer.from("x"), { expiration }));
      expect(error).toMatchObject({ code: 406, scope: "channel", classId: 60, methodId: 40 });
      expect(error.text).toContain(`PRECONDITION_FAILED - invalid expiration '${expiration}': `);
    }
    const tooLong = await client.errorOf((ch) =>
      ch.publish("", "q", Buffer.from("x"), { expiration: "315360000001" }),
    );
    expect(tooLong.text).toContain("{value_too_large,315360000001}");
  });

  test("an expiration may have a sign", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    channel.sendToQueue(queue, Buffer.from("x"), { expiration: "+600000" });
    expect((await getOne(channel, queue)).properties.expiration).toBe("+600000");
  });
});

describe("user-id", () => {
  test("must be one's own", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    channel.sendToQueue(queue, Buffer.from("mine"), { userId: "guest" });
    expect((await getOne(channel, queue)).properties.userId).toBe("guest");
    expect(
      await client.errorOf((ch) => ch.sendToQueue(queue, Buffer.from("not mine"), { userId: "somebody" })),
    ).toMatchObject({
      code: 406,
      text: "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'",
      scope: "channel",
    });
    const nowhere = fresh("nowhere");
    expect(
      await client.errorOf((ch) => ch.publish(nowhere, "k", Buffer.from("x"), { userId: "somebody" })),
    ).toMatchObject({ code: 404 });
  });
});

describe("CC and BCC", () => {
  test("add routing keys; BCC is not shown", async ({ client }) => {
    const channel = await client.confirmChannel();
    const [to, cc, bcc] = [
      await client.queue(channel),
      await client.queue(channel),
      await client.queue(channel),
    ];
    channel.publish("", to!, Buffer.from("x"), { CC: [cc!, to!], BCC: [bcc!] });
    await channel.waitForConfirms();
    for (const queue of [to!, cc!, bcc!]) {
      const message = await getOne(channel, queue);
      expect(message.fields.routingKey).toBe(to);
      expect(message.properties.headers).toEqual({ CC: [cc, to] });
      expect(await channel.get(queue)).toBe(false);
    }
  });

  test("have to be arrays", async ({ client }) => {
    const queue = await client.queue(await client.channel());
    const error = await client.errorOf((ch) =>
      ch.publish("", queue, Buffer.from("x"), { headers: { CC: "single" } }),
    );
    expect(error).toMatchObject({ code: 406, scope: "channel" });
    expect(error.text).toContain("PRECONDITION_FAILED - invalid message");
  });
});

describe("direct reply-to", () => {
  const REPLY_TO = "amq.rabbitmq.reply-to";

  test("a reply finds the asking channel without a queue", async ({ client }) => {
    const server = await client.channel(await client.connection());
    const queue = await client.queue(server);
    const asker = await client.channel(await client.connection());
    const replies = await consume(asker, REPLY_TO, { noAck: true });
    asker.sendToQueue(queue, Buffer.from("question"), { replyTo: REPLY_TO, correlationId: "1" });
    const question = await getOne(server, queue);
    const replyTo = question.properties.replyTo as string;
    expect(replyTo).toMatch(/^amq\.rabbitmq\.reply-to\..+/);
    expect(await server.checkQueue(replyTo)).toMatchObject({
      queue: replyTo,
      messageCount: 0,
      consumerCount: 1,
    });
    server.sendToQueue(replyTo, Buffer.from("answer"), { correlationId: "1" });
    const [answer] = await replies.count(1);
    expect(answer!.content.toString()).toBe("answer");
    expect(answer!.fields).toMatchObject({ exchange: "", routingKey: replyTo });
  });

  test("once the asker is gone the address is not found", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    const connection = await client.connection();
    const asker = await client.channel(connection);
    await consume(asker, REPLY_TO, { noAck: true });
    asker.sendToQueue(queue, Buffer.from("question"), { replyTo: REPLY_TO });
    const replyTo = (await getOne(channel, queue)).properties.replyTo as string;
    await connection.close();
    expect(await client.errorOf((ch) => ch.checkQueue(replyTo))).toMatchObject({
      code: 404,
      scope: "channel",
    });
    let returned = 0;
    channel.on("return", () => returned++);
    channel.sendToQueue(replyTo, Buffer.from("too late"), { mandatory: true });
    await channel.waitForConfirms();
    await eventually(() => returned === 1);
  });

  test("once the asker's consumer or channel is gone, too", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    let returned = 0;
    channel.on("return", () => returned++);
    const connection = await client.connection();
    for (const leave of ["cancel", "close"]) {
      const asker = await client.channel(connection);
      const { consumerTag } = await consume(asker, REPLY_TO, { noAck: true });
      asker.sendToQueue(queue, Buffer.from("question"), { replyTo: REPLY_TO });
      const replyTo = (await getOne(channel, queue)).properties.replyTo as string;
      // What was routed to before must not be remembered.
      channel.sendToQueue(replyTo, Buffer.from("in time"));
      await channel.waitForConfirms();
      await (leave === "cancel" ? asker.cancel(consumerTag) : asker.close());
      channel.sendToQueue(replyTo, Buffer.from("too late"), { mandatory: true });
      await channel.waitForConfirms();
      await eventually(() => returned > 0);
      returned = 0;
    }
  });

  test("its rules", async ({ client }) => {
    const precondition = (text: string) => ({
      code: 406,
      text: `PRECONDITION_FAILED - ${text}`,
      scope: "channel",
    });
    const consumeReplies = (noAck: boolean) =>
      client.errorOf((ch) => ch.consume(REPLY_TO, () => {}, { noAck }));
    expect(await consumeReplies(false)).toMatchObject(precondition("reply consumer cannot acknowledge"));
    const twice = await client.errorOf(async (ch) => {
      await ch.consume(REPLY_TO, () => {}, { noAck: true });
      await ch.consume(REPLY_TO, () => {}, { noAck: true });
    });
    expect(twice).toMatchObject(precondition("reply consumer already set"));
    const nobody = await client.errorOf((ch) => ch.publish("", "q", Buffer.from("x"), { replyTo: REPLY_TO }));
    expect(nobody).toMatchObject(precondition("fast reply consumer does not exist"));
  });
});

describe("channels do not mix", () => {
  test("interleaved content on two channels of one connection", async ({ client }) => {
    const channel = await client.channel();
    const queues = [await client.queue(channel), await client.queue(channel)];
    const raw = await RawConnection.open(broker.url);
    for (const id of [1, 2]) await raw.openChannel(id);
    for (const id of [1, 2]) raw.write(encodeMethod("basic.publish", id, { routingKey: queues[id - 1] }));
    for (const id of [2, 1]) raw.write(encodeHeader(id, 6));
    for (const part of ["ab", "cd", "ef"]) {
      for (const id of [1, 2]) raw.write(frame(3, id, Buffer.from(id === 1 ? part : part.toUpperCase())));
    }
    expect((await getOne(channel, queues[0]!)).content.toString()).toBe("abcdef");
    expect((await getOne(channel, queues[1]!)).content.toString()).toBe("ABCDEF");
    expect(await drain(channel, queues[0]!)).toEqual([]);
    await raw.close();
  });
});
