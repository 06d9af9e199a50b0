// The few questions the bench asks of a Prometheus text page.

/** Sum over all label sets of a metric, or undefined when the page does not have it. */
export function metricSum(page, name) {
  if (!page) return undefined;
  const lines = page.split("\n").filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
  if (lines.length === 0) return undefined;
  return lines.reduce((sum, line) => sum + sampleValue(line), 0);
}

// name{label="value"} 12.5 [timestamp]
function sampleValue(line) {
  const afterLabels = line.includes("}")
    ? line.slice(line.lastIndexOf("}") + 1)
    : line.slice(line.indexOf(" "));
  return Number(afterLabels.trim().split(/\s+/)[0]);
}

export const logSyncs = (page) => metricSum(page, "polymq_log_syncs_total");

/** Milliseconds; prom-client starts a new histogram at each scrape, so this covers the time since the last. */
export function eventLoopLagP99Ms(page) {
  const line = page
    .split("\n")
    .find((each) => each.startsWith('polymq_event_loop_lag_seconds{quantile="0.99"}'));
  return line === undefined ? undefined : sampleValue(line) * 1000;
}

/** Scrapes every second until stopped; stop() returns the highest p99 of any one second. */
export function watchEventLoop(broker) {
  let highest;
  let running = true;
  const loop = (async () => {
    while (running) {
      const asked = performance.now();
      const page = await broker.metrics();
      const waited = performance.now() - asked;
      // A loop too busy to answer the scrape must not drop out of the figure.
      const lag = eventLoopLagP99Ms(page) ?? (waited > 1000 ? waited : undefined);
      if (lag !== undefined && (highest === undefined || lag > highest)) highest = lag;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  })();
  return {
    async stop() {
      running = false;
      await loop;
      return highest;
    },
  };
}
