// What is measured over Kafka's, MQTT's and STOMP's protocols. `run` gets a broker that is up and
// returns figures; the first is the one that rows are compared by.
import { spawn } from "node:child_process";
import { trackGroup } from "../cleanup.mjs";
import { generate as generateAmqp, sleep } from "../generator.mjs";
import { toMiB } from "../measure.mjs";
import { sampleTree, watchRss } from "../process-tree.mjs";
import { compileWiregen } from "./generator.mjs";
import { librdkafkaPerformance } from "./librdkafka.mjs";
import { idleRow, retainedRow } from "./mqtt-scale.mjs";
import { kafkaClasspath } from "./peers.mjs";

export function execute(command, args, limitSeconds) {
  return new Promise((resolve, reject) => {
    const child = trackGroup(spawn(command, args, { detached: true, stdio: ["ignore", "pipe", "pipe"] }));
    let [out, errors] = ["", ""];
    child.stdout.on("data", (chunk) => {
      out += chunk;
    });
    child.stderr.on("data", (chunk) => {
      errors += chunk;
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), limitSeconds * 1000);
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      if (code === 0) resolve(out);
      else reject(new Error(`${command} ${args[0]}: ${(errors || out).trim().split("\n").pop() || code}`));
    });
  });
}

/** One run of the C generator, with the broker's CPU and memory. */
async function generate(broker, mode, port, args, { seconds, warmup }) {
  const rss = watchRss(broker.pid);
  const before = sampleTree(broker.pid);
  const all = [mode, "--port", port, "--seconds", seconds, "--warmup", warmup, ...args].map(String);
  const out = await execute(compileWiregen(), all, seconds + warmup + 60).finally(() => rss.stop());
  const result = JSON.parse(out);
  const cpu = (sampleTree(broker.pid)?.cpuSeconds ?? 0) - (before?.cpuSeconds ?? 0);
  return { ...result, brokerCores: cpu / (seconds + warmup), rssMiB: toMiB(rss.stop()) };
}

const java = (name, args, limitSeconds) =>
  execute(
    "java",
    ["-Xmx512M", "-cp", kafkaClasspath(), `org.apache.kafka.tools.${name}`, ...args],
    limitSeconds,
  );

let topics = 0;
async function freshTopic(broker, partitions, topic = `bench-${process.pid}-${++topics}`) {
  const server = `127.0.0.1:${broker.ports.kafka}`;
  const what = [
    "--create",
    "--topic",
    topic,
    "--partitions",
    String(partitions),
    "--replication-factor",
    "1",
  ];
  await java("TopicCommand", ["--bootstrap-server", server, ...what], 120);
  // Leaders are elected in their own time.
  await sleep(1500);
  return topic;
}

const label = (bytes) => (bytes >= 1024 ? `${bytes / 1024}k` : `${bytes}`);

/** Java's own performance tool: what a user of the Java client gets. */
function javaProduce(body, partitions) {
  return {
    name: `kafka-produce-${label(body)}-${partitions}`,
    peers: ["Kafka"],
    figure: { name: "produced", unit: "records/s" },
    wanted: { ratio: 1, osRatio: 1.5 },
    async run(broker, { seconds }) {
      const topic = await freshTopic(broker, partitions);
      // Long enough that the tool's own warm-up, a second or two of compiling, is a small part of it.
      const records = (body >= 1024 ? 300_000 : 1_600_000) * seconds;
      const rss = watchRss(broker.pid);
      const properties = [
        `bootstrap.servers=127.0.0.1:${broker.ports.kafka}`,
        "acks=all",
        "batch.size=65536",
        "linger.ms=5",
      ];
      const sizes = ["--topic", topic, "--num-records", String(records), "--record-size", String(body)];
      const args = [...sizes, "--throughput", "-1", "--producer-props", ...properties];
      const out = await java("ProducerPerformance", args, 300).finally(() => rss.stop());
      return { ...producerFigures(out), rssMiB: toMiB(rss.stop()) };
    },
  };
}

/** librdkafka's own performance tool, with the same batches: what users of the clients built on it get. */
function librdkafkaProduce(body, partitions) {
  return {
    name: `kafka-librdkafka-${label(body)}-${partitions}`,
    peers: ["Kafka"],
    figure: { name: "produced", unit: "records/s" },
    wanted: { ratio: 1, osRatio: 1.5 },
    async run(broker, { seconds }) {
      const topic = await freshTopic(broker, partitions);
      const records = (body >= 1024 ? 300_000 : 2_000_000) * seconds;
      const where = ["-P", "-q", "-b", `127.0.0.1:${broker.ports.kafka}`, "-t", topic, "-a", "-1"];
      const what = ["-s", String(body), "-c", String(records)];
      const batches = ["-X", "batch.size=65536", "-X", "linger.ms=5"];
      const rss = watchRss(broker.pid);
      const out = await execute(librdkafkaPerformance(), [...where, ...what, ...batches], 300).finally(() =>
        rss.stop(),
      );
      const match = / (\d+) delivered \(.*?, 0 failed\) in \d+ms: (\d+) msgs\/s/.exec(out);
      if (Number(match?.[1]) !== records) throw new Error(`not all delivered: ${out.slice(-200)}`);
      return { produced: Number(match[2]), rssMiB: toMiB(rss.stop()) };
    },
  };
}

