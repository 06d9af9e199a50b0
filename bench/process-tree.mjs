// CPU and memory of a broker: the sum over its process and all descendants, read from /proc.
import { existsSync, readdirSync, readFileSync } from "node:fs";

const TICKS_PER_SECOND = 100; // USER_HZ; the kernel fixes it at 100 for every Linux that runs Node
const PAGE_BYTES = 4096;

function readStat(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The command name may hold spaces and brackets: fields are counted after its last bracket.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const ticks = [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0); // u, s, children's u, s
    return { pid, parent: Number(fields[1]), ticks, residentPages: Number(fields[21]) };
  } catch {
    return undefined; // it ended while we looked
  }
}

function descendants(root) {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(readStat);
  const tree = new Map();
  const children = groupByParent(all.filter(Boolean));
  const visit = (stat) => {
    if (tree.has(stat.pid)) return;
    tree.set(stat.pid, stat);
    for (const child of children.get(stat.pid) ?? []) visit(child);
  };
  const top = readStat(root);
  if (top) visit(top);
  return [...tree.values()];
}

function groupByParent(stats) {
  const groups = new Map();
  for (const stat of stats) groups.set(stat.parent, [...(groups.get(stat.parent) ?? []), stat]);
  return groups;
}

/** CPU seconds used and bytes resident, or undefined when the process is unknown or gone. */
export function sampleTree(pid) {
  if (!pid || !existsSync(`/proc/${pid}`)) return undefined;
  let ticks = 0;
  let pages = 0;
  for (const stat of descendants(pid)) {
    ticks += stat.ticks;
    pages += stat.residentPages;
  }
  return { cpuSeconds: ticks / TICKS_PER_SECOND, rssBytes: pages * PAGE_BYTES };
}

/** CPU seconds all processes of the machine have used since it started; idle and waiting do not count. */
export function machineCpuSeconds() {
  const fields = readFileSync("/proc/stat", "latin1").split("\n")[0].trim().split(/\s+/).slice(1).map(Number);
  const [user, nice, system, , , interrupts, softInterrupts] = fields;
  return (user + nice + system + interrupts + softInterrupts) / TICKS_PER_SECOND;
}

/** Samples resident memory until stopped; stop() returns the highest value seen, in bytes. */
export function watchRss(pid, intervalMs = 250) {
  let peak = sampleTree(pid)?.rssBytes;
  const timer = setInterval(() => {
    const now = sampleTree(pid)?.rssBytes;
    if (now !== undefined && (peak === undefined || now > peak)) peak = now;
  }, intervalMs);
  return {
    stop() {
      clearInterval(timer);
      return peak;
    },
  };
}

/** Waits for a machine at rest: one broker's tidying must not be another's load, nor anybody else's work. */
export async function waitQuiet(limitMs = 15_000) {
  const until = Date.now() + limitMs;
  for (let before = machineCpuSeconds(); Date.now() < until; ) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const now = machineCpuSeconds();
    if (now - before <= 0.05) return;
    before = now;
  }
}
