import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startBroker } from "../../../src/index.ts";
import { StompClient } from "../../support/stomp-client.ts";

let broker: Awaited<ReturnType<typeof startBroker>>;
let url: string;
const open: StompClient[] = [];

beforeAll(async () => {
  broker = await startBroker({ engine: "memory:", amqp: { port: 0 }, stomp: { port: 0 } });
  url = broker.stomp?.url as string;
});

afterAll(async () => {
  for (const client of open) client.destroy();
  await broker.stop();
});

async function client(headers: Record<string, string> = {}): Promise<StompClient> {
  const connected = await StompClient.connect(url, headers);
  open.push(connected);
  return connected;
}

let names = 0;
const fresh = (): string => `stomp-${++names}`;

describe("logging in", () => {
  test.each([
    [undefined, "1.0"],
    ["1.0", "1.0"],
    ["1.1,1.0", "1.1"],
    ["1.0,1.1,1.2", "1.2"],
    ["1.2,9.9", "1.2"],
  ])("accept-version %s is answered with %s", async (accepted, version) => {
    const raw = await StompClient.open(url);
    raw.send("CONNECT", { ...(accepted === undefined ? {} : { "accept-version": accepted }), host: "/" });
    const frame = await raw.next();
    expect([frame.command, frame.headers.version]).toEqual(["CONNECTED", version]);
    raw.destroy();
  });

  test.each([
    ["no common version", "CONNECT\naccept-version:2.0\n\n\0", "Version mismatch"],
    ["a wrong password", "CONNECT\nlogin:guest\npasscode:wrong\n\n\0", "Bad CONNECT"],
    ["an unknown virtual host", "CONNECT\nhost:nowhere\n\n\0", "Bad CONNECT"],
    ["anything before CONNECT", "SEND\ndestination:/queue/a\n\n\0", "Illegal command"],
    ["a header without a colon", "CONNECT\nnonsense\n\n\0", "Invalid frame"],
  ])("%s is refused, and the connection ends", async (_what, bytes, message) => {
    const raw = await StompClient.open(url);
    raw.raw(bytes);
    const frame = await raw.next();
    expect([frame.command, frame.headers.message]).toEqual(["ERROR", message]);
    await raw.ended;
  });

  test("frames that do not wait for CONNECTED are kept", async () => {
    const raw = await StompClient.open(url);
    const queue = `/queue/${fresh()}`;
    raw.raw(`CONNECT\naccept-version:1.2\n\n\0SUBSCRIBE\nid:1\ndestination:${queue}\n\n\0`);
    raw.raw(`SEND\ndestination:${queue}\n\nearly\0`);
    expect((await raw.next()).command).toBe("CONNECTED");
    expect(`${(await raw.next()).body}`).toBe("early");
    raw.destroy();
  });
});

describe("messages", () => {
  test("come back byte by byte: headers in order, duplicates, escapes, binary bodies", async () => {
    const stomp = await client();
    const queue = `/queue/${fresh()}`;
    await stomp.ask("SUBSCRIBE", { id: "1", destination: queue });
    const body = Buffer.from([0, 1, 0, 255, 10, 13]);
    const lines = "b:2\na:1\nb:3\nempty:\npath\\c:C\\c\\\\temp\\nnext\\r\nschlüssel:Größe\n";
    stomp.raw(
      Buffer.concat([
        Buffer.from(`SEND\ndestination:${queue}\n${lines}content-length:${body.length}\n\n`),
        body,
        Buffer.of(0),
      ]),
    );
    const frame = await stomp.next();
    expect(frame.body).toEqual(body);
    const sent = frame.lines.slice(4, -1).map(([name, value]) => `${name}:${value}\n`);
    expect(sent.join("")).toBe(lines);
  });

  test("reach a client of another version with its escapes", async () => {
    const [old, modern] = [await client({ "accept-version": "1.0" }), await client()];
    const queue = `/queue/${fresh()}`;
    await old.ask("SUBSCRIBE", { destination: queue });
    modern.send("SEND", { destination: queue, time: "12\\c30", path: "a\\\\b" }, "x");
    const frame = await old.next();
    expect([frame.headers.time, frame.headers.path]).toEqual(["12:30", "a\\b"]);
    await old.ask("UNSUBSCRIBE", { destination: queue });
    await modern.ask("SUBSCRIBE", { id: "1", destination: queue });
    old.send("SEND", { destination: queue, time: " 12:30", path: "a\\b" }, "x");
    const back = await modern.next();
    expect([back.headers.time, back.headers.path]).toEqual(["12\\c30", "a\\\\b"]);
  });

  test("of megabytes arrive whole, with and without content-length", async () => {
    const stomp = await client();
    const queue = `/queue/${fresh()}`;
    await stomp.ask("SUBSCRIBE", { id: "1", destination: queue });
    const text = "0123456789abcdef".repeat(200_000);
    stomp.send("SEND", { destination: queue }, text);
    expect(`${(await stomp.next()).body}` === text).toBe(true);
    const binary = Buffer.alloc(3_000_000, 0);
    stomp.send("SEND", { destination: queue, "content-length": `${binary.length}` }, binary);
    expect((await stomp.next()).body.equals(binary)).toBe(true);
  });

  test("to a topic match patterns", async () => {
    const stomp = await client();
    const topic = fresh();
    await stomp.ask("SUBSCRIBE", { id: "1", destination: `/topic/${topic}.*.c` });
    stomp.send("SEND", { destination: `/topic/${topic}.b.d` }, "no");
    stomp.send("SEND", { destination: `/topic/${topic}.b.c` }, "yes");
    const frame = await stomp.next();
    expect([`${frame.body}`, frame.headers.destination]).toEqual(["yes", `/topic/${topic}.b.c`]);
  });

  test("by an exchange", async () => {
    const stomp = await client();
    await stomp.ask("SUBSCRIBE", { id: "1", destination: "/exchange/amq.direct/key%2F1" });
    stomp.send("SEND", { destination: "/exchange/amq.direct/key%2F1" }, "x");
    expect((await stomp.next()).headers.destination).toBe("/exchange/amq.direct/key%2F1");
    stomp.send("SEND", { destination: "/exchange/nothing-here/x" }, "x");
    expect((await stomp.next()).headers.message).toBe("not_found");
    await stomp.ended;
  });
});

