// npm run bench:wire: PolyMQ beside Kafka, mosquitto and RabbitMQ's plugins, over their own protocols,
// in interleaved rounds on one machine.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { describeMachine, machineLine } from "./machine.mjs";
import { medians } from "./measure.mjs";
import { waitQuiet } from "./process-tree.mjs";
import { formatNumber } from "./report.mjs";
import { Kafka, Mosquitto, WirePolyMQ, WireRabbitMQ } from "./wire/peers.mjs";
import { ROWS } from "./wire/rows.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const docsFile = join(root, "docs", "benchmarks.md");
const [begin, end] = ["<!-- wire: begin -->", "<!-- wire: end -->"];
const say = (text) => console.error(text);

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "*" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "5" },
    warmup: { type: "string", default: "2" },
    brokers: { type: "string", default: "*" },
    data: { type: "string", default: tmpdir() },
    list: { type: "boolean" },
    "update-docs": { type: "boolean" },
  },
});

const matches = (patterns, name) =>
  patterns
    .split(",")
    .some((pattern) => new RegExp(`^${pattern.trim().replaceAll("*", ".*")}$`, "i").test(name));

const main = join(root, "dist", "main.js");
const MAKERS = {
  PolyMQ: () => new WirePolyMQ(values.data, { main, durability: "fsync" }),
  "PolyMQ os": () => new WirePolyMQ(values.data, { main, durability: "os" }),
  Kafka: () => new Kafka(values.data),
  mosquitto: () => new Mosquitto(values.data),
  RabbitMQ: () => new WireRabbitMQ(values.data),
};

function brokersOf(row) {
  return ["PolyMQ", "PolyMQ os", ...row.peers].filter((name) => matches(values.brokers, name));
}

async function runRow(row, options) {
  const outcomes = Object.fromEntries(
    brokersOf(row).map((name) => [name, { rounds: [], missing: undefined }]),
  );
  for (let round = 0; round < options.rounds; round++) {
    for (const [name, outcome] of Object.entries(outcomes)) {
      if (outcome.missing) continue;
      let broker;
      try {
        await waitQuiet();
        broker = MAKERS[name]();
        await broker.start(120);
        const figures = await row.run(broker, options);
        outcome.version = broker.version;
        outcome.rounds.push(figures);
        say(`  ${name}: ${row.figure.name} ${formatNumber(figures[row.figure.name])}`);
      } catch (error) {
        outcome.missing = error.message;
        say(`  ${name}: ${error.message}`);
      } finally {
        await broker?.dispose();
      }
    }
  }
  for (const outcome of Object.values(outcomes)) outcome.median = medians(outcome.rounds);
  return outcomes;
}

const columns = [
  "row",
  "figure",
  "PolyMQ fsync",
  "PolyMQ os",
  "peer",
  "fsync / peer",
  "os / peer",
  "wanted",
  "p99 ms",
  "RSS MiB",
  "measured",
];

function cell(outcome, name) {
  if (!outcome) return "not run";
  if (outcome.rounds.length === 0)
    return `missing: ${(outcome.missing ?? "").replaceAll("|", "/").slice(0, 80)}`;
  return formatNumber(outcome.median[name]);
}

function ratio(ours, peer, figure) {
  const [a, b] = [ours?.median?.[figure.name], peer?.median?.[figure.name]];
  if (!a || !b) return "n/a";
  return `${(figure.better === "lower" ? b / a : a / b).toFixed(2)} x`;
}

function wanted(figure, row) {
  const want = figure.wanted ?? row.wanted ?? {};
  const parts = [];
  if (want.ratio) parts.push(`ratio ≥ ${want.ratio}`);
  if (want.osRatio) parts.push(`at os ≥ ${want.osRatio}`);
  if (want.value) parts.push(`${figure.better === "lower" ? "≤" : "≥"} ${formatNumber(want.value)}`);
  return parts.join(", ");
}

function lines(row, outcomes, date) {
  const { PolyMQ: fsync, "PolyMQ os": os } = outcomes;
  // What no peer can do has a line of its own as well.
  const peers = row.peers.length > 0 ? row.peers : ["none"];
  return peers.flatMap((peerName) =>
    (row.figures ?? [row.figure]).map((figure) => {
      const peer = outcomes[peerName];
      const pair = (name) => [fsync, os, peer].map((one) => formatNumber(one?.median?.[name])).join("; ");
      return [
        row.peers.length > 1 ? `${row.name} / ${peerName}` : row.name,
        figure.unit ? `${figure.title ?? figure.name}, ${figure.unit}` : figure.name,
        cell(fsync, figure.name),
        cell(os, figure.name),
        peerName === "none" ? "none can" : cell(peer, figure.name),
        ratio(fsync, peer, figure),
        ratio(os, peer, figure),
        wanted(figure, row),
        pair("p99"),
        pair("rssMiB"),
        date,
      ];
    }),
  );
}

const markdown = (cells) => `| ${cells.join(" | ")} |`;

function updateDocs(measured, machine, versions) {
  const text = readFileSync(docsFile, "utf8");
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < 0) throw new Error(`${docsFile} has lost its markers`);
  const names = new Set(measured.map((line) => line[0]));
  const isRow = (line) => line.startsWith("| ") && !line.startsWith("| row |") && !line.startsWith("| ---");
  const kept = text
    .slice(from, to)
    .split("\n")
    .filter(isRow)
    .map((line) =>
      line
        .slice(2, -2)
        .split(" | ")
        .map((one) => one.trim()),
    );
  const rank = (line) => ROWS.findIndex(({ name }) => name === line[0].split(" / ")[0]);
  const all = [...kept.filter((line) => !names.has(line[0])), ...measured].sort((a, b) => rank(a) - rank(b));
  const block = [
    begin,
    `Machine of the latest update: ${machineLine(machine)}. ${versions}.`,
    "",
    markdown(columns),
    markdown(columns.map(() => "---")),
    ...all.map(markdown),
    "",
  ];
  writeFileSync(docsFile, text.slice(0, from) + block.join("\n") + text.slice(to));
}

async function bench() {
  const rows = ROWS.filter(({ name }) => matches(values.only, name));
  if (values.list) return console.log(rows.map(({ name }) => name).join("\n"));
  const build = spawnSync("npm", ["run", "build", "--silent"], { cwd: root, encoding: "utf8" });
  if (build.status !== 0) throw new Error(`npm run build failed: ${build.stdout + build.stderr}`);
  const options = {
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    warmup: Number(values.warmup),
  };
  const machine = describeMachine(values.data);
  const versions = new Map();
  for (const row of rows) {
    say(row.name);
    const outcomes = await runRow(row, options);
    const measured = lines(row, outcomes, new Date().toISOString().slice(0, 10));
    for (const [name, { version }] of Object.entries(outcomes))
      if (version) versions.set(name.split(" ")[0], version);
    for (const line of measured) console.log(line.join("  "));
    const text = [...versions].map((pair) => pair.join(" ")).join(", ");
    if (values["update-docs"]) updateDocs(measured, machine, text);
  }
}

await bench();
