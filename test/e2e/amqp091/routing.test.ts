// Which queues a message reaches, for every exchange type.
import type { Channel } from "amqplib";
import { describe, expect, type TestContext } from "vitest";
import { useBroker } from "../../support/broker.ts";
import { type Client, drain, fresh, testWith } from "../../support/client.ts";

const broker = await useBroker();
const test = testWith(broker);

/** Publishes each key (confirmed) and tells which arrived in the queue. */
async function arrivals(client: Client, exchange: string, queue: string, keys: string[]): Promise<string[]> {
  const channel = await client.confirmChannel();
  for (const key of keys) channel.publish(exchange, key, Buffer.from(key));
  await channel.waitForConfirms();
  return drain(channel, queue);
}

async function boundQueue(
  client: Client,
  channel: Channel,
  exchange: string,
  key = "",
  args = {},
): Promise<string> {
  const queue = await client.queue(channel);
  await channel.bindQueue(queue, exchange, key, args);
  return queue;
}

describe("topic patterns", () => {
  const keys = ["", "a", "b", "a.b", "a.c", "a.b.c", "a..c", "a.", ".a", "b.a", "a.b.c.d", "."];
  const matches: Record<string, string[]> = {
    "#": keys,
    "*": ["a", "b"],
    a: ["a"],
    "a.#": ["a", "a.b", "a.c", "a.b.c", "a..c", "a.", "a.b.c.d"],
    "a.*": ["a.b", "a.c", "a."],
    "*.a": [".a", "b.a"],
    "#.a": ["a", ".a", "b.a"],
    "*.*": ["a.b", "a.c", "a.", ".a", "b.a", "."],
    "a.*.c": ["a.b.c", "a..c"],
    "a.#.c": ["a.c", "a.b.c", "a..c"],
    "#.b.#": ["b", "a.b", "a.b.c", "b.a", "a.b.c.d"],
    "*.#": keys.filter((key) => key !== ""),
    "": [""],
  };
  for (const [pattern, expected] of Object.entries(matches)) {
    test(`'${pattern}'`, async ({ client }) => {
      const channel = await client.channel();
      const exchange = await client.exchange(channel, "topic");
      const queue = await boundQueue(client, channel, exchange, pattern);
      expect(await arrivals(client, exchange, queue, keys)).toEqual(expected);
    });
  }

  test("overlapping bindings still deliver one copy", async ({ client }) => {
    const channel = await client.channel();
    const exchange = await client.exchange(channel, "topic");
    const queue = await boundQueue(client, channel, exchange, "a.#");
    for (const pattern of ["a.*", "#", "a.b"]) await channel.bindQueue(queue, exchange, pattern);
    expect(await arrivals(client, exchange, queue, ["a.b"])).toEqual(["a.b"]);
    await channel.unbindQueue(queue, exchange, "#");
    expect(await arrivals(client, exchange, queue, ["b", "a.c"])).toEqual(["a.c"]);
  });
});

