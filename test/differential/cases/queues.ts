import type { Talk } from "../talk.ts";

const int = (value: number) => value;
const big = (value: bigint) => ({ "!": "l", value });

/** Argument by argument: values at the edges, and of the wrong type. */
const ARGUMENTS: Record<string, unknown[]> = {
  "x-message-ttl": [
    0,
    -1,
    int(2 ** 31 - 1),
    big(315_360_000_000n),
    big(315_360_000_001n),
    "1000",
    true,
    1.5,
    null,
  ],
  "x-expires": [
    1_000_000,
    0,
    -1,
    big(315_360_000_001n),
    "1000",
    { "!": "b", value: 100 },
    { "!": "u", value: 60000 },
  ],
  "x-max-length": [0, -1, "5", 2.5, big(2n ** 62n), { "!": "B", value: 200 }],
  "x-max-length-bytes": [0, -1, "5", false],
  "x-max-priority": [0, 1, 255, 256, -1, "5", { "!": "t", value: 1 }],
  "x-overflow": ["drop-head", "reject-publish", "reject-publish-dlx", "sideways", 1, true],
  "x-queue-mode": ["lazy", "default", "eager", 1],
  "x-queue-version": [1, 2, 3, 0, -1, "1"],
  "x-single-active-consumer": [true, false, "true", 1],
  "x-dead-letter-exchange": ["", "none.such", 1, true, { a: 1 }],
  "x-dead-letter-routing-key": ["alone", 1],
  "x-queue-type": ["classic", "", "Classic", "none", 1, true],
  // One that is none ends the connection there (541).
  "x-queue-master-locator": ["min-masters", "client-local"],
  "x-queue-leader-locator": ["client-local", "balanced", "nonsense", 1],
  "x-delivery-limit": [5],
  "x-dead-letter-strategy": ["at-least-once"],
  "x-quorum-initial-group-size": [1],
  "x-max-in-memory-length": [1],
  "x-max-age": ["1D"],
  "x-stream-max-segment-size-bytes": [1000],
  "x-initial-cluster-size": [1],
  "x-cancel-on-ha-failover": [true],
  "x-ha-policy": ["all"],
  "ha-mode": ["all"],
  "x-something-else": ["kept", { nested: [1, "a", null] }],
};

const QUORUM_ARGUMENTS: Record<string, unknown[]> = {
  "x-delivery-limit": [0, 5, -1],
  "x-dead-letter-strategy": ["at-most-once", "at-least-once", "nonsense", 1],
  "x-quorum-initial-group-size": [1, 0, -1, "1"],
  "x-max-in-memory-length": [0, -1, "1"],
  "x-max-in-memory-bytes": [0, -1, "1"],
  "x-overflow": ["drop-head", "reject-publish", "reject-publish-dlx"],
  "x-queue-leader-locator": ["client-local", "nonsense"],
  "x-max-priority": [3],
  "x-queue-mode": ["lazy"],
  "x-queue-version": [2],
  "x-queue-master-locator": ["min-masters"],
  "x-message-ttl": [0, -1],
  "x-expires": [100_000, 0],
  "x-max-age": ["1D"],
};

async function eachArgument(t: Talk, table: Record<string, unknown[]>, base: object): Promise<void> {
  for (const [key, values] of Object.entries(table)) {
    for (const value of values) {
      await t.say("queue.declare", { queue: "$a", durable: true, arguments: { ...base, [key]: value } });
      await t.say("queue.delete", { queue: "$a" });
    }
  }
}