describe("acknowledgement", () => {
  test("client mode is cumulative, and what is left goes back", async () => {
    const stomp = await client();
    const queue = `/queue/${fresh()}`;
    await stomp.ask("SUBSCRIBE", { id: "s", destination: queue, ack: "client" });
    for (const body of ["a", "b", "c"]) stomp.send("SEND", { destination: queue }, body);
    const frames = [await stomp.next(), await stomp.next(), await stomp.next()];
    await stomp.ask("ACK", { id: frames[1]?.headers.ack as string });
    await stomp.ask("DISCONNECT");
    const again = await client();
    again.send("SUBSCRIBE", { id: "s", destination: queue });
    const frame = await again.next();
    expect([`${frame.body}`, frame.headers.redelivered]).toEqual(["c", "true"]);
  });

  test("client-individual takes one, and NACK gives it back or not", async () => {
    const stomp = await client({ "accept-version": "1.1" });
    const queue = `/queue/${fresh()}`;
    await stomp.ask("SUBSCRIBE", {
      id: "s",
      destination: queue,
      ack: "client-individual",
      "prefetch-count": "1",
    });
    for (const body of ["a", "b"]) stomp.send("SEND", { destination: queue }, body);
    const id = async (): Promise<[string, string]> => {
      const frame = await stomp.next();
      return [`${frame.body}`, frame.headers["message-id"] as string];
    };
    const [a, idA] = await id();
    stomp.send("NACK", { subscription: "s", "message-id": idA });
    const [aAgain, idAgain] = await id();
    stomp.send("NACK", { subscription: "s", "message-id": idAgain, requeue: "false" });
    const [b] = await id();
    expect([a, aAgain, b]).toEqual(["a", "a", "b"]);
  });

  test("a header with an unknown escape is refused, and no subscriber of any version gets it", async () => {
    const queue = `/queue/${fresh()}`;
    const old = await client({ "accept-version": "1.0" });
    old.send("SUBSCRIBE", { destination: queue, receipt: "s" });
    await old.next();
    const stomp = await client();
    stomp.raw(`SEND\ndestination:${queue}\nx:a\\tb\nreceipt:r\n\nbad\0`);
    expect((await stomp.next()).headers).toMatchObject({ message: "Invalid frame", "receipt-id": "r" });
    await stomp.ended;
    const other = await client();
    await other.ask("SEND", { destination: queue, y: "c:d\\\\" }, "good");
    const { body, headers } = await old.next();
    expect([`${body}`, headers.y]).toEqual(["good", "c:d\\"]);
  });

  test("a colon in a value reaches 1.1 and 1.2 escaped, 1.0 as it is", async () => {
    const topic = `/topic/${fresh()}`;
    const heard: (string | undefined)[] = [];
    const clients = await Promise.all(["1.0", "1.1", "1.2"].map((v) => client({ "accept-version": v })));
    for (const stomp of clients) await stomp.ask("SUBSCRIBE", { id: "1", destination: topic });
    const sender = await client();
    await sender.ask("SEND", { destination: topic, x: "a:b" });
    for (const stomp of clients) heard.push((await stomp.next()).headers.x);
    expect(heard).toEqual(["a:b", "a\\cb", "a\\cb"]);
  });

  test("of what is not open is refused", async () => {
    const stomp = await client();
    stomp.send("ACK", { id: "T_x@@session@@1", receipt: "r" });
    const frame = await stomp.next();
    expect([frame.headers.message, frame.headers["receipt-id"]]).toEqual(["Subscription not found", "r"]);
    await stomp.ended;
  });
});

