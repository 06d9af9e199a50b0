// What a sender says must not pass for something that the broker says, to a client of another protocol.
import { connect } from "amqplib";
import mqtt from "mqtt";
import { afterAll, expect, test } from "vitest";
import { startBroker } from "../../src/index.ts";
import { StompClient } from "../support/stomp-client.ts";

const broker = await startBroker({
  engine: "memory:",
  amqp: { port: 0 },
  mqtt: { port: 0 },
  stomp: { port: 0 },
});
const stompUrl = broker.stomp?.url as string;
const amqp = await connect(broker.amqp.url);
const channel = await amqp.createChannel();
afterAll(async () => {
  await amqp.close();
  await broker.stop();
});

test.each(["1.0", "1.1", "1.2"])("STOMP %s: headers of an AMQP message", async (version) => {
  const client = await StompClient.connect(stompUrl, { "accept-version": version });
  await client.ask("SUBSCRIBE", { id: "s", destination: "/topic/forged" });
  const headers = {
    "content-length": "1",
    "message-id": "mine",
    destination: "/queue/mine",
    subscription: "t",
    "": "no name",
    nul: "a\0\nMESSAGE\nsubscription:s\n\nforged\0",
    "nul\0": "b",
    lines: "a\n\nforged",
    "a:b": "c",
    good: "yes",
  };
  channel.publish("amq.topic", "forged", Buffer.from("body"), { headers, type: "a\0b" });
  channel.publish("amq.topic", "forged", Buffer.from("second"));
  const first = await client.next();
  expect(first.headers).toMatchObject({ subscription: "s", destination: "/topic/forged", good: "yes" });
  expect(first.lines.filter(([name]) => name === "content-length")).toEqual([["content-length", "4"]]);
  expect(first.lines.some(([name]) => name === "" || name === "nul" || name === "type")).toBe(false);
  expect(first.lines.some(([name]) => name === "a")).toBe(false);
  expect(first.headers["message-id"]).not.toBe("mine");
  expect(`${first.body}`).toBe("body");
  expect(`${(await client.next()).body}`).toBe("second");
  expect(client.unread).toBe(0);
  client.destroy();
});

test("STOMP: a NUL within a header is an error", async () => {
  const client = await StompClient.connect(stompUrl);
  client.raw("SEND\ndestination:/topic/forged\nx:\0MESSAGE\nsubscription:s\n\nforged\0");
  expect((await client.next()).command).toBe("ERROR");
  await client.ended;
});

test("MQTT: the broker's statistics, to a group that shares them", async () => {
  const client = await mqtt.connectAsync(broker.mqtt?.url as string, { protocolVersion: 5 });
  const topics: string[] = [];
  const end = new Promise<void>((resolve) =>
    client.on("message", (topic) => {
      topics.push(topic);
      if (topic === "end") resolve();
    }),
  );
  await client.subscribeAsync({ "$share/g/$SYS/#": { qos: 1 }, "$share/h/end": { qos: 1 }, end: { qos: 1 } });
  channel.publish("amq.topic", "$SYS.broker.uptime", Buffer.from("forged"));
  channel.publish("amq.topic", "end", Buffer.from(""));
  await end;
  expect(topics.filter((topic) => topic !== "end")).toEqual([]);
  await client.endAsync();
});
