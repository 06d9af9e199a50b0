import type { Clock } from "../../base/clock.ts";
import { memoryUsage } from "../../base/process-memory.ts";
import type { Broker } from "../../broker/index.ts";
import { Content, nativeBytes } from "./message.ts";

const MINUTES = [1, 5, 15] as const;
const NONE = new Uint8Array(0);

/** What all MQTT connections have done since the start. */
export class Traffic {
  publishesReceived = 0;
  publishesSent = 0;
  packetsReceived = 0;
  /** Of PUBLISH packets: of what comes all behind the fixed header, of what goes the payload. */
  bytesReceived = 0;
  bytesSent = 0;
}

/** What else the statistics tell of, as of now. */
export interface Census {
  readonly connected: number;
  readonly sessions: number;
  readonly subscriptions: number;
  readonly retained: number;
}

/** A client that reads statistics. */
export interface SysWatcher {
  sysPublished(content: Content, retained: boolean): void;
}

export interface SysParts {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly traffic: Traffic;
  /** "PolyMQ 0.1.0" */
  readonly version: string;
  readonly census: () => Census;
}

/**
 * Statistics below `$SYS/broker`, under the names that mosquitto gave them. They are nobody's messages: not
 * routed, not stored, and told only to those who ask for them by name.
 */
export class Sys {
  private readonly parts: SysParts;
  private readonly watchers = new Set<SysWatcher>();
  private readonly startedMs: number;
  private readonly loads = new Map<string, number>();
  private lastMs: number;
  private lastReceived = 0;
  private lastSent = 0;
  private readonly content = new Content();

  constructor(parts: SysParts) {
    this.parts = parts;
    this.startedMs = parts.clock.monotonic();
    this.lastMs = this.startedMs;
  }

  /** `watcher` is told of every publication from here on, and of the state now as retained messages. */
  watch(watcher: SysWatcher): void {
    this.watchers.add(watcher);
    for (const [topic, value] of this.values()) this.tell(watcher, topic, value, true);
  }

  unwatch(watcher: SysWatcher): void {
    this.watchers.delete(watcher);
  }

  /** Called in intervals. */
  publish(): void {
    this.measureLoad();
    if (this.watchers.size === 0) return;
    for (const [topic, value] of this.values()) {
      for (const watcher of this.watchers) this.tell(watcher, topic, value, false);
    }
  }

  private tell(watcher: SysWatcher, topic: string, value: string, retained: boolean): void {
    const native = nativeBytes({
      qos: 0,
      retain: false,
      publisher: null,
      topic: Buffer.from(`$SYS/broker/${topic}`),
      properties: NONE,
      hasExpiry: false,
      payload: Buffer.from(value),
    });
    this.content.locate(native, 0, native.length);
    watcher.sysPublished(this.content, retained);
  }

  private *values(): Iterable<[topic: string, value: string]> {
    const { broker, clock, traffic, version, census } = this.parts;
    const { connected, sessions, subscriptions, retained } = census();
    const { dropped } = broker.counters;
    yield ["version", version];
    yield ["uptime", `${Math.floor((clock.monotonic() - this.startedMs) / 1000)} seconds`];
    yield ["clients/connected", `${connected}`];
    yield ["clients/disconnected", `${sessions - connected}`];
    // What mosquitto called them before, and still does.
    yield ["clients/active", `${connected}`];
    yield ["clients/inactive", `${sessions - connected}`];
    yield ["clients/total", `${sessions}`];
    yield ["messages/received", `${traffic.packetsReceived}`];
    yield ["publish/messages/received", `${traffic.publishesReceived}`];
    yield ["publish/messages/sent", `${traffic.publishesSent}`];
    yield ["publish/messages/dropped", `${dropped.slow + dropped.offline}`];
    yield ["publish/bytes/received", `${traffic.bytesReceived}`];
    yield ["publish/bytes/sent", `${traffic.bytesSent}`];
    yield ["subscriptions/count", `${subscriptions}`];
    yield ["retained messages/count", `${retained}`];
    yield ["heap/current", `${memoryUsage().heapUsed}`];
    for (const [name, value] of this.loads) yield [`load/${name}`, value.toFixed(2)];
  }

  /** Publishes per minute, as moving averages over 1, 5 and 15 minutes. */
  private measureLoad(): void {
    const { clock, traffic } = this.parts;
    const now = clock.monotonic();
    const minutes = Math.max(1e-6, (now - this.lastMs) / 60_000);
    const received = (traffic.publishesReceived - this.lastReceived) / minutes;
    const sent = (traffic.publishesSent - this.lastSent) / minutes;
    this.lastMs = now;
    this.lastReceived = traffic.publishesReceived;
    this.lastSent = traffic.publishesSent;
    for (const span of MINUTES) {
      this.average(`publish/received/${span}min`, received, minutes / span);
      this.average(`publish/sent/${span}min`, sent, minutes / span);
    }
  }

  private average(name: string, rate: number, share: number): void {
    const before = this.loads.get(name) ?? 0;
    this.loads.set(name, before + (rate - before) * (1 - Math.exp(-share)));
  }
}
