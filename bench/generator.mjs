// Builds the load generator when its sources are newer than the binary, and runs it.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { killGroup, trackGroup } from "./cleanup.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const sourceDirectory = join(here, "loadgen");
const buildDirectory = join(here, "build");
const flags = ["-O2", "-std=gnu11", "-Wall", "-Wextra"];

function compile(name, isSource) {
  const binary = join(buildDirectory, name);
  const files = readdirSync(sourceDirectory).map((file) => join(sourceDirectory, file));
  const built = statSync(binary, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (files.every((file) => statSync(file).mtimeMs < built)) return binary;
  const sources = files.filter((file) => file.endsWith(".c") && isSource(file));
  mkdirSync(buildDirectory, { recursive: true });
  const gcc = spawnSync("gcc", [...flags, "-o", binary, ...sources], { encoding: "utf8" });
  if (gcc.error) throw new Error(`the load generator needs gcc: ${gcc.error.message}`);
  if (gcc.status !== 0) throw new Error(`gcc failed:\n${gcc.stderr}`);
  return binary;
}

export const buildGenerator = () => compile("loadgen", (file) => !file.endsWith("/sink.c"));
export const buildSink = () => compile("sink", (file) => /\/(sink|wire)\.c$/.test(file));

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Runs the generator against `address` and resolves with its last event. `onEvent` is called for each
 * event as it is printed; it may be used to sample the broker at the very moment.
 */
export async function generate(address, args, { onEvent = () => {}, limitSeconds = 120, hold } = {}) {
  const where = ["--host", address.host, "--port", String(address.port), "--json"];
  const child = trackGroup(
    spawn(buildGenerator(), [...where, ...args.map(String)], {
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    }),
  );
  let last;
  let errors = "";
  const work = [];
  child.stderr.on("data", (chunk) => {
    errors += chunk;
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    last = JSON.parse(line);
    work.push(Promise.resolve(onEvent(last)));
    if (last.event === "hold") {
      const held = Promise.resolve(hold?.(last)).finally(() => child.stdin.end());
      work.push(held);
    }
  });
  const timer = setTimeout(() => {
    errors += `stopped after ${limitSeconds} s`;
    killGroup(child);
  }, limitSeconds * 1000);
  const code = await new Promise((resolve, reject) => child.once("close", resolve).once("error", reject));
  clearTimeout(timer);
  await Promise.all(work);
  // 4 says: stopped before all --messages were through, and the figures are good as far as they go.
  if (code !== 0 && code !== 4) throw new Error(`generator: ${errors.trim() || `exit code ${code}`}`);
  return last;
}
