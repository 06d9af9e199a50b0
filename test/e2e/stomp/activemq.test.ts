// ActiveMQ's conventions: destinations, subscriptions and what becomes of failures.
import { afterAll, expect, test } from "vitest";
import { startServer } from "../../support/broker.ts";
import { StompClient, type StompFrame } from "../../support/stomp-client.ts";

const server = await startServer({ stompActivemqPort: "0" });
const url = `stomp://127.0.0.1:${server.port("stompActivemq")}`;
const open: StompClient[] = [];
afterAll(async () => {
  for (const client of open) client.destroy();
  await server.stop();
});

async function client(headers: Record<string, string> = {}): Promise<StompClient> {
  const connected = await StompClient.connect(url, headers);
  open.push(connected);
  return connected;
}

async function bodies(from: StompClient, count: number): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) found.push(`${(await from.next()).body}`);
  return found;
}

let names = 0;
const fresh = (): string => `mq.${++names}`;

test("one word and the rest of a topic", async () => {
  const [one, rest, sender] = [await client(), await client(), await client()];
  await one.ask("SUBSCRIBE", { id: "1", destination: "/topic/price.*.gold" });
  await rest.ask("SUBSCRIBE", { id: "2", destination: "/topic/price.>" });
  for (const key of ["price.eu.gold", "price.eu", "price.eu.gold.fine"])
    await sender.ask("SEND", { destination: `/topic/${key}` }, key);
  expect(await bodies(rest, 3)).toEqual(["price.eu.gold", "price.eu", "price.eu.gold.fine"]);
  expect(await bodies(one, 1)).toEqual(["price.eu.gold"]);
  expect(one.unread).toBe(0);
});

test.each(["price.*", "price.>", "*"])("nobody sends to the pattern %s", async (key) => {
  const sender = await client();
  sender.send("SEND", { destination: `/topic/${key}` }, "x");
  expect((await sender.next()).command).toBe("ERROR");
});

test("one SEND goes to several destinations", async () => {
  const [a, b] = [fresh(), fresh()];
  const stomp = await client();
  await stomp.ask("SEND", { destination: `/queue/${a},/queue/${b}` }, "both");
  for (const queue of [a, b]) {
    await stomp.ask("SUBSCRIBE", { id: queue, destination: `/queue/${queue}` });
    expect((await stomp.next()).headers).toMatchObject({
      subscription: queue,
      destination: `/queue/${queue}`,
    });
  }
});

test("temporary queues answer", async () => {
  const [asker, service] = [await client(), await client()];
  const queue = fresh();
  await asker.ask("SUBSCRIBE", { id: "answers", destination: "/temp-queue/mine" });
  await service.ask("SUBSCRIBE", { id: "s", destination: `/queue/${queue}` });
  const reply = { "reply-to": "/temp-queue/mine", "correlation-id": "7" };
  await asker.ask("SEND", { destination: `/queue/${queue}`, ...reply }, "question");
  const { headers } = await service.next();
  await service.ask("SEND", { destination: headers["reply-to"] as string, "correlation-id": "7" }, "answer");
  const answer = await asker.next();
  expect([`${answer.body}`, answer.headers["correlation-id"]]).toEqual(["answer", "7"]);
});

test("a durable subscription waits for its client", async () => {
  const topic = `/topic/${fresh()}`;
  const subscribe = (to: StompClient) =>
    to.ask("SUBSCRIBE", { id: "d", destination: topic, "activemq.subscriptionName": "news" });
  const first = await client({ "client-id": "reader" });
  await subscribe(first);
  first.send("DISCONNECT");
  await first.ended;
  const sender = await client();
  await sender.ask("SEND", { destination: topic, persistent: "true" }, "while away");
  const second = await client({ "client-id": "reader" });
  const receipt = subscribe(second).catch(() => {});
  await receipt;
  expect(await bodies(second, 1)).toEqual(["while away"]);
});

test("each group of consumers gets what is sent to a virtual topic, once", async () => {
  const topic = `VirtualTopic.${fresh()}`;
  const groups = await Promise.all(["A", "B"].map(() => client()));
  for (const [i, group] of groups.entries())
    await group.ask("SUBSCRIBE", { id: "g", destination: `/queue/Consumer.${"AB"[i]}.${topic}` });
  const sender = await client();
  await sender.ask("SEND", { destination: `/topic/${topic}` }, "order");
  for (const group of groups) expect(await bodies(group, 1)).toEqual(["order"]);
});

test("the seventh failure ends in ActiveMQ.DLQ", async () => {
  const queue = fresh();
  const sender = await client();
  await sender.ask("SEND", { destination: `/queue/${queue}` }, "poison");
  for (let delivery = 1; delivery <= 7; delivery++) {
    const consumer = await client();
    consumer.send("SUBSCRIBE", { id: "c", destination: `/queue/${queue}`, ack: "client" });
    expect(`${(await consumer.next()).body}`).toBe("poison");
    consumer.destroy();
  }
  const dead = await client();
  await dead.ask("SUBSCRIBE", { id: "dlq", destination: "/queue/ActiveMQ.DLQ" });
  expect(await bodies(dead, 1)).toEqual(["poison"]);
});

test.each([
  ["a selector", { selector: "a > 1" }],
  ["browsing", { browser: "true" }],
  ["no-local", { "no-local": "true" }],
])("%s is refused", async (_, headers) => {
  const stomp = await client();
  stomp.send("SUBSCRIBE", { id: "s", destination: `/queue/${fresh()}`, ...headers } as Record<
    string,
    string
  >);
  expect((await stomp.next()).command).toBe("ERROR");
});

test("text goes out without a length, bytes with one", async () => {
  const stomp = await client();
  const destination = `/queue/${fresh()}`;
  await stomp.ask("SUBSCRIBE", { id: "s", destination });
  stomp.send("SEND", { destination }, "text");
  stomp.send("SEND", { destination, "content-length": "5" }, "bytes");
  const lengths: StompFrame[] = [await stomp.next(), await stomp.next()];
  expect(lengths.map(({ headers }) => headers["content-length"])).toEqual([undefined, "5"]);
});
