// The handshake and everything that ends a connection, byte by byte where clients hide it.
import { connect } from "amqplib";
import { describe, expect } from "vitest";
import { useBroker } from "../../support/broker.ts";
import { eventually, testWith } from "../../support/client.ts";
import {
  type Incoming,
  PROTOCOL_HEADER,
  RawConnection,
  type RawOptions,
} from "../../support/raw-connection.ts";
import { type Args, encodeHeader, encodeMethod, frame, Writer } from "../../support/wire.ts";

const broker = await useBroker();
const test = testWith(broker);

/** Whatever a test broke, others must not have noticed: a healthy connection lives through it. */
async function withWitness(run: () => Promise<void>): Promise<void> {
  const witness = await RawConnection.open(broker.url);
  await witness.openChannel(1);
  await run();
  const reply = await witness.call("queue.declare", 1, { exclusive: true });
  expect(reply.name).toBe("queue.declare-ok");
  await witness.close();
}

/** Opens, does something wrong, and resolves to how the broker closes the connection. */
async function closeAfter(wrong: (raw: RawConnection) => unknown, options?: RawOptions) {
  let close: Incoming | undefined;
  await withWitness(async () => {
    const raw = await RawConnection.open(broker.url, options);
    await raw.openChannel(1);
    await wrong(raw);
    close = await raw.find("connection.close", 0);
    raw.send("connection.close-ok", 0);
    await raw.closed;
  });
  return close!.args;
}

describe("before the connection is open", () => {
  test("start names what clients look at", async () => {
    const raw = await RawConnection.dial(broker.url);
    raw.write(PROTOCOL_HEADER);
    const { args } = await raw.expect("connection.start");
    expect([args.major, args.minor]).toEqual([0, 9]);
    expect(args.mechanisms.split(" ")).toEqual(expect.arrayContaining(["PLAIN", "AMQPLAIN"]));
    expect(args.locales).toBe("en_US");
    expect(args.serverProperties).toMatchObject({ product: expect.any(String), version: expect.any(String) });
    expect(args.serverProperties.capabilities).toMatchObject({
      publisher_confirms: true,
      exchange_exchange_bindings: true,
      "basic.nack": true,
      consumer_cancel_notify: true,
      "connection.blocked": true,
      consumer_priorities: true,
      authentication_failure_close: true,
      per_consumer_qos: true,
      direct_reply_to: true,
    });
    raw.startOk();
    const tune = await raw.expect("connection.tune");
    expect(tune.args).toMatchObject({ channelMax: 2047, frameMax: 131_072, heartbeat: 60 });
    raw.destroy();
  });

  test("another protocol's header is answered with ours, and the socket closed", async () => {
    for (const header of ["GET / HTTP/1.1\r\n\r\n", "AMQP\x02\x00\x00\x00", "AMQP\x00\x00\x08\x00"]) {
      await withWitness(async () => {
        const raw = await RawConnection.dial(broker.url);
        raw.write(Buffer.from(header, "latin1"));
        await raw.closed;
        expect(raw.protocolReply?.subarray(0, 8)).toEqual(PROTOCOL_HEADER);
      });
    }
  });

  test("AMQPLAIN works as well", async () => {
    const raw = await RawConnection.dial(broker.url);
    raw.write(PROTOCOL_HEADER);
    await raw.expect("connection.start");
    const table = new Writer().table({ LOGIN: "guest", PASSWORD: "guest" }).done();
    raw.send("connection.start-ok", 0, {
      mechanism: "AMQPLAIN",
      response: table.subarray(4),
      locale: "en_US",
    });
    await raw.expect("connection.tune");
    raw.destroy();
  });

  test("a wrong password is 403 for clients that can hear it", async () => {
    await withWitness(async () => {
      const raw = await RawConnection.dial(broker.url, { password: "wrong" });
      raw.write(PROTOCOL_HEADER);
      await raw.expect("connection.start");
      raw.startOk();
      const { args } = await raw.expect("connection.close");
      expect([args.replyCode, args.replyText]).toEqual([
        403,
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
      ]);
      raw.destroy();
    });
  });

  test("an unknown virtual host is 530", async () => {
    const raw = await RawConnection.dial(broker.url);
    raw.write(PROTOCOL_HEADER);
    await raw.expect("connection.start");
    raw.startOk();
    const tune = await raw.expect("connection.tune");
    raw.send("connection.tune-ok", 0, tune.args);
    raw.send("connection.open", 0, { virtualHost: "nowhere" });
    const { args } = await raw.expect("connection.close");
    expect([args.replyCode, args.replyText]).toEqual([530, "NOT_ALLOWED - vhost nowhere not found"]);
    raw.destroy();
  });

  test("tuning: smaller is fine, larger and unlimited are not", async () => {
    const tuned = async (tune: object) => {
      const raw = await RawConnection.dial(broker.url);
      raw.write(PROTOCOL_HEADER);
      await raw.expect("connection.start");
      raw.startOk();
      await raw.expect("connection.tune");
      raw.send("connection.tune-ok", 0, { channelMax: 2047, frameMax: 131_072, heartbeat: 0, ...tune });
      raw.send("connection.open", 0, { virtualHost: "/" });
      // RabbitMQ keeps silent for three seconds and then hangs up, as it does not trust us yet.
      const reply = await raw.next().catch(() => ({ name: "hung up", args: {} as Args }));
      raw.destroy();
      return reply.name === "connection.close"
        ? `${reply.args.replyCode} ${reply.args.replyText}`
        : reply.name;
    };
    expect(await tuned({})).toBe("connection.open-ok");
    expect(await tuned({ frameMax: 4096, channelMax: 1 })).toBe("connection.open-ok");
    const refused: [object, RegExp][] = [
      [{ frameMax: 131_073 }, /^530 NOT_ALLOWED - negotiated frame_max = 131073 is higher/],
      [{ frameMax: 100 }, /^530 NOT_ALLOWED - negotiated frame_max = 100 is lower/],
      [{ frameMax: 0 }, /^530 NOT_ALLOWED - negotiated frame_max = 0 /],
      [{ channelMax: 2048 }, /^530 NOT_ALLOWED - negotiated channel_max = 2048 is higher/],
    ];
    const replies = await Promise.all(refused.map(([tune]) => tuned(tune)));
    for (const [index, [, text]] of refused.entries()) {
      expect(replies[index]).toMatch(broker.isPolymq ? text : /^hung up$/);
    }
  });

  test("leaving at any stage disturbs nobody", async () => {
    await withWitness(async () => {
      const stages: ((raw: RawConnection) => Promise<unknown>)[] = [
        async () => {},
        async (raw) => raw.write(PROTOCOL_HEADER.subarray(0, 3)),
        async (raw) => {
          raw.write(PROTOCOL_HEADER.subarray(3));
          await raw.expect("connection.start");
        },
        async (raw) => {
          raw.startOk();
          await raw.expect("connection.tune");
        },
        async (raw) => raw.send("connection.tune-ok", 0, { channelMax: 0, frameMax: 131_072 }),
      ];
      for (let last = 1; last <= stages.length; last++) {
        const raw = await RawConnection.dial(broker.url);
        for (const stage of stages.slice(0, last)) await stage(raw);
        raw.destroy();
        await raw.closed;
      }
    });
  });
});