function producerFigures(out) {
  const match = /sent, ([\d.]+) records\/sec.*?([\d.]+) ms 50th, [\d.]+ ms 95th, ([\d.]+) ms 99th/.exec(
    out.trim().split("\n").pop() ?? "",
  );
  if (!match) throw new Error(`no figures in: ${out.slice(-200)}`);
  return { produced: Number(match[1]), p50: Number(match[2]), p99: Number(match[3]) };
}

/** Batches made beforehand: the broker is the limit, not the client. */
function rawProduce(body, batch, connections, partitions) {
  return {
    name: `kafka-batches-${label(body)}-${label(batch)}-${connections}c-${partitions}p`,
    peers: ["Kafka"],
    figure: { name: "acknowledged", unit: "records/s" },
    ...(body === 100 && batch === 65536 && partitions === 1 && { wanted: { value: 2_000_000 } }),
    async run(broker, options) {
      const topic = await freshTopic(broker, partitions);
      const shape = [
        "--publishers",
        connections,
        "--partitions",
        partitions,
        "--body",
        body,
        "--batch",
        batch,
      ];
      return generate(broker, "produce", broker.ports.kafka, ["--topic", topic, ...shape], options);
    },
  };
}

const latencyRow = {
  name: "kafka-p99-at-20000",
  peers: ["Kafka"],
  figure: { name: "p99", unit: "ms", better: "lower" },
  figures: [
    { name: "p99", unit: "ms", better: "lower", wanted: { ratio: 1 } },
    { name: "rssMiB", title: "memory", unit: "MiB", better: "lower", wanted: { ratio: 4 } },
  ],
  // Java's own tool counts from its start, and of the 1 % that decide most are from before its code was compiled.
  // These are its batches at that rate with 5 ms of linger: 100 records, 200 times a second.
  async run(broker, { seconds }) {
    const topic = await freshTopic(broker, 1);
    const args = ["--topic", topic, "--body", 100, "--batch", 11_800, "--rate", 20_000];
    // Long enough for the virtual machine of a peer to have compiled what it needs.
    return generate(broker, "produce", broker.ports.kafka, args, { seconds: 2 * seconds, warmup: 15 });
  },
};

function fetchRow(cold) {
  return {
    name: cold ? "kafka-fetch-cold" : "kafka-fetch-tail",
    peers: ["Kafka"],
    figure: { name: "mbytes", title: "read", unit: "MB/s" },
    wanted: { ratio: 1 },
    async run(broker, options) {
      const topic = await freshTopic(broker, 1);
      // The same amount for every broker. Tail: 40 MB that stay in memory, read in circles; cold: 1 GB that no
      // cache holds, read once from the start.
      const fill = { seconds: cold ? 10 : 1, warmup: 0 };
      const produce = ["--topic", topic, "--body", 1024, "--rate", cold ? 100_000 : 40_000];
      await generate(broker, "produce", broker.ports.kafka, produce, fill);
      if (cold) await dropPageCache();
      const args = ["--topic", topic, "--batch", 1 << 20, ...(cold ? ["--once", 1] : ["--circles", 1])];
      const time = cold ? { seconds: 60, warmup: 0 } : { ...options, warmup: 1 };
      return generate(broker, "fetch", broker.ports.kafka, args, time);
    },
  };
}

/** One stream, two protocols: what comes in by one and goes out by the other, at the same time. */
function crossRow(name, run) {
  return {
    name,
    peers: [],
    figure: { name: "sustained", unit: "msg/s" },
    async run(broker, options) {
      // The name that the AMQP generator gives the first of its queues.
      const prefix = `cross-${process.pid}-${++topics}`;
      const topic = await freshTopic(broker, 1, `${prefix}-000000`);
      const amqp = (args) => generateAmqp(broker.address, ["--prefix", prefix, ...args, ...timing(options)]);
      const kafka = (mode, args) =>
        generate(broker, mode, broker.ports.kafka, ["--topic", topic, ...args], options);
      return run(amqp, kafka);
    },
  };
}

const timing = ({ seconds, warmup }) => ["--seconds", seconds, "--warmup", warmup];

const amqpToKafka = (body) =>
  crossRow(`kafka-from-amqp-${label(body)}`, async (amqp, kafka) => {
    const [published, fetched] = await Promise.all([
      amqp(["--producers", 1, "--body", body, "--persistent", "--confirms", 1000]),
      kafka("fetch", ["--batch", 1 << 20]),
    ]);
    return { ...fetched, sustained: Math.min(published.confirmed_per_s, fetched.delivered) };
  });

