/**
 * What to do when the disk takes no writes: nothing is lost and nothing overtakes. The same
 * operation is tried again until it works; meanwhile the observer knows, and the reserve is given up
 * so that consumers can go on settling, which is what makes room in the end.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import { errorCode, isFull, isRetriable } from "./disk.ts";
import type { SparePool } from "./spare-pool.ts";

const BACKOFF_MS_MIN = 10;
const BACKOFF_MS_MAX = 1_000;

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "no space left on the disk",
  EDQUOT: "the disk quota is used up",
  EIO: "the disk reports input/output errors",
  EMFILE: "too many open files",
  ENFILE: "too many open files on this system",
};

export interface PressureHooks {
  changed(reason: string | null): void;
  freeBytes(): Promise<number>;
}

export class Pressure {
  private readonly clock: Clock;
  private readonly spares: SparePool;
  private readonly reserveBytes: number;
  private readonly hooks: PressureHooks;
  private reason: string | null = null;
  private closing = false;
  private easing: Timer | null = null;
  private readonly sleepers = new Set<() => void>();

  constructor(clock: Clock, spares: SparePool, reserveBytes: number, hooks: PressureHooks) {
    this.clock = clock;
    this.spares = spares;
    this.reserveBytes = reserveBytes;
    this.hooks = hooks;
  }

  /**
   * Runs `attempt` until it works. `attempt` is told how often it failed before. Rejects with what
   * cannot be helped by waiting, and with anything at all once the engine is closing.
   */
  async retry(attempt: (failures: number) => Promise<void>): Promise<void> {
    let backoffMs = BACKOFF_MS_MIN;
    for (let failures = 0; ; failures++) {
      try {
        await attempt(failures);
        if (this.reason !== null) this.ease(0);
        return;
      } catch (error) {
        if (!isRetriable(error) || (this.closing && failures > 2)) throw error;
        this.set(REASONS[errorCode(error)] ?? `the disk refuses writes (${errorCode(error)})`);
        if (isFull(error) && (await this.spares.giveUp().catch(() => false))) continue;
        await this.sleep(backoffMs);
        backoffMs = Math.min(backoffMs * 2, BACKOFF_MS_MAX);
      }
    }
  }

  /** From now on a write that fails thrice is given up: an end must come to an end. */
  close(): void {
    this.closing = true;
    this.easing?.cancel();
    for (const wake of [...this.sleepers]) wake();
  }

  private set(reason: string | null): void {
    if (this.reason === reason) return;
    this.reason = reason;
    this.hooks.changed(reason);
  }

  /** Pressure ends when there is a reserve again: before that the next burst would bring it right back. */
  private ease(delayMs: number): void {
    if (this.easing !== null || this.closing) return;
    const again = (): void => {
      this.easing = null;
      this.restoreReserve().then(
        () => this.set(null),
        () => this.ease(Math.min(Math.max(delayMs * 2, BACKOFF_MS_MIN), BACKOFF_MS_MAX)),
      );
    };
    this.easing = this.clock.setTimer(delayMs, again);
  }

  private async restoreReserve(): Promise<void> {
    if (this.spares.hasReserve) return;
    if ((await this.hooks.freeBytes()) < 2 * this.reserveBytes) throw new Error("still short of space");
    await this.spares.buildReserve();
  }

  private sleep(delayMs: number): Promise<void> {
    if (this.closing) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel();
        this.sleepers.delete(wake);
        resolve();
      };
      const timer = this.clock.setTimer(delayMs, wake);
      this.sleepers.add(wake);
    });
  }
}