describe("hard errors", () => {
  test("a frame without its end byte", async () => {
    const args = await closeAfter((raw) => {
      const bytes = encodeMethod("channel.open", 2);
      bytes[bytes.length - 1] = 0;
      raw.write(bytes);
    });
    expect(args.replyCode).toBe(501);
    expect(args.replyText).toMatch(/^FRAME_ERROR - /);
  });

  test("a frame larger than agreed", async () => {
    const args = await closeAfter((raw) => raw.sendFrame(3, 1, Buffer.alloc(200_000)));
    expect(args.replyCode).toBe(501);
    expect(args.replyText).toMatch(
      /^FRAME_ERROR - type 3, (first 16 octets|.*size|frame_too_large|all octets)|^FRAME_ERROR - /,
    );
  });

  test("content nobody announced, and methods in the middle of content", async () => {
    expect((await closeAfter((raw) => raw.write(encodeHeader(1, 5)))).replyCode).toBe(505);
    expect((await closeAfter((raw) => raw.sendFrame(3, 1, Buffer.from("body")))).replyCode).toBe(505);
    const interrupted = await closeAfter((raw) => {
      raw.send("basic.publish", 1, { routingKey: "q" });
      raw.send("queue.declare", 1, { exclusive: true });
    });
    expect(interrupted).toEqual({
      replyCode: 505,
      replyText:
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
      classId: 60,
      methodId: 40,
    });
  });

  test("a heartbeat that says something", async () => {
    const { replyCode, replyText } = await closeAfter((raw) => raw.sendFrame(8, 0, Buffer.from("x")));
    expect([replyCode, replyText]).toEqual([
      501,
      'FRAME_ERROR - type 8, all octets = <<"x">>: unknown_frame',
    ]);
  });

  test("a method that only a broker sends", async () => {
    for (const name of ["queue.declare-ok", "channel.flow-ok"]) {
      const close = await closeAfter((raw) => raw.send(name, 1));
      expect([close.replyCode, close.replyText]).toEqual([503, "COMMAND_INVALID - unimplemented method"]);
    }
  });

  test("a method that does not exist", async () => {
    await withWitness(async () => {
      const raw = await RawConnection.open(broker.url);
      await raw.openChannel(1);
      raw.sendFrame(1, 1, Buffer.from([0, 50, 0, 99]));
      // RabbitMQ hangs up without a word.
      const reply = await raw.next().catch(() => undefined);
      if (reply) expect([501, 502, 503, 540]).toContain(reply.args.replyCode);
      else expect(broker.isPolymq).toBe(false);
      raw.destroy();
    });
  });

  test("a channel that is not open, one opened twice, and one too many", async () => {
    const notOpen = await closeAfter((raw) => raw.send("queue.declare", 9, { exclusive: true }));
    expect([notOpen.replyCode, notOpen.replyText]).toEqual([504, "CHANNEL_ERROR - expected 'channel.open'"]);
    const twice = await closeAfter((raw) => raw.send("channel.open", 1));
    expect([twice.replyCode, twice.replyText]).toEqual([504, "CHANNEL_ERROR - second 'channel.open' seen"]);
    const tooMany = await closeAfter(
      async (raw) => {
        for (const id of [2, 3]) await raw.openChannel(id);
        raw.send("channel.open", 4);
      },
      { tune: { channelMax: 3 } },
    );
    expect(tooMany.replyCode).toBe(530);
    expect(tooMany.replyText).toMatch(/^NOT_ALLOWED - number of channels opened/);
  });

  test("flow the client may not ask for", async () => {
    const args = await closeAfter((raw) => raw.send("channel.flow", 1, { active: false }));
    expect([args.replyCode, args.replyText]).toEqual([540, "NOT_IMPLEMENTED - active=false"]);
    const raw = await RawConnection.open(broker.url);
    await raw.openChannel(1);
    expect((await raw.call("channel.flow", 1, { active: true })).name).toBe("channel.flow-ok");
    await raw.close();
  });

  test("prefetch by size, and recover without requeue", async () => {
    const bySize = await closeAfter((raw) => raw.send("basic.qos", 1, { prefetchSize: 100 }));
    expect([bySize.replyCode, bySize.replyText]).toEqual([540, "NOT_IMPLEMENTED - prefetch_size!=0 (100)"]);
    const recover = await closeAfter((raw) => raw.send("basic.recover", 1, { requeue: false }));
    expect([recover.replyCode, recover.replyText]).toEqual([540, "NOT_IMPLEMENTED - requeue=false"]);
  });
});

