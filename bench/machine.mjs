// What the figures were measured on. A figure without its machine is not a figure.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";

function command(name, ...args) {
  const result = spawnSync(name, args, { encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

function processorModel() {
  try {
    return /model name\s*:\s*(.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? cpus()[0].model;
  } catch {
    return cpus()[0]?.model ?? "unknown";
  }
}

export function describeMachine(dataDirectory) {
  const disk = command("df", "--output=fstype,source", dataDirectory)?.split("\n")[1]?.trim().split(/\s+/);
  return {
    processor: processorModel(),
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    fileSystem: disk?.[0] ?? "unknown",
    node: process.version,
    commit: command("git", "rev-parse", "--short", "HEAD") ?? "unknown",
  };
}

export const machineLine = (machine) =>
  `${machine.processor}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, ` +
  `${machine.fileSystem}, Node ${machine.node}`;
