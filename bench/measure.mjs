// One run of one row against one broker, and what is taken down about it.
import { spawnSync } from "node:child_process";
import { generate, sleep } from "./generator.mjs";
import { machineCpuSeconds, sampleTree, watchRss } from "./process-tree.mjs";
import { logSyncs } from "./prometheus.mjs";

const MIB = 2 ** 20;

/** Allocated bytes, so that a preallocated but sparse file counts for what it takes. */
export function diskBytes(directory) {
  if (!directory) return undefined;
  const kilobytes = spawnSync("du", ["-sk", directory], { encoding: "utf8" }).stdout;
  return kilobytes ? Number.parseInt(kilobytes, 10) * 1024 : undefined;
}

const valueAfter = (args, flag, fallback) => (args.includes(flag) ? args[args.indexOf(flag) + 1] : fallback);

/** Queues are deleted by a run of their own, so that tidying up is never part of what is measured. */
async function deleteQueues(broker, args) {
  const same = [
    "--queues",
    valueAfter(args, "--queues", 1),
    "--prefix",
    valueAfter(args, "--prefix", "bench"),
  ];
  await generate(broker.address, ["--delete", ...same, ...(args.includes("--fanout") ? ["--fanout"] : [])]);
}

async function snapshot(broker) {
  return {
    tree: sampleTree(broker.pid),
    machineCpu: machineCpuSeconds(),
    syncs: logSyncs(await broker.metrics()),
  };
}

/** A throughput row: saturating or at a fixed rate, for a fixed time. */
export async function measureThroughput(broker, scenario, { seconds, warmup }) {
  const rss = watchRss(broker.pid);
  const diskBefore = scenario.diskPerPublish ? diskBytes(broker.dataDirectory) : undefined;
  const samples = {};
  const args = [...scenario.args, "--declare", "--seconds", seconds, "--warmup", warmup];
  const result = await generate(broker.address, args, {
    limitSeconds: seconds + warmup + 120,
    async onEvent({ event }) {
      if (event === "measure") samples.start = await snapshot(broker);
      if (event === "result") samples.end = await snapshot(broker);
    },
  }).finally(() => rss.stop());
  const diskAfter = scenario.diskPerPublish ? diskBytes(broker.dataDirectory) : undefined;
  await deleteQueues(broker, scenario.args);
  return {
    ...summarize(result, samples, scenario),
    rssMiB: toMiB(rss.stop()),
    ...diskFigure(diskBefore, diskAfter, result),
  };
}

export const toMiB = (bytes) => (bytes === undefined ? undefined : bytes / MIB);

function diskFigure(before, after, result) {
  if (before === undefined || after === undefined) return {};
  return { diskBytesPerPublish: (after - before) / result.total_published };
}

function summarize(result, { start, end }, scenario) {
  const consumes = scenario.args.includes("--consumers");
  const messages = consumes ? Math.min(result.published, result.delivered) : result.published;
  const cpu = start?.tree && end?.tree ? end.tree.cpuSeconds - start.tree.cpuSeconds : undefined;
  const syncs = start?.syncs === undefined || end?.syncs === undefined ? undefined : end.syncs - start.syncs;
  const usesConfirms = scenario.args.includes("--confirms");
  return {
    // What went in and came out in the measured time: a broker that only piles up gains nothing.
    sustained: Math.min(...[result.published_per_s, ...(consumes ? [result.delivered_per_s] : [])]),
    published: result.published_per_s,
    confirmed: usesConfirms ? result.confirmed_per_s : undefined,
    delivered: consumes ? result.delivered_per_s : undefined,
    "end-to-end p50": milliseconds(result.latency_us, "p50"),
    "end-to-end p99": milliseconds(result.latency_us, "p99"),
    "confirm p50": milliseconds(result.confirm_latency_us, "p50"),
    "confirm p99": milliseconds(result.confirm_latency_us, "p99"),
    cpuSecondsPerMillion: cpu === undefined || !messages ? undefined : (cpu / messages) * 1e6,
    // A round: every publisher got one confirm.
    syncsPerRound:
      scenario.countSyncs && syncs !== undefined
        ? syncs / (result.confirmed / scenario.countSyncs)
        : undefined,
    generatorCores: result.cpu_seconds / result.seconds,
    // What the rest of the machine took away; with a foreign broker that includes the broker.
    otherCores:
      cpu === undefined
        ? undefined
        : Math.max(0, end.machineCpu - start.machineCpu - cpu - result.cpu_seconds) / result.seconds,
    blockedSeconds: result.blocked_seconds,
    nacked: result.nacked,
  };
}

const milliseconds = (latency, percentile) => (latency.count ? latency[percentile] / 1000 : undefined);

/** A row that only makes the broker hold something: memory for each of them, and how long it took. */
export async function measureHold(broker, scenario) {
  await sleep(1000);
  const before = sampleTree(broker.pid);
  let after;
  const held = await generate(broker.address, scenario.args, {
    limitSeconds: 300,
    async hold() {
      await sleep(2000);
      after = sampleTree(broker.pid);
    },
  });
  const grown = before && after ? after.rssBytes - before.rssBytes : undefined;
  return {
    memory: grown === undefined ? undefined : grown / 1024 / scenario.count,
    time: held.seconds,
    "per second": held.per_s,
    cpuSecondsPerMillion: undefined,
    rssMiB: toMiB(after?.rssBytes),
  };
}

export function median(values) {
  const known = values.filter((value) => value !== undefined && Number.isFinite(value)).sort((a, b) => a - b);
  if (known.length === 0) return undefined;
  const middle = known.length >> 1;
  return known.length % 2 ? known[middle] : (known[middle - 1] + known[middle]) / 2;
}

/** Median of each figure over the rounds, each figure by itself. */
export function medians(rounds) {
  const names = new Set(rounds.flatMap((round) => Object.keys(round)));
  return Object.fromEntries([...names].map((name) => [name, median(rounds.map((round) => round[name]))]));
}
