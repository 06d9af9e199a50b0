// A page in a real browser on one side, a program on the other.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "amqplib";
import { afterEach, describe, expect, test } from "vitest";
import { startServer } from "../../support/broker.ts";
import { BROWSER, Page, REPORT } from "../../support/browser.ts";

const { resolve } = createRequire(import.meta.url);
const STOMP = readFileSync(resolve("@stomp/stompjs"), "utf8");

const MQTT = readFileSync(resolve("mqtt").replace(/[^/]+\/[^/]+$/, "dist/mqtt.min.js"), "utf8");

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function open(script: (url: string) => string, library: string, origins?: string) {
  const scripts: Record<string, string> = { "/library.js": library, "/report.js": REPORT };
  const page = await Page.serve(scripts);
  closers.push(() => page.close());
  const { port, stop, address } = await startServer({ wsPort: "0", wsOrigins: origins ?? page.origin });
  closers.push(stop);
  scripts["/page.js"] = script(`ws://127.0.0.1:${port("ws")}`);
  const connection = await connect(`amqp://${address}`);
  closers.push(() => connection.close());
  const channel = await connection.createChannel();
  await channel.assertQueue("moderator");
  await channel.bindQueue("moderator", "amq.topic", "moderator.#");
  return { page, channel };
}

const overStomp = (url: string): string => `
  const client = new StompJs.Client({
    brokerURL: ${JSON.stringify(`${url}/stomp`)},
    connectHeaders: { login: "guest", passcode: "guest" },
    reconnectDelay: 0,
  });
  client.onConnect = () => {
    client.subscribe("/topic/room.one", ({ body }) => {
      client.publish({ destination: "/amq/queue/moderator", body: body + ", said the page" });
    }, { receipt: "subscribed" });
    client.watchForReceipt("subscribed", () => report("ready"));
  };
  client.onStompError = ({ headers }) => report({ error: headers.message });
  client.onWebSocketClose = () => report("closed");
  client.activate();
`;

const overMqtt = (url: string): string => `
  const client = mqtt.connect(${JSON.stringify(`${url}/mqtt`)}, {
    protocolVersion: 5,
    username: "guest",
    password: "guest",
    reconnectPeriod: 0,
  });
  client.on("connect", () => client.subscribe("room/one", { qos: 1 }, () => report("ready")));
  client.on("message", (topic, payload) => client.publish("moderator/one", payload + ", said the page", { qos: 2 }));
  client.on("close", () => report("closed"));
`;

describe.skipIf(BROWSER === null).each([
  ["STOMP", overStomp, STOMP],
  ["MQTT", overMqtt, MQTT],
] as const)("over %s", (_name, script, library) => {
  test("a page hears what a program says, and answers it", async () => {
    const { page, channel } = await open(script, library);
    page.open();
    expect(await page.next()).toBe("ready");
    const heard = new Promise<string>((resolve) => {
      channel.consume("moderator", (message) => resolve(`${message?.content}`), { noAck: true });
    });
    channel.publish("amq.topic", "room.one", Buffer.from("grüß dich 👋"));
    expect(await heard).toBe("grüß dich 👋, said the page");
  });

  test("a page from elsewhere is not let in", async () => {
    const { page } = await open(script, library, "https://chat.example");
    page.open();
    expect(await page.next()).toBe("closed");
  });
});

test.skipIf(BROWSER === null)("the README's page hears what it says", async () => {
  const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
  const [, snippet = ""] = /```html\n.*?<script>\n(.*?)<\/script>/s.exec(readme) ?? [];
  expect(snippet).toContain("ws://localhost:15675");
  const scripts: Record<string, string> = { "/library.js": MQTT, "/report.js": REPORT };
  const page = await Page.serve(scripts);
  closers.push(() => page.close());
  const { port, stop } = await startServer({ wsPort: "0" });
  closers.push(stop);
  scripts["/page.js"] = `${snippet.replace("15675", `${port("ws")}`)}
    addEventListener("load", () => {
      const { body } = document;
      new MutationObserver(() => report(body.textContent)).observe(body, { childList: true });
    });`;
  page.open();
  expect(await page.next()).toBe("devices/1: Hello World!");
});
