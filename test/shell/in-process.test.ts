import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { type Broker, ConfigError, ListenError, ManualClock, startBroker } from "../../src/index.ts";

const started: Broker[] = [];
afterEach(async () => {
  for (const broker of started.splice(0)) await broker.stop();
});

async function start(...options: Parameters<typeof startBroker>): Promise<Broker> {
  const broker = await startBroker(...options);
  started.push(broker);
  return broker;
}

test("one line gives a broker on a free port, and its URL", async () => {
  const broker = await start();
  expect(broker.amqp.url).toBe(`amqp://guest:guest@127.0.0.1:${broker.amqp.port}`);
  expect(broker.amqp.port).toBeGreaterThan(0);
  expect(broker.http).toBeUndefined();
});

test("HTTP when asked for", async () => {
  const broker = await start({ engine: "memory:", amqp: { port: 0 }, http: true, clock: new ManualClock() });
  expect((await fetch(`${broker.http!.url}/readyz`)).status).toBe(200);
});

test("many in one process, each with its own port and figures", async () => {
  const brokers = await Promise.all(Array.from({ length: 5 }, () => start({ http: {} })));
  expect(new Set(brokers.map(({ amqp }) => amqp.port)).size).toBe(5);
  for (const broker of brokers) expect((await fetch(`${broker.http!.url}/metrics`)).status).toBe(200);
});

test("twenty at a time, none of which sees what another holds; stopped, nothing of them is left", async () => {
  const script = `
    const { startBroker } = await import(${JSON.stringify(new URL("../../dist/index.js", import.meta.url).href)});
    const { connect } = await import("amqplib");
    const MiB = 1024 * 1024;
    await (await startBroker()).stop();
    const memory = process.memoryUsage.rss();
    const start = performance.now();
    const brokers = await Promise.all(Array.from({ length: 20 }, () => startBroker()));
    const upMs = performance.now() - start;
    const found = await Promise.all(brokers.map(async ({ amqp }, index) => {
      const connection = await connect(amqp.url);
      const channel = await connection.createConfirmChannel();
      const { messageCount } = await channel.assertQueue("same");
      for (let i = 0; i <= index; i++) channel.sendToQueue("same", Buffer.alloc(1000), { persistent: true });
      await channel.waitForConfirms();
      const now = await channel.checkQueue("same");
      await connection.close();
      return messageCount === 0 && now.messageCount === index + 1;
    }));
    const grownMiB = (process.memoryUsage.rss() - memory) / MiB;
    await Promise.all(brokers.map((broker) => broker.stop()));
    const left = () => process.getActiveResourcesInfo().filter((kind) => /TCP|Timeout/.test(kind));
    while (left().length > 0) await new Promise(setImmediate);
    console.log(JSON.stringify({ isolated: found.every(Boolean), upMs, grownMiB }));
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
    timeout: 110_000,
  });
  const { isolated, upMs, grownMiB } = JSON.parse(stdout);
  console.log(`20 brokers up in ${Math.round(upMs)} ms; used, they took ${Math.round(grownMiB)} MiB`);
  expect(isolated).toBe(true);
  expect(grownMiB).toBeLessThan(600);
});

test("nothing is left behind: a process that stopped its brokers ends by itself", async () => {
  const script = `
    const { startBroker } = await import(${JSON.stringify(new URL("../../dist/index.js", import.meta.url).href)});
    const brokers = await Promise.all([startBroker(), startBroker({ http: true })]);
    await (await fetch(brokers[1].http.url + "/metrics")).text();
    for (const broker of brokers) await broker.stop();
    const left = () => process.getActiveResourcesInfo().filter((kind) => /TCP|Timeout/.test(kind));
    // A handle is listed until the loop has seen it close.
    while (left().length > 0) await new Promise(setImmediate);
    console.log("nothing left");
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
    timeout: 110_000,
  });
  expect(stdout).toBe("nothing left\n");
});

test("stopping twice is stopping once", async () => {
  const broker = await startBroker();
  await Promise.all([broker.stop(), broker.stop()]);
  await broker.stop();
});

test("other protocols listen when they are asked for, each on its own free port", async () => {
  const broker = await start({ mqtt: { port: 0 }, stomp: {}, kafka: {}, ws: {} });
  const { amqp, mqtt, stomp, kafka, ws, shared, mqtts } = broker;
  expect([shared, mqtts]).toEqual([undefined, undefined]);
  expect(new Set([amqp, mqtt, stomp, kafka, ws].map((endpoint) => endpoint!.port)).size).toBe(5);
  expect(mqtt!.url).toBe(`mqtt://guest:guest@127.0.0.1:${mqtt!.port}`);
  expect(kafka!.url).toBe(`kafka://127.0.0.1:${kafka!.port}`);
  expect(ws!.url).toBe(`ws://127.0.0.1:${ws!.port}`);
});

describe("refusals", () => {
  test("an engine that does not exist", async () => {
    await expect(startBroker({ engine: "memry:" })).rejects.toThrow(ConfigError);
    await expect(startBroker({ engine: "memry:" })).rejects.toThrow("did you mean 'memory:'?");
  });

  test.each([
    [{ amqpPort: 0 }, "unknown option 'amqpPort'"],
    [{ amqp: { prot: 0 } }, "unknown option 'amqp.prot'; did you mean 'port'?"],
    [{ limits: { chanelsMax: 1 } }, "unknown option 'limits.chanelsMax'; did you mean 'channelsMax'?"],
    [{ settings: { hartbeat: "1s" } }, "unknown option 'settings.hartbeat'; did you mean 'heartbeat'?"],
    [{ mqtts: { certificate: "x" } }, "unknown option 'mqtts.certificate'"],
  ])("what no option is called: %j", async (options, text) => {
    const start = startBroker(options as object);
    await expect(start).rejects.toThrow(ConfigError);
    await expect(start).rejects.toThrow(text);
  });

  test("limits that contradict each other", async () => {
    await expect(startBroker({ limits: { frameBytesMax: 10 } })).rejects.toThrow("frameBytesMax");
  });

  test("two certificates: all TLS ports share one", async () => {
    const [amqps, mqtts] = ["a", "b"].map((name) => ({ cert: `${name}.pem`, key: `${name}.key` }));
    await expect(startBroker({ amqps: amqps!, mqtts: mqtts! })).rejects.toThrow("share one certificate");
  });

  test("a taken port, and what was opened before is closed again", async () => {
    const { amqp } = await start();
    await expect(startBroker({ http: true, amqp: { port: amqp.port } })).rejects.toThrow(ListenError);
  });
});

test("user and password of one's own", async () => {
  const broker = await start({ user: { name: "ann", password: "p@ss" } });
  expect(broker.amqp.url).toContain("amqp://ann:p%40ss@127.0.0.1:");
});
