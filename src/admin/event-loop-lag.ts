import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";

const RESOLUTION_MS = 10;

/** Seconds by which timers came late since the last reading. */
export interface LagSeconds {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Starts to measure at the first reading: whoever never looks pays nothing. */
export class EventLoopLag {
  private histogram: IntervalHistogram | null = null;

  /** Each reading covers the time since the one before it. */
  read(): LagSeconds {
    if (this.histogram === null) {
      this.histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      this.histogram.enable();
      return { p50: 0, p99: 0, max: 0 };
    }
    const { histogram } = this;
    const lag = {
      p50: lateness(histogram.percentile(50)),
      p99: lateness(histogram.percentile(99)),
      max: histogram.count > 0 ? lateness(histogram.max) : 0,
    };
    histogram.reset();
    return lag;
  }

  stop(): void {
    this.histogram?.disable();
    this.histogram = null;
  }
}

/** The histogram holds the time between two ticks, of which the resolution is intended. */
function lateness(tickNs: number): number {
  return Math.max(0, tickNs / 1e9 - RESOLUTION_MS / 1e3);
}
