// Declaring, binding and deleting: what succeeds, and the exact code, scope and text of what does not.
import { describe, expect } from "vitest";
import { useBroker } from "../../support/broker.ts";
import { eventually, fresh, getOne, send, testWith } from "../../support/client.ts";

const broker = await useBroker();
const test = testWith(broker);

const PRECONDITION = "PRECONDITION_FAILED - ";

describe("queues", () => {
  test("a server-named queue is remembered as the channel's last one", async ({ client }) => {
    const channel = await client.channel();
    const { queue, messageCount, consumerCount } = await channel.assertQueue("", { exclusive: true });
    expect(queue).toMatch(/^amq\.gen-[\w-]{22}$/);
    expect([messageCount, consumerCount]).toEqual([0, 0]);
    await channel.bindQueue("", "amq.direct", "");
    channel.publish("amq.direct", queue, Buffer.from("by the remembered name"));
    expect((await getOne(channel, "")).content.toString()).toBe("by the remembered name");
    // A passive declare takes the name literally.
    const error = await client.errorOf(async (ch) => {
      await ch.assertQueue("", { exclusive: true });
      await ch.checkQueue("");
    });
    expect(error).toMatchObject({ code: 404, text: "NOT_FOUND - no queue '' in vhost '/'" });
  });

  test("no previously declared queue", async ({ client }) => {
    expect(await client.errorOf((ch) => ch.bindQueue("", "amq.direct", "k"))).toMatchObject({
      code: 404,
      text: "NOT_FOUND - no previously declared queue",
      scope: "channel",
    });
  });

  test("missing things are 404 on the channel", async ({ client }) => {
    const q = fresh("missing");
    const noQueue = { code: 404, text: `NOT_FOUND - no queue '${q}' in vhost '/'`, scope: "channel" };
    const noExchange = { code: 404, text: `NOT_FOUND - no exchange '${q}' in vhost '/'`, scope: "channel" };
    expect(await client.errorOf((ch) => ch.checkQueue(q))).toMatchObject({
      ...noQueue,
      classId: 50,
      methodId: 10,
    });
    expect(await client.errorOf((ch) => ch.get(q))).toMatchObject({ ...noQueue, classId: 60, methodId: 70 });
    expect(await client.errorOf((ch) => ch.consume(q, () => {}))).toMatchObject({ ...noQueue, methodId: 20 });
    expect(await client.errorOf((ch) => ch.purgeQueue(q))).toMatchObject({ ...noQueue, methodId: 30 });
    expect(await client.errorOf((ch) => ch.bindQueue(q, "amq.direct", "k"))).toMatchObject(noQueue);
    expect(await client.errorOf((ch) => ch.checkExchange(q))).toMatchObject({ ...noExchange, classId: 40 });
    expect(await client.errorOf((ch) => ch.publish(q, "k", Buffer.from("x")))).toMatchObject({
      ...noExchange,
      classId: 60,
      methodId: 40,
    });
    const channel = await client.channel();
    const queue = await client.queue(channel);
    expect(await client.errorOf((ch) => ch.bindQueue(queue, q, "k"))).toMatchObject(noExchange);
    expect(await client.errorOf((ch) => ch.bindExchange(q, "amq.direct", "k"))).toMatchObject(noExchange);
  });

  test("redeclaring with other properties is 406", async ({ client }) => {
    const channel = await client.channel();
    const queue = await client.queue(channel, { durable: true });
    const mismatch = (arg: string, received: string, current: string) => ({
      code: 406,
      scope: "channel",
      text: `${PRECONDITION}inequivalent arg '${arg}' for queue '${queue}' in vhost '/': received '${received}' but current is '${current}'`,
    });
    expect(await client.errorOf((ch) => ch.assertQueue(queue, { durable: false }))).toMatchObject(
      mismatch("durable", "false", "true"),
    );
    expect(await client.errorOf((ch) => ch.assertQueue(queue, { autoDelete: true }))).toMatchObject(
      mismatch("auto_delete", "true", "false"),
    );
    expect((await channel.assertQueue(queue, { durable: true })).queue).toBe(queue);
    // An exclusive queue never outlives its connection: whether it is called durable is all the same.
    const mine = await client.queue(channel, { exclusive: true, durable: false });
    await channel.assertQueue(mine, { exclusive: true, durable: true });
  });

  test("redeclaring with other arguments is 406, with types in the text", async ({ client }) => {
    const channel = await client.channel();
    const queue = await client.queue(channel, { messageTtl: 100_000, deadLetterExchange: "dlx" });
    const head = `${PRECONDITION}inequivalent arg`;
    const tail = `for queue '${queue}' in vhost '/':`;
    const base = { deadLetterExchange: "dlx" };
    const text = async (options: object) =>
      (await client.errorOf((ch) => ch.assertQueue(queue, options))).text;
    expect(await text({ ...base })).toBe(
      `${head} 'x-message-ttl' ${tail} received none but current is the value '100000' of type 'signedint'`,
    );
    expect(await text({ ...base, messageTtl: 200_000 })).toBe(
      `${head} 'x-message-ttl' ${tail} received '200000' but current is '100000'`,
    );
    expect(await text({ messageTtl: 100_000, deadLetterExchange: "other" })).toBe(
      `${head} 'x-dead-letter-exchange' ${tail} received 'other' but current is 'dlx'`,
    );
    expect(await text({ ...base, messageTtl: 100_000, maxLength: 50_000 })).toBe(
      `${head} 'x-max-length' ${tail} received the value '50000' of type 'signedint' but current is none`,
    );
    // Integers compare by value whatever their width on the wire; unknown arguments are not compared.
    await channel.assertQueue(queue, {
      deadLetterExchange: "dlx",
      arguments: {
        "x-message-ttl": { "!": "int64", value: 100_000 },
        "x-mine": "yes",
        "x-queue-type": "classic",
      },
    });
  });

  test("invalid arguments are refused", async ({ client }) => {
    const refused = async (args: Record<string, unknown>) => {
      const error = await client.errorOf((ch) => ch.assertQueue(fresh("bad"), { arguments: args }));
      expect(error).toMatchObject({ code: 406, scope: "channel", classId: 50, methodId: 10 });
      return error.text.replace(/test\.bad[\w.]+/, "Q");
    };
    const invalid = (key: string) => `${PRECONDITION}invalid arg '${key}' for queue 'Q' in vhost '/': `;
    expect(await refused({ "x-message-ttl": -1 })).toBe(`${invalid("x-message-ttl")}{value_negative,-1}`);
    expect(await refused({ "x-message-ttl": "1000" })).toBe(
      `${invalid("x-message-ttl")}"expected integer, got longstr"`,
    );
    expect(await refused({ "x-expires": 0 })).toBe(`${invalid("x-expires")}{value_zero,0}`);
    expect(await refused({ "x-max-length": -5 })).toBe(`${invalid("x-max-length")}{value_negative,-5}`);
    expect(await refused({ "x-dead-letter-routing-key": "k" })).toBe(
      `${invalid("x-dead-letter-routing-key")}routing_key_but_no_dlx_defined`,
    );
    expect(await refused({ "x-overflow": "sideways" })).toBe(`${invalid("x-overflow")}invalid_overflow`);
    expect(await refused({ "x-max-priority": 256 })).toContain("invalid arg 'x-max-priority'");
    expect(await refused({ "x-queue-type": "triangle" })).toContain("x-queue-type");
    expect(await refused({ "x-single-active-consumer": "yes" })).toBe(
      `${invalid("x-single-active-consumer")}{unacceptable_type,longstr}`,
    );
    expect(await refused({ "x-queue-mode": "eager" })).toBe(
      `${invalid("x-queue-mode")}"unsupported queue mode 'eager'"`,
    );
    expect(await refused({ "x-queue-version": 3 })).toBe(
      `${invalid("x-queue-version")}"unsupported queue version '3'"`,
    );
    expect(await refused({ "x-dead-letter-exchange": 1 })).toBe(
      `${PRECONDITION}invalid type 'byte' for arg 'x-dead-letter-exchange' in queue 'Q' in vhost '/'`,
    );
    expect(await refused({ "x-queue-leader-locator": "balanced" })).toContain("rabbit_classic_queue");
    // Several that are wrong: always the same one first, whatever the client's order.
    expect(await refused({ "x-delivery-limit": 1, "x-max-priority": -1, "x-message-ttl": "a" })).toBe(
      `${invalid("x-message-ttl")}"expected integer, got longstr"`,
    );
  });

  test("lengths may be as large as a number can be", async ({ client }) => {
    const channel = await client.channel();
    const length = { "!": "int64", value: 2 ** 62 };
    await client.queue(channel, { arguments: { "x-max-length": length, "x-max-length-bytes": length } });
  });

  test("only what the queue's own type knows is compared, and nothing judged", async ({ client }) => {
    const channel = await client.channel();
    const lazy = { "x-queue-mode": "lazy", "x-max-length": 5 };
    const queue = await client.queue(channel, { arguments: lazy });
    const again = (args: object) => client.errorOf((ch) => ch.assertQueue(queue, { arguments: args }));
    expect((await again({ "x-max-length": 5 })).text).toContain("inequivalent arg 'x-queue-mode' for queue");
    expect((await again({ ...lazy, "x-max-length": "5" })).text).toContain("received '5' but current is '5'");
    await channel.assertQueue(queue, { arguments: { ...lazy, "x-delivery-limit": 2 } });
    await channel.assertQueue(queue, { arguments: { ...lazy, "x-queue-type": "classic" } });
    const quorum = await client.queue(channel, { durable: true, arguments: { "x-queue-type": "quorum" } });
    const other = await client.errorOf((ch) => ch.assertQueue(quorum, { durable: true, maxPriority: 3 }));
    expect(other.text).toBe(
      `${PRECONDITION}inequivalent arg 'x-queue-type' for queue '${quorum}' in vhost '/': received none but current is the value 'quorum' of type 'longstr'`,
    );
    await channel.assertQueue(quorum, {
      durable: true,
      maxPriority: 3,
      arguments: { "x-queue-type": "quorum" },
    });
  });

  test("reserved names and foreign exclusive queues are refused", async ({ client }) => {
    expect(await client.errorOf((ch) => ch.assertQueue("amq.mine"))).toMatchObject({
      code: 403,
      text: "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
      scope: "channel",
    });
    const owner = await client.channel();
    const queue = await client.queue(owner, { exclusive: true, durable: false });
    const locked = {
      code: 405,
      text: `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${queue}' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.`,
      scope: "channel",
    };
    expect(
      await client.errorOf((ch) => ch.assertQueue(queue, { exclusive: true, durable: false })),
    ).toMatchObject(locked);
    expect(await client.errorOf((ch) => ch.checkQueue(queue))).toMatchObject(locked);
    expect(await client.errorOf((ch) => ch.consume(queue, () => {}))).toMatchObject(locked);
    expect(await client.errorOf((ch) => ch.get(queue))).toMatchObject(locked);
    expect(await client.errorOf((ch) => ch.deleteQueue(queue))).toMatchObject(locked);
    expect(await client.errorOf((ch) => ch.purgeQueue(queue))).toMatchObject(locked);
    expect(await client.errorOf((ch) => ch.bindQueue(queue, "amq.direct", "k"))).toMatchObject(locked);
    // Publishing to it is allowed: that is how replies reach exclusive reply queues.
    const other = await client.channel(await client.connection());
    send(other, queue, "reply");
    await eventually(async () => (await owner.checkQueue(queue)).messageCount === 1);
  });

  test("an exclusive queue dies with its connection", async ({ client }) => {
    const connection = await client.connection();
    const queue = await client.queue(await client.channel(connection), { exclusive: true });
    await connection.close();
    expect(await client.errorOf((ch) => ch.checkQueue(queue))).toMatchObject({ code: 404 });
  });

  test("an auto-delete queue goes with its last consumer, never before the first", async ({ client }) => {
    const channel = await client.channel();
    const queue = await client.queue(channel, { autoDelete: true });
    const tags = [];
    for (let i = 0; i < 2; i++) tags.push((await channel.consume(queue, () => {})).consumerTag);
    expect((await channel.checkQueue(queue)).consumerCount).toBe(2);
    await channel.cancel(tags[0]!);
    expect((await channel.checkQueue(queue)).consumerCount).toBe(1);
    await channel.cancel(tags[1]!);
    expect(await client.errorOf((ch) => ch.checkQueue(queue))).toMatchObject({ code: 404 });
  });

  test("delete honours if-unused and if-empty and tells the count", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    for (const body of ["a", "b"]) send(channel, queue, body);
    await channel.waitForConfirms();
    expect(await client.errorOf((ch) => ch.deleteQueue(queue, { ifEmpty: true }))).toMatchObject({
      code: 406,
      text: `${PRECONDITION}queue '${queue}' in vhost '/' not empty`,
    });
    const { consumerTag } = await channel.consume(queue, () => {}, { noAck: false });
    expect(await client.errorOf((ch) => ch.deleteQueue(queue, { ifUnused: true }))).toMatchObject({
      code: 406,
      text: `${PRECONDITION}queue '${queue}' in vhost '/' in use`,
    });
    await channel.cancel(consumerTag);
    await channel.recover();
    expect(await channel.deleteQueue(queue, { ifUnused: true })).toEqual({ messageCount: 2 });
    expect(await channel.deleteQueue(queue)).toEqual({ messageCount: 0 });
  });

  test("purge removes what is ready and leaves what is unacknowledged", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    for (const body of ["held", "b", "c"]) send(channel, queue, body);
    await channel.waitForConfirms();
    const held = await channel.get(queue);
    expect(await channel.purgeQueue(queue)).toEqual({ messageCount: 2 });
    if (held) channel.nack(held);
    await eventually(async () => (await channel.checkQueue(queue)).messageCount === 1);
  });

  test("x-expires deletes an unused queue", async ({ client }) => {
    const channel = await client.channel();
    const queue = await client.queue(channel, { expires: 100 });
    // Watched by publishing, which does not count as use; a passive declare would.
    const watcher = await client.confirmChannel();
    let gone = false;
    watcher.on("return", () => {
      gone = true;
    });
    await eventually(async () => {
      watcher.sendToQueue(queue, Buffer.from("there?"), { mandatory: true });
      await watcher.waitForConfirms();
      return gone;
    });
  });

  test("quorum queues refuse what they cannot be", async ({ client }) => {
    const channel = await client.channel();
    const quorum = { "x-queue-type": "quorum" };
    const queue = await client.queue(channel, { durable: true, arguments: quorum });
    expect((await channel.assertQueue(queue, { durable: true, arguments: quorum })).queue).toBe(queue);
    const refused = (options: object) =>
      client.errorOf((ch) => ch.assertQueue(fresh("quorum"), { durable: true, ...options }));
    expect(await refused({ arguments: quorum, durable: false })).toMatchObject({
      code: 406,
      scope: "channel",
    });
    expect(await refused({ arguments: quorum, exclusive: true })).toMatchObject({
      code: 406,
      scope: "channel",
    });
    expect(await refused({ arguments: quorum, autoDelete: true })).toMatchObject({
      code: 406,
      scope: "channel",
    });
    expect(await refused({ arguments: { ...quorum, "x-max-priority": 5 } })).toMatchObject({ code: 406 });
    expect(await client.errorOf((ch) => ch.assertQueue(queue, { durable: true }))).toMatchObject({
      code: 406,
      text: `${PRECONDITION}inequivalent arg 'x-queue-type' for queue '${queue}' in vhost '/': received none but current is the value 'quorum' of type 'longstr'`,
    });
  });
});

