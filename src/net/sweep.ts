import type { Clock, Timer } from "../base/clock.ts";

/** What a sweep tells that time has passed. */
export interface Swept {
  tick(elapsedMs: number): void;
}

/**
 * Keeps the time of all connections of a protocol with one timer, which runs while there are any. Only
 * time in which sockets could have been read counts against a client: neither a pause of this process nor
 * an injected clock that jumps an hour ahead is anybody's silence.
 */
export class Sweep<C extends Swept> {
  private readonly clock: Clock;
  private readonly everyMs: number;
  private readonly all = new Set<C>();
  private timer: Timer | null = null;
  /** The event loop went round since the last sweep. */
  private turned = true;

  constructor(clock: Clock, everyMs: number) {
    this.clock = clock;
    this.everyMs = everyMs;
  }

  [Symbol.iterator](): Iterator<C> {
    return this.all.values();
  }

  add(connection: C): void {
    this.all.add(connection);
    if (this.timer === null) this.arm();
  }

  remove(connection: C): void {
    this.all.delete(connection);
    if (this.all.size === 0) this.stop();
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = null;
  }

  private readonly run = (): void => {
    this.timer = null;
    if (this.turned) {
      this.turned = false;
      setImmediate(this.onTurn);
      for (const connection of this.all) connection.tick(this.everyMs);
    }
    if (this.all.size > 0) this.arm();
  };

  private readonly onTurn = (): void => {
    this.turned = true;
  };

  private arm(): void {
    this.timer = this.clock.setTimer(this.everyMs, this.run);
  }
}
