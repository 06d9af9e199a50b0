import { connect } from "amqplib";
import { batchBytes } from "../../../src/message/record-batch.ts";
import { RecordCursor } from "../../../src/message/record-cursor.ts";
import { fetch } from "../../../src/wire/kafka/schemas/fetch.ts";
import { produce } from "../../../src/wire/kafka/schemas/produce.ts";
import { batchOf } from "../../support/kafka-batch.ts";
import { RawKafka } from "../../support/kafka-raw.ts";
import { Arrivals, END, type TopicSide } from "../topic-side.ts";

const NAME_LENGTH_MAX = 249;

/** The topic that stands for a key of the topic exchange, with what Kafka does not allow in a name escaped. */
function topicOf(key: string): string {
  const spell = (octet: number): string => {
    const character = String.fromCharCode(octet);
    return /[A-Za-z0-9.-]/.test(character) ? character : `_${octet.toString(16).padStart(2, "0")}`;
  };
  return `amq.reply-topic.${Array.from(Buffer.from(key), spell).join("")}`;
}

export function addressOf(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url.includes("://") ? url : `tcp://${url}`);
  return { host: hostname, port: Number(port) };
}

/** Bodies of the records of a topic, from the beginning to END. A record does not say its key. */
export async function readTopic(client: RawKafka, topic: string, arrivals: Arrivals): Promise<void> {
  const cursor = new RecordCursor();
  for (let offset = 0, done = false; !done; ) {
    const partition = { partition: 0, fetchOffset: offset, partitionMaxBytes: 1 << 20 };
    const request = { maxWaitMs: 100, minBytes: 1, topics: [{ topic, partitions: [partition] }] };
    const { responses } = await client.ask(fetch, 12, request);
    const { records } = responses[0]!.partitions[0]!;
    if (records === null) continue;
    const { bytes, start, end } = records;
    for (let at = start; at < end; at += batchBytes(bytes, at)) {
      cursor.open(bytes, at, at + batchBytes(bytes, at));
      while (cursor.next()) {
        if (cursor.offset < offset) continue;
        const body = Buffer.from(cursor.value() ?? []).toString();
        arrivals.add(body, body);
        done ||= body === END;
        offset = cursor.offset + 1;
      }
    }
  }
}

/** Kafka, word by word: publishes by a topic that stands for the key, and reads a stream that is bound to all of them. */
export async function kafkaTopics(url: string, amqpUrl: string): Promise<TopicSide> {
  const client = await RawKafka.open(addressOf(url));
  const amqp = await connect(amqpUrl);
  const channel = await amqp.createChannel();
  let streams = 0;

  return {
    name: "Kafka",
    says: (key) => topicOf(key).length <= NAME_LENGTH_MAX,
    async publish(key) {
      const partitionData = [{ index: 0, records: batchOf([{ value: key }]) }];
      const topicData = [{ name: topicOf(key), partitionData }];
      const { responses } = await client.ask(produce, 9, { acks: -1, timeoutMs: 1000, topicData });
      const { errorCode } = responses[0]!.partitionResponses[0]!;
      if (errorCode !== 0) throw new Error(`${JSON.stringify(key)}: ${errorCode}`);
    },
    async everything() {
      const topic = `topics.all.${streams++}`;
      await channel.assertQueue(topic, { arguments: { "x-queue-type": "stream" } });
      await channel.bindQueue(topic, "amq.topic", "#");
      const arrivals = new Arrivals();
      return async () => {
        await readTopic(client, topic, arrivals);
        await channel.deleteQueue(topic);
        return arrivals.all();
      };
    },
    async close() {
      client.close();
      await amqp.close();
    },
  };
}
