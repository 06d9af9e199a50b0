// librdkafka's own performance tool, built from the sources that the node-rdkafka package carries.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const build = join(here, "..", "build", "librdkafka");
const sources = join(build, "package", "deps", "librdkafka");
const PACKAGE = "node-rdkafka@3.6.1";

function run(command, args, cwd) {
  const result = spawnSync(command, args, { cwd, encoding: "utf8", maxBuffer: 64 << 20 });
  if (result.error)
    throw new Error(`librdkafka's performance tool needs ${command}: ${result.error.message}`);
  if (result.status !== 0)
    throw new Error(`${command} ${args[0]} failed: ${result.stderr.trim().slice(-300)}`);
}

/** The tool's path; the first time it is fetched and compiled, which takes half a minute. */
export function librdkafkaPerformance() {
  const tool = join(sources, "examples", "rdkafka_performance");
  if (existsSync(tool)) return tool;
  console.error("building librdkafka's performance tool ...");
  mkdirSync(build, { recursive: true });
  run("npm", ["pack", "--silent", PACKAGE], build);
  const archive = readdirSync(build).find((name) => name.endsWith(".tgz"));
  run("tar", ["xzf", archive], build);
  const without = ["ssl", "gssapi", "sasl", "zstd", "curl"].map((name) => `--disable-${name}`);
  run("./configure", without, sources);
  run("make", ["-j2", "-C", "src"], sources);
  run("make", ["-C", "examples", "rdkafka_performance"], sources);
  return tool;
}
