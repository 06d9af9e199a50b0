// A routing key that AMQP 0-9-1 has no room for comes from a protocol whose topics may be longer.
import { type ChannelModel, connect, type Message } from "amqplib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startBroker } from "../../../src/index.ts";
import { StompClient } from "../../support/stomp-client.ts";

let broker: Awaited<ReturnType<typeof startBroker>>;
let connection: ChannelModel;
let stomp: StompClient;

beforeAll(async () => {
  broker = await startBroker({ engine: "memory:", amqp: { port: 0 }, stomp: { port: 0 } });
  connection = await connect(broker.amqp.url);
  stomp = await StompClient.connect(broker.stomp?.url as string);
});

afterAll(async () => {
  stomp.destroy();
  await connection.close();
  await broker.stop();
});

const seen = ({ fields, properties, content }: Message): object => ({
  key: fields.routingKey,
  whole: properties.headers?.["x-routing-key"],
  own: properties.headers?.own,
  body: content.toString(),
});

test("is cut at a character, and whole in a header, however the message is fetched", async () => {
  const channel = await connection.createChannel();
  const { queue } = await channel.assertQueue("", { exclusive: true });
  await channel.bindQueue(queue, "amq.topic", "#");
  const got: Message[] = [];
  let arrived: () => void = () => {};
  const two = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  // 255 bytes fit; in 256 bytes of "ü" the cut falls into a character.
  const keys = ["k".repeat(255), `a${"ü".repeat(300)}`];
  for (const key of keys) {
    stomp.send(
      "SEND",
      { destination: `/topic/${encodeURIComponent(key)}`, own: "yes", receipt: key.slice(0, 1) },
      "b",
    );
    expect((await stomp.next()).command).toBe("RECEIPT");
  }
  const first = await channel.get(queue, { noAck: false });
  const second = await channel.get(queue, { noAck: false });
  const expected = [
    { key: keys[0], whole: undefined, own: "yes", body: "b" },
    { key: `a${"ü".repeat(127)}`, whole: keys[1], own: "yes", body: "b" },
  ];
  expect([first, second].map((message) => seen(message as Message))).toEqual(expected);
  channel.nackAll(true);
  await channel.consume(queue, (message) => {
    got.push(message as Message);
    if (got.length === 2) arrived();
  });
  await two;
  expect(got.map(seen)).toEqual(expected);
});
