// What browsers run: stompjs, over WebSocket, on the port of its own and on the shared one.
import { Client, type IMessage, type StompConfig } from "@stomp/stompjs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type Broker, startBroker } from "../../../src/index.ts";

let broker: Broker;
const clients: Client[] = [];

beforeAll(async () => {
  broker = await startBroker({ ws: { port: 0 }, shared: { port: 0 } });
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.deactivate({ force: true });
});
afterAll(() => broker.stop());

async function connected(url: string, config: StompConfig = {}): Promise<Client> {
  const client = new Client({
    webSocketFactory: () => new WebSocket(url, ["v12.stomp", "v11.stomp", "v10.stomp"]),
    connectHeaders: { login: "guest", passcode: "guest", host: "/" },
    reconnectDelay: 0,
    ...config,
  });
  clients.push(client);
  await new Promise<void>((resolve, reject) => {
    client.onConnect = () => resolve();
    client.onStompError = (frame) => reject(new Error(frame.headers.message));
    client.onWebSocketClose = (event) => reject(new Error(`closed: ${event.code}`));
    client.activate();
  });
  return client;
}

/** Resolves once `count` messages have come. */
function collect(client: Client, destination: string, count: number): Promise<IMessage[]> {
  const messages: IMessage[] = [];
  return new Promise((resolve) => {
    client.subscribe(destination, (message) => {
      if (messages.push(message) === count) resolve(messages);
    });
  });
}

function receipt(client: Client, id: string): Promise<unknown> {
  return new Promise((resolve) => client.watchForReceipt(id, resolve));
}

const paths = (): [string, string][] => [
  ["/stomp on its own port", `${broker.ws!.url}/stomp`],
  ["/ws on its own port", `${broker.ws!.url}/ws`],
  ["/stomp on the shared port", `${broker.shared!.url.replace("tcp:", "ws:")}/stomp`],
];

describe.each([0, 1, 2])("path %i", (index) => {
  test("text and binary bodies come and go, and receipts", async () => {
    const client = await connected(paths()[index]![1]);
    expect(client.connectedVersion).toBe("1.2");
    const heard = collect(client, `/queue/ws-${index}`, 3);
    const stored = receipt(client, "r1");
    client.publish({ destination: `/queue/ws-${index}`, body: "grüß dich 👋", headers: { receipt: "r1" } });
    await stored;
    client.publish({ destination: `/queue/ws-${index}`, binaryBody: Uint8Array.of(0, 255, 10, 0) });
    client.publish({ destination: `/queue/ws-${index}`, body: "x".repeat(300_000) });
    const [text, bytes, long] = await heard;
    expect(text!.body).toBe("grüß dich 👋");
    expect([...bytes!.binaryBody]).toEqual([0, 255, 10, 0]);
    expect(long!.body).toHaveLength(300_000);
  });
});

test("frames may be split over messages, and all be binary", async () => {
  const url = paths()[0]![1];
  const client = await connected(url, {
    splitLargeFrames: true,
    maxWebSocketChunkSize: 16,
    forceBinaryWSFrames: true,
  });
  const heard = collect(client, "/topic/split", 1);
  const subscribed = receipt(client, "s1");
  client.publish({ destination: "/queue/other", body: "", headers: { receipt: "s1" } });
  await subscribed;
  client.publish({ destination: "/topic/split", body: "é".repeat(1000) });
  expect((await heard)[0]!.body).toBe("é".repeat(1000));
});

test("a wrong password is refused", async () => {
  const connectHeaders = { login: "guest", passcode: "wrong" };
  await expect(connected(paths()[0]![1], { connectHeaders })).rejects.toThrow("Bad CONNECT");
});

test("heart-beats keep it open", async () => {
  let beats = 0;
  let seen = (): void => {};
  const enough = new Promise<void>((resolve) => {
    seen = resolve;
  });
  const client = await connected(paths()[0]![1], {
    heartbeatIncoming: 500,
    heartbeatOutgoing: 500,
    debug: (text) => {
      if (text.includes("<<< PONG") && ++beats === 2) seen();
    },
  });
  await enough;
  expect(client.connected).toBe(true);
});
