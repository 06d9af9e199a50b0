import { frame, Writer } from "../../support/wire.ts";
import type { Talk } from "../talk.ts";

/** No UTF-8, and the same as another such name once it was read as text. */
const ODD = Buffer.from([0xff, 0xfe]);

function header(flags: Buffer, { weight = 0, classId = 60, size = 1n } = {}): Buffer {
  const fixed = Buffer.alloc(12);
  fixed.writeUInt16BE(classId, 0);
  fixed.writeUInt16BE(weight, 2);
  fixed.writeBigUInt64BE(size, 4);
  return Buffer.concat([fixed, flags]);
}

/** A publish whose content header is given byte by byte. */
async function published(t: Talk, what: string, payload: Buffer, body = "x"): Promise<void> {
  t.raw().send("basic.publish", 1, { routingKey: t.own("$a") });
  t.raw().sendFrame(2, 1, payload);
  t.raw().sendFrame(3, 1, Buffer.from(body));
  await t.listen(what);
}

/** A method whose arguments are given byte by byte. */
async function called(
  t: Talk,
  what: string,
  classId: number,
  methodId: number,
  fill: (writer: Writer) => void,
  behind: Uint8Array = Buffer.alloc(0),
): Promise<void> {
  const writer = new Writer().int(2, classId).int(2, methodId);
  fill(writer);
  t.raw().write(Buffer.concat([frame(1, 1, writer.done()), behind]));
  await t.listen(what);
}

