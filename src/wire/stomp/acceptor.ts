import type { Timer } from "../../base/clock.ts";
import type { AlarmListener } from "../../broker/index.ts";
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
  private readonly connections = new Set<StompConnection>();
  private timer: Timer | null = null;
  /** The event loop went round since the last sweep. */
  private turned = true;

  constructor(context: ProtocolContext) {
    this.context = context;
    this.alarm = { reason: context.broker.alarm };
    context.broker.addAlarmListener(this.alarmListener);
  }

  accept(transport: Transport): ConnectionHandler {
    const connection = new StompConnection(this.context, transport, this.alarm, this.remove);
    this.connections.add(connection);
    if (this.timer === null) this.arm();
    return connection;
  }

  close(): void {
    this.context.broker.removeAlarmListener(this.alarmListener);
    this.timer?.cancel();
    this.timer = null;
  }

  private readonly remove = (connection: StompConnection): void => {
    this.connections.delete(connection);
    if (this.connections.size > 0) return;
    this.timer?.cancel();
    this.timer = null;
  };

  /** Only time in which sockets could have been read counts against a client. */
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
