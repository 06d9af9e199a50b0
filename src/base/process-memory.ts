let lastUsage: NodeJS.MemoryUsage = { rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 };
let lastResident = 0;

/** What the process takes of the machine's memory, in bytes: as known last while no file can be opened to ask (EMFILE). */
export function residentBytes(): number {
  try {
    lastResident = process.memoryUsage.rss();
  } catch {
    // The system's answer is in a file.
  }
  return lastResident;
}

/** Likewise, in kinds. */
export function memoryUsage(): NodeJS.MemoryUsage {
  try {
    lastUsage = process.memoryUsage();
  } catch {
    // As above.
  }
  return lastUsage;
}
