import { connect } from "amqplib";
import type { KafkaMessage } from "kafkajs";
import { kafkaJs } from "../../support/kafka.ts";
import { Answers, type Peer } from "../peer.ts";

const REQUESTS = "cross.requests";
const ANSWERS = "cross.answers";

const header = ({ headers }: KafkaMessage, name: string): string => `${headers?.[name]}`;

/** Kafka, by kafkajs: topics for requests and for answers. */
export async function kafkaPeer(port: number, amqpUrl: string): Promise<Peer> {
  const kafka = kafkaJs({ clientId: "peer", brokers: [`127.0.0.1:${port}`] });
  const producer = kafka.producer();
  const [serving, asking] = [REQUESTS, ANSWERS].map((groupId) =>
    kafka.consumer({ groupId, maxWaitTimeInMs: 50 }),
  ) as [ReturnType<typeof kafka.consumer>, ReturnType<typeof kafka.consumer>];
  const [amqp] = await Promise.all([
    connect(amqpUrl),
    producer.connect(),
    serving.connect(),
    asking.connect(),
  ]);
  const channel = await amqp.createChannel();
  const answers = new Answers();
  let service: (body: string) => string = (body) => body;
  for (const name of [REQUESTS, ANSWERS])
    await channel.assertQueue(name, { arguments: { "x-queue-type": "stream" } });
  await serving.subscribe({ topic: REQUESTS, fromBeginning: true });
  await asking.subscribe({ topic: ANSWERS, fromBeginning: true });
  await serving.run({
    async eachMessage({ message }) {
      const headers = { "correlation-id": header(message, "correlation-id") };
      const topic = header(message, "reply-to");
      await producer.send({ topic, messages: [{ value: service(`${message.value}`), headers }] });
    },
  });
  await asking.run({
    async eachMessage({ message }) {
      answers.arrived({ body: `${message.value}`, correlationId: header(message, "correlation-id") });
    },
  });
  return {
    name: "Kafka",
    ways: {
      "a topic for answers": async (address, { body, correlationId }) => {
        const answer = answers.wait(correlationId);
        const headers = { "reply-to": ANSWERS, "correlation-id": correlationId };
        await producer.send({ topic: `amq.reply-topic.${address}`, messages: [{ value: body, headers }] });
        return answer;
      },
    },
    async serve(address, answer) {
      service = answer;
      await channel.bindQueue(REQUESTS, "amq.topic", address);
    },
    async close() {
      await Promise.all([serving.disconnect(), asking.disconnect()]);
      await Promise.all([producer.disconnect(), amqp.close()]);
    },
  };
}
