import type { Talk } from "../talk.ts";

const quorum = { "x-queue-type": "quorum" };

export const quorumCases: Record<string, (t: Talk) => Promise<void>> = {
  "quorum: delivery counts and limits": async (t) => {
    await t.say("queue.declare", { queue: "$b" });
    const limits = { "x-delivery-limit": 2, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "$b" };
    await t.say("queue.declare", { queue: "$a", durable: true, arguments: { ...quorum, ...limits } });
    await t.publish("", "$a", { deliveryMode: 2, headers: { mine: 1 } }, "counted");
    await t.publish("", "$a", {}, "other");
    for (const [tag, how] of ["basic.nack", "basic.reject", "basic.nack", "basic.nack"].entries()) {
      await t.say("basic.get", { queue: "$a" });
      await t.say(how, { deliveryTag: tag + 1, requeue: true });
      await t.count("$a");
    }
    await t.count("$b");
    await t.say("basic.get", { queue: "$b", noAck: true });
    await t.say("basic.get", { queue: "$a" });
    await t.say("basic.recover", { requeue: true });
    await t.say("basic.get", { queue: "$a" });
  },
  "quorum: flags that cannot be, consumers that cannot be": async (t) => {
    for (const flags of [{}, { durable: true, exclusive: true }, { durable: true, autoDelete: true }])
      await t.say("queue.declare", { queue: "$a", arguments: quorum, ...flags });
    await t.say("queue.declare", { queue: "", durable: true, arguments: quorum });
    await t.say("queue.declare", { queue: "$a", durable: true, arguments: quorum });
    await t.say("basic.consume", { queue: "$a", consumerTag: "d", exclusive: true });
    await t.say("basic.consume", { queue: "$a", consumerTag: "e", noAck: true });
    await t.say("queue.delete", { queue: "$a", ifEmpty: true });
    await t.say("queue.delete", { queue: "$a", ifUnused: true });
    await t.say("queue.purge", { queue: "$a" });
    await t.say("queue.delete", { queue: "$a" });
  },
  "quorum: single active consumer": async (t) => {
    const args = { ...quorum, "x-single-active-consumer": true };
    await t.say("queue.declare", { queue: "$a", durable: true, arguments: args });
    await t.publish("", "$a", {}, "1");
    await t.say("basic.get", { queue: "$a" });
    await t.say("basic.consume", { queue: "$a", consumerTag: "c" });
    await t.say("basic.consume", { queue: "$a", consumerTag: "d" });
    await t.publish("", "$a", {}, "2");
    await t.say("basic.cancel", { consumerTag: "c" });
    await t.publish("", "$a", {}, "3");
  },
  "quorum: what has expired is nobody's": async (t) => {
    await t.say("queue.declare", { queue: "$a", durable: true, arguments: quorum });
    for (const expiration of ["1", undefined, "0", "600000"])
      await t.publish("", "$a", { expiration }, `${expiration}`);
    await t.say("basic.consume", { queue: "$a", consumerTag: "c" });
    await t.count("$a");
  },
  "quorum: lengths": async (t) => {
    for (const overflow of ["drop-head", "reject-publish"]) {
      const args = { ...quorum, "x-max-length": 2, "x-overflow": overflow };
      await t.say("queue.declare", { queue: "$a", durable: true, arguments: args });
      for (const body of ["1", "2"]) await t.publish("", "$a", {}, body);
      await t.count("$a");
      await t.say("queue.delete", { queue: "$a" });
    }
  },
  "tx: errors inside, mandatory, settlements": async (t) => {
    await t.say("queue.declare", { queue: "$a" });
    await t.say("tx.select");
    await t.publish("", "$a", {}, "1");
    await t.publish("", "$none", {}, "back", true);
    await t.count("$a");
    await t.say("tx.commit");
    await t.count("$a");
    await t.say("basic.get", { queue: "$a" });
    await t.say("basic.ack", { deliveryTag: 1 });
    await t.say("basic.ack", { deliveryTag: 1 });
    await t.count("$a");
    await t.say("tx.select");
    await t.say("basic.get", { queue: "$a" });
    await t.say("basic.reject", { deliveryTag: 1 });
    await t.say("tx.rollback");
    await t.say("basic.recover", { requeue: true });
    await t.say("basic.get", { queue: "$a" });
    await t.publish("$none", "a", {}, "no exchange");
    await t.count("$a");
    await t.say("tx.commit");
  },
  "a priority queue and its limits": async (t) => {
    await t.say("queue.declare", { queue: "$b" });
    const args = {
      "x-max-priority": 2,
      "x-max-length": 2,
      "x-dead-letter-exchange": "",
      "x-dead-letter-routing-key": "$b",
    };
    await t.say("queue.declare", { queue: "$a", arguments: args });
    for (const priority of [2, 1, 0, 2]) await t.publish("", "$a", { priority }, `p${priority}`);
    await t.count("$b");
    for (let i = 0; i < 3; i++) await t.say("basic.get", { queue: "$a", noAck: true });
    for (let i = 0; i < 3; i++) await t.say("basic.get", { queue: "$b", noAck: true });
  },
  "dead letters that go round with a reason each": async (t) => {
    const to = (queue: string) => ({ "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue });
    await t.say("queue.declare", { queue: "$a", arguments: to("$b") });
    await t.say("queue.declare", { queue: "$b", arguments: { ...to("$a"), "x-message-ttl": 1 } });
    await t.publish("", "$a", { headers: { mine: "kept" }, expiration: "600000" }, "round");
    for (let tag = 1; tag <= 3; tag++) {
      await t.count("$a");
      await t.say("basic.get", { queue: "$a" });
      await t.say("basic.reject", { deliveryTag: tag });
      await t.count("$b");
    }
    await t.count("$a");
    await t.say("basic.get", { queue: "$a" });
  },
  "hash exchanges": async (t) => {
    await t.say("exchange.declare", { exchange: "$x", type: "x-consistent-hash" });
    await t.say("queue.declare", { queue: "$a" });
    for (const routingKey of ["1", "0", "-1", "ten", "", "1.5"])
      await t.say("queue.bind", { queue: "$a", exchange: "$x", routingKey });
    await t.publish("$x", "any", {}, "m", true);
    for (const args of [
      { "hash-header": "h" },
      { "hash-property": "message_id" },
      { "hash-property": "nonsense" },
      { "hash-header": "h", "hash-property": "message_id" },
    ]) {
      await t.say("exchange.declare", { exchange: "$y", type: "x-consistent-hash", arguments: args });
      await t.say("exchange.delete", { exchange: "$y" });
    }
  },
  "a reply by direct reply-to": async (t) => {
    await t.say("queue.declare", { queue: "$a" });
    await t.say("basic.consume", { queue: "amq.rabbitmq.reply-to", consumerTag: "r", noAck: true });
    await t.publish("", "$a", { replyTo: "amq.rabbitmq.reply-to", correlationId: "1" }, "request");
    t.raw().send("basic.get", 1, { queue: t.own("$a") as string, noAck: true });
    const request = await t.raw().find("basic.get-ok", 1);
    const address = `${request.properties?.replyTo}`.replace(/^S:/, "");
    t.said.push(/^amq\.rabbitmq\.reply-to\..+/.test(address));
    await t.publish("", address, { correlationId: "1" }, "reply");
    await t.publish("amq.direct", address, {}, "not by this exchange", true);
    await t.say("basic.cancel", { consumerTag: "r" });
    await t.publish("", address, {}, "too late", true);
  },
};
