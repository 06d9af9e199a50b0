import { describe, expect, it } from "vitest";
import type { Table, TypedValue } from "../../message/values.ts";
import { FakeBroker } from "./testing/broker.ts";
import { contentHeader, FakePeer, frame, methodFrame, publishFrames } from "./testing/peer.ts";

const yes: TypedValue = { type: "bool", value: true };
const noTable: Table = new Map();

function declare(peer: FakePeer, queue: string, args: Table = noTable, channel = 1): void {
  const flags = { passive: false, durable: true, exclusive: false, autoDelete: false, noWait: false };
  peer.send(channel, "queue.declare", { reserved1: 0, queue, ...flags, arguments: args });
}

function consume(peer: FakePeer, queue: string, consumerTag: string, noAck = false, channel = 1): void {
  const flags = { noLocal: false, noAck, exclusive: false, noWait: false };
  peer.send(channel, "basic.consume", { reserved1: 0, queue, consumerTag, ...flags, arguments: noTable });
}

/** A content header with a weight, which is always 0; any other frame as it is. */
function withWeight(bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  if (changed[0] === 2) changed[7 + 3] = 1;
  return changed;
}

const transient = Buffer.from("0000", "hex");
const persistent = Buffer.from("100002", "hex");

describe("the plain path", () => {
  it("declares, consumes, publishes, delivers and acknowledges", async () => {
    const peer = await new FakePeer().open();
    declare(peer, "q");
    consume(peer, "q", "c");
    expect(peer.summary()).toEqual(["1 queue.declare-ok", "1 basic.consume-ok"]);
    peer.write(Buffer.concat(publishFrames(1, "q", Buffer.from("hello"))));
    const [deliver, header, body] = peer.frames();
    expect(deliver?.args).toEqual({
      consumerTag: "c",
      deliveryTag: 1,
      redelivered: false,
      exchange: "",
      routingKey: "q",
    });
    expect(header?.payload).toEqual(contentHeader(5));
    expect(body?.payload.toString()).toBe("hello");
    peer.send(1, "basic.ack", { deliveryTag: 1, multiple: false });
    expect(peer.session().ledgers[0]?.log).toEqual(["accept 1"]);
  });

  it("takes a publish however its bytes are cut", async () => {
    const body = Buffer.from("0123456789");
    const whole = Buffer.concat(publishFrames(1, "q", body));
    for (let cut = 1; cut < whole.length; cut++) {
      const peer = await new FakePeer().open();
      declare(peer, "q");
      consume(peer, "q", "c", true);
      peer.frames();
      peer.write(whole.subarray(0, cut));
      peer.write(whole.subarray(cut));
      const frames = peer.frames();
      expect(frames.map(({ name }) => name)).toEqual(["basic.deliver", "header", "body"]);
      expect(frames[2]?.payload).toEqual(body);
    }
  });

  it("puts bodies of many frames together and splits them for a smaller frame_max", async () => {
    const broker = new FakeBroker();
    const peer = await new FakePeer(broker).open({ frameMax: 4096 });
    declare(peer, "q");
    consume(peer, "q", "c", true);
    peer.frames();
    const body = Buffer.alloc(300_000, "abcdefg");
    for (const part of publishFrames(1, "q", body, { partBytes: 4088 })) peer.write(part);
    const [deliver, header, ...bodies] = peer.frames();
    expect(deliver?.name).toBe("basic.deliver");
    expect(header?.payload).toEqual(contentHeader(300_000));
    expect(Math.max(...bodies.map(({ payload }) => payload.length))).toBe(4088);
    expect(Buffer.concat(bodies.map(({ payload }) => payload)).equals(body)).toBe(true);
  });

  it("delivers on the consumer's channel what came in on another", async () => {
    const peer = await new FakePeer().open();
    peer.send(700, "channel.open", { reserved1: "" });
    declare(peer, "q");
    consume(peer, "q", "c", true, 700);
    peer.frames();
    peer.write(Buffer.concat(publishFrames(1, "q", Buffer.from("x"))));
    peer.write(Buffer.concat(publishFrames(1, "q", Buffer.alloc(0))));
    const channels = peer.frames().map(({ channel, name }) => `${channel} ${name}`);
    const plain = ["700 basic.deliver", "700 header"];
    expect(channels).toEqual([...plain, "700 body", ...plain]);
  });

  it("lets frames of other channels and heartbeats come between those of a publish", async () => {
    const peer = await new FakePeer().open();
    peer.send(2, "channel.open", { reserved1: "" });
    declare(peer, "q");
    consume(peer, "q", "c", true);
    peer.frames();
    const [a, b, c] = publishFrames(1, "q", Buffer.from("one")) as [Buffer, Buffer, Buffer];
    const [d, e, f] = publishFrames(2, "q", Buffer.from("two")) as [Buffer, Buffer, Buffer];
    const heartbeat = frame(8, 0, Buffer.alloc(0));
    peer.write(Buffer.concat([a, heartbeat, d, b, e, heartbeat, f, c]));
    const bodies = peer.frames().filter(({ name }) => name === "body");
    expect(bodies.map(({ payload }) => payload.toString())).toEqual(["two", "one"]);
  });

  it("asks for a route once for many messages", async () => {
    const peer = await new FakePeer().open();
    declare(peer, "a");
    declare(peer, "b");
    for (let i = 0; i < 10; i++) {
      peer.write(Buffer.concat(publishFrames(1, i % 2 === 0 ? "a" : "b", Buffer.from("x"))));
    }
    expect(peer.session().routesAsked).toBe(2);
  });
});