describe("exchanges", () => {
  test("the predeclared ones exist and cannot be deleted", async ({ client }) => {
    const channel = await client.channel();
    const predeclared = {
      direct: "direct",
      fanout: "fanout",
      topic: "topic",
      headers: "headers",
      match: "headers",
    };
    for (const [name, type] of Object.entries(predeclared)) {
      await channel.assertExchange(`amq.${name}`, type, { durable: true });
    }
    await channel.assertExchange("amq.rabbitmq.trace", "topic", { durable: true, internal: true });
    expect(await client.errorOf((ch) => ch.deleteExchange("amq.topic"))).toMatchObject({
      code: 403,
      text: "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed",
      scope: "channel",
    });
    expect(await client.errorOf((ch) => ch.assertExchange("amq.mine", "direct"))).toMatchObject({
      code: 403,
      text: "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
    });
  });

  test("the default exchange is not to be touched", async ({ client }) => {
    const refused = {
      code: 403,
      text: "ACCESS_REFUSED - operation not permitted on the default exchange",
      scope: "channel",
    };
    const queue = await client.queue(await client.channel());
    expect(await client.errorOf((ch) => ch.assertExchange("", "direct"))).toMatchObject(refused);
    expect(await client.errorOf((ch) => ch.deleteExchange(""))).toMatchObject(refused);
    expect(await client.errorOf((ch) => ch.bindQueue(queue, "", "k"))).toMatchObject(refused);
    expect(await client.errorOf((ch) => ch.unbindQueue(queue, "", queue))).toMatchObject(refused);
    expect(await client.errorOf((ch) => ch.bindExchange("amq.direct", "", "k"))).toMatchObject(refused);
  });

  test("redeclaring with other properties is 406", async ({ client }) => {
    const channel = await client.channel();
    const exchange = await client.exchange(channel, "direct", { durable: true });
    const mismatch = (arg: string, received: string, current: string) => ({
      code: 406,
      scope: "channel",
      classId: 40,
      methodId: 10,
      text: `${PRECONDITION}inequivalent arg '${arg}' for exchange '${exchange}' in vhost '/': received ${received} but current is ${current}`,
    });
    expect(await client.errorOf((ch) => ch.assertExchange(exchange, "fanout"))).toMatchObject(
      mismatch("type", "'fanout'", "'direct'"),
    );
    expect(
      await client.errorOf((ch) => ch.assertExchange(exchange, "direct", { durable: false })),
    ).toMatchObject(mismatch("durable", "'false'", "'true'"));
    expect(
      await client.errorOf((ch) => ch.assertExchange(exchange, "direct", { autoDelete: true })),
    ).toMatchObject(mismatch("auto_delete", "'true'", "'false'"));
    expect(
      await client.errorOf((ch) => ch.assertExchange(exchange, "direct", { internal: true })),
    ).toMatchObject(mismatch("internal", "'true'", "'false'"));
    const withAlternate = { alternateExchange: "ae" };
    expect(await client.errorOf((ch) => ch.assertExchange(exchange, "direct", withAlternate))).toMatchObject(
      mismatch("alternate-exchange", "the value 'ae' of type 'longstr'", "none"),
    );
    await channel.assertExchange(exchange, "direct", { arguments: { "x-other": 1 } });
  });

  test("an unknown type is refused", async ({ client }) => {
    const error = await client.errorOf((ch) => ch.assertExchange(fresh("x"), "no-such-type"));
    expect(error).toMatchObject({ code: 503, scope: "connection" });
    expect(error.text).toContain("unknown exchange type 'no-such-type'");
  });

  test("delete honours if-unused and forgives what is missing", async ({ client }) => {
    const channel = await client.channel();
    const exchange = await client.exchange(channel, "direct");
    const queue = await client.queue(channel);
    await channel.bindQueue(queue, exchange, "k");
    expect(await client.errorOf((ch) => ch.deleteExchange(exchange, { ifUnused: true }))).toMatchObject({
      code: 406,
      text: `${PRECONDITION}exchange '${exchange}' in vhost '/' in use`,
    });
    await channel.unbindQueue(queue, exchange, "k");
    await channel.deleteExchange(exchange, { ifUnused: true });
    await channel.deleteExchange(exchange);
  });

  test("an auto-delete exchange goes with its last binding, never before the first", async ({ client }) => {
    const channel = await client.channel();
    const exchange = await client.exchange(channel, "direct", { autoDelete: true });
    const queue = await client.queue(channel);
    await channel.bindQueue(queue, exchange, "a");
    await channel.bindQueue(queue, exchange, "b");
    await channel.unbindQueue(queue, exchange, "a");
    await channel.checkExchange(exchange);
    await channel.unbindQueue(queue, exchange, "b");
    expect(await client.errorOf((ch) => ch.checkExchange(exchange))).toMatchObject({ code: 404 });
  });

  test("binding is idempotent and unbinding what is not bound is fine", async ({ client }) => {
    const channel = await client.channel();
    const exchange = await client.exchange(channel, "direct");
    const queue = await client.queue(channel);
    for (let i = 0; i < 3; i++) await channel.bindQueue(queue, exchange, "k");
    channel.publish(exchange, "k", Buffer.from("once"));
    await eventually(async () => (await channel.checkQueue(queue)).messageCount === 1);
    await channel.unbindQueue(queue, exchange, "k");
    channel.publish(exchange, "k", Buffer.from("nowhere"));
    await channel.unbindQueue(queue, exchange, "never bound");
    expect((await channel.checkQueue(queue)).messageCount).toBe(1);
  });

  test("nobody may publish to an internal exchange", async ({ client }) => {
    const channel = await client.channel();
    const exchange = await client.exchange(channel, "fanout", { internal: true });
    expect(await client.errorOf((ch) => ch.publish(exchange, "", Buffer.from("x")))).toMatchObject({
      code: 403,
      text: `ACCESS_REFUSED - cannot publish to internal exchange '${exchange}' in vhost '/'`,
      scope: "channel",
    });
  });
});
