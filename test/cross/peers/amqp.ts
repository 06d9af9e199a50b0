import { type Channel, type ConsumeMessage, connect } from "amqplib";
import { Answers, type Peer, type Request } from "../peer.ts";

const DIRECT_REPLY = "amq.rabbitmq.reply-to";

/** AMQP 0-9-1, by amqplib. */
export async function amqpPeer(url: string): Promise<Peer> {
  const connection = await connect(url);
  const [direct, queued, serving] = await Promise.all([
    connection.createChannel(),
    connection.createChannel(),
    connection.createChannel(),
  ]);
  const { queue } = await queued.assertQueue("", { exclusive: true });
  return {
    name: "AMQP 0-9-1",
    ways: {
      "direct reply-to": await requester(direct, DIRECT_REPLY),
      "a reply queue": await requester(queued, queue),
    },
    async serve(address, answer) {
      const requests = await serving.assertQueue("", { exclusive: true });
      await serving.bindQueue(requests.queue, "amq.topic", address);
      await serving.consume(
        requests.queue,
        (request) => {
          const { replyTo, correlationId } = (request as ConsumeMessage).properties;
          const body = answer((request as ConsumeMessage).content.toString());
          serving.sendToQueue(replyTo, Buffer.from(body), { correlationId });
        },
        { noAck: true },
      );
    },
    close: () => connection.close(),
  };
}

async function requester(channel: Channel, replyTo: string): Promise<Request> {
  const answers = new Answers();
  await channel.consume(
    replyTo,
    (answer) => {
      const { content, properties } = answer as ConsumeMessage;
      answers.arrived({ body: content.toString(), correlationId: properties.correlationId });
    },
    { noAck: true },
  );
  return (address, { body, correlationId }) => {
    const answer = answers.wait(correlationId);
    channel.publish("amq.topic", address, Buffer.from(body), { correlationId, replyTo });
    return answer;
  };
}