describe("confirms", () => {
  it("acknowledges a chunk of transient messages with one frame", async () => {
    const peer = await new FakePeer().open();
    peer.send(1, "confirm.select", { nowait: false });
    expect(peer.summary()).toEqual(["1 confirm.select-ok"]);
    declare(peer, "q");
    peer.frames();
    const message = Buffer.concat(publishFrames(1, "q", Buffer.from("x"), { properties: transient }));
    peer.write(Buffer.concat([message, message, message]));
    peer.write(message);
    expect(peer.frames().map(({ args }) => args)).toEqual([
      { deliveryTag: 3, multiple: true },
      { deliveryTag: 4, multiple: false },
    ]);
  });

  it("acknowledges persistent messages when their batch is committed, transient ones behind them too", async () => {
    const peer = await new FakePeer().open();
    peer.send(1, "confirm.select", { nowait: true });
    declare(peer, "q");
    peer.frames();
    const durable = Buffer.concat(publishFrames(1, "q", Buffer.from("x"), { properties: persistent }));
    const light = Buffer.concat(publishFrames(1, "q", Buffer.from("x"), { properties: transient }));
    peer.write(Buffer.concat([light, durable, light]));
    expect(peer.frames().map(({ args }) => args)).toEqual([{ deliveryTag: 1, multiple: false }]);
    peer.session().commit();
    expect(peer.frames().map(({ args }) => args)).toEqual([{ deliveryTag: 3, multiple: true }]);
  });

  it("refuses exactly the messages that a queue refused", async () => {
    const peer = await new FakePeer().open();
    peer.send(1, "confirm.select", { nowait: true });
    declare(peer, "q");
    peer.frames();
    const light = Buffer.concat(publishFrames(1, "q", Buffer.from("x"), { properties: transient }));
    peer.write(light);
    peer.session().refuse = true;
    peer.write(light);
    peer.session().refuse = false;
    peer.write(light);
    expect(peer.frames().map(({ name, args }) => `${name} ${args.deliveryTag}`)).toEqual([
      "basic.ack 1",
      "basic.nack 2",
      "basic.ack 3",
    ]);
  });

  it("returns an unroutable mandatory message before its acknowledgement", async () => {
    const peer = await new FakePeer().open();
    peer.send(1, "confirm.select", { nowait: true });
    peer.write(Buffer.concat(publishFrames(1, "nowhere", Buffer.from("back"), { mandatory: true })));
    const frames = peer.frames();
    expect(frames.map(({ name }) => name)).toEqual(["basic.return", "header", "body", "basic.ack"]);
    expect(frames[0]?.args).toEqual({
      replyCode: 312,
      replyText: "NO_ROUTE",
      exchange: "",
      routingKey: "nowhere",
    });
    expect(frames[2]?.payload.toString()).toBe("back");
  });
});

