// How long a broker takes to be ready: in process (first and later ones), and as a process of its own.
// Usage: node bench/start.mjs [rounds]   (after npm run build)
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLIENT_PORTS, flagName, isSecure, OPTIONS } from "../dist/config.js";
import { startBroker } from "../dist/index.js";

const rounds = Number(process.argv[2] ?? 11);
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

async function inProcess() {
  const before = performance.now();
  const broker = await startBroker({ engine: "memory:", amqp: { port: 0 } });
  const ms = performance.now() - before;
  await broker.stop();
  return ms;
}

async function ownProcess() {
  const dataDir = mkdtempSync(join(tmpdir(), "polymq-start-"));
  const before = performance.now();
  const standard = CLIENT_PORTS.filter((name) => !isSecure(name) && OPTIONS[name].default !== "off");
  const ports = standard.flatMap((name) => [`--${flagName(name)}`, "0"]);
  const args = ["dist/main.js", "serve", "--data-dir", dataDir, ...ports, "--http-port", "0"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => {
    child.stdout.on("data", (chunk) => `${chunk}`.includes("PolyMQ ready") && resolve());
  });
  const ms = performance.now() - before;
  child.kill("SIGTERM");
  await new Promise((resolve) => child.on("exit", resolve));
  rmSync(dataDir, { recursive: true, force: true });
  return ms;
}

const first = await inProcess();
const later = [];
const own = [];
for (let i = 0; i < rounds; i++) later.push(await inProcess());
for (let i = 0; i < rounds; i++) own.push(await ownProcess());
console.log(`in process, first broker: ${first.toFixed(0)} ms`);
console.log(`in process, later ones:   ${median(later).toFixed(1)} ms (median of ${rounds})`);
console.log(
  `as a process, empty data directory: ${median(own).toFixed(0)} ms from spawn to ready (median of ${rounds})`,
);