describe("an open connection", () => {
  test("an error closes one channel only, whose number is free again after close-ok", async () => {
    const raw = await RawConnection.open(broker.url);
    for (const id of [1, 2]) await raw.openChannel(id);
    raw.send("queue.declare", 1, { queue: "amq.not-allowed" });
    // Everything sent before close-ok is ignored.
    raw.send("queue.declare", 1, { exclusive: true });
    expect((await raw.next(1)).name).toBe("channel.close");
    raw.send("channel.close-ok", 1);
    raw.send("channel.open", 1);
    expect((await raw.next(1)).name).toBe("channel.open-ok");
    for (const id of [1, 2]) {
      expect((await raw.call("queue.declare", id, { exclusive: true })).name).toBe("queue.declare-ok");
    }
    await raw.close();
  });

  test("all 2047 channels", async () => {
    const raw = await RawConnection.open(broker.url);
    for (let id = 1; id <= 2047; id++) raw.send("channel.open", id);
    for (let id = 1; id <= 2047; id++) await raw.expect("channel.open-ok", id);
    expect((await raw.call("queue.declare", 2047, { exclusive: true })).name).toBe("queue.declare-ok");
    await raw.close();
  });

  test("works with the smallest frames", async () => {
    const raw = await RawConnection.open(broker.url, { tune: { frameMax: 4096 } });
    await raw.openChannel(1);
    const { args } = await raw.call("queue.declare", 1, { exclusive: true });
    const body = Buffer.alloc(50_000, "x");
    raw.publish(1, { routingKey: args.queue }, {}, body);
    const got = await raw.call("basic.get", 1, { queue: args.queue, noAck: true });
    expect(got.body?.equals(body)).toBe(true);
    await raw.close();
  });

  test("nowait asks for no answer; an error still closes the channel", async () => {
    const raw = await RawConnection.open(broker.url);
    await raw.openChannel(1);
    const { args } = await raw.call("queue.declare", 1, { exclusive: true });
    raw.send("queue.bind", 1, { queue: args.queue, exchange: "amq.direct", routingKey: "k", nowait: true });
    raw.send("queue.purge", 1, { queue: args.queue, nowait: true });
    raw.send("basic.consume", 1, { queue: args.queue, consumerTag: "c", noAck: true, nowait: true });
    raw.publish(1, { exchange: "amq.direct", routingKey: "k" }, {}, "x");
    expect((await raw.next(1)).name).toBe("basic.deliver");
    raw.send("queue.delete", 1, { queue: args.queue, nowait: true });
    expect((await raw.next(1)).name).toBe("basic.cancel");
    raw.send("queue.bind", 1, { queue: args.queue, exchange: "amq.direct", routingKey: "k", nowait: true });
    expect((await raw.next(1)).args.replyCode).toBe(404);
    await raw.close();
  });

  test("who cannot hear of cancellation is not told", async () => {
    const raw = await RawConnection.open(broker.url, { capabilities: {} });
    await raw.openChannel(1);
    const { args } = await raw.call("queue.declare", 1, { exclusive: true });
    await raw.call("basic.consume", 1, { queue: args.queue });
    expect((await raw.call("queue.delete", 1, { queue: args.queue })).name).toBe("queue.delete-ok");
    expect((await raw.call("basic.qos", 1, { prefetchCount: 1 })).name).toBe("basic.qos-ok");
    await raw.close();
  });

  test("access.request and update-secret are answered", async ({ client }) => {
    const raw = await RawConnection.open(broker.url);
    await raw.openChannel(1);
    expect(await raw.call("access.request", 1, { realm: "/data", active: true })).toMatchObject({
      name: "access.request-ok",
      args: { ticket: 1 },
    });
    await raw.close();
    const connection = await client.connection();
    await connection.updateSecret(Buffer.from("guest"), "rotation");
  });

  test("heartbeats come at half the interval, and silence ends the connection", async () => {
    const raw = await RawConnection.open(broker.url, { tune: { heartbeat: 2 } });
    await raw.closed;
    // At whole intervals there would be one of them while silence is borne with.
    expect(raw.incoming.length).toBeGreaterThanOrEqual(2);
    expect(new Set(raw.incoming.map(({ name }) => name))).toEqual(new Set(["heartbeat"]));
  });

  test("any octet counts as a sign of life", async () => {
    const raw = await RawConnection.open(broker.url, { tune: { heartbeat: 1 } });
    await raw.openChannel(1);
    const until = Date.now() + 4000;
    while (Date.now() < until) {
      raw.write(frame(8, 0, Buffer.alloc(0)));
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    expect(await raw.call("channel.flow", 1, { active: true }).then(() => raw.isClosed)).toBe(false);
    await raw.close();
  });

  test("many connections at once, each with its own channel", async () => {
    const connections = await Promise.all([...Array(50)].map(() => connect(broker.url)));
    const queues = await Promise.all(
      connections.map(async (connection) => {
        const channel = await connection.createChannel();
        return (await channel.assertQueue("", { exclusive: true })).queue;
      }),
    );
    expect(new Set(queues).size).toBe(50);
    await Promise.all(connections.map((connection) => connection.close()));
  });

  test("a client that never reads does not hold up the others", async ({ client }) => {
    const channel = await client.confirmChannel();
    const queue = await client.queue(channel);
    const sleeper = await RawConnection.open(broker.url);
    await sleeper.openChannel(1);
    await sleeper.call("basic.consume", 1, { queue, noAck: true });
    sleeper.socket.pause();
    for (let i = 0; i < 300; i++) channel.sendToQueue(queue, Buffer.alloc(100_000));
    await channel.waitForConfirms();
    const other = await client.queue(channel);
    channel.sendToQueue(other, Buffer.from("alive"));
    await eventually(async () => (await channel.get(other, { noAck: true })) !== false);
    sleeper.destroy();
  });
});