describe("errors", () => {
  it("closes the channel only, ignores it until close-ok, and lets its number be used again", async () => {
    const peer = await new FakePeer().open();
    peer.write(Buffer.concat(publishFrames(1, "k", Buffer.from("x"), { exchange: "missing" })));
    const [close] = peer.frames();
    expect(close?.args).toEqual({
      replyCode: 404,
      replyText: "NOT_FOUND - no exchange 'missing' in vhost '/'",
      classId: 60,
      methodId: 40,
    });
    declare(peer, "q");
    peer.write(Buffer.concat(publishFrames(1, "q", Buffer.from("x"))));
    expect(peer.summary()).toEqual([]);
    peer.send(1, "channel.close-ok", {});
    peer.send(1, "channel.open", { reserved1: "" });
    declare(peer, "q");
    expect(peer.summary()).toEqual(["1 channel.open-ok", "1 queue.declare-ok"]);
  });

  it.each([
    [
      "unknown delivery tag",
      () => methodFrame(1, "basic.ack", { deliveryTag: 9, multiple: false }),
      406,
      "PRECONDITION_FAILED - unknown delivery tag 9",
    ],
    ["passive declare", () => declareFrame("nope", true), 404, "NOT_FOUND - no queue 'nope' in vhost '/'"],
    ["nameless passive declare", () => declareFrame("", true), 404, "NOT_FOUND - no queue '' in vhost '/'"],
    [
      "no last queue",
      () => methodFrame(1, "queue.purge", { reserved1: 0, queue: "", noWait: false }),
      404,
      "NOT_FOUND - no previously declared queue",
    ],
    [
      "bad ttl",
      () => declareFrame("q", false, new Map([["x-message-ttl", { type: "int32", value: -1 }]])),
      406,
      "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'q' in vhost '/': {value_negative,-1}",
    ],
    [
      "a stream without a name",
      () => declareFrame("", false, new Map([["x-queue-type", { type: "string", value: "stream" }]])),
      406,
      "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_stream_queue",
    ],
    [
      "bad expiration",
      () =>
        Buffer.concat(
          publishFrames(1, "q", Buffer.from("x"), { properties: Buffer.from("010003616263", "hex") }),
        ),
      406,
      "PRECONDITION_FAILED - invalid expiration 'abc': no_integer",
    ],
    [
      "tx without select",
      () => methodFrame(1, "tx.commit", {}),
      406,
      "PRECONDITION_FAILED - channel is not transactional",
    ],
    [
      "other user",
      () =>
        Buffer.concat(
          publishFrames(1, "q", Buffer.from("x"), { properties: Buffer.from("0010026d65", "hex") }),
        ),
      406,
      "PRECONDITION_FAILED - user_id property set to 'me' but authenticated user was 'guest'",
    ],
  ])("answers on the channel: %s", async (_what, bytes, replyCode, replyText) => {
    const peer = await new FakePeer().open();
    peer.write(bytes());
    const [close] = peer.frames();
    expect(close?.name).toBe("channel.close");
    expect(close?.args).toMatchObject({ replyCode, replyText });
  });

  it.each([
    [
      "frame end",
      Buffer.concat([frame(1, 1, Buffer.alloc(4)).subarray(0, 11), Buffer.of(0)]),
      501,
      "FRAME_ERROR - type 1, all octets = <<0,0,0,0>>: {invalid_frame_end_marker,0}",
    ],
    [
      "giant frame",
      Buffer.from("010001ffffffff00", "hex"),
      501,
      "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,4294967295,131064}",
    ],
    [
      "unknown frame type",
      frame(7, 1, Buffer.alloc(1)),
      501,
      "FRAME_ERROR - type 7, all octets = <<0>>: unknown_frame",
    ],
    [
      "heartbeat on a channel",
      frame(8, 1, Buffer.alloc(0)),
      505,
      "UNEXPECTED_FRAME - type 8, all octets = <<>>",
    ],
    [
      "content without publish",
      frame(2, 1, contentHeader(1)),
      505,
      "UNEXPECTED_FRAME - expected method frame, got non method frame instead",
    ],
    [
      "method before channel.open",
      methodFrame(9, "tx.select", {}),
      504,
      "CHANNEL_ERROR - expected 'channel.open'",
    ],
    [
      "second channel.open",
      methodFrame(1, "channel.open", { reserved1: "" }),
      504,
      "CHANNEL_ERROR - second 'channel.open' seen",
    ],
    ["flow off", methodFrame(1, "channel.flow", { active: false }), 540, "NOT_IMPLEMENTED - active=false"],
    [
      "recover without requeue",
      methodFrame(1, "basic.recover", { requeue: false }),
      540,
      "NOT_IMPLEMENTED - requeue=false",
    ],
    [
      "method of the server",
      methodFrame(1, "queue.delete-ok", { messageCount: 0 }),
      503,
      "COMMAND_INVALID - unimplemented method",
    ],
    [
      "broken arguments",
      frame(1, 1, Buffer.from("0032000a0000ff41", "hex")),
      502,
      "SYNTAX_ERROR - unexpected end of data",
    ],
    [
      "a name that is no UTF-8",
      frame(1, 1, Buffer.from("0032000a0000" + "02fffe" + "00" + "00000000", "hex")),
      501,
      "FRAME_ERROR - Malformed UTF-8 in shortstr",
    ],
    [
      "a content header with a weight",
      Buffer.concat(publishFrames(1, "q", Buffer.from("x")).map(withWeight)),
      505,
      "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
    ],
    [
      "the same, frame by frame",
      Buffer.concat([...publishFrames(1, "q", Buffer.from("xy"), { partBytes: 1 })].map(withWeight)),
      505,
      "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
    ],
    [
      "channel beyond the limit",
      methodFrame(3000, "channel.open", { reserved1: "" }),
      530,
      "NOT_ALLOWED - number of channels opened (1) has reached the negotiated channel_max (2047)",
    ],
  ])("answers on the connection: %s", async (_what, bytes, replyCode, replyText) => {
    const peer = await new FakePeer().open();
    peer.write(bytes);
    const [close] = peer.frames();
    expect(close?.name).toBe("connection.close");
    expect(close?.args).toMatchObject({ replyCode, replyText });
    expect(peer.session().closed).toBe(true);
    peer.send(1, "tx.select", {});
    peer.send(0, "connection.close-ok", {});
    expect(peer.frames()).toEqual([]);
  });

  it("refuses an announced giant body before it comes", async () => {
    const peer = await new FakePeer().open();
    const method = { reserved1: 0, exchange: "", routingKey: "q", mandatory: false, immediate: false };
    peer.send(1, "basic.publish", method);
    peer.write(frame(2, 1, contentHeader(2 ** 31)));
    const [close] = peer.frames();
    expect(close?.args).toMatchObject({
      replyCode: 406,
      replyText: "PRECONDITION_FAILED - message size 2147483648 is larger than configured max size 16777216",
    });
    peer.write(frame(3, 1, Buffer.alloc(1000)));
    peer.send(1, "channel.close-ok", {});
    peer.send(1, "channel.open", { reserved1: "" });
    expect(peer.summary()).toEqual(["1 channel.open-ok"]);
  });
});

