/**
 * Time as the broker sees it. Everything that waits or compares times takes a Clock, so that a test
 * can move time by hand and a failing seed can be run again.
 */
export interface Clock {
  /** Wall-clock milliseconds since the Unix epoch. May jump; only for TTLs and timestamps. */
  now(): number;
  /** Milliseconds from an arbitrary origin that never run backwards; for timeouts and latencies. */
  monotonic(): number;
  /** Runs `action` once after `delayMs`. Timers never keep the process alive by themselves. */
  setTimer(delayMs: number, action: () => void): Timer;
}

export interface Timer {
  cancel(): void;
}

/** setTimeout holds at most 2^31 - 1 ms; a longer delay is waited for in legs. */
const TIMER_LEG_MS_MAX = 2 ** 31 - 1;

export class SystemClock implements Clock {
  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now();
  }

  setTimer(delayMs: number, action: () => void): Timer {
    const due = performance.now() + delayMs;
    const arm = (leg: number): NodeJS.Timeout =>
      setTimeout(
        () => {
          const left = due - performance.now();
          if (left > 1) handle = arm(left);
          else action();
        },
        Math.min(Math.max(leg, 0), TIMER_LEG_MS_MAX),
      ).unref();
    let handle = arm(delayMs);
    return { cancel: () => clearTimeout(handle) };
  }
}

interface PendingTimer {
  dueMs: number;
  order: number;
  action: () => void;
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Reads "250ms", "30s", "5m", "1h", "7d" or a plain number of milliseconds. @throws RangeError otherwise */
export function parseDurationMs(text: string | number): number {
  if (typeof text === "number") return text;
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*$/.exec(text);
  if (match === null) throw new RangeError(`not a duration: '${text}' (try 250ms, 30s, 5m, 1h, 7d)`);
  return Number(match[1]) * (UNITS_MS[match[2] ?? "ms"] as number);
}

/** A clock that moves only when told to. Starts at a fixed instant so that runs repeat exactly. */
export class ManualClock implements Clock {
  private elapsedMs = 0;
  private wallMs: number;
  private order = 0;
  private readonly pending: PendingTimer[] = [];

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.wallMs = startMs;
  }

  now(): number {
    return this.wallMs;
  }

  monotonic(): number {
    return this.elapsedMs;
  }

  setTimer(delayMs: number, action: () => void): Timer {
    const timer: PendingTimer = { dueMs: this.elapsedMs + Math.max(0, delayMs), order: this.order++, action };
    this.pending.push(timer);
    return {
      cancel: () => {
        const index = this.pending.indexOf(timer);
        if (index >= 0) this.pending.splice(index, 1);
      },
    };
  }

  /** Moves time on, firing every timer that falls due, in order of due time. */
  advance(by: string | number): void {
    const target = this.elapsedMs + parseDurationMs(by);
    for (;;) {
      const next = this.earliest(target);
      if (next === undefined) break;
      this.pending.splice(this.pending.indexOf(next), 1);
      this.moveTo(next.dueMs);
      next.action();
    }
    this.moveTo(target);
  }

  /** Makes the wall clock jump (as NTP or an operator might) without any time passing. */
  jump(byMs: number): void {
    this.wallMs += byMs;
  }

  private moveTo(elapsedMs: number): void {
    this.wallMs += elapsedMs - this.elapsedMs;
    this.elapsedMs = elapsedMs;
  }

  private earliest(limitMs: number): PendingTimer | undefined {
    let best: PendingTimer | undefined;
    for (const timer of this.pending) {
      if (timer.dueMs > limitMs) continue;
      if (
        best === undefined ||
        timer.dueMs < best.dueMs ||
        (timer.dueMs === best.dueMs && timer.order < best.order)
      ) {
        best = timer;
      }
    }
    return best;
  }
}
