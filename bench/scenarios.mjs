// The rows of the benchmark. `args` go to the load generator; `figure` names the figure that counts,
// `wanted` what PolyMQ has to reach: a ratio to the peer, and where given an absolute value.

const bodies = { 16: 16, "1k": 1024, "16k": 16384 };
const connectionCounts = [1, 10, 100];

const sustained = { name: "sustained", unit: "msg/s", better: "higher" };
const confirmed = { name: "confirmed", unit: "msg/s", better: "higher" };

// Without a window a publisher first fills megabytes of socket buffers, and a run of seconds measures
// little else; so the rows of this matrix use confirms, and those without are rows of their own.
const windowOf = (connections) => (connections === 1 ? 1000 : 200);

function transient(label, connections) {
  const wanted = { 16: 1_500_000, "1k": 800_000 }[label];
  const share = connections === 100 ? 0.5 : 1; // 100 + 100 connections: no less than half
  const window = windowOf(connections);
  return {
    name: `transient-${label}-${connections}`,
    about: `transient, auto-ack, confirm window ${window} for each publisher`,
    kind: "throughput",
    figure: sustained,
    wanted: { ratio: connections === 1 && label !== "16k" ? 10 : undefined, value: wanted && wanted * share },
    args: ["--auto-ack", "--confirms", window, ...pairs(connections), "--body", bodies[label]],
  };
}

function unconfirmed(label) {
  const { wanted } = transient(label, 1);
  return {
    name: `transient-${label}-1-unconfirmed`,
    about: "transient, auto-ack, no confirms",
    kind: "throughput",
    figure: sustained,
    wanted,
    args: ["--auto-ack", ...pairs(1), "--body", bodies[label]],
  };
}

function durable(label, connections) {
  const window = windowOf(connections);
  return {
    name: `durable-${label}-${connections}`,
    about: `durable, persistent, manual acks, confirm window ${window} for each publisher`,
    kind: "throughput",
    figure: sustained,
    wanted: connections === 1 && label === "1k" ? { ratio: 6, value: 200_000 } : {},
    args: [
      ...persistent(window),
      "--prefetch",
      1000,
      "--ack-every",
      100,
      ...pairs(connections),
      "--body",
      bodies[label],
    ],
  };
}

const pairs = (n) => ["--producers", n, "--consumers", n, "--queues", n];
const persistent = (window) => ["--durable", "--persistent", "--confirms", window];

function syncConfirm(queues, ratio) {
  return {
    name: queues === 1 ? "sync-confirm-1" : `sync-confirm-${queues}-queues`,
    about: `${queues} durable queues, each with one publisher that waits for every confirm, 1 KiB`,
    kind: "throughput",
    figure: confirmed,
    wanted: { ratio },
    countSyncs: queues,
    args: [...persistent(1), "--producers", queues, "--queues", queues, "--body", 1024],
  };
}

const equalLoad = (rate) => ({
  name: "durable-p99-equal-load",
  about: `as durable-1k-1, but ${rate} msg/s for both; latency counts from when a message was due`,
  kind: "throughput",
  figure: { name: "confirm p99", unit: "ms", better: "lower" },
  wanted: { ratio: 2 },
  args: [...durable("1k", 1).args, "--rate", rate],
});

const fanout = {
  name: "fanout-1000",
  about:
    "one 1 KiB persistent publish to 1,000 durable queues, confirm window 10; publishes counted, not copies",
  kind: "throughput",
  figure: confirmed,
  wanted: { ratio: 5 },
  diskPerPublish: true,
  args: [...persistent(10), "--fanout", "--producers", 1, "--queues", 1000, "--body", 1024],
};

const backlog = (messages) => ({
  name: "backlog-10m",
  label: messages === 10_000_000 ? "backlog-10m" : `backlog-${messages}`, // never passes for the whole row
  about: `${messages} messages of 1 KiB in one durable queue: fill, restart, kill -9, drain`,
  kind: "backlog",
  messages,
});

const idle = (connections) => ({
  name: "idle-5000",
  about: `${connections} connections with one channel each, idle`,
  kind: "hold",
  count: connections,
  figures: [{ name: "memory", unit: "KiB/connection", better: "lower", wanted: { value: 25 } }],
  args: ["--idle", connections],
});

const declare = (queues) => ({
  name: "declare-10000",
  about: `${queues} durable queues declared one after the other on one channel`,
  kind: "hold",
  count: queues,
  figures: [
    { name: "time", unit: "s", better: "lower", wanted: { value: 10 } },
    { name: "memory", unit: "KiB/queue", better: "lower", wanted: { value: 4 } },
  ],
  args: ["--declare-queues", queues],
});

export function allScenarios({ backlogMessages, rate }) {
  const matrix = (row) => Object.keys(bodies).flatMap((label) => connectionCounts.map((n) => row(label, n)));
  return [
    ...matrix(transient),
    unconfirmed("16"),
    unconfirmed("1k"),
    ...matrix(durable),
    equalLoad(rate),
    syncConfirm(1, 1.5),
    syncConfirm(100, 6),
    syncConfirm(1000, 6),
    fanout,
    idle(5000),
    declare(10_000),
    backlog(backlogMessages),
  ];
}

/** `pattern` is a comma-separated list of names; `*` stands for anything. */
export function selectScenarios(scenarios, pattern) {
  if (!pattern) return scenarios;
  return pattern.split(",").flatMap((part) => {
    const expression = new RegExp(`^${part.trim().replaceAll("*", ".*")}$`);
    const chosen = scenarios.filter((scenario) => expression.test(scenario.name));
    if (chosen.length === 0) throw new Error(`no row is called ${part.trim()}; --list shows them`);
    return chosen;
  });
}