export const queueCases: Record<string, (t: Talk) => Promise<void>> = {
  "declaration arguments, classic": (t) => eachArgument(t, ARGUMENTS, {}),
  "declaration arguments, quorum": (t) => eachArgument(t, QUORUM_ARGUMENTS, { "x-queue-type": "quorum" }),
  "several wrong arguments at once": async (t) => {
    const wrong = { "x-max-priority": -1, "x-message-ttl": "a", "x-overflow": 5, "x-delivery-limit": 1 };
    await t.say("queue.declare", { queue: "$a", arguments: wrong });
    await t.say("queue.declare", { queue: "$a", arguments: { ...wrong, "x-queue-type": "quorum" } });
    await t.say("queue.declare", {
      queue: "$a",
      arguments: { "x-dead-letter-routing-key": 5, "x-max-length": "a" },
    });
  },
  "declared again with other arguments": async (t) => {
    const first = { "x-queue-mode": "lazy", "x-max-length": 5, "x-mine": 1 };
    await t.say("queue.declare", { queue: "$a", durable: true, arguments: first });
    for (const other of [
      { "x-max-length": 5 },
      { "x-queue-mode": "lazy" },
      { "x-queue-mode": "default", "x-max-length": 5 },
      { "x-queue-mode": "lazy", "x-max-length": { "!": "l", value: 5n } },
      { "x-queue-mode": "lazy", "x-max-length": 5, "x-mine": 2 },
      { "x-queue-mode": "lazy", "x-max-length": 5, "x-queue-type": "classic" },
      { "x-queue-mode": "lazy", "x-max-length": 5, "x-queue-version": 2 },
      { "x-queue-mode": "lazy", "x-max-length": 5, "x-delivery-limit": 2 },
      { "x-queue-mode": "lazy", "x-max-length": "5" },
      { "x-queue-mode": "lazy", "x-max-length": -5 },
      { "x-queue-mode": "lazy", "x-max-length": 5, "x-dead-letter-routing-key": "a" },
      { "x-queue-mode": "lazy", "x-max-length": 5, "x-queue-type": "quorum" },
      { "x-queue-mode": "lazy", "x-max-length": 5, "x-queue-type": 7 },
      { "x-queue-mode": "lazy", "x-max-length": true },
    ])
      await t.say("queue.declare", { queue: "$a", durable: true, arguments: other });
    await t.say("queue.declare", { queue: "$a", durable: false, autoDelete: true, arguments: first });
    await t.say("queue.declare", { queue: "$a", durable: true, exclusive: true, arguments: first });
  },
  "names: empty, long, reserved, with line ends, in other letters": async (t) => {
    await t.say("queue.declare", { queue: `$${"q".repeat(220)}` });
    await t.say("queue.delete", { queue: `$${"q".repeat(220)}` });
    for (const queue of ["amq.", "amq.gen-x", "amq", "AMQ.x", "amq.rabbitmq.x"]) {
      await t.say("queue.declare", { queue, passive: true });
      if (queue.startsWith("amq.")) await t.say("queue.declare", { queue });
    }
    await t.say("queue.declare", { queue: "$a\r\nb" });
    await t.say("queue.declare", { queue: "$ab", passive: true });
    await t.say("queue.delete", { queue: "$a\nb" });
    await t.say("queue.declare", { queue: "$ü漢字 with spaces" });
    await t.say("queue.delete", { queue: "$ü漢字 with spaces" });
    await t.say("queue.declare", { queue: "", exclusive: true });
    await t.say("queue.declare", { queue: "", passive: true });
  },
  "deleting: if-unused, if-empty, both, missing, twice, no-wait": async (t) => {
    await t.say("queue.declare", { queue: "$a" });
    await t.publish("", "$a");
    await t.say("queue.delete", { queue: "$a", ifEmpty: true });
    await t.say("basic.consume", { queue: "$a", consumerTag: "c" });
    await t.say("queue.delete", { queue: "$a", ifUnused: true });
    await t.say("queue.delete", { queue: "$a", ifUnused: true, ifEmpty: true });
    await t.say("basic.get", { queue: "$a" });
    await t.say("queue.delete", { queue: "$a", ifUnused: true, ifEmpty: true });
    await t.say("queue.delete", { queue: "$a" });
    await t.say("queue.delete", { queue: "$a", ifUnused: true, ifEmpty: true });
    await t.say("queue.declare", { queue: "$b", nowait: true });
    await t.say("queue.delete", { queue: "$b", nowait: true });
    await t.say("queue.purge", { queue: "$b" });
  },
  "bindings: idempotent, missing parts, default exchange": async (t) => {
    await t.say("queue.declare", { queue: "$a" });
    for (let i = 0; i < 2; i++)
      await t.say("queue.bind", { queue: "$a", exchange: "amq.direct", routingKey: "k" });
    await t.say("queue.bind", { queue: "$a", exchange: "amq.direct", routingKey: "k", arguments: { x: 1 } });
    await t.publish("amq.direct", "k", {}, "once", true);
    await t.count("$a");
    for (let i = 0; i < 2; i++)
      await t.say("queue.unbind", { queue: "$a", exchange: "amq.direct", routingKey: "k" });
    await t.publish("amq.direct", "k", {}, "still", true);
    await t.say("queue.unbind", { queue: "$missing", exchange: "amq.direct", routingKey: "k" });
    await t.say("queue.unbind", { queue: "$a", exchange: "$missing", routingKey: "k" });
    await t.say("queue.bind", { queue: "$missing", exchange: "amq.direct", routingKey: "k" });
    await t.say("queue.bind", { queue: "$a", exchange: "$missing", routingKey: "k" });
    await t.say("queue.bind", { queue: "$missing", exchange: "$missing", routingKey: "k" });
    await t.say("queue.bind", { queue: "$a", exchange: "", routingKey: "k" });
    await t.say("queue.unbind", { queue: "$a", exchange: "", routingKey: "$a" });
    await t.say("queue.bind", { queue: "", exchange: "amq.direct", routingKey: "k" });
    await t.say("queue.declare", { queue: "$b" });
    await t.say("queue.bind", { queue: "", exchange: "amq.direct", routingKey: "" });
    await t.publish("amq.direct", "$b", {}, "by its own name", true);
    await t.say("basic.get", { queue: "" });
  },
  "headers bindings: wrong x-match, values of all types": async (t) => {
    await t.say("queue.declare", { queue: "$a" });
    const bind = (args: object) =>
      t.say("queue.bind", { queue: "$a", exchange: "amq.headers", arguments: args });
    for (const match of ["all", "any", "all-with-x", "any-with-x", "some", "", 1, true, null])
      await bind({ "x-match": match, h: "v" });
    await t.say("queue.delete", { queue: "$a" });
    const values: unknown[] = [
      1,
      { "!": "l", value: 1n },
      { "!": "d", value: 1 },
      "1",
      true,
      null,
      [1],
      { a: 1 },
      Buffer.from("1"),
    ];
    for (const [i, value] of values.entries()) {
      await t.say("queue.declare", { queue: "$a" });
      await bind({ "x-match": "all", h: value });
      for (const sent of values) await t.publish("amq.headers", `${i}`, { headers: { h: sent } }, "m", true);
      await t.publish("amq.headers", `${i}`, {}, "none", true);
      await t.say("queue.delete", { queue: "$a" });
    }
  },
  "exclusive: another connection tries": async (t) => {
    await t.connect();
    await t.say("queue.declare", { queue: "$a", exclusive: true });
    for (const [name, args] of [
      ["queue.declare", { exclusive: true }],
      ["queue.declare", { passive: true }],
      ["queue.bind", { exchange: "amq.direct", routingKey: "a" }],
      ["queue.unbind", { exchange: "amq.direct", routingKey: "a" }],
      ["queue.purge", {}],
      ["queue.delete", {}],
      ["basic.get", {}],
      ["basic.consume", { consumerTag: "c" }],
    ] as const)
      await t.say(name, { queue: "$a", ...args }, 1, 1);
    await t.publish("", "$a", {}, "for the owner", true);
    await t.say("basic.get", { queue: "$a", noAck: true });
    await t.say("basic.consume", { queue: "$a", consumerTag: "c", exclusive: true });
    await t.say("basic.consume", { queue: "$a", consumerTag: "d" });
  },
  "auto-delete: only after a consumer": async (t) => {
    await t.say("queue.declare", { queue: "$a", autoDelete: true });
    await t.publish("", "$a");
    await t.say("basic.get", { queue: "$a" });
    await t.count("$a");
    await t.say("basic.consume", { queue: "$a", consumerTag: "c" });
    await t.say("basic.consume", { queue: "$a", consumerTag: "d" });
    await t.say("basic.cancel", { consumerTag: "c" });
    await t.count("$a");
    await t.say("basic.cancel", { consumerTag: "d" });
    await t.count("$a");
  },
  "lengths: every overflow": async (t) => {
    for (const overflow of ["drop-head", "reject-publish", "reject-publish-dlx"]) {
      await t.say("queue.declare", { queue: "$b" });
      const limits = {
        "x-max-length": 2,
        "x-overflow": overflow,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "$b",
      };
      await t.say("queue.declare", { queue: "$a", arguments: limits });
      await t.say("confirm.select");
      for (const body of ["1", "2", "3", "4"]) await t.publish("", "$a", {}, body, true);
      await t.count("$a");
      await t.count("$b");
      for (let i = 0; i < 3; i++) await t.say("basic.get", { queue: "$a", noAck: true });
      for (let i = 0; i < 3; i++) await t.say("basic.get", { queue: "$b", noAck: true });
      await t.say("queue.delete", { queue: "$a" });
      await t.say("queue.delete", { queue: "$b" });
    }
    await t.say("queue.declare", { queue: "$a", arguments: { "x-max-length": 0 } });
    await t.publish("", "$a", {}, "never", true);
    await t.count("$a");
    await t.say("basic.consume", { queue: "$a", consumerTag: "c" });
    await t.publish("", "$a", {}, "at once", true);
    await t.say("queue.declare", { queue: "$c", arguments: { "x-max-length-bytes": 5 } });
    await t.publish("", "$c", {}, "123456");
    await t.publish("", "$c", {}, "123");
    await t.publish("", "$c", {}, "12");
    await t.publish("", "$c", {}, "1");
    await t.say("basic.get", { queue: "$c", noAck: true });
  },
  "passive declares": async (t) => {
    await t.say("queue.declare", { queue: "$a", durable: true, arguments: { "x-max-length": 5 } });
    await t.say("queue.declare", {
      queue: "$a",
      passive: true,
      durable: false,
      exclusive: true,
      autoDelete: true,
      arguments: { "x-message-ttl": "x" },
    });
    await t.say("queue.declare", { queue: "$none", passive: true });
    await t.say("queue.declare", { queue: "$none", passive: true, nowait: true });
    await t.say("exchange.declare", { exchange: "$none", type: "direct", passive: true });
    await t.say("exchange.declare", { exchange: "amq.direct", type: "nonsense", passive: true });
    await t.say("exchange.declare", { exchange: "", type: "direct", passive: true });
    await t.say("exchange.declare", { exchange: "amq.none", type: "direct", passive: true });
  },
};