function declareFrame(queue: string, passive: boolean, args: Table = noTable): Buffer {
  const flags = { passive, durable: true, exclusive: false, autoDelete: false, noWait: false };
  return methodFrame(1, "queue.declare", { reserved1: 0, queue, ...flags, arguments: args });
}

describe("order of replies", () => {
  it("holds replies until the topology is durable, and what comes after them too", async () => {
    const broker = new FakeBroker();
    const peer = await new FakePeer(broker).open();
    broker.undurable = [];
    declare(peer, "q");
    consume(peer, "q", "c", true);
    peer.write(Buffer.concat(publishFrames(1, "q", Buffer.from("x"))));
    peer.send(1, "basic.qos", { prefetchSize: 0, prefetchCount: 1, global: false });
    expect(peer.summary()).toEqual([]);
    for (const done of broker.undurable) done();
    expect(peer.summary()).toEqual([
      "1 queue.declare-ok",
      "1 basic.consume-ok",
      "1 basic.deliver",
      "1 header",
      "1 body",
      "1 basic.qos-ok",
    ]);
  });
});

describe("consumers", () => {
  it("tells a client that can hear it of a cancelled consumer", async () => {
    const peer = await new FakePeer().open({ capabilities: new Map([["consumer_cancel_notify", yes]]) });
    declare(peer, "q");
    consume(peer, "q", "c");
    peer.frames();
    peer.session().queueDelete("q");
    expect(peer.frames().map(({ name, args }) => [name, args])).toEqual([
      ["basic.cancel", { consumerTag: "c", noWait: true }],
    ]);
  });

  it("refuses a tag that is in use, on the connection", async () => {
    const peer = await new FakePeer().open();
    declare(peer, "q");
    consume(peer, "q", "c");
    consume(peer, "q", "c");
    const frames = peer.frames();
    expect(frames[2]?.args).toMatchObject({
      replyCode: 530,
      replyText: "NOT_ALLOWED - attempt to reuse consumer tag 'c'",
    });
  });

  it("gets messages one by one", async () => {
    const peer = await new FakePeer().open();
    declare(peer, "q");
    peer.write(Buffer.concat(publishFrames(1, "q", Buffer.from("one"))));
    peer.write(Buffer.concat(publishFrames(1, "q", Buffer.from("two"))));
    peer.frames();
    peer.send(1, "basic.get", { reserved1: 0, queue: "q", noAck: true });
    peer.send(1, "basic.get", { reserved1: 0, queue: "", noAck: true });
    peer.send(1, "basic.get", { reserved1: 0, queue: "q", noAck: true });
    const frames = peer.frames();
    expect(frames.map(({ name }) => name)).toEqual([
      "basic.get-ok",
      "header",
      "body",
      "basic.get-ok",
      "header",
      "body",
      "basic.get-empty",
    ]);
    expect(frames[0]?.args).toEqual({
      deliveryTag: 1,
      redelivered: false,
      exchange: "",
      routingKey: "q",
      messageCount: 1,
    });
  });
});

