// What may stand in a routing key, a topic or a destination: it arrives as it was said, or not at all, and is
// never taken for a pattern. Every ordered pair, with keys that a seed makes.
//   TOPICS_SEED   to see a failure again
import { type ConsumeMessage, connect } from "amqplib";
import mqtt from "mqtt";
import { afterAll, describe, expect, test } from "vitest";
import { startBroker } from "../../src/index.ts";
import { randomFrom } from "../support/random.ts";
import { StompClient } from "../support/stomp-client.ts";

const seed = Number(process.env.TOPICS_SEED ?? Date.now() % 1_000_000);
const random = randomFrom(seed);

const PIECES = [".", "/", ".", "/", "+", "#", "*", "a", "b", "ä", "𝄞", "$", " ", "%", "%2F", "\\", ":", "\n"];
const KEYS: readonly string[] = [
  // Each by itself, in the middle, at the ends.
  ...["+", "#", "*", "$", " ", "%", "%2F", "\\", ":", "\n", "ä", "𝄞", "/", ".", "\0", ">"].flatMap(
    (piece) => [piece, `a.${piece}.b`, `${piece}.b`, `a.${piece}`, `a${piece}b`],
  ),
  "",
  "..",
  "//",
  "a..b",
  "a//b",
  ".a.",
  "/a/",
  "$SYS.broker.uptime",
  "$share.g.a",
  "$queue.orders",
  "~",
  ...Array.from({ length: 150 }, () =>
    Array.from(
      { length: 1 + Math.floor(random() * 7) },
      () => PIECES[Math.floor(random() * PIECES.length)],
    ).join(""),
  ),
].filter((key, index, all) => all.indexOf(key) === index);

/** Arrives everywhere: what has not come before it does not come. */
const END = "the.end";

interface TopicSide {
  readonly name: string;
  /** Whether this protocol has a way to publish, or to be told, this key of the topic exchange. */
  says(key: string): boolean;
  publish(key: string): Promise<void>;
  /** Every key that arrives at a subscription to all there is, until END. The body is the key, too. */
  everything(keys: readonly string[]): Promise<() => Promise<string[]>>;
  close(): Promise<void>;
}

class Arrivals {
  private readonly keys: string[] = [];
  private done: () => void = () => {};
  private readonly end = new Promise<void>((resolve) => {
    this.done = resolve;
  });

  add(key: string, body: string): void {
    if (key === END) this.done();
    else this.keys.push(key === body ? key : `'${body}' as '${key}'`);
  }

  async all(): Promise<string[]> {
    await this.end;
    return this.keys;
  }
}

