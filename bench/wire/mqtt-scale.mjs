// What many connections and many retained topics cost, and whether others notice.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { trackGroup } from "../cleanup.mjs";
import { sleep } from "../generator.mjs";
import { toMiB } from "../measure.mjs";
import { sampleTree } from "../process-tree.mjs";
import { MqttClient, retained } from "./mqtt-client.mjs";

const PEERS = ["mosquitto"];
const AT_ONCE = 100;
const PUBLISHES_AT_ONCE = 1000;
/** What is tidied up afterwards, is by then. */
const SETTLE_MS = 3000;
const SERVE_MS_MAX = 120_000;

const lower = (name, unit, value) => ({ name, unit, better: "lower", wanted: { value } });

export function idleRow(connections) {
  const figures = [lower("memory", "KiB/connection", 20)];
  return {
    name: `mqtt-idle-${connections}`,
    peers: PEERS,
    figure: figures[0],
    figures,
    async run(broker) {
      // The first ones make the broker ready for any.
      const first = await MqttClient.open(broker.ports.mqtt, "first");
      await sleep(SETTLE_MS);
      const before = sampleTree(broker.pid).rssBytes;
      const clients = [first];
      for (let i = 0; i < connections; i += AT_ONCE) {
        const opened = Array.from({ length: Math.min(AT_ONCE, connections - i) }, (_, k) =>
          MqttClient.open(broker.ports.mqtt, `idle-${i + k}`),
        );
        clients.push(...(await Promise.all(opened)));
      }
      await sleep(SETTLE_MS);
      const after = sampleTree(broker.pid).rssBytes;
      for (const client of clients) client.close();
      return { memory: (after - before) / 1024 / connections, rssMiB: toMiB(after) };
    },
  };
}

/** Another client's waits, from now until `stop`. */
async function startPinger(port) {
  const script = fileURLToPath(new URL("mqtt-pinger.mjs", import.meta.url));
  const child = trackGroup(
    spawn(process.execPath, [script, String(port)], { detached: true, stdio: ["pipe", "pipe", "inherit"] }),
  );
  let out = "";
  child.stdout.on("data", (chunk) => {
    out += chunk;
  });
  while (!out.includes("ready")) {
    if (child.exitCode !== null) throw new Error("the pinging client did not start");
    await sleep(20);
  }
  return {
    stop: async () => {
      child.stdin.end();
      if (child.exitCode === null) await once(child, "exit");
      return JSON.parse(out.trim().split("\n").pop());
    },
  };
}

export function retainedRow(topics, name) {
  const figures = [
    lower("growth", "MiB", 400),
    { name: "served", title: "all told", unit: "s", better: "lower" },
    { name: "p99", title: "other client's ping p99", unit: "ms", better: "lower", wanted: { value: 20 } },
  ];
  return {
    name: `mqtt-retained-${name}`,
    peers: PEERS,
    figure: figures[0],
    figures,
    async run(broker) {
      const { mqtt } = broker.ports;
      const publisher = await MqttClient.open(mqtt, "publisher");
      await sleep(SETTLE_MS);
      const before = sampleTree(broker.pid).rssBytes;
      const payload = Buffer.alloc(16, "x");
      for (let i = 0; i < topics; i += PUBLISHES_AT_ONCE) {
        const packets = Array.from({ length: PUBLISHES_AT_ONCE }, (_, k) =>
          retained(`retained/${(i + k) % 1000}/device-${i + k}`, payload),
        );
        await publisher.write(Buffer.concat(packets));
      }
      await publisher.ping();
      await sleep(SETTLE_MS);
      const growth = toMiB(sampleTree(broker.pid).rssBytes - before);
      const subscriber = await MqttClient.open(mqtt, "subscriber");
      const pinger = await startPinger(mqtt);
      const asked = performance.now();
      await subscriber.subscribe("retained/#");
      const late = sleep(SERVE_MS_MAX).then(() => {
        throw new Error(`${subscriber.received} of ${topics} came in ${SERVE_MS_MAX / 1000} s`);
      });
      late.catch(() => {});
      await Promise.race([subscriber.receive(topics), late]);
      const served = (performance.now() - asked) / 1000;
      const { p99 } = await pinger.stop();
      const rssMiB = toMiB(sampleTree(broker.pid).rssBytes);
      for (const client of [publisher, subscriber]) client.close();
      return { growth, served, p99, rssMiB };
    },
  };
}
