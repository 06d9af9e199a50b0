import type { Partition } from "./partition.ts";

/** Closes runs that are old enough and gives up what nobody wants kept. Whole runs only, oldest first. */
export function retain(partition: Partition, nowMs: number): void {
  const { written, config } = partition;
  if (written === null) return;
  written.rollIfOld(nowMs);
  if (config.cleanup === "compact") return;
  const { runs, growing, committedOffset, endOffset } = written;
  let offset = written.startOffset;
  let bytes = runs.bytes;
  for (const run of runs.list) {
    if (run.endOffset > committedOffset) break;
    const newestMs = run.maxTimestampMs < 0 ? run.lastAppendedMs : run.maxTimestampMs;
    const expired = config.retentionMs >= 0 && nowMs - newestMs > config.retentionMs;
    const crowded =
      (config.retentionBytes >= 0 && bytes - run.bytes >= config.retentionBytes) ||
      (config.retentionCount >= 0 && endOffset - run.endOffset >= config.retentionCount);
    // Size never takes the run that grows; age does, once all in it is too old.
    if (!expired && (!crowded || run === growing)) break;
    offset = run.endOffset;
    bytes -= run.bytes;
  }
  if (offset <= written.startOffset) return;
  if (offset === endOffset) written.closeRun();
  written.trim(offset);
}
