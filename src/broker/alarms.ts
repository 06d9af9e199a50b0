import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Engine } from "../engine/engine.ts";

const CHECK_MS = 250;
/** Disk space is asked for every so many checks. */
const DISK_EVERY = 8;

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
    const { messagesPress, residentBytes, memoryBytesMax } = this.sources;
    const resident = residentBytes();
    // Raised at the mark, cleared a tenth below it, so that it does not flap.
    const mark = this.raised.has("memory") ? memoryBytesMax * 0.9 : memoryBytesMax;
    const pressed = messagesPress() || resident > mark;
    this.set("memory", pressed ? "low on memory" : null);
    if (this.checks++ % DISK_EVERY === 0) this.checkDisk();
    this.timer = this.sources.clock.setTimer(CHECK_MS, () => this.check());
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
