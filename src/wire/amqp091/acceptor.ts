import type { AlarmListener } from "../../broker/index.ts";
import { Sweep } from "../../net/sweep.ts";
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
  private readonly connections: Sweep<AmqpConnection>;

  constructor(context: ProtocolContext) {
    this.context = context;
    this.connections = new Sweep(context.clock, SWEEP_MS);
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
    return connection;
  }

  close(): void {
    this.context.broker.removeAlarmListener(this.alarmListener);
    this.connections.stop();
  }

  private readonly remove = (connection: AmqpConnection): void => this.connections.remove(connection);

  private alarmChanged(reason: string | null): void {
    this.alarm.reason = reason;
    for (const connection of this.connections) connection.alarmChanged(reason);
  }
}
