import type { Timer } from "../../base/clock.ts";
import type { AlarmListener } from "../../broker/index.ts";
import { Sweep } from "../../net/sweep.ts";
import type { ConnectionAcceptor, ConnectionHandler, Transport } from "../../net/transport.ts";
import type { ProtocolContext } from "../protocol.ts";
import { type Host, MqttConnection, REMAINDER_BYTES_MAX } from "./connection.ts";
import { Translator } from "./foreign.ts";
import type { AlarmState } from "./open.ts";
import type { MqttSettings } from "./settings.ts";
import { Space } from "./space.ts";
import { type Census, Sys, Traffic } from "./sys.ts";

/** Keep-alive and session expiry count in seconds. */
const SWEEP_MS = 500;

/** Accepts MQTT connections, keeps the sessions of all namespaces, and their time with one timer for all. */
export class MqttAcceptor implements ConnectionAcceptor, Host {
  readonly remainderBytesMax = REMAINDER_BYTES_MAX;
  readonly context: ProtocolContext<MqttSettings>;
  readonly translator: Translator;
  readonly alarm: AlarmState;
  readonly traffic = new Traffic();
  readonly sys: Sys;
  private readonly alarmListener: AlarmListener = { alarm: (reason) => this.alarmChanged(reason) };
  private readonly connections: Sweep<MqttConnection>;
  private readonly spaces = new Map<string, Space>();
  private timer: Timer;
  private sysTimer: Timer | null = null;

  constructor(context: ProtocolContext<MqttSettings>) {
    this.context = context;
    this.connections = new Sweep(context.clock, SWEEP_MS);
    this.translator = new Translator(context.readers, context.broker.counters);
    this.alarm = { reason: context.broker.alarm };
    context.broker.addAlarmListener(this.alarmListener);
    // Sessions expire and wills fall due whether anybody connects or not.
    for (const namespace of context.broker.namespaces()) this.space(namespace);
    this.timer = this.arm();
    const { broker, clock, platform } = context;
    const version = platform.split(",", 1)[0] as string;
    this.sys = new Sys({ broker, clock, traffic: this.traffic, version, census: () => this.census() });
    this.armSys();
  }

  private census(): Census {
    const total = { connected: 0, sessions: 0, subscriptions: 0, retained: 0 };
    for (const space of this.spaces.values()) space.count(total);
    return total;
  }

  private armSys(): void {
    const { clock, settings } = this.context;
    if (settings.sysIntervalMs === null) return;
    this.sysTimer = clock.setTimer(settings.sysIntervalMs, () => {
      this.sys.publish();
      this.armSys();
    });
  }

  /** @throws BrokerError namespace-not-found */
  space(namespace: string): Space {
    let space = this.spaces.get(namespace);
    if (space === undefined) {
      space = new Space(namespace, this.context);
      this.spaces.set(namespace, space);
    }
    return space;
  }

  accept(transport: Transport): ConnectionHandler {
    const connection = new MqttConnection(this, transport);
    this.connections.add(connection);
    return connection;
  }

  removed(connection: MqttConnection): void {
    this.connections.remove(connection);
  }

  close(): void {
    this.context.broker.removeAlarmListener(this.alarmListener);
    this.connections.stop();
    this.timer.cancel();
    this.sysTimer?.cancel();
    for (const space of this.spaces.values()) space.close();
  }

  private readonly tickSpaces = (): void => {
    for (const space of this.spaces.values()) space.tick();
    this.timer = this.arm();
  };

  private arm(): Timer {
    return this.context.clock.setTimer(SWEEP_MS, this.tickSpaces);
  }

  private alarmChanged(reason: string | null): void {
    this.alarm.reason = reason;
    for (const connection of this.connections) connection.alarmChanged(reason);
  }
}
