// Everything the bench starts or creates is registered here and is gone when the bench ends, also
// after an error or Ctrl-C.
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";

const groups = new Set();
const directories = new Set();

export function killGroup(child, signal = "SIGKILL") {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // already gone
  }
}

/** The child must have been spawned detached, so that it leads its own process group. */
export function trackGroup(child) {
  groups.add(child);
  child.once("exit", () => groups.delete(child));
  return child;
}

export function temporaryDirectory(parent, name) {
  const path = mkdtempSync(join(parent, `polymq-bench-${name}-`));
  directories.add(path);
  return path;
}

export function removeDirectory(path) {
  rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  directories.delete(path);
}

function cleanUp() {
  for (const child of groups) killGroup(child);
  for (const path of directories) {
    try {
      removeDirectory(path);
    } catch (error) {
      console.error(`could not remove ${path}: ${error.message}`);
    }
  }
}

process.once("exit", cleanUp);
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
]) {
  process.once(signal, () => process.exit(code));
}