describe("headers exchange", () => {
  interface Row {
    binding: Record<string, unknown>;
    matching: Record<string, unknown>[];
    missing: Record<string, unknown>[];
  }
  const rows: Row[] = [
    {
      binding: { a: 1, b: "x" },
      matching: [
        { a: 1, b: "x" },
        { a: 1, b: "x", c: 2 },
      ],
      missing: [{ a: 1 }, { a: 2, b: "x" }, {}],
    },
    { binding: { "x-match": "all", a: 1 }, matching: [{ a: 1 }], missing: [{ a: 2 }, {}] },
    {
      binding: { "x-match": "any", a: 1, b: 2 },
      matching: [{ a: 1 }, { b: 2 }, { a: 1, b: 9 }],
      missing: [{ a: 2, b: 1 }, {}],
    },
    { binding: { "x-match": "all" }, matching: [{}, { a: 1 }], missing: [] },
    { binding: { "x-match": "any" }, matching: [], missing: [{}, { a: 1 }] },
    { binding: { a: null }, matching: [{ a: 1 }, { a: "anything" }, { a: null }], missing: [{ b: 1 }, {}] },
    { binding: { "x-match": "any", a: null }, matching: [{ a: false }], missing: [{ b: 1 }] },
    { binding: { a: true }, matching: [{ a: true }], missing: [{ a: false }] },
    {
      binding: { "x-match": "all", "x-a": 1, b: 2 },
      matching: [{ b: 2 }, { b: 2, "x-a": 5 }],
      missing: [{ "x-a": 1 }],
    },
    {
      binding: { "x-match": "all-with-x", "x-a": 1, b: 2 },
      matching: [{ b: 2, "x-a": 1 }],
      missing: [{ b: 2 }],
    },
    {
      binding: { "x-match": "any-with-x", "x-a": 1, b: 2 },
      matching: [{ b: 2 }, { "x-a": 1 }],
      missing: [{ "x-a": 2 }],
    },
  ];
  for (const row of rows) {
    const isWithX = String(row.binding["x-match"]).endsWith("-with-x");
    const needsNewer = isWithX && broker.rabbitmqVersion?.startsWith("3.") === true;
    test.skipIf(needsNewer && !/^3\.1[0-9]/.test(broker.rabbitmqVersion!))(
      JSON.stringify(row.binding),
      async ({ client }) => {
        const channel = await client.confirmChannel();
        const exchange = await client.exchange(channel, "headers");
        const queue = await boundQueue(client, channel, exchange, "ignored", row.binding);
        const publish = async (all: Record<string, unknown>[]) => {
          for (const headers of all)
            channel.publish(exchange, "k", Buffer.from(JSON.stringify(headers)), { headers });
          await channel.waitForConfirms();
          return drain(channel, queue);
        };
        expect(await publish(row.matching)).toEqual(row.matching.map((headers) => JSON.stringify(headers)));
        expect(await publish(row.missing)).toEqual([]);
      },
    );
  }

  test("another x-match is refused", async ({ client }) => {
    const queue = await client.queue(await client.channel());
    const error = await client.errorOf((ch) => ch.bindQueue(queue, "amq.headers", "", { "x-match": "some" }));
    expect(error).toMatchObject({ code: 406, scope: "channel" });
    expect(error.text).toBe(
      'PRECONDITION_FAILED - Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x',
    );
    const typed = await client.errorOf((ch) => ch.bindQueue(queue, "amq.headers", "", { "x-match": 1 }));
    expect(typed.text).toBe(
      "PRECONDITION_FAILED - Invalid x-match field type byte (value 1); expected longstr",
    );
  });
});

test("a hash exchange refuses what it cannot hash by", async ({ client }) => {
  const exchange = fresh("hash");
  const declare = async (args: object) =>
    (await client.errorOf((ch) => ch.assertExchange(exchange, "x-consistent-hash", { arguments: args })))
      .text;
  expect(await declare({ "hash-property": "nonsense" })).toBe(
    "PRECONDITION_FAILED - Unsupported property: nonsense",
  );
  expect(await declare({ "hash-header": "h", "hash-property": "message_id" })).toBe(
    "PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive",
  );
  const channel = await client.channel();
  const [queue, hash] = [await client.queue(channel), await client.exchange(channel, "x-consistent-hash")];
  const bind = async (key: string) => (await client.errorOf((ch) => ch.bindQueue(queue, hash, key))).text;
  expect(await bind("0")).toBe("PRECONDITION_FAILED - The binding key must be greater than 0");
  expect(await bind("ten")).toBe('PRECONDITION_FAILED - The binding key must be an integer: <<"ten">>');
});

describe("bindings between exchanges", () => {
  test("a chain, a diamond and a cycle deliver one copy", async ({ client }) => {
    const channel = await client.channel();
    const [top, left, right, bottom] = [
      await client.exchange(channel, "fanout"),
      await client.exchange(channel, "topic"),
      await client.exchange(channel, "direct"),
      await client.exchange(channel, "fanout"),
    ];
    await channel.bindExchange(left!, top!, "");
    await channel.bindExchange(right!, top!, "");
    await channel.bindExchange(bottom!, left!, "a.#");
    await channel.bindExchange(bottom!, right!, "a.b");
    await channel.bindExchange(top!, bottom!, "");
    const queue = await boundQueue(client, channel, bottom!);
    expect(await arrivals(client, top!, queue, ["a.b", "a.c", "b"])).toEqual(["a.b", "a.c"]);
    await channel.unbindExchange(bottom!, left!, "a.#");
    expect(await arrivals(client, top!, queue, ["a.b", "a.c"])).toEqual(["a.b"]);
  });

  test("a deleted exchange takes its bindings along", async ({ client }) => {
    const channel = await client.channel();
    const [source, target] = [
      await client.exchange(channel, "fanout"),
      await client.exchange(channel, "fanout"),
    ];
    await channel.bindExchange(target, source, "");
    const queue = await boundQueue(client, channel, target);
    await channel.deleteExchange(target);
    await channel.assertExchange(target, "fanout");
    expect(await arrivals(client, source, queue, ["k"])).toEqual([]);
  });
});

