import { createServer, type Server, type Socket } from "node:net";
import type { Arena } from "../base/arena.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Turn } from "../base/turn.ts";
import type { Connection, Scratch } from "./connection.ts";
import { Arrivals, type ConnectionBudget, type Entrance } from "./entrance.ts";
import { type Offering, openEntrance } from "./offering.ts";

/** How often it is looked whether all connections have gone. */
const LOOK_MS = 2;
/**
 * As often at least, however short the grace: time for what takes no waiting. Counted and not measured, since in a time
 * in which this process stood still nobody could say goodbye.
 */
const GOODBYE_LOOKS = 25;
/** For sockets that were cut to be gone. */
const CUT_MS_MAX = 1000;

export interface ListenerOptions {
  /** What the listener is called. */
  readonly name: string;
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly offering: Offering;
  readonly arena: Arena;
  readonly scratch: Scratch;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly outputHighWaterBytes: number;
  /** Time for what comes before a protocol has its connection: TLS, a proxy's header, an HTTP request. */
  readonly handshakeMsMax: number;
  /** Connections beyond it are closed at once. */
  readonly budget: ConnectionBudget;
}

/** Accepts connections on one address. */
export class Listener {
  readonly address: { readonly host: string; readonly port: number };
  private readonly server: Server;
  private readonly connections: Set<Connection>;
  private readonly arrivals: Arrivals;

  private constructor(
    server: Server,
    connections: Set<Connection>,
    arrivals: Arrivals,
    address: { readonly host: string; readonly port: number },
  ) {
    this.server = server;
    this.connections = connections;
    this.arrivals = arrivals;
    this.address = address;
  }

  /** @throws the system's error, e.g. EADDRINUSE */
  static async listen(options: ListenerOptions): Promise<Listener> {
    const connections = new Set<Connection>();
    const { name, host, port, offering, clock, logger, budget } = options;
    const facts = { name, host, port, secure: offering.tls !== undefined && offering.kind !== "shared" };
    const entrance = await openEntrance(offering, {
      parts: partsOf(options, connections),
      listener: facts,
      connections,
    });
    const arrivals = new Arrivals(clock, logger, budget, options.handshakeMsMax);
    const server: Server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
      socket.on("error", () => {});
      // It was on its way when the listener stopped.
      if (server.listening) admit(socket, arrivals, entrance);
      else socket.destroy();
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port, backlog: 4096 }, () => {
        server.removeListener("error", reject);
        resolve();
      });
    });
    server.on("error", (error) => logger.error({ error: error.message }, "accepting failed"));
    const address = server.address();
    if (typeof address === "object" && address !== null) facts.port = address.port;
    return new Listener(server, connections, arrivals, facts);
  }

  get connectionCount(): number {
    return this.connections.size;
  }

  /** Accepts no more. */
  stop(): void {
    this.server.close();
    this.arrivals.close();
  }

  /** Every connection finishes and says goodbye; those that are not gone after `graceMs` are cut. */
  async close(graceMs: number): Promise<void> {
    this.stop();
    for (const connection of this.connections) connection.shutdown();
    await this.emptied(graceMs, GOODBYE_LOOKS);
    for (const connection of this.connections) connection.end(0);
    await new Promise(setImmediate);
    for (const connection of this.connections) connection.destroy();
    // A socket tells a little later that it is gone.
    await this.emptied(CUT_MS_MAX);
  }

  private async emptied(forMs: number, looksMin = 0): Promise<void> {
    const deadline = performance.now() + forMs;
    for (let looks = 0; looks < looksMin || performance.now() < deadline; looks++) {
      if (this.connections.size === 0) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
}

function admit(socket: Socket, arrivals: Arrivals, entrance: Entrance): void {
  const arrival = arrivals.enter(socket);
  if (arrival === null) return;
  entrance.admit(socket, arrival);
  if (!arrival.settled) arrivals.watch(socket, arrival);
}

function partsOf(options: ListenerOptions, connections: Set<Connection>) {
  const { arena, turn, clock, logger, scratch, outputHighWaterBytes, budget } = options;
  return {
    arena,
    turn,
    clock,
    logger,
    scratch,
    highWaterBytes: outputHighWaterBytes,
    closed: (connection: Connection) => {
      if (connections.delete(connection)) budget.open--;
    },
  };
}
