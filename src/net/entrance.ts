import type { Socket } from "node:net";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { type Peer, peerOf } from "./peer.ts";
import type { Transport } from "./transport.ts";

/**
 * One step on the way from an accepted socket to a connection: each looks at the beginning of what the
 * client says and passes the socket on, as if nothing had been read from it.
 */
export interface Entrance {
  admit(socket: Socket, arrival: Arrival): void;
}

/** Connections that are open and may be, on all listeners that share it. */
export interface ConnectionBudget {
  open: number;
  readonly max: number;
}

/** Sockets that have been accepted and are no connections yet. */
export class Arrivals {
  readonly logger: Logger;
  private readonly clock: Clock;
  private readonly budget: ConnectionBudget;
  private readonly withinMs: number;
  private readonly waiting = new Set<Socket>();

  /** @param withinMs time in which each must have become a connection */
  constructor(clock: Clock, logger: Logger, budget: ConnectionBudget, withinMs: number) {
    this.clock = clock;
    this.logger = logger;
    this.budget = budget;
    this.withinMs = withinMs;
  }

  /** @returns null when there is no room: the socket is closed */
  enter(socket: Socket): Arrival | null {
    const { budget, logger } = this;
    if (budget.open >= budget.max) {
      logger.warn({ connectionMax: budget.max }, "connection refused: too many connections");
      socket.destroy();
      return null;
    }
    budget.open++;
    return new Arrival(peerOf(socket), logger);
  }

  /** Watches a socket for as long as it takes to find out what it wants. */
  watch(socket: Socket, arrival: Arrival): void {
    const { waiting, clock, budget } = this;
    waiting.add(socket);
    const timer = clock.setTimer(this.withinMs, () => {
      arrival.refuse(socket, "it has not said in time what it wants");
    });
    const leave = (): void => {
      waiting.delete(socket);
      timer.cancel();
    };
    arrival.left = leave;
    socket.on("close", () => {
      if (arrival.settled) return;
      leave();
      budget.open--;
    });
  }

  /** Nobody waits any longer. */
  close(): void {
    for (const socket of this.waiting) socket.destroy();
  }
}

/** A client on its way in: what is known of it so far. */
export class Arrival {
  /** A proxy may know better. */
  peer: Peer;
  tls: Transport["tls"] = null;
  /** It has become a connection. */
  settled = false;
  left: () => void = () => {};
  private readonly logger: Logger;

  constructor(peer: Peer, logger: Logger) {
    this.peer = peer;
    this.logger = logger;
  }

  settle(): void {
    this.settled = true;
    this.left();
  }

  refuse(socket: Socket, reason: string): void {
    const { remoteAddress, remotePort } = this.peer;
    if (!socket.destroyed)
      this.logger.warn({ client: `${remoteAddress}:${remotePort}`, reason }, "connection refused");
    socket.destroy();
  }
}