describe("alternate exchange", () => {
  test("takes what nothing else matched, and may have one itself", async ({ client }) => {
    const channel = await client.confirmChannel();
    const last = await client.exchange(channel, "fanout");
    const second = await client.exchange(channel, "direct", { alternateExchange: last });
    const first = await client.exchange(channel, "direct", { alternateExchange: second });
    const queues = [
      await boundQueue(client, channel, first, "one"),
      await boundQueue(client, channel, second, "two"),
      await boundQueue(client, channel, last),
    ];
    const returned: string[] = [];
    channel.on("return", (message) => returned.push(message.content.toString()));
    for (const key of ["one", "two", "three"])
      channel.publish(first, key, Buffer.from(key), { mandatory: true });
    await channel.waitForConfirms();
    for (const [index, key] of ["one", "two", "three"].entries()) {
      expect(await drain(channel, queues[index]!)).toEqual([key]);
    }
    await channel.unbindQueue(queues[2]!, last, "");
    channel.publish(first, "four", Buffer.from("four"), { mandatory: true });
    await channel.waitForConfirms();
    expect(returned).toEqual(["four"]);
  });

  test("one that does not exist is as good as none", async ({ client }) => {
    const channel = await client.confirmChannel();
    const exchange = await client.exchange(channel, "direct", { alternateExchange: fresh("nowhere") });
    channel.publish(exchange, "k", Buffer.from("x"));
    await channel.waitForConfirms();
  });
});

describe("consistent hash", () => {
  const available = async (client: Client, context: TestContext) => {
    const probe = await client.errorOf((ch) => ch.assertExchange("amq.probe", "x-consistent-hash"));
    if (probe.text.includes("unknown exchange type"))
      context.skip("the broker has no x-consistent-hash plugin");
  };

  test("same key, same queue; weights count; every message goes somewhere", async ({ client, task }) => {
    await available(client, task.context);
    const channel = await client.confirmChannel();
    const exchange = await client.exchange(channel, "x-consistent-hash");
    const queues = [];
    for (const weight of ["10", "10", "20"]) queues.push(await boundQueue(client, channel, exchange, weight));
    const keys = [...Array(400).keys()].map((i) => `key-${i}`);
    for (let round = 0; round < 2; round++) {
      for (const key of keys) channel.publish(exchange, key, Buffer.from(key));
    }
    await channel.waitForConfirms();
    const placed = [];
    for (const queue of queues) placed.push(await drain(channel, queue));
    expect(placed.flat().sort()).toEqual([...keys, ...keys].sort());
    for (const bodies of placed) {
      expect(new Set(bodies).size).toBe(bodies.length / 2);
      expect(bodies.length).toBeGreaterThan(40);
    }
    expect(placed[2]!.length).toBeGreaterThan(placed[0]!.length);
  });

  test("hashes a header when asked to, and wants a number as weight", async ({ client, task }) => {
    await available(client, task.context);
    const channel = await client.confirmChannel();
    const exchange = await client.exchange(channel, "x-consistent-hash", {
      arguments: { "hash-header": "customer" },
    });
    const queues = [
      await boundQueue(client, channel, exchange, "1"),
      await boundQueue(client, channel, exchange, "1"),
    ];
    for (let i = 0; i < 20; i++) {
      channel.publish(exchange, `key-${i}`, Buffer.from("x"), { headers: { customer: "ann" } });
    }
    await channel.waitForConfirms();
    const counts = await Promise.all(
      queues.map(async (queue) => (await channel.checkQueue(queue)).messageCount),
    );
    expect(counts.sort()).toEqual([0, 20]);
    expect(await client.errorOf((ch) => ch.bindQueue(queues[0]!, exchange, "heavy"))).toMatchObject({
      code: 406,
    });
  });
});