describe("flow control", () => {
  it("blocks publishers on an alarm and lets consumers be", async () => {
    const broker = new FakeBroker();
    const capabilities: Table = new Map([["connection.blocked", yes]]);
    const peer = await new FakePeer(broker).open({ capabilities });
    broker.raise("low on disk");
    expect(peer.summary()).toEqual([]);
    expect(peer.paused).toBe(0);
    peer.write(Buffer.concat(publishFrames(1, "q", Buffer.from("x"))));
    expect(peer.frames()[0]?.args).toEqual({ reason: "low on disk" });
    expect(peer.paused).toBe(1);
    broker.raise(null);
    expect(peer.summary()).toEqual(["0 connection.unblocked"]);
    expect(peer.paused).toBe(0);
  });

  it("lets others go first after very many methods, but not after publishes", async () => {
    const peer = await new FakePeer().open();
    declare(peer, "q");
    const many = (bytes: Buffer) => Buffer.concat(Array.from({ length: 300 }, () => bytes));
    peer.write(many(Buffer.concat(publishFrames(1, "q", Buffer.from("x")))));
    expect(peer.paused).toBe(0);
    peer.write(many(methodFrame(1, "basic.qos", { prefetchSize: 0, prefetchCount: 1, global: false })));
    expect(peer.paused).toBe(1);
    await expect.poll(() => peer.paused).toBe(0);
    expect(peer.frames().filter(({ name }) => name === "basic.qos-ok").length).toBe(300);
  });

  it("stops reading from a client that never reads, and goes on when it does", async () => {
    const peer = await new FakePeer().open();
    declare(peer, "q");
    peer.blocked = true;
    const mandatory = publishFrames(1, "nowhere", Buffer.alloc(60_000), { mandatory: true });
    for (let i = 0; i < 200 && peer.paused === 0; i++) {
      peer.write(Buffer.concat(mandatory));
      peer.outbox.run();
    }
    expect(peer.paused).toBe(1);
    expect(peer.outbox.pendingBytes).toBeLessThan(10 * 1024 * 1024);
    peer.unblock();
    expect(peer.paused).toBe(0);
  });

  it("takes no frame larger than agreed, also in a publish", async () => {
    const peer = await new FakePeer().open({ frameMax: 4096 });
    declare(peer, "q");
    peer.frames();
    peer.write(Buffer.concat(publishFrames(1, "q", Buffer.alloc(5000))));
    expect(peer.frames()[0]?.args).toMatchObject({ replyCode: 501 });
  });

  it("stops reading while too much waits to be durable", async () => {
    const peer = await new FakePeer(new FakeBroker(), { publishPendingBytesMax: 1000 }).open();
    declare(peer, "q");
    peer.write(Buffer.concat(publishFrames(1, "q", Buffer.alloc(2000), { properties: persistent })));
    expect(peer.paused).toBe(1);
    peer.session().commit();
    expect(peer.paused).toBe(0);
  });
});

