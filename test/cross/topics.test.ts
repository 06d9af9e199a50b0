// What may stand in a routing key, a topic or a destination: it arrives as it was said, or not at all, and is
// never taken for a pattern. Every ordered pair, with keys that a seed makes.
//   TOPICS_SEED   to see a failure again
import { type ConsumeMessage, connect } from "amqplib";
import mqtt from "mqtt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startBroker } from "../../src/index.ts";
import { createTopics } from "../../src/wire/kafka/schemas/create-topics.ts";
import { metadata } from "../../src/wire/kafka/schemas/metadata.ts";
import { produce } from "../../src/wire/kafka/schemas/produce.ts";
import { batchOf } from "../support/kafka-batch.ts";
import { RawKafka } from "../support/kafka-raw.ts";
import { randomFrom } from "../support/random.ts";
import { StompClient } from "../support/stomp-client.ts";
import { addressOf, kafkaTopics, readTopic } from "./sides/kafka-topics.ts";
import { Arrivals, END, keysOf, type TopicSide } from "./topic-side.ts";

const seed = Number(process.env.TOPICS_SEED ?? Date.now() % 1_000_000);
const random = randomFrom(seed);

const KEYS = keysOf(random);

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
  kafka: { port: 0 },
  http: { port: 0 },
});
const sides = await Promise.all([
  amqp(broker.amqp.url),
  stomp(broker.stomp?.url as string),
  mqttSide(broker.mqtt?.url as string, 4),
  mqttSide(broker.mqtt?.url as string, 5),
  kafkaTopics(broker.kafka?.url as string, broker.amqp.url),
]);
afterAll(async () => {
  await Promise.all(sides.map((side) => side.close()));
  await broker.stop();
});

/** Messages that were dropped because the receiver's protocol has no way to say where they came from. */
async function untranslatable(): Promise<number> {
  const metrics = await (await fetch(`${broker.http?.url}/metrics`)).text();
  const [, count = "0"] =
    /^polymq_messages_dropped_total\{reason="untranslatable"\} (\d+)$/m.exec(metrics) ?? [];
  return Number(count);
}

// The last test sums up those before it.
describe(`seed ${seed}`, { shuffle: false }, () => {
  let untold = 0;
  let before = 0;
  beforeAll(async () => {
    before = await untranslatable();
  });

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

  test("what could not be told was counted", async () => {
    expect(untold).toBeGreaterThan(0);
    expect((await untranslatable()) - before).toBe(untold);
  });
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

describe("as names of Kafka's topics", async () => {
  const kafka = await RawKafka.open(addressOf(broker.kafka?.url as string));
  afterAll(() => kafka.close());
  const legal = (name: string) => /^[a-zA-Z0-9._-]{1,249}$/.test(name) && !/^\.\.?$/.test(name);
  const names = [...KEYS, "a_b", "v1.0-x", "x".repeat(249), "x".repeat(250), ".", ".."];
  const INVALID_TOPIC = 17;
  const UNKNOWN_TOPIC = 3;

  test("taken as they are, or refused; nobody else hears of it", async () => {
    const amqp = await connect(broker.amqp.url);
    const channel = await amqp.createChannel();
    const { queue } = await channel.assertQueue("", { exclusive: true });
    await channel.bindQueue(queue, "amq.topic", "#");
    for (const name of names) {
      const expected = legal(name) ? 0 : INVALID_TOPIC;
      const topic = { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
      const created = await kafka.ask(createTopics, 5, { topics: [topic], timeoutMs: 5000 });
      expect([name, created.topics[0]?.errorCode]).toEqual([name, expected]);
      const partitionData = [{ index: 0, records: batchOf([{ value: name }]) }];
      const topicData = [{ name, partitionData }];
      const { responses } = await kafka.ask(produce, 9, { acks: -1, timeoutMs: 1000, topicData });
      const { errorCode } = responses[0]!.partitionResponses[0]!;
      expect([
        name,
        legal(name) ? errorCode === 0 : [INVALID_TOPIC, UNKNOWN_TOPIC].includes(errorCode),
      ]).toEqual([name, true]);
    }
    const { topics } = await kafka.ask(metadata, 9, { topics: null });
    const listed = topics.map(({ name }) => name);
    expect(new Set(names.filter(legal)).size).toBeGreaterThan(5);
    expect(names.filter((name) => legal(name) !== listed.includes(name))).toEqual([]);
    expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: 0 });
    // Asking does not make what may not be, either.
    const asked = await kafka.ask(metadata, 9, { topics: [{ name: "a/+" }], allowAutoTopicCreation: true });
    expect(asked.topics[0]?.errorCode).toBe(INVALID_TOPIC);
    await amqp.close();
  });

  test("a stream that AMQP has named is a topic by that name, letter by letter", async () => {
    const amqp = await connect(broker.amqp.url);
    const channel = await amqp.createConfirmChannel();
    const streams = ["a/b", "a/+", "a/#", "a.*", "日本", "$SYS/x"];
    for (const name of streams) {
      await channel.assertQueue(name, { arguments: { "x-queue-type": "stream" } });
      for (const body of [name, END]) channel.sendToQueue(name, Buffer.from(body));
    }
    await channel.waitForConfirms();
    for (const name of streams) {
      const arrivals = new Arrivals();
      await readTopic(kafka, name, arrivals);
      expect(await arrivals.all()).toEqual([name]);
      await channel.deleteQueue(name);
    }
    await amqp.close();
  });
});