// At a rate that the consumer can follow: what only piles up would take its time from it.
const kafkaToAmqp = (body, rate) =>
  crossRow(`kafka-to-amqp-${label(body)}`, async (amqp, kafka) => {
    const [consumed, produced] = await Promise.all([
      amqp(["--consumers", 1, "--body", body, "--prefetch", 5000, "--ack-every", 1000]),
      kafka("produce", ["--body", body, "--batch", 16384, "--rate", rate]),
    ]);
    return { ...produced, sustained: Math.min(consumed.delivered_per_s, produced.acknowledged) };
  });

async function dropPageCache() {
  await execute("sh", ["-c", "sync; echo 3 > /proc/sys/vm/drop_caches 2>/dev/null || true"], 60);
}

const partitionsRow = {
  name: "kafka-10000-partitions",
  peers: ["Kafka"],
  fresh: true,
  figure: { name: "declare", unit: "s", better: "lower" },
  figures: [
    { name: "declare", unit: "s", better: "lower", wanted: { value: 30 } },
    { name: "memory", unit: "KiB/partition", better: "lower", wanted: { value: 10 } },
    { name: "restart", unit: "s", better: "lower", wanted: { value: 15 } },
  ],
  async run(broker) {
    await freshTopic(broker, 1);
    const before = sampleTree(broker.pid).rssBytes;
    const started = performance.now();
    for (let i = 0; i < 10; i++) await freshTopic(broker, 1000);
    const declare = (performance.now() - started) / 1000;
    const memory = (sampleTree(broker.pid).rssBytes - before) / 1024 / 10_000;
    await broker.stop();
    return { declare, memory, restart: await broker.start(180) };
  },
};

const startRow = {
  name: "kafka-start",
  peers: ["Kafka"],
  fresh: true,
  figure: { name: "start", unit: "s", better: "lower" },
  figures: [
    { name: "start", unit: "s", better: "lower", wanted: { ratio: 10 } },
    { name: "idle memory", unit: "MiB", better: "lower", wanted: { ratio: 4 } },
  ],
  async run(broker) {
    return { start: broker.startSeconds, "idle memory": toMiB(sampleTree(broker.pid).rssBytes) };
  },
};

function mqttRow(name, args, wanted, peers = ["mosquitto", "RabbitMQ"]) {
  return {
    name: `mqtt-${name}`,
    peers,
    figure: { name: "delivered", unit: "msg/s" },
    wanted,
    run: (broker, options) => generate(broker, "mqtt", broker.ports.mqtt, args, options),
  };
}

function stompRow(name, args) {
  return {
    name: `stomp-${name}`,
    peers: ["RabbitMQ"],
    figure: { name: "delivered", unit: "msg/s" },
    wanted: { ratio: 3 },
    run: (broker, options) =>
      generate(broker, "stomp", broker.ports.stomp, ["--topic", `q${++topics}`, ...args], options),
  };
}

const pairs = (n, body, ...more) => ["--publishers", n, "--subscribers", n, "--body", body, ...more];

export const ROWS = [
  ...[100, 1024].flatMap((body) => [1, 6, 100].map((partitions) => javaProduce(body, partitions))),
  ...[100, 1024].flatMap((body) => [1, 6, 100].map((partitions) => librdkafkaProduce(body, partitions))),
  rawProduce(100, 65536, 1, 1),
  rawProduce(100, 65536, 4, 6),
  rawProduce(100, 16384, 10, 100),
  rawProduce(1024, 65536, 4, 6),
  latencyRow,
  fetchRow(false),
  fetchRow(true),
  amqpToKafka(100),
  amqpToKafka(1024),
  kafkaToAmqp(100, 400_000),
  kafkaToAmqp(1024, 200_000),
  startRow,
  partitionsRow,
  mqttRow("qos0-16-1", pairs(1, 16), { ratio: 1 }),
  mqttRow("qos0-1k-1", pairs(1, 1024), { ratio: 1 }),
  mqttRow("qos0-16-100", pairs(100, 16, "--window", 50), { ratio: 1 }),
  mqttRow("qos0-1k-100", pairs(100, 1024, "--window", 50), { ratio: 1 }),
  mqttRow("qos1-16-1", pairs(1, 16, "--qos", 1, "--clean", 0, "--inflight", 60), { ratio: 0.7 }),
  mqttRow("qos1-1k-1", pairs(1, 1024, "--qos", 1, "--clean", 0, "--inflight", 60), { ratio: 0.7 }),
  mqttRow("qos1-1k-100", pairs(100, 1024, "--qos", 1, "--clean", 0, "--inflight", 20, "--window", 100), {
    ratio: 0.7,
  }),
  mqttRow(
    "fanout-1000",
    ["--publishers", 1, "--subscribers", 1000, "--fanout", 1, "--body", 16, "--window", 10],
    { ratio: 1 },
  ),
  idleRow(10_000),
  retainedRow(1_000_000, "1m"),
  stompRow("16-1", pairs(1, 16)),
  stompRow("1k-1", pairs(1, 1024)),
  stompRow("1k-100", pairs(100, 1024, "--window", 50)),
  stompRow("receipts-1k-1", pairs(1, 1024, "--qos", 1, "--inflight", 60)),
];