async function amqp(url: string): Promise<TopicSide> {
  const connection = await connect(url);
  const channel = await connection.createConfirmChannel();
  return {
    name: "AMQP 0-9-1",
    says: () => true,
    async publish(key) {
      channel.publish("amq.topic", key, Buffer.from(key));
      if (key === END) await channel.waitForConfirms();
    },
    async everything() {
      const arrivals = new Arrivals();
      const { queue } = await channel.assertQueue("", { exclusive: true });
      await channel.bindQueue(queue, "amq.topic", "#");
      await channel.consume(queue, (message) => {
        const { fields, content } = message as ConsumeMessage;
        arrivals.add(fields.routingKey, content.toString());
        channel.ack(message as ConsumeMessage);
      });
      return () => arrivals.all();
    },
    close: () => connection.close(),
  };
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", ":": "\\c" };
const destinationOf = (key: string): string =>
  key === "" ? "/exchange/amq.topic" : `/topic/${key.replace(/[%/\0]/g, encodeURIComponent)}`;

async function stomp(url: string): Promise<TopicSide> {
  const [sender, receiver] = [await StompClient.connect(url), await StompClient.connect(url)];
  return {
    name: "STOMP",
    says: () => true,
    async publish(key) {
      const destination = destinationOf(key).replace(/[\\\n:]/g, (octet) => ESCAPES[octet] as string);
      await sender.ask("SEND", { destination, "content-length": `${Buffer.byteLength(key)}` }, key);
    },
    async everything() {
      const arrivals = new Arrivals();
      await receiver.ask("SUBSCRIBE", { id: "all", destination: "/topic/#" });
      const read = async (): Promise<void> => {
        for (let key = ""; key !== END; ) {
          const { headers, body } = await receiver.next();
          const destination = headers.destination as string;
          const plain = destination.replace(/\\(.)/g, (_, c: string) => ({ n: "\n", c: ":" })[c] ?? c);
          key = decodeURIComponent(plain.replace("/topic/", ""));
          arrivals.add(key, body.toString());
        }
        await receiver.ask("UNSUBSCRIBE", { id: "all" });
      };
      const reading = read();
      return async () => {
        await reading;
        return arrivals.all();
      };
    },
    async close() {
      sender.destroy();
      receiver.destroy();
    },
  };
}

const swapped = (text: string): string => text.replace(/[./]/g, (c) => (c === "." ? "/" : "."));

async function mqttSide(url: string, version: 4 | 5): Promise<TopicSide> {
  const [sender, receiver] = await Promise.all([
    mqtt.connectAsync(url, { protocolVersion: version }),
    mqtt.connectAsync(url, { protocolVersion: version }),
  ]);
  const says = (key: string): boolean =>
    key !== "" && !/[+#\0]/.test(key) && !/^\$(SYS|share)(\.|$)/.test(key);
  return {
    name: version === 5 ? "MQTT 5" : "MQTT 3.1.1",
    says: (key) => says(key) && !key.startsWith("$queue."),
    async publish(key) {
      await sender.publishAsync(swapped(key), key, { qos: 1 });
    },
    async everything(keys) {
      const arrivals = new Arrivals();
      const arrived = (topic: string, payload: Buffer): void =>
        arrivals.add(swapped(topic), payload.toString());
      receiver.on("message", arrived);
      // A wildcard does not stand for a first level with '$'.
      const hidden = keys.filter((key) => key.startsWith("$") && says(key)).map(swapped);
      for (const filter of ["#", ...hidden]) await receiver.subscribeAsync(filter, { qos: 1 });
      return async () => {
        const all = await arrivals.all();
        receiver.off("message", arrived);
        for (const filter of ["#", ...hidden]) await receiver.unsubscribeAsync(filter);
        return all;
      };
    },
    async close() {
      await Promise.all([sender.endAsync(), receiver.endAsync()]);
    },
  };
}

const broker = await startBroker({
  engine: "memory:",
  amqp: { port: 0 },
  mqtt: { port: 0 },
  stomp: { port: 0 },
  http: { port: 0 },
});
const sides = await Promise.all([
  amqp(broker.amqp.url),
  stomp(broker.stomp?.url as string),
  mqttSide(broker.mqtt?.url as string, 4),
  mqttSide(broker.mqtt?.url as string, 5),
]);
afterAll(async () => {
  await Promise.all(sides.map((side) => side.close()));
  await broker.stop();
});

let untold = 0;

describe(`seed ${seed}`, () => {
  for (const from of sides) {
    test.each(sides)(`from ${from.name} to $name`, async (to) => {
      const said = KEYS.filter((key) => from.says(key));
      const arrived = await to.everything(said);
      for (const key of said) await from.publish(key);
      await from.publish(END);
      const told = to.name.startsWith("MQTT")
        ? said.filter((key) => to.says(key) || key.startsWith("$queue."))
        : said;
      expect(await arrived()).toEqual(told);
      // No subscription asks for what begins with a '$' and cannot be said.
      untold += said.filter((key) => !told.includes(key) && !key.startsWith("$")).length;
    });
  }
});

test("what could not be told was counted", async () => {
  const metrics = await (await fetch(`${broker.http?.url}/metrics`)).text();
  expect(untold).toBeGreaterThan(0);
  expect(metrics).toContain(`polymq_messages_dropped_total{reason="untranslatable"} ${untold}\n`);
});

test.each([4, 5] as const)(
  "MQTT level %i: who publishes to a pattern is hung up on",
  async (protocolVersion) => {
    for (const topic of ["a/+", "#", "a/b#"]) {
      const client = await mqtt.connectAsync(broker.mqtt?.url as string, {
        protocolVersion,
        reconnectPeriod: 0,
      });
      client.on("error", () => {});
      const closed = new Promise<void>((resolve) => client.once("close", () => resolve()));
      // MQTT.js would not send it.
      const name = Buffer.from(topic);
      const rest = Buffer.concat([
        Buffer.of(0, name.length),
        name,
        protocolVersion === 5 ? Buffer.of(0) : Buffer.alloc(0),
      ]);
      client.stream.write(Buffer.concat([Buffer.of(0x30, rest.length), rest]));
      await closed;
    }
  },
);
