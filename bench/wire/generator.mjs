// Builds the generator for Kafka's, MQTT's and STOMP's protocols when its sources are newer.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const bench = join(dirname(fileURLToPath(import.meta.url)), "..");

export function compileWiregen() {
  const binary = join(bench, "build", "wiregen");
  const directory = join(bench, "wiregen");
  const files = readdirSync(directory).map((file) => join(directory, file));
  const built = statSync(binary, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (files.every((file) => statSync(file).mtimeMs < built)) return binary;
  const sources = [...files.filter((file) => file.endsWith(".c")), join(bench, "loadgen", "histogram.c")];
  mkdirSync(join(bench, "build"), { recursive: true });
  const flags = ["-O2", "-std=gnu11", "-Wall", "-Wextra", "-o", binary];
  const gcc = spawnSync("gcc", [...flags, ...sources], { encoding: "utf8" });
  if (gcc.error) throw new Error(`the load generator needs gcc: ${gcc.error.message}`);
  if (gcc.status !== 0) throw new Error(`gcc failed:\n${gcc.stderr}`);
  return binary;
}
