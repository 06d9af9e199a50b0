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

/** Waits until the processes are at rest, so that one broker's tidying is not another's load. */
export async function waitQuiet(pids, limitMs = 10_000) {
  const until = Date.now() + limitMs;
  const total = () => pids.reduce((sum, pid) => sum + (sampleTree(pid)?.cpuSeconds ?? 0), 0);
  for (let before = total(); Date.now() < until; ) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const now = total();
    if (now - before <= 0.03) return;
    before = now;
  }
}
