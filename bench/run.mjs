// npm run bench: PolyMQ and its peer on this machine, in interleaved rounds, one table at the end.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { measureBacklog } from "./backlog.mjs";
import { findRabbitMQ, PolyMQ, RabbitMQ, Target } from "./brokers.mjs";
import { buildGenerator } from "./generator.mjs";
import { describeMachine, machineLine } from "./machine.mjs";
import { measureHold, measureThroughput, medians } from "./measure.mjs";
import { waitQuiet } from "./process-tree.mjs";
import { printTable, tableLines, updateDocs, writeResults } from "./report.mjs";
import { allScenarios, selectScenarios } from "./scenarios.mjs";
import { proveGenerator } from "./self-check.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const otherCoresMax = 0.2;
const say = (text) => console.error(text);

const optionTable = {
  only: { type: "string" },
  list: { type: "boolean" },
  rounds: { type: "string", default: "3" },
  retries: { type: "string", default: "2" },
  seconds: { type: "string", default: "5" },
  warmup: { type: "string", default: "2" },
  brokers: { type: "string", default: "polymq,rabbitmq" },
  target: { type: "string" },
  "target-pid": { type: "string" },
  polymq: { type: "string", default: join(root, "dist", "main.js") },
  "polymq-args": { type: "string", default: "" },
  rate: { type: "string", default: "15000" },
  backlog: { type: "string", default: "10000000" },
  limit: { type: "string", default: "1200" },
  data: { type: "string", default: tmpdir() },
  "check-generator": { type: "boolean" },
  "update-docs": { type: "boolean" },
  help: { type: "boolean" },
};

const help = `npm run bench -- [options]
  --only NAMES        rows to run, comma-separated, * as wildcard (all)
  --list              show the rows
  --rounds N          interleaved rounds, medians are reported (3)
  --retries N         repeat a run up to N times while other processes use more than 0.2 cores (2)
  --seconds S         measured seconds of a run (5)     --warmup S  before it (2)
  --brokers LIST      polymq,rabbitmq
  --target HOST:PORT  measure a running AMQP server instead; --target-pid PID for its CPU and memory
  --polymq FILE       main.js to run (dist/main.js, built when it is the checkout's own)
  --polymq-args ARGS  further arguments for "polymq serve", separated by blanks
  --rate N            msg/s of the equal-load row (15000)
  --backlog N         messages of the backlog row (10000000)  --limit S  for its fill and for its drain (1200)
  --data DIR          where the brokers keep their data (the system's temporary directory)
  --check-generator   measure what the generator reaches against a sink that does nothing
  --update-docs       put the rows into docs/benchmarks.md`;

function numericOptions(values) {
  const number = (name) => {
    const value = Number(values[name]);
    if (!Number.isFinite(value) || value < 0)
      throw new Error(`--${name} must be a number, got ${values[name]}`);
    return value;
  };
  return {
    rounds: Math.max(1, number("rounds")),
    retries: number("retries"),
    seconds: number("seconds"),
    warmup: number("warmup"),
    limitSeconds: number("limit"),
    rate: number("rate"),
    backlogMessages: number("backlog"),
  };
}

function targetAddress(text) {
  const [host, port] = text.split(":");
  return { host: host === "localhost" ? "127.0.0.1" : host, port: Number(port ?? 5672) };
}

/** For each broker a function that makes one, or the reason why there is none. */
function contenders(values) {
  if (values.target) {
    const pid = values["target-pid"] ? Number(values["target-pid"]) : undefined;
    return [{ name: "target", make: () => new Target(targetAddress(values.target), pid) }];
  }
  const wanted = values.brokers.split(",").map((name) => name.trim().toLowerCase());
  const unknown = wanted.find((name) => !["polymq", "rabbitmq"].includes(name));
  if (unknown) throw new Error(`--brokers knows polymq and rabbitmq, not ${unknown}`);
  const all = [];
  if (wanted.includes("polymq")) all.push(attempt("PolyMQ", () => preparePolyMQ(values)));
  if (wanted.includes("rabbitmq")) all.push(attempt("RabbitMQ", () => prepareRabbitMQ(values)));
  return all;
}

function attempt(name, prepare) {
  try {
    return { name, make: prepare() };
  } catch (error) {
    say(`${name}: ${error.message}`);
    return { name, missing: error.message };
  }
}

function preparePolyMQ(values) {
  const main = resolve(values.polymq);
  if (main === join(root, "dist", "main.js")) {
    const build = spawnSync("npm", ["run", "build", "--silent"], { cwd: root, encoding: "utf8" });
    if (build.status !== 0)
      throw new Error(`npm run build failed: ${(build.stdout + build.stderr).trim().split("\n")[0]}`);
  }
  if (!existsSync(main)) throw new Error(`${main} does not exist`);
  const extraArgs = values["polymq-args"].split(/\s+/).filter(Boolean);
  return () => new PolyMQ(values.data, { main, extraArgs });
}

function prepareRabbitMQ(values) {
  const server = findRabbitMQ();
  return () => new RabbitMQ(values.data, { server });
}

