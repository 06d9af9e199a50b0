import type { Timer } from "../../base/clock.ts";
import type { AlarmListener } from "../../broker/index.ts";
import type { ConnectionAcceptor, ConnectionHandler, Transport } from "../../net/transport.ts";
import type { ProtocolContext } from "../protocol.ts";
import { MqttConnection, REMAINDER_BYTES_MAX, type Shared } from "./connection.ts";
import { Translator } from "./foreign.ts";
import type { AlarmState } from "./open.ts";
import type { MqttSettings } from "./settings.ts";
import { Space } from "./space.ts";

/** Keep-alive and session expiry count in seconds. */
const SWEEP_MS = 500;

/** Accepts MQTT connections, keeps the sessions of all namespaces, and their time with one timer for all. */
export class MqttAcceptor implements ConnectionAcceptor, Shared {
  readonly remainderBytesMax = REMAINDER_BYTES_MAX;
  readonly context: ProtocolContext<MqttSettings>;
  readonly translator: Translator;
  readonly alarm: AlarmState;
  private readonly alarmListener: AlarmListener = { alarm: (reason) => this.alarmChanged(reason) };
  private readonly connections = new Set<MqttConnection>();
  private readonly spaces = new Map<string, Space>();
  private timer: Timer;
  /** The event loop went round since the last sweep. */
  private turned = true;

  constructor(context: ProtocolContext<MqttSettings>) {
    this.context = context;
    this.translator = new Translator(context.readers);
    this.alarm = { reason: context.broker.alarm };
    context.broker.addAlarmListener(this.alarmListener);
    // Sessions expire and wills fall due whether anybody connects or not.
    for (const namespace of context.broker.namespaces()) this.space(namespace);
    this.timer = this.arm();
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
    this.connections.delete(connection);
  }

  close(): void {
    this.context.broker.removeAlarmListener(this.alarmListener);
    this.timer.cancel();
    for (const space of this.spaces.values()) space.close();
  }

  /**
   * Only time in which sockets could have been read counts against a client: a pause of this process is
   * nobody's silence.
   */
  private readonly sweep = (): void => {
    if (this.turned) {
      this.turned = false;
      setImmediate(this.onTurn);
      for (const connection of this.connections) connection.tick(SWEEP_MS);
    }
    for (const space of this.spaces.values()) space.tick();
    this.timer = this.arm();
  };

  private readonly onTurn = (): void => {
    this.turned = true;
  };

  private arm(): Timer {
    return this.context.clock.setTimer(SWEEP_MS, this.sweep);
  }

  private alarmChanged(reason: string | null): void {
    this.alarm.reason = reason;
    for (const connection of this.connections) connection.alarmChanged(reason);
  }
}
