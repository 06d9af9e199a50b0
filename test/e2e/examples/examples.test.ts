// The programs in examples/, as their README says to run them. (The one with celery runs in test/compat/.)
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import mqtt from "mqtt";
import { afterAll, expect, test } from "vitest";
import { startServer } from "../../support/broker.ts";

const { port, address, stop } = await startServer({ mqttPort: "0", kafkaPort: "0", wsPort: "0" });
const env = {
  ...process.env,
  AMQP_URL: `amqp://${address}`,
  MQTT_URL: `mqtt://127.0.0.1:${port("mqtt")}`,
  KAFKA_BROKER: `127.0.0.1:${port("kafka")}`,
};
const children: ChildProcess[] = [];
afterAll(async () => {
  for (const child of children) child.kill();
  await stop();
});

class Program {
  output = "";
  /** Resolves to the exit code. */
  readonly exit: Promise<number | null>;
  private wake: () => void = () => {};

  constructor(path: string, ...args: string[]) {
    const file = fileURLToPath(new URL(`../../../examples/${path}`, import.meta.url));
    const child = spawn(process.execPath, [file, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
    children.push(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        this.output += chunk;
        this.wake();
      });
    }
    // Not "exit", which may come before the last of the output.
    this.exit = new Promise((resolve) => child.once("close", resolve));
  }

  async says(text: string): Promise<void> {
    while (!this.output.includes(text)) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}

test("telemetry: what devices say over MQTT is a Kafka topic", async () => {
  expect(await new Program("telemetry/setup.mjs").exit).toBe(0);
  const devices = [
    new Program("telemetry/device.mjs", "boiler", "3"),
    new Program("telemetry/device.mjs", "oven", "2"),
  ];
  expect(await Promise.all(devices.map(({ exit }) => exit))).toEqual([0, 0]);
  const dashboard = new Program("telemetry/dashboard.mjs", "5");
  expect(await dashboard.exit).toBe(0);
  const lines = dashboard.output.trim().split("\n");
  expect(lines.filter((line) => line.startsWith("boiler"))).toEqual(
    [21, 22, 23].map((celsius) => `boiler: ${celsius} °C`),
  );
  expect(lines.filter((line) => line.startsWith("oven"))).toEqual(
    [21, 22].map((celsius) => `oven: ${celsius} °C`),
  );
});

test("chat: what is said over WebSocket is shown when the moderator has seen it, by AMQP", async () => {
  const { enter } = await import(new URL("../../../examples/chat/chat.mjs", import.meta.url).href);
  await new Program("chat/moderator.mjs").says("moderating");
  const shown: string[] = [];
  let wake: () => void = () => {};
  const url = `ws://127.0.0.1:${port("ws")}/mqtt`;
  const show = (text: string): void => {
    shown.push(text);
    wake();
  };
  const [alice, bob] = [await enter(mqtt, url, "tea", () => {}), await enter(mqtt, url, "tea", show)];
  await alice.say("Where is the darn tea?");
  await alice.say("Ah, there.");
  while (shown.length < 2) {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  expect(shown).toEqual(["Where is the **** tea?", "Ah, there."]);
  await Promise.all([alice.leave(), bob.leave()]);
});

test("chat: the page and its scripts are served", async () => {
  const server = new Program("chat/serve.mjs", "0");
  await server.says("http://");
  const origin = server.output.trim();
  for (const [path, text] of [
    ["/", "chat.mjs"],
    ["/chat.mjs", "export async function enter"],
    ["/mqtt.js", "mqtt"],
    ["/where", "15675"],
  ] as const) {
    expect(await (await fetch(origin + path)).text()).toContain(text);
  }
});