describe("transactions", () => {
  test("keep each message as it was sent, whatever is sent after it", async () => {
    const stomp = await client();
    const destination = `/queue/${fresh()}`;
    await stomp.ask("BEGIN", { transaction: "t" });
    for (const n of ["1", "2", "3"]) stomp.send("SEND", { destination, transaction: "t", n }, `body ${n}`);
    await stomp.ask("SEND", { destination }, "in between");
    await stomp.ask("COMMIT", { transaction: "t" });
    await stomp.ask("SUBSCRIBE", { id: "0", destination });
    const got: string[] = [];
    for (let i = 0; i < 4; i++) {
      const { headers, body } = await stomp.next();
      got.push(`${headers.n ?? "-"}: ${body}`);
    }
    expect(got).toEqual(["-: in between", "1: body 1", "2: body 2", "3: body 3"]);
  });

  test("send and acknowledge at COMMIT, and not at ABORT", async () => {
    const stomp = await client();
    const [source, target] = [`/queue/${fresh()}`, `/queue/${fresh()}`];
    await stomp.ask("SEND", { destination: source }, "in");
    await stomp.ask("BEGIN", { transaction: "t" });
    stomp.send("SUBSCRIBE", { id: "in", destination: source, ack: "client-individual" });
    const { ack } = (await stomp.next()).headers;
    await stomp.ask("SEND", { destination: target, transaction: "t" }, "aborted");
    await stomp.ask("ABORT", { transaction: "t" });
    await stomp.ask("BEGIN", { transaction: "t" });
    await stomp.ask("SEND", { destination: target, transaction: "t" }, "committed");
    await stomp.ask("ACK", { id: ack as string, transaction: "t" });
    await stomp.ask("COMMIT", { transaction: "t" });
    stomp.send("SUBSCRIBE", { id: "out", destination: target });
    const frame = await stomp.next();
    expect([`${frame.body}`, frame.headers.transaction]).toEqual(["committed", undefined]);
    stomp.send("COMMIT", { transaction: "t" });
    expect((await stomp.next()).headers.message).toBe("Bad transaction");
  });
});

describe("subscriptions", () => {
  test("a durable one keeps what comes while the client is away", async () => {
    const topic = `/topic/${fresh()}`;
    const durable = { id: "d", destination: topic, durable: "true", "auto-delete": "false" };
    const first = await client();
    await first.ask("SUBSCRIBE", durable);
    await first.ask("DISCONNECT");
    const other = await client();
    await other.ask("SEND", { destination: topic }, "kept");
    const second = await client();
    second.send("SUBSCRIBE", durable);
    expect(`${(await second.next()).body}`).toBe("kept");
    await second.ask("UNSUBSCRIBE", { id: "d", durable: "true" });
  });

  test("a filter is refused, not ignored", async () => {
    const stomp = await client();
    stomp.send("SUBSCRIBE", { id: "1", destination: `/queue/${fresh()}`, selector: "a > 1" });
    expect((await stomp.next()).headers.message).toBe("not_implemented");
    await stomp.ended;
  });

  test("a temporary queue gets the answer", async () => {
    const [asker, service] = [await client(), await client()];
    const queue = `/queue/${fresh()}`;
    await service.ask("SUBSCRIBE", { id: "1", destination: queue });
    asker.send("SEND", { destination: queue, "reply-to": "/temp-queue/answers", "correlation-id": "7" }, "?");
    const question = await service.next();
    service.send("SEND", { destination: question.headers["reply-to"] as string, "correlation-id": "7" }, "!");
    const answer = await asker.next();
    expect([`${answer.body}`, answer.headers.subscription]).toEqual(["!", "/temp-queue/answers"]);
  });

  test("hear that their queue went away", async () => {
    const stomp = await client();
    const name = fresh();
    await stomp.ask("SUBSCRIBE", { id: "1", destination: `/queue/${name}` });
    const { connect } = await import("amqplib");
    const amqp = await connect(broker.amqp.url);
    await (await amqp.createChannel()).deleteQueue(name);
    const frame = await stomp.next();
    expect([frame.command, frame.headers.subscription]).toEqual(["ERROR", "1"]);
    await stomp.ask("SEND", { destination: `/queue/${name}` }, "still here");
    await amqp.close();
  });
});

test("heart-beats are sent, and missed", async () => {
  const stomp = await client({ "heart-beat": "600,600" });
  await stomp.ended;
  expect(stomp.heartBeats).toBeGreaterThan(0);
});