describe("shutdown", () => {
  const text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";

  it("answers and confirms what was received, then says why it closes and waits for the answer", async () => {
    const broker = new FakeBroker();
    const peer = await new FakePeer(broker).open();
    peer.send(1, "confirm.select", { nowait: true });
    declare(peer, "q");
    peer.frames();
    broker.undurable = [];
    declare(peer, "other");
    peer.write(Buffer.concat(publishFrames(1, "q", Buffer.from("x"), { properties: persistent })));
    peer.handler.shutdown();
    peer.handler.shutdown();
    expect(peer.frames()).toEqual([]);
    const waiting = broker.undurable;
    broker.undurable = null;
    for (const done of waiting) done();
    expect(peer.summary()).toEqual(["1 queue.declare-ok"]);
    peer.session().commit();
    const [ack, close, ...more] = peer.frames();
    expect([ack?.name, close?.name, more.length]).toEqual(["basic.ack", "connection.close", 0]);
    expect(close?.args).toMatchObject({ replyCode: 320, replyText: text, classId: 0, methodId: 0 });
    expect(peer.session().closed).toBe(true);
    expect(peer.ended).toBe(false);
    peer.write(Buffer.concat(publishFrames(1, "q", Buffer.from("ignored"))));
    peer.send(0, "connection.close-ok", {});
    expect(peer.ended).toBe(true);
  });

  it("reads again from a client that was held, or its answer would never be seen", async () => {
    const broker = new FakeBroker();
    const peer = await new FakePeer(broker, { publishPendingBytesMax: 1000 }).open();
    declare(peer, "q");
    broker.raise("low on disk");
    peer.write(Buffer.concat(publishFrames(1, "q", Buffer.alloc(2000), { properties: persistent })));
    expect(peer.paused).toBe(2);
    peer.handler.shutdown();
    peer.session().commit();
    expect(peer.paused).toBe(0);
    broker.raise(null);
    expect(peer.paused).toBe(0);
  });

  it("ends at once who has not logged in, and lets go of the alarm listener", async () => {
    const broker = new FakeBroker();
    const peer = new FakePeer(broker);
    peer.handler.shutdown();
    expect(peer.ended).toBe(true);
    peer.handler.closed(null);
    peer.acceptor.close();
    expect(broker.listeners.size).toBe(0);
  });
});

describe("heartbeats", () => {
  it("sends one when idle for half the interval and hangs up after two silent ones", async () => {
    const peer = await new FakePeer().open({ heartbeat: 10 });
    await peer.wait(5000);
    expect(peer.summary()).toEqual(["0 heartbeat"]);
    await peer.wait(14_000);
    expect(peer.destroyed).toBe(false);
    peer.clock.advance("1h");
    expect(peer.destroyed).toBe(false);
    await peer.wait(3000);
    expect(peer.destroyed).toBe(true);
  });
});
