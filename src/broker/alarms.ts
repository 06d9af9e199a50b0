import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Engine } from "../engine/engine.ts";

const CHECK_MS = 250;
/** Disk space is asked for every so many checks. */
const DISK_EVERY = 8;
/** 5 s of messages taking little memory, and what little and much are, as shares of what they may take. */
const LITTLE_CHECKS = 20;
const LITTLE = 0.25;
const MUCH = 0.5;
/** How far the process may grow beyond what it was found to take with little in it. */
const REUSE_FACTOR = 1.1;

/** A storage or memory alarm: publishers are held while any is raised. */
export interface AlarmListener {
  /** `reason` null: the last alarm was cleared. */
  alarm(reason: string | null): void;
}

export interface AlarmSources {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Messages fill the memory they may take and cannot go to disk fast enough. */
  readonly messagesPress: () => boolean;
  /** What messages take of the memory that they may take; 1 is all of it. */
  readonly messagesShare: () => number;
  readonly residentBytes: () => number;
  readonly memoryBytesMax: number;
  readonly diskFreeBytesMin: number;
}

type Kind = "memory" | "disk" | "storage";

/** What holds publishers back, and who is told. Consumers are never held: draining is the way out. */
export class Alarms {
  private readonly sources: AlarmSources;
  private readonly raised = new Map<Kind, string>();
  private readonly listeners = new Set<AlarmListener>();
  private timer: Timer | null = null;
  private checks = 0;
  private littleChecks = 0;
  /** Above the mark, up to this, with little in it: memory that is not given back, but used again. 0 when it is not so. */
  private reusableBytes = 0;
  /** The mark is below what an empty broker takes: somebody wants the alarm. */
  private wanted = false;
  private closed = false;

  constructor(sources: AlarmSources) {
    this.sources = sources;
  }

  get reason(): string | null {
    for (const text of this.raised.values()) return text;
    return null;
  }

  get kinds(): readonly string[] {
    return [...this.raised.keys()];
  }

  add(listener: AlarmListener): void {
    this.listeners.add(listener);
  }

  remove(listener: AlarmListener): void {
    this.listeners.delete(listener);
  }

  start(): void {
    this.wanted = this.sources.residentBytes() > this.sources.memoryBytesMax;
    this.timer = this.sources.clock.setTimer(CHECK_MS, () => this.check());
    this.checkDisk();
  }

  stop(): void {
    this.closed = true;
    this.timer?.cancel();
  }

  /** The engine cannot write (reason), or can again (null). */
  storage(reason: string | null): void {
    this.set("storage", reason);
  }

  private check(): void {
    const pressed = this.sources.messagesPress() || this.swollen();
    this.set("memory", pressed ? "low on memory" : null);
    if (this.checks++ % DISK_EVERY === 0) this.checkDisk();
    this.timer = this.sources.clock.setTimer(CHECK_MS, () => this.check());
  }

  /**
   * The process takes too much memory, and holding publishers helps. A process that has grown seldom gives memory
   * back to the system, however much of it is free again: an alarm that waited for that could last for ever. When
   * consumers have drained what there was and it is still there, publishers may fill it once more.
   */
  private swollen(): boolean {
    const { residentBytes, messagesShare, memoryBytesMax } = this.sources;
    const resident = residentBytes();
    const raised = this.raised.has("memory");
    // Raised at the mark, cleared a tenth below it, so that it does not flap.
    if (resident <= (raised ? memoryBytesMax * 0.9 : memoryBytesMax)) {
      this.reusableBytes = this.littleChecks = 0;
      return false;
    }
    const share = messagesShare();
    if (this.reusableBytes > 0) {
      if (share < MUCH && resident <= this.reusableBytes) return false;
      this.reusableBytes = this.littleChecks = 0;
    }
    this.littleChecks = raised && !this.wanted && share < LITTLE ? this.littleChecks + 1 : 0;
    if (this.littleChecks < LITTLE_CHECKS) return true;
    this.reusableBytes = resident * REUSE_FACTOR;
    return false;
  }

  private checkDisk(): void {
    const { engine, diskFreeBytesMin, logger } = this.sources;
    engine.freeBytes().then(
      (free) => {
        if (this.closed) return;
        const mark = this.raised.has("disk") ? diskFreeBytesMin * 1.1 : diskFreeBytesMin;
        this.set("disk", free < mark ? "low on disk" : null);
      },
      (error: Error) => logger.warn({ error: error.message }, "free disk space is not known"),
    );
  }

  private set(kind: Kind, reason: string | null): void {
    const before = this.reason;
    if (reason === null) {
      if (!this.raised.delete(kind)) return;
      this.sources.logger.info({ kind }, "alarm cleared");
    } else {
      if (this.raised.get(kind) === reason) return;
      this.raised.set(kind, reason);
      this.sources.logger.warn({ kind, reason }, "alarm: publishers are held");
    }
    const now = this.reason;
    if (now === before) return;
    for (const listener of this.listeners) listener.alarm(now);
  }
}