export const edgeCases: Record<string, (t: Talk) => Promise<void>> = {
  "no-wait: silence, errors all the same": async (t) => {
    const nowait = true;
    await t.say("queue.declare", { queue: "$a", nowait });
    await t.say("queue.declare", { queue: "$a", durable: true, nowait });
    await t.say("queue.declare", { queue: "$none", passive: true, nowait });
    await t.say("exchange.declare", { exchange: "$x", type: "fanout", nowait });
    await t.say("exchange.declare", { exchange: "$x", type: "direct", nowait });
    await t.say("queue.bind", { queue: "$a", exchange: "$x", nowait });
    await t.say("queue.bind", { queue: "$a", exchange: "$none", nowait });
    await t.say("exchange.bind", { destination: "$x", source: "amq.topic", routingKey: "#", nowait });
    await t.publish("amq.topic", "k", {}, "m", true);
    await t.say("exchange.unbind", { destination: "$x", source: "amq.topic", routingKey: "#", nowait });
    await t.publish("amq.topic", "k", {}, "m", true);
    await t.say("confirm.select", { nowait });
    await t.publish("$x", "", {}, "m");
    await t.say("queue.purge", { queue: "$a", nowait });
    await t.say("queue.purge", { queue: "$none", nowait });
    await t.say("basic.consume", { queue: "$none", nowait });
    await t.say("queue.delete", { queue: "$a", ifUnused: true, nowait });
    await t.say("exchange.delete", { exchange: "$x", nowait });
    await t.say("exchange.delete", { exchange: "amq.topic", nowait });
    await t.count("$a");
  },
  "content headers: weight, class, a body of another length": async (t) => {
    await t.say("queue.declare", { queue: "$a" });
    await published(t, "weight", header(Buffer.from([0, 0]), { weight: 1 }));
    await published(t, "another class", header(Buffer.from([0, 0]), { classId: 50 }));
    await published(t, "a body longer than announced", header(Buffer.from([0, 0]), { size: 1n }), "xx");
    await published(t, "no body but one frame", header(Buffer.from([0, 0]), { size: 0n }), "x");
    await t.say("basic.get", { queue: "$a", noAck: true });
  },
  "delivery modes and other octets": async (t) => {
    await t.say("queue.declare", { queue: "$a" });
    for (const deliveryMode of [1, 2]) {
      await t.publish("", "$a", { deliveryMode }, "m");
      await t.say("basic.get", { queue: "$a", noAck: true });
    }
    await t.publish("", "$a", { timestamp: 2n ** 63n, priority: 255, contentType: "é".repeat(100) }, "m");
    await t.say("basic.get", { queue: "$a", noAck: true });
  },
  "requeued to its place, with two who hold": async (t) => {
    await t.connect();
    await t.say("queue.declare", { queue: "$a" });
    for (let i = 1; i <= 9; i++) await t.publish("", "$a", {}, `${i}`);
    for (let i = 0; i < 3; i++) {
      await t.say("basic.get", { queue: "$a" });
      await t.say("basic.get", { queue: "$a" }, 1, 1);
    }
    await t.say("basic.nack", { deliveryTag: 2, requeue: true });
    await t.say("basic.nack", { deliveryTag: 3, multiple: true, requeue: true }, 1, 1);
    for (let i = 0; i < 4; i++) await t.say("basic.get", { queue: "$a" });
    t.raw().destroy();
    await t.count("$a");
    await t.connect();
    for (let i = 0; i < 10; i++) await t.say("basic.get", { queue: "$a", noAck: true }, 1, 2);
  },
  "consumer priorities: the lower one when the higher one is full": async (t) => {
    await t.say("queue.declare", { queue: "$a" });
    await t.say("basic.qos", { prefetchCount: 2 });
    await t.say("basic.consume", { queue: "$a", consumerTag: "low", arguments: { "x-priority": -1 } });
    await t.say("basic.consume", { queue: "$a", consumerTag: "high", arguments: { "x-priority": 3 } });
    await t.say("basic.consume", { queue: "$a", consumerTag: "none" });
    for (let i = 1; i <= 8; i++) await t.publish("", "$a", {}, `${i}`);
    await t.say("basic.ack", { deliveryTag: 1 });
    await t.say("basic.ack", { deliveryTag: 4 });
    await t.say("basic.ack", { deliveryTag: 5 });
    await t.say("basic.cancel", { consumerTag: "high" });
    await t.say("basic.ack", { deliveryTag: 0, multiple: true });
  },
  "tx: settlements taken back, and committed": async (t) => {
    await t.say("queue.declare", { queue: "$a" });
    for (let i = 1; i <= 4; i++) await t.publish("", "$a", {}, `${i}`);
    await t.say("tx.select");
    await t.say("tx.select");
    for (let i = 1; i <= 3; i++) await t.say("basic.get", { queue: "$a" });
    await t.say("basic.ack", { deliveryTag: 1 });
    await t.say("basic.ack", { deliveryTag: 1 });
    await t.say("tx.select");
    await t.count("$a");
    for (let i = 1; i <= 3; i++) await t.say("basic.get", { queue: "$a" });
    await t.say("basic.nack", { deliveryTag: 3, multiple: true, requeue: true });
    await t.publish("", "$a", {}, "5");
    await t.say("tx.rollback");
    await t.count("$a");
    await t.say("basic.nack", { deliveryTag: 2, multiple: true, requeue: true });
    await t.say("basic.reject", { deliveryTag: 3 });
    await t.say("tx.commit");
    await t.count("$a");
    await t.publish("$none", "k", {}, "6");
    await t.say("tx.select");
    await t.publish("", "$a", {}, "7");
    t.raw().destroy();
    await t.count("$a");
  },
  "names that are no UTF-8": async (t) => {
    await t.say("queue.declare", { queue: "$a" });
    const own = t.own("$a") as string;
    const table = (...bytes: number[]): Buffer => Buffer.from(bytes);
    await called(t, "queue", 50, 10, (w) => w.int(2, 0).shortstr(ODD).int(1, 8).longstr(""));
    await called(t, "binding key", 50, 20, (w) =>
      w.int(2, 0).shortstr(own).shortstr("amq.topic").shortstr(ODD).int(1, 0).longstr(""),
    );
    await called(t, "consumer tag", 60, 20, (w) =>
      w.int(2, 0).shortstr(own).shortstr(ODD).int(1, 0).longstr(""),
    );
    await called(t, "key in a table", 50, 10, (w) =>
      w
        .int(2, 0)
        .shortstr(own)
        .int(1, 0)
        .longstr(table(2, ...ODD, 116, 1)),
    );
    await called(t, "a key twice", 50, 10, (w) =>
      w
        .int(2, 0)
        .shortstr(own)
        .int(1, 0)
        .longstr(table(1, 97, 116, 1, 1, 97, 116, 0)),
    );
    const content = frame(2, 1, header(Buffer.from([0, 0]), { size: 0n }));
    const publish = (exchange: string | Buffer, key: string | Buffer) => (w: Writer) =>
      w.int(2, 0).shortstr(exchange).shortstr(key).int(1, 1);
    await called(t, "routing key", 60, 40, publish("", ODD), content);
    await called(t, "exchange published to", 60, 40, publish(ODD, "k"), content);
    await published(t, "property", header(Buffer.from([0x80, 0, 2, ...ODD])));
    await published(t, "header", header(Buffer.from([0x20, 0, 0, 0, 0, 5, 2, ...ODD, 116, 1])));
    for (let i = 0; i < 3; i++) await t.say("basic.get", { queue: "$a", noAck: true });
  },
  "a queue's consumers when it is full of who cannot take": async (t) => {
    await t.say("queue.declare", {
      queue: "$a",
      arguments: { "x-max-length": 2, "x-overflow": "reject-publish" },
    });
    await t.say("confirm.select");
    await t.say("basic.qos", { prefetchCount: 1 });
    await t.say("basic.consume", { queue: "$a", consumerTag: "c" });
    for (let i = 1; i <= 5; i++) await t.publish("", "$a", {}, `${i}`);
    await t.say("basic.nack", { deliveryTag: 1, requeue: true });
    await t.publish("", "$a", {}, "6");
    await t.count("$a");
  },
  "lengths of nothing, and in bytes": async (t) => {
    const reject = { "x-overflow": "reject-publish" };
    for (const limit of [
      { "x-max-length": 0 },
      { "x-max-length": 0, ...reject },
      { "x-max-length-bytes": 0 },
      { "x-max-length-bytes": 5 },
      { "x-max-length-bytes": 5, ...reject },
      { "x-max-length-bytes": 5, "x-overflow": "reject-publish-dlx" },
      { "x-max-length-bytes": 5, ...reject, "x-queue-type": "quorum" },
    ]) {
      await t.say("queue.declare", { queue: "$b" });
      const target = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": t.own("$b") };
      await t.say("queue.declare", { queue: "$a", durable: true, arguments: { ...target, ...limit } });
      await t.say("confirm.select");
      for (const body of ["123456", "1234", "12", "", "1", "x"]) {
        await t.publish("", "$a", {}, body);
        await t.count("$a");
      }
      await t.count("$b");
      for (const queue of ["$a", "$b"]) await t.say("queue.delete", { queue });
    }
  },
  "no time to live, with a consumer and without": async (t) => {
    await t.say("queue.declare", { queue: "$a", arguments: { "x-message-ttl": 0 } });
    await t.publish("", "$a", {}, "gone");
    await t.say("basic.get", { queue: "$a" });
    await t.say("basic.consume", { queue: "$a", consumerTag: "c", noAck: true });
    await t.publish("", "$a", {}, "seen");
    await t.say("basic.cancel", { consumerTag: "c" });
    await t.say("basic.qos", { prefetchCount: 1 });
    await t.say("basic.consume", { queue: "$a", consumerTag: "d" });
    for (const body of ["held", "none"]) await t.publish("", "$a", {}, body);
    await t.say("basic.nack", { deliveryTag: 2, requeue: true });
    await t.count("$a");
  },
  "purged, shortened and deleted under who holds": async (t) => {
    await t.say("queue.declare", { queue: "$a", arguments: { "x-max-length": 3 } });
    for (const body of "12345") await t.publish("", "$a", {}, body);
    for (let i = 0; i < 2; i++) await t.say("basic.get", { queue: "$a" });
    for (const body of "678") await t.publish("", "$a", {}, body);
    await t.say("basic.nack", { deliveryTag: 2, multiple: true, requeue: true });
    await t.count("$a");
    await t.say("basic.get", { queue: "$a" });
    await t.say("queue.purge", { queue: "$a" });
    await t.say("basic.reject", { deliveryTag: 3, requeue: true });
    await t.say("basic.get", { queue: "$a" });
    await t.say("queue.delete", { queue: "$a" });
    await t.say("basic.ack", { deliveryTag: 4 });
  },
  "alternates in a ring, and behind other exchanges": async (t) => {
    for (const [exchange, other] of [
      ["$x", "$y"],
      ["$y", "$x"],
    ] as const) {
      const args = { "alternate-exchange": t.own(other) };
      await t.say("exchange.declare", { exchange, type: "direct", arguments: args });
    }
    await t.publish("$x", "k", {}, "m", true);
    await t.say("queue.declare", { queue: "$a" });
    await t.say("queue.bind", { queue: "$a", exchange: "$y", routingKey: "k" });
    await t.publish("$x", "k", {}, "m", true);
    await t.say("exchange.declare", { exchange: "$z", type: "fanout" });
    await t.say("exchange.bind", { destination: "$x", source: "$z" });
    for (const key of ["q", "k"]) await t.publish("$z", key, {}, "m", true);
    await t.count("$a");
    await t.say("exchange.delete", { exchange: "$y" });
    await t.publish("$x", "k", {}, "m", true);
  },
};
