import type { AlarmListener } from "../../broker/index.ts";
import { Sweep } from "../../net/sweep.ts";
import type { ConnectionAcceptor, ConnectionHandler, Transport } from "../../net/transport.ts";
import type { ProtocolContext } from "../protocol.ts";
import { type Alarm, StompConnection } from "./connection.ts";
import { REMAINDER_BYTES_MAX } from "./input.ts";

/** Half the shortest heart-beat interval. */
const SWEEP_MS = 250;

/** Accepts STOMP connections, and keeps their time with one timer for all. */
export class StompAcceptor implements ConnectionAcceptor {
  readonly remainderBytesMax = REMAINDER_BYTES_MAX;
  private readonly context: ProtocolContext;
  private readonly alarm: Alarm;
  private readonly alarmListener: AlarmListener = { alarm: (reason) => this.alarmChanged(reason) };
  private readonly connections: Sweep<StompConnection>;

  constructor(context: ProtocolContext) {
    this.context = context;
    this.connections = new Sweep(context.clock, SWEEP_MS);
    this.alarm = { reason: context.broker.alarm };
    context.broker.addAlarmListener(this.alarmListener);
  }

  accept(transport: Transport): ConnectionHandler {
    const connection = new StompConnection(this.context, transport, this.alarm, this.remove);
    this.connections.add(connection);
    return connection;
  }

  close(): void {
    this.context.broker.removeAlarmListener(this.alarmListener);
    this.connections.stop();
  }

  private readonly remove = (connection: StompConnection): void => this.connections.remove(connection);

  private alarmChanged(reason: string | null): void {
    this.alarm.reason = reason;
    for (const connection of this.connections) connection.alarmChanged(reason);
  }
}
