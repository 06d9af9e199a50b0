import type { Talk } from "../talk.ts";

async function filled(t: Talk, count: number, args: object = {}): Promise<void> {
  await t.say("queue.declare", { queue: "$a", ...args });
  for (let i = 1; i <= count; i++) await t.publish("", "$a", {}, `${i}`);
}

export const consumerCases: Record<string, (t: Talk) => Promise<void>> = {
  "qos: each consumer's, the channel's, both": async (t) => {
    await filled(t, 12);
    await t.say("basic.qos", { prefetchCount: 2 });
    await t.say("basic.consume", { queue: "$a", consumerTag: "c" });
    await t.say("basic.qos", { prefetchCount: 3, global: true });
    await t.say("basic.consume", { queue: "$a", consumerTag: "d" });
    await t.say("basic.ack", { deliveryTag: 1 });
    await t.say("basic.qos", { prefetchCount: 5, global: true });
    await t.say("basic.qos", { prefetchCount: 1, global: true });
    await t.say("basic.ack", { deliveryTag: 0, multiple: true });
    await t.say("basic.qos", { prefetchCount: 0, global: true });
    await t.say("basic.qos", { prefetchSize: 100 });
    await t.count("$a");
  },
  "qos and get": async (t) => {
    await filled(t, 5);
    await t.say("basic.qos", { prefetchCount: 1, global: true });
    await t.say("basic.get", { queue: "$a" });
    await t.say("basic.consume", { queue: "$a", consumerTag: "c" });
    await t.say("basic.get", { queue: "$a" });
    await t.say("basic.ack", { deliveryTag: 1 });
    await t.say("basic.ack", { deliveryTag: 2 });
    await t.say("basic.ack", { deliveryTag: 3 });
  },
  "consumer tags and cancels": async (t) => {
    await filled(t, 0);
    await t.say("basic.consume", { queue: "$a", consumerTag: "c" });
    await t.say("basic.consume", { queue: "$a", consumerTag: "c" });
    await t.say("basic.consume", { queue: "$a" });
    await t.say("basic.cancel", { consumerTag: "none" });
    await t.say("basic.cancel", { consumerTag: "" });
    await t.say("basic.consume", { queue: "$a", consumerTag: "w", nowait: true });
    await t.say("basic.consume", { queue: "$a", nowait: true });
    await t.say("basic.consume", { queue: "$a", consumerTag: "x".repeat(255) });
    await t.say("basic.cancel", { consumerTag: "x".repeat(255), nowait: true });
    await t.say("queue.delete", { queue: "$a" });
  },
  "cancel notification, by another connection": async (t) => {
    await t.connect();
    await t.connect({ capabilities: {} });
    await filled(t, 3);
    await t.say("basic.consume", { queue: "$a", consumerTag: "c" });
    await t.say("basic.consume", { queue: "$a", consumerTag: "silent" }, 1, 2);
    await t.say("queue.delete", { queue: "$a" }, 1, 1);
    await t.listen("what the consumer hears");
    await t.listen("what the other hears", 1, 2);
    await t.say("basic.ack", { deliveryTag: 1 });
    await t.say("basic.cancel", { consumerTag: "c" });
  },
  "consume arguments": async (t) => {
    await filled(t, 0);
    for (const args of [
      { "x-priority": 5 },
      { "x-priority": "5" },
      { "x-priority": -5 },
      { "x-priority": 1.5 },
      { "x-priority": { "!": "l", value: 2n ** 40n } },
      { "x-cancel-on-ha-failover": true },
      { "x-cancel-on-ha-failover": 1 },
      { "x-stream-offset": "first" },
      { "x-credit": { credit: 1, drain: true } },
      { "x-other": 1 },
    ]) {
      await t.say("basic.consume", { queue: "$a", consumerTag: "c", arguments: args });
      await t.say("basic.cancel", { consumerTag: "c" });
    }
    await t.say("basic.consume", { queue: "$a", consumerTag: "c", noLocal: true });
    await t.publish("", "$a", {}, "to myself");
  },
  "single active consumer and exclusive": async (t) => {
    await filled(t, 2, { arguments: { "x-single-active-consumer": true } });
    await t.say("basic.get", { queue: "$a" });
    await t.say("basic.consume", { queue: "$a", consumerTag: "e", exclusive: true });
    await t.say("basic.qos", { prefetchCount: 1 });
    await t.say("basic.consume", { queue: "$a", consumerTag: "c", arguments: { "x-priority": 1 } });
    await t.say("basic.consume", { queue: "$a", consumerTag: "d", arguments: { "x-priority": 9 } });
    // Not before that: rabbitmq-server lets the next consumer wait until something else happens to the queue.
    await t.say("basic.nack", { deliveryTag: 1, requeue: true });
    await t.say("basic.ack", { deliveryTag: 2 });
  },
  "acknowledging what is not there": async (t) => {
    await filled(t, 4);
    for (const how of ["ack", "nack", "reject"]) {
      await t.say("basic.get", { queue: "$a" });
      await t.say(`basic.${how}`, { deliveryTag: 1, requeue: true });
      await t.say(`basic.${how}`, { deliveryTag: 1, requeue: true });
      await t.say(`basic.${how}`, { deliveryTag: 0 });
      await t.say(`basic.${how}`, { deliveryTag: 0, multiple: true });
      await t.say(`basic.${how}`, { deliveryTag: 7, multiple: true });
    }
    await t.say("basic.get", { queue: "$a", noAck: true });
    await t.say("basic.ack", { deliveryTag: 1 });
    await t.say("basic.get", { queue: "$a" });
    await t.say("basic.get", { queue: "$a" });
    await t.say("basic.ack", { deliveryTag: 2, multiple: true });
    await t.say("basic.ack", { deliveryTag: 1, multiple: true });
    await t.count("$a");
  },
  recover: async (t) => {
    await filled(t, 3);
    await t.say("basic.consume", { queue: "$a", consumerTag: "c" });
    await t.say("basic.recover", { requeue: true });
    await t.say("basic.recover-async", { requeue: true });
    await t.say("basic.recover", { requeue: false });
    await t.say("basic.recover-async", { requeue: false });
    await t.count("$a");
  },
  "flow, tx and confirm on one channel": async (t) => {
    await t.say("channel.flow", { active: false });
    await t.say("tx.select");
    await t.say("confirm.select");
    await t.say("tx.commit", {}, 1);
    await t.say("confirm.select");
    await t.say("confirm.select");
    await t.say("tx.select");
    await t.say("tx.commit");
    await t.say("tx.rollback");
    await t.say("confirm.select", { nowait: true });
    await t.publish("", "$none", {}, "m", true);
    await t.say("access.request", { realm: "/data" });
  },
};
