import type { Talk } from "../talk.ts";

const everyType = {
  bool: true,
  i8: { "!": "b", value: -5 },
  u8: { "!": "B", value: 250 },
  i16: { "!": "s", value: -300 },
  u16: { "!": "u", value: 65535 },
  i32: -70000,
  u32: { "!": "i", value: 4294967295 },
  i64: { "!": "l", value: 9007199254740993n },
  negative64: { "!": "l", value: -1n },
  float: { "!": "f", value: 1.5 },
  double: 2.25,
  decimal: { "!": "D", value: 12345 },
  text: "ü漢",
  binary: Buffer.from([0, 255, 1]),
  time: { "!": "T", value: 1_600_000_000n },
  nothing: null,
  nested: { list: [1, "a", [true, null, { deep: 2.5 }]], empty: {}, none: [] },
};

export const messageCases: Record<string, (t: Talk) => Promise<void>> = {
  "headers of every type, there and back, returned and dead-lettered": async (t) => {
    await t.say("queue.declare", { queue: "$b" });
    const dead = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "$b" };
    await t.say("queue.declare", { queue: "$a", arguments: dead });
    const properties = {
      contentType: "text/plain",
      contentEncoding: "utf-8",
      headers: everyType,
      deliveryMode: 2,
      priority: 255,
      correlationId: "c",
      replyTo: "r",
      messageId: "m",
      timestamp: 1_600_000_000,
      type: "t",
      userId: "guest",
      appId: "app",
      clusterId: "cluster",
    };
    await t.publish("", "$a", properties, "all");
    await t.publish("amq.direct", "$nowhere", properties, "all", true);
    await t.say("basic.get", { queue: "$a" });
    await t.say("basic.reject", { deliveryTag: 1 });
    await t.count("$b");
    await t.say("basic.get", { queue: "$b" });
  },
  "large headers, large bodies": async (t) => {
    await t.say("queue.declare", { queue: "$a" });
    await t.publish("", "$a", { headers: { large: "h".repeat(100_000) } }, "b".repeat(300_000));
    await t.say("basic.get", { queue: "$a", noAck: true });
    await t.publish("", "$a", {}, "");
    await t.say("basic.get", { queue: "$a", noAck: true });
  },
  "a header larger than a frame": async (t) => {
    await t.say("queue.declare", { queue: "$a" });
    await t.publish("", "$a", { headers: { large: "h".repeat(140_000) } }, "b");
    await t.count("$a");
  },
  expiration: async (t) => {
    await t.say("queue.declare", { queue: "$b" });
    const dead = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "$b" };
    await t.say("queue.declare", { queue: "$a", arguments: dead });
    for (const expiration of ["0", "1", "00", "+1", "315360000000", "315360000001"])
      await t.publish("", "$a", { expiration }, `after ${expiration}`, true);
    for (const expiration of ["", " ", "-1", "1.5", "1s", " 1", "1 ", "0x10", "ten"])
      await t.publish("", "$a", { expiration }, "never", true);
    await t.count("$a");
    await t.count("$b");
    for (let i = 0; i < 4; i++) await t.say("basic.get", { queue: "$b", noAck: true });
    await t.say("queue.delete", { queue: "$a" });
    await t.say("queue.declare", { queue: "$a", arguments: { ...dead, "x-message-ttl": 0 } });
    await t.publish("", "$a", {}, "at once");
    await t.count("$b");
    await t.say("basic.consume", { queue: "$a", consumerTag: "c", noAck: true });
    await t.publish("", "$a", {}, "to a consumer");
    await t.publish("", "$a", { expiration: "0" }, "to a consumer");
  },
  "user-id": async (t) => {
    await t.say("queue.declare", { queue: "$a" });
    for (const userId of ["guest", "other", "", "Guest"]) await t.publish("", "$a", { userId }, userId);
    await t.say("confirm.select");
    await t.publish("$missing", "k", { userId: "other" });
    await t.say("tx.select");
  },
  "CC and BCC": async (t) => {
    for (const queue of ["$a", "$b", "$c"]) await t.say("queue.declare", { queue });
    for (const headers of [
      { CC: ["$b"] },
      { BCC: ["$b"] },
      { CC: ["$b"], BCC: ["$c"] },
      { CC: ["$a", "$b", "$b"], BCC: ["$a"] },
      { CC: [] },
      { CC: "$b" },
      { BCC: "$b" },
      { CC: [1] },
      { CC: ["$b", 1] },
      { BCC: [{ a: 1 }] },
      { CC: { a: "b" } },
      { CC: null },
      { CC: 1 },
      { CC: ["$none"] },
      { cc: ["$b"] },
    ]) {
      await t.publish("", "$a", { headers }, "m", true);
      await t.publish("", "$none", { headers }, "m", true);
      for (const queue of ["$a", "$b", "$c"]) {
        await t.say("basic.get", { queue, noAck: true });
        await t.say("basic.get", { queue, noAck: true });
      }
    }
  },
  priorities: async (t) => {
    await t.say("queue.declare", { queue: "$a", arguments: { "x-max-priority": 3 } });
    for (const priority of [0, 1, 3, 4, 255, undefined, 2])
      await t.publish("", "$a", { priority }, `p${priority}`);
    for (let i = 0; i < 8; i++) await t.say("basic.get", { queue: "$a", noAck: true });
  },
  "dead letters: cycles, missing targets, keys": async (t) => {
    await t.say("queue.declare", {
      queue: "$a",
      arguments: { "x-dead-letter-exchange": "", "x-message-ttl": 1 },
    });
    await t.publish("", "$a", {}, "expires in a cycle");
    await t.count("$a");
    await t.say("queue.delete", { queue: "$a" });
    await t.say("queue.declare", { queue: "$a", arguments: { "x-dead-letter-exchange": "" } });
    await t.publish("", "$a", {}, "rejected in a cycle");
    for (let tag = 1; tag < 4; tag++) {
      await t.say("basic.get", { queue: "$a" });
      await t.say("basic.reject", { deliveryTag: tag });
      await t.count("$a");
    }
    await t.say("queue.delete", { queue: "$a" });
    await t.say("queue.declare", { queue: "$a", arguments: { "x-dead-letter-exchange": "$none" } });
    await t.publish("", "$a", {}, "to a missing exchange");
    await t.say("basic.get", { queue: "$a" });
    await t.say("basic.reject", { deliveryTag: 4 });
    await t.count("$a");
    await t.say("queue.delete", { queue: "$a" });
    // A header exchange as target, CC of a dead letter, and no key of its own.
    await t.say("queue.declare", { queue: "$b" });
    await t.say("queue.declare", { queue: "$c" });
    await t.say("queue.declare", { queue: "$a", arguments: { "x-dead-letter-exchange": "amq.direct" } });
    await t.say("queue.bind", { queue: "$b", exchange: "amq.direct", routingKey: "$a" });
    await t.say("queue.bind", { queue: "$c", exchange: "amq.direct", routingKey: "$cc" });
    await t.publish("", "$a", { headers: { CC: ["$cc"], BCC: ["$b"] }, expiration: "100000" }, "with CC");
    for (let i = 0; i < 3; i++) await t.say("basic.get", { queue: "$b", noAck: true });
    await t.say("basic.get", { queue: "$a" });
    await t.say("basic.nack", { deliveryTag: 6, requeue: false });
    await t.say("basic.nack", { deliveryTag: 5, requeue: false });
    for (const queue of ["$b", "$c"]) {
      await t.count(queue);
      await t.say("basic.get", { queue, noAck: true });
    }
  },
  "a publisher's own x-death and forged headers": async (t) => {
    await t.say("queue.declare", { queue: "$b" });
    const dead = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "$b" };
    await t.say("queue.declare", { queue: "$a", arguments: dead });
    for (const headers of [
      { "x-first-death-queue": "mine", "x-first-death-reason": 1, "x-delivery-count": 7 },
    ]) {
      await t.publish("", "$a", { headers }, "m");
      await t.say("basic.get", { queue: "$a" });
      await t.say("basic.reject", { deliveryTag: 1 });
      await t.count("$b");
      await t.say("basic.get", { queue: "$b", noAck: true });
    }
  },
  "direct reply-to": async (t) => {
    await t.connect();
    await t.say("queue.declare", { queue: "$a" });
    await t.publish("", "$a", { replyTo: "amq.rabbitmq.reply-to" }, "too early");
    await t.say("basic.consume", { queue: "amq.rabbitmq.reply-to", consumerTag: "r" });
    await t.say("basic.consume", { queue: "amq.rabbitmq.reply-to", consumerTag: "r", noAck: true });
    await t.say("basic.consume", { queue: "amq.rabbitmq.reply-to", consumerTag: "s", noAck: true });
    await t.say("basic.consume", { queue: "amq.rabbitmq.reply-to", consumerTag: "r", noAck: true });
    for (const [name, args] of [
      ["queue.declare", { passive: true }],
      ["queue.declare", {}],
      ["queue.purge", {}],
      ["queue.delete", {}],
      ["queue.bind", { exchange: "amq.direct", routingKey: "a" }],
      ["basic.get", { noAck: true }],
    ] as const)
      await t.say(name, { queue: "amq.rabbitmq.reply-to", ...args }, 1, 1);
    await t.publish("", "amq.rabbitmq.reply-to", {}, "to the name itself", true);
    await t.publish("", "amq.rabbitmq.reply-to.nonsense", {}, "to nobody", true);
    await t.say("queue.declare", { queue: "amq.rabbitmq.reply-to.nonsense", passive: true });
    await t.say("basic.cancel", { consumerTag: "r" });
  },
};
