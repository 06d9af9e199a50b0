// MQTT.js as browsers run it: over WebSocket, on the port of its own and on the shared one.
import { connect, connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type Broker, startBroker } from "../../../src/index.ts";

let broker: Broker;
const clients: MqttClient[] = [];

beforeAll(async () => {
  broker = await startBroker({ ws: { port: 0 }, shared: { port: 0 } });
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.endAsync(true);
});
afterAll(() => broker.stop());

async function connected(url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const login = { username: "guest", password: "guest", reconnectPeriod: 0 };
  const client = await connectAsync(url, { ...login, ...options });
  clients.push(client);
  return client;
}

/** The payloads of the next `count` messages. */
function collect(client: MqttClient, count: number): Promise<Buffer[]> {
  const payloads: Buffer[] = [];
  return new Promise((resolve) => {
    client.on("message", (_topic, payload) => {
      if (payloads.push(payload) === count) resolve(payloads);
    });
  });
}

const URLS = {
  "WebSocket on its own port": () => `${broker.ws!.url}/mqtt`,
  "WebSocket on the shared port": () => `${broker.shared!.url.replace("tcp:", "ws:")}/mqtt`,
  "the shared port": () => broker.shared!.url.replace("tcp:", "mqtt:"),
};

describe.each(Object.entries(URLS))("%s", (_name, url) => {
  test.each([3, 4, 5] as const)(
    "protocol version %i, every QoS, small and large",
    async (protocolVersion) => {
      const name: IClientOptions = protocolVersion === 3 ? { protocolId: "MQIsdp" } : {};
      const client = await connected(url(), { protocolVersion, ...name });
      const topic = `ws/${protocolVersion}`;
      await client.subscribeAsync(topic, { qos: 2 });
      const bodies = [Buffer.from("small"), Buffer.alloc(300_000, 7), Buffer.from([0, 255])];
      const heard = collect(client, bodies.length);
      for (const [index, body] of bodies.entries()) {
        await client.publishAsync(topic, body, { qos: index as 0 | 1 | 2 });
      }
      expect((await heard).map(({ length }) => length).sort()).toEqual([2, 300_000, 5]);
    },
  );
});

test("a packet may span messages, and a message hold several", async () => {
  const socket = new WebSocket(`${broker.ws!.url}/mqtt`, ["mqtt"]);
  await new Promise((resolve) => socket.once("open", resolve));
  expect(socket.protocol).toBe("mqtt");
  const fields = "\0\x04MQTT\x04\xc2\0\x3c\0\x02id\0\x05guest\0\x05guest";
  const login = Buffer.from(`\x10${String.fromCharCode(fields.length)}${fields}`, "latin1");
  const ping = Buffer.of(0xc0, 0);
  socket.send(login.subarray(0, 5));
  socket.send(Buffer.concat([login.subarray(5), ping, ping, ping.subarray(0, 1)]));
  socket.send(ping.subarray(1));
  let heard = Buffer.alloc(0);
  while (heard.length < 10) {
    const message = await new Promise<Buffer>((resolve) => socket.once("message", resolve));
    heard = Buffer.concat([heard, message]);
  }
  expect(heard.toString("hex")).toBe("20020000d000d000d000");
  socket.send("text");
  expect(await new Promise((resolve) => socket.once("close", resolve))).toBe(1003);
});

test("a wrong password is refused", async () => {
  const client = connect(`${broker.ws!.url}/mqtt`, {
    username: "guest",
    password: "wrong",
    reconnectPeriod: 0,
  });
  clients.push(client);
  const error = await new Promise<Error>((resolve) => client.once("error", resolve));
  expect(error.message).toMatch(/not authorized|bad user/i);
});
