import type { Talk } from "../talk.ts";

export const exchangeCases: Record<string, (t: Talk) => Promise<void>> = {
  "declaring and declaring again": async (t) => {
    await t.say("exchange.declare", { exchange: "$x", type: "direct", durable: true, arguments: { a: 1 } });
    for (const other of [
      { type: "direct", durable: true },
      { type: "fanout", durable: true },
      { type: "direct", durable: false },
      { type: "direct", durable: true, autoDelete: true },
      { type: "direct", durable: true, internal: true },
      { type: "direct", durable: true, arguments: { "alternate-exchange": "y" } },
      { type: "direct", durable: true, arguments: { "alternate-exchange": 1 } },
      // Not "Direct": RabbitMQ has another word for it as soon as any part of it has used that as a name (an atom).
      { type: "dIRECT", durable: true },
    ])
      await t.say("exchange.declare", { exchange: "$x", ...other });
    await t.say("exchange.declare", {
      exchange: "$y",
      type: "fanout",
      arguments: { "alternate-exchange": 5 },
    });
    await t.say("exchange.declare", {
      exchange: "$y",
      type: "fanout",
      arguments: { "alternate-exchange": "" },
    });
    await t.say("exchange.declare", { exchange: "$y", type: "nonsense" });
    await t.say("exchange.declare", { exchange: "$y\n", type: "fanout" });
    for (const exchange of ["", "amq.direct", "amq.mine", "amq.rabbitmq.trace", "amq."])
      await t.say("exchange.declare", { exchange, type: "direct", durable: true });
    await t.say("exchange.declare", { exchange: "amq.direct", type: "fanout", durable: true });
  },
  deleting: async (t) => {
    await t.say("exchange.delete", { exchange: "$x" });
    await t.say("exchange.delete", { exchange: "$x", ifUnused: true });
    await t.say("exchange.declare", { exchange: "$x", type: "direct" });
    await t.say("queue.declare", { queue: "$a" });
    await t.say("queue.bind", { queue: "$a", exchange: "$x", routingKey: "k" });
    await t.say("exchange.delete", { exchange: "$x", ifUnused: true });
    await t.say("queue.unbind", { queue: "$a", exchange: "$x", routingKey: "k" });
    await t.say("exchange.declare", { exchange: "$y", type: "direct" });
    await t.say("exchange.bind", { source: "$y", destination: "$x", routingKey: "k" });
    await t.say("exchange.delete", { exchange: "$x", ifUnused: true });
    for (const exchange of ["", "amq.direct", "amq.none", "amq.rabbitmq.log", "amq.rabbitmq.trace"])
      await t.say("exchange.delete", { exchange });
    await t.publish("$x", "k");
  },
  "auto-delete goes with its last binding, chains too": async (t) => {
    await t.say("exchange.declare", { exchange: "$x", type: "direct", autoDelete: true });
    await t.say("exchange.declare", { exchange: "$y", type: "direct", autoDelete: true });
    await t.say("queue.declare", { queue: "$a" });
    await t.say("exchange.bind", { source: "$x", destination: "$y", routingKey: "k" });
    await t.say("queue.bind", { queue: "$a", exchange: "$y", routingKey: "k" });
    await t.publish("$x", "k", {}, "through", true);
    await t.say("queue.delete", { queue: "$a" });
    for (const exchange of ["$x", "$y"])
      await t.say("exchange.declare", { exchange, passive: true, type: "direct" });
  },
  "internal, alternate, mandatory": async (t) => {
    await t.say("exchange.declare", { exchange: "$x", type: "fanout", internal: true });
    await t.publish("$x", "k");
    await t.publish("amq.rabbitmq.trace", "k");
    const alternate = { "alternate-exchange": "$x" };
    await t.say("exchange.declare", { exchange: "$y", type: "direct", arguments: alternate });
    await t.say("confirm.select");
    await t.publish("$y", "k", {}, "nowhere", true);
    await t.say("queue.declare", { queue: "$a" });
    await t.say("queue.bind", { queue: "$a", exchange: "$x" });
    await t.publish("$y", "k", {}, "by the alternate", true);
    await t.say("basic.get", { queue: "$a", noAck: true });
    // Two that are each other's alternate; one that is missing.
    await t.say("exchange.declare", {
      exchange: "$z",
      type: "direct",
      arguments: { "alternate-exchange": "$w" },
    });
    await t.publish("$z", "k", {}, "missing alternate", true);
    await t.say("exchange.declare", {
      exchange: "$w",
      type: "direct",
      arguments: { "alternate-exchange": "$z" },
    });
    await t.publish("$z", "k", {}, "round", true);
  },
  "bindings between exchanges": async (t) => {
    for (const exchange of ["$x", "$y"]) await t.say("exchange.declare", { exchange, type: "topic" });
    await t.say("queue.declare", { queue: "$a" });
    await t.say("queue.bind", { queue: "$a", exchange: "$y", routingKey: "#" });
    for (const [source, destination] of [
      ["$x", "$y"],
      ["$y", "$x"],
      ["$x", "$x"],
      ["$x", "$none"],
      ["$none", "$x"],
      ["", "$x"],
      ["$x", ""],
    ])
      await t.say("exchange.bind", { source, destination, routingKey: "#" });
    await t.publish("$x", "a.b", {}, "once", true);
    await t.count("$a");
    await t.say("exchange.unbind", { source: "$x", destination: "$y", routingKey: "other" });
    await t.say("exchange.unbind", { source: "$none", destination: "$y", routingKey: "other" });
    await t.say("exchange.unbind", { source: "", destination: "$y", routingKey: "other" });
  },
  "topic patterns": async (t) => {
    await t.say("queue.declare", { queue: "$a" });
    for (const pattern of [
      "#",
      "*",
      "a.#",
      "#.b",
      "a.*.b",
      "*.#",
      "#.#",
      "",
      ".",
      "a.",
      "a..b",
      "*.*",
      "#.a.#",
      "a#",
      "**",
    ]) {
      await t.say("exchange.declare", { exchange: "$x", type: "topic" });
      await t.say("queue.bind", { queue: "$a", exchange: "$x", routingKey: pattern });
      for (const key of ["", "a", "a.b", "a.b.b", "a.", ".a", ".", "a..b", "#", "*", "a#", "**", "a.x.b"])
        await t.publish("$x", key, {}, "m", true);
      await t.say("exchange.delete", { exchange: "$x" });
    }
  },
};
