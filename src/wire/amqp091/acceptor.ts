import type { Timer } from "../../base/clock.ts";
import type { AlarmListener } from "../../broker/index.ts";
import type { ConnectionAcceptor, ConnectionHandler, Transport } from "../../net/transport.ts";
import type { ProtocolContext } from "../protocol.ts";
import { AmqpConnection } from "./connection.ts";
import type { AlarmState } from "./open.ts";

/** Half the shortest heartbeat interval that a client can ask for. */
const SWEEP_MS = 500;
const PUBLISH_HEAD_BYTES = 64 * 1024;

/** Accepts AMQP 0-9-1 connections of one listener, and keeps their time with one timer for all. */
export class AmqpAcceptor implements ConnectionAcceptor {
  readonly remainderBytesMax: number;
  private readonly context: ProtocolContext;
  private readonly alarm: AlarmState;
  private readonly alarmListener: AlarmListener = { alarm: (reason) => this.alarmChanged(reason) };
  private readonly connections = new Set<AmqpConnection>();
  private timer: Timer | null = null;
  /** The event loop went round since the last sweep. */
  private turned = true;

  constructor(context: ProtocolContext) {
    this.context = context;
    // A body frame, with the method and header frames before it.
    this.remainderBytesMax = context.limits.frameBytesMax + PUBLISH_HEAD_BYTES;
    this.alarm = { reason: context.broker.alarm };
    context.broker.addAlarmListener(this.alarmListener);
  }

  accept(transport: Transport): ConnectionHandler {
    const connection = new AmqpConnection(
      this.context,
      transport,
      this.alarm,
      this.remainderBytesMax,
      this.remove,
    );
    this.connections.add(connection);
    if (this.timer === null) this.arm();
    return connection;
  }

  close(): void {
    this.context.broker.removeAlarmListener(this.alarmListener);
    this.timer?.cancel();
    this.timer = null;
  }

  private readonly remove = (connection: AmqpConnection): void => {
    this.connections.delete(connection);
    if (this.connections.size > 0) return;
    this.timer?.cancel();
    this.timer = null;
  };

  /**
   * Only time in which sockets could have been read counts against a client: neither a pause of this
   * process nor an injected clock that jumps an hour ahead is anybody's silence.
   */
  private readonly sweep = (): void => {
    this.timer = null;
    if (this.turned) {
      this.turned = false;
      setImmediate(this.onTurn);
      for (const connection of this.connections) connection.tick(SWEEP_MS);
    }
    if (this.connections.size > 0) this.arm();
  };

  private readonly onTurn = (): void => {
    this.turned = true;
  };

  private arm(): void {
    this.timer = this.context.clock.setTimer(SWEEP_MS, this.sweep);
  }

  private alarmChanged(reason: string | null): void {
    this.alarm.reason = reason;
    for (const connection of this.connections) connection.alarmChanged(reason);
  }
}