async function measureOnce(broker, scenario, options, figures) {
  if (scenario.kind === "backlog")
    return measureBacklog(broker, scenario, options, figures, (text) => say(`    ${broker.name}: ${text}`));
  const measured =
    scenario.kind === "hold" ? measureHold(broker, scenario) : measureThroughput(broker, scenario, options);
  Object.assign(figures, await measured);
}

/** A run that shared the machine with other work is repeated; the quietest attempt counts. */
async function measureUndisturbed(broker, scenario, options) {
  let best;
  for (let attempt = 0; attempt <= options.retries; attempt++) {
    const figures = {};
    await waitQuiet();
    try {
      await measureOnce(broker, scenario, options, figures);
    } catch (error) {
      throw Object.assign(error, { figures });
    }
    if (!best || figures.otherCores < best.otherCores) best = figures;
    if (!(best.otherCores > otherCoresMax)) return best;
    say(`  ${broker.name}: other processes used ${figures.otherCores.toFixed(2)} cores meanwhile`);
  }
  return best;
}

async function startAll(all, outcomes) {
  const started = [];
  for (const { name, make, missing } of all) {
    outcomes[name] = missing ? { missing } : { rounds: [] };
    if (missing) continue;
    const broker = make();
    try {
      await broker.start();
      started.push(broker);
    } catch (error) {
      outcomes[name] = { missing: error.message };
      say(`  ${name}: ${error.message}`);
      await broker.dispose();
    }
  }
  return started;
}

async function runRound(brokers, scenario, options, outcomes) {
  for (const broker of brokers) {
    const outcome = outcomes[broker.name];
    if (outcome.missing) continue;
    let figures = {};
    try {
      figures = await measureUndisturbed(broker, scenario, options);
      const { name } = scenario.figure ?? { name: Object.keys(figures)[0] };
      say(`  ${broker.name}: ${name} ${figures[name]?.toFixed(2) ?? "n/a"}`);
    } catch (error) {
      figures = error.figures ?? figures;
      outcome.missing = `failed in round ${outcome.rounds.length + 1}: ${error.message}`;
      say(`  ${broker.name}: ${outcome.missing}`);
    }
    if (Object.keys(figures).length > 0) outcome.rounds.push(figures);
  }
}

/** Throughput rows keep both brokers up and alternate; the other kinds leave traces, so each gets its own. */
async function runScenario(scenario, all, options) {
  const outcomes = {};
  const sideBySide = scenario.kind === "throughput";
  const rounds = scenario.kind === "backlog" ? 1 : options.rounds;
  const versions = {};
  const runs = sideBySide ? [all] : Array.from({ length: rounds }, () => all.map((one) => [one])).flat();
  for (const group of runs) {
    const fresh = {};
    const brokers = await startAll(group, fresh);
    for (const [name, outcome] of Object.entries(fresh)) {
      outcomes[name] ??= outcome;
      if (outcome.missing) outcomes[name].missing = outcome.missing;
    }
    try {
      for (let round = 0; round < (sideBySide ? rounds : 1); round++)
        await runRound(brokers, scenario, options, outcomes);
    } finally {
      for (const broker of brokers) versions[broker.name] = broker.version;
      for (const broker of brokers) await broker.dispose();
    }
  }
  for (const outcome of Object.values(outcomes)) if (outcome.rounds) outcome.median = medians(outcome.rounds);
  return { outcomes, versions };
}

async function main() {
  const { values } = parseArgs({ options: optionTable });
  if (values.help) return console.log(help);
  const options = numericOptions(values);
  const scenarios = allScenarios(options);
  if (values.list) return listScenarios(scenarios);
  buildGenerator();
  if (values["check-generator"]) return proveGenerator(options);
  const chosen = selectScenarios(scenarios, values.only);
  const all = contenders(values);
  const started = new Date().toISOString();
  const machine = describeMachine(values.data);
  const results = { started, machine, options, versions: {}, rows: {} };
  const lines = [];
  const order = scenarios.map(({ label, name }) => label ?? name);
  say(machineLine(machine));
  for (const scenario of chosen) {
    say(`${scenario.name}: ${scenario.about}`);
    const { outcomes, versions } = await runScenario(scenario, all, options);
    Object.assign(results.versions, versions);
    results.rows[scenario.name] = { about: scenario.about, outcomes };
    lines.push(...tableLines(scenario, outcomes, started.slice(0, 10)));
    // After each row, so that a run that is broken off leaves what it measured.
    results.file = writeResults(results);
    if (values["update-docs"])
      publish(scenario, outcomes, lines, { order, machine, versions: results.versions });
  }
  printTable(lines);
  say(`results: ${results.file}`);
}

/** A peer that was starved by other work would flatter us: such a row is measured again another day. */
function publish(scenario, outcomes, lines, { order, machine, versions }) {
  const disturbed = Object.values(outcomes).some(({ median }) => median?.otherCores > otherCoresMax);
  if (disturbed) return say("  not put into docs/benchmarks.md: the machine was busy with other work");
  const name = scenario.label ?? scenario.name;
  updateDocs(
    lines.filter(([row]) => row === name),
    order,
    machine,
    versions,
  );
}

function listScenarios(scenarios) {
  for (const { name, about } of scenarios) console.log(`${name.padEnd(26)}${about}`);
}

await main().then(
  () => process.exit(0),
  (error) => {
    console.error(`bench: ${error.message}`);
    process.exit(1);
  },
);
