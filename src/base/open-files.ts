import { readFileSync } from "node:fs";

/** How many files and sockets the system lets this process have open; Infinity where it cannot be told. */
export function openFilesMax(): number {
  try {
    // "Max open files            1024                 1048576              files": Node.js raises the first to the second.
    const line = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"));
    return line === null ? Number.POSITIVE_INFINITY : Number(line[1]);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
