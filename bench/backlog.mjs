// The backlog row: fill one queue, restart cleanly, kill -9, drain, and see the disk given back.
import { generate, sleep } from "./generator.mjs";
import { diskBytes, measureThroughput, toMiB } from "./measure.mjs";
import { watchRss } from "./process-tree.mjs";
import { watchEventLoop } from "./prometheus.mjs";

const MIB = 2 ** 20;
const lower = (name, unit, value) => ({ name, unit, better: "lower", wanted: { value } });
const higher = (name, unit, value) => ({ name, unit, better: "higher", wanted: { value } });

export const backlogFigures = [
  higher("fill", "msg/s"),
  higher("drain", "msg/s"),
  higher("without backlog", "msg/s"),
  higher("drain / without backlog", "", 0.5),
  lower("memory peak", "MiB", 800),
  lower("event-loop lag p99, worst second", "ms", 20),
  lower("clean restart", "s", 10),
  lower("restart after kill -9", "s", 20),
  lower("messages lost", "", 0),
  lower("directory when full", "MiB"),
  lower("directory after the drain", "MiB", 64),
];

const queue = ["--durable", "--queues", 1, "--prefix", "backlog"];
const fill = ["--persistent", "--producers", 1, "--confirms", 1000, "--body", 1024];
const drain = ["--consumers", 1, "--prefetch", 1000, "--ack-every", 100, "--body", 1024];

async function count(broker) {
  return (await generate(broker.address, ["--count", ...queue])).messages;
}

/** The rate the same connection pair reaches when the queue stays short. */
async function rateWithoutBacklog(broker, { seconds, warmup }) {
  const args = ["--durable", "--queues", 1, "--prefix", "unloaded", ...fill, ...drain];
  const result = await measureThroughput(broker, { args }, { seconds, warmup });
  return result.sustained;
}

async function restart(broker, end) {
  if (!broker.stop) return undefined;
  if (end === "stop") await broker.stop(300);
  else await broker.kill();
  return broker.start(300);
}

/** The directory may shrink a little after the last ack; it gets half a minute. */
async function directoryAfterDrain(broker, goalBytes) {
  for (let i = 0; i < 30; i++) {
    const bytes = diskBytes(broker.dataDirectory);
    if (bytes === undefined || bytes < goalBytes) return bytes;
    await sleep(1000);
  }
  return diskBytes(broker.dataDirectory);
}

/** Memory and event loop are watched in each stretch between restarts, as the process changes there. */
async function watched(broker, peaks, work) {
  const rss = watchRss(broker.pid);
  const lag = watchEventLoop(broker);
  try {
    return await work();
  } finally {
    peaks.rss.push(rss.stop());
    peaks.lag.push(await lag.stop());
  }
}

const highest = (values) => {
  const known = values.filter((value) => value !== undefined);
  return known.length ? Math.max(...known) : undefined;
};

async function fillQueue(broker, messages, limitSeconds) {
  const limit = ["--seconds", limitSeconds, "--messages", messages];
  const args = [...queue, ...fill, "--declare", ...limit];
  return generate(broker.address, args, { limitSeconds: limitSeconds + 120 });
}

async function drainQueue(broker, messages, limitSeconds) {
  const limit = ["--seconds", limitSeconds, "--messages", messages];
  return generate(broker.address, [...queue, ...drain, ...limit], { limitSeconds: limitSeconds + 120 });
}

async function restartTwice(broker, figures, confirmed, say) {
  figures["clean restart"] = await restart(broker, "stop");
  const afterStop = await count(broker);
  say(`ready after ${figures["clean restart"]?.toFixed(2)} s; kill -9`);
  figures["restart after kill -9"] = await restart(broker, "kill");
  const present = await count(broker);
  say(`ready after ${figures["restart after kill -9"]?.toFixed(2)} s; draining ${present}`);
  figures["messages lost"] = Math.max(0, confirmed - Math.min(present, afterStop));
  return present;
}

/** Writes into `figures` as it goes, so that what was measured survives a broker that fails half-way. */
export async function measureBacklog(broker, scenario, options, figures, say) {
  const peaks = { rss: [], lag: [] };
  const { limitSeconds } = options;
  try {
    figures["without backlog"] = await watched(broker, peaks, () => rateWithoutBacklog(broker, options));
    say("filling");
    const filled = await watched(broker, peaks, () => fillQueue(broker, scenario.messages, limitSeconds));
    figures.fill = filled.confirmed_per_s;
    figures.filled = filled.confirmed;
    figures["directory when full"] = toMiB(diskBytes(broker.dataDirectory));
    say(`${filled.confirmed} messages in at ${Math.round(filled.confirmed_per_s)}/s; restarting`);
    const present = await restartTwice(broker, figures, filled.confirmed, say);
    if (present === 0)
      throw new Error(`all ${filled.confirmed} confirmed messages were lost in the restarts`);
    const drained = await watched(broker, peaks, () => drainQueue(broker, present, limitSeconds));
    figures.drain = drained.delivered_per_s;
    figures.drained = drained.delivered;
    figures["drain / without backlog"] = figures.drain / figures["without backlog"];
    figures["directory after the drain"] = toMiB(await directoryAfterDrain(broker, 64 * MIB));
  } finally {
    figures["memory peak"] = toMiB(highest(peaks.rss));
    figures["event-loop lag p99, worst second"] = highest(peaks.lag);
  }
}
