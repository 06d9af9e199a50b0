import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import type { Arena } from "../base/arena.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Turn } from "../base/turn.ts";
import { Connection, type ConnectionParts, type Scratch } from "./connection.ts";
import { adoptWithBuffer } from "./raw-socket.ts";
import type { ConnectionAcceptor, ListenerFacts } from "./transport.ts";

/** Before connections are cut at a stop without grace. */
const GOODBYE_MS = 50;
/** For sockets that were cut to be gone. */
const CUT_MS_MAX = 1000;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Connections that are open and may be, on all listeners that share it. */
export interface ConnectionBudget {
  open: number;
  readonly max: number;
}

export interface ListenerOptions {
  /** What the listener is called. */
  readonly name: string;
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly tls?: TlsOptions;
  readonly acceptor: ConnectionAcceptor;
  /** For its connections to see as `transport.listener.options`. */
  readonly protocolOptions?: object;
  readonly arena: Arena;
  readonly scratch: Scratch;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly outputHighWaterBytes: number;
  /** Connections beyond it are closed at once. */
  readonly budget: ConnectionBudget;
}

/** Accepts connections on one address for one protocol. */
export class Listener {
  readonly address: { readonly host: string; readonly port: number };
  private readonly server: Server;
  private readonly connections: Set<Connection>;
  /** Of a TLS listener: every socket, also those whose handshake has not ended. */
  private readonly sockets: Set<Socket>;

  private constructor(
    server: Server,
    connections: Set<Connection>,
    sockets: Set<Socket>,
    address: { readonly host: string; readonly port: number },
  ) {
    this.server = server;
    this.connections = connections;
    this.sockets = sockets;
    this.address = address;
  }

  /** @throws the system's error, e.g. EADDRINUSE */
  static async listen(options: ListenerOptions): Promise<Listener> {
    const connections = new Set<Connection>();
    const sockets = new Set<Socket>();
    const { budget, logger } = options;
    const facts: Mutable<ListenerFacts> = factsOf(options);
    const parts = partsOf(options, facts, connections);
    const accept = (socket: Socket): void => {
      socket.on("error", () => {});
      if (!server.listening) {
        // It was on its way when the listener stopped.
        socket.destroy();
        return;
      }
      if (budget.open >= budget.max) {
        logger.warn({ connectionMax: budget.max }, "connection refused: too many connections");
        socket.destroy();
        return;
      }
      budget.open++;
      open(socket, parts, connections);
    };
    const server: Server =
      options.tls === undefined
        ? createServer({ pauseOnConnect: true, noDelay: true }, accept)
        : createTlsServer({ ...options.tls, handshakeTimeout: 10_000 }, accept);
    server.on("tlsClientError", () => {});
    if (options.tls !== undefined) track(server, sockets);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: options.host, port: options.port, backlog: 4096 }, () => {
        server.removeListener("error", reject);
        resolve();
      });
    });
    server.on("error", (error) => options.logger.error({ error: error.message }, "accepting failed"));
    const address = server.address();
    if (typeof address === "object" && address !== null) facts.port = address.port;
    return new Listener(server, connections, sockets, facts);
  }

  get connectionCount(): number {
    return this.connections.size;
  }

  /** Accepts no more. */
  stop(): void {
    this.server.close();
  }

  /** Every connection finishes and says goodbye; those that are not gone after `graceMs` are cut. */
  async close(graceMs: number): Promise<void> {
    this.stop();
    for (const connection of this.connections) connection.shutdown();
    // Without any grace there is still time for what takes no waiting.
    await this.emptied(Math.max(graceMs, GOODBYE_MS));
    for (const connection of this.connections) connection.end(0);
    await new Promise(setImmediate);
    for (const connection of this.connections) connection.destroy();
    for (const socket of this.sockets) socket.destroy();
    // A socket tells a little later that it is gone.
    await this.emptied(CUT_MS_MAX);
  }

  private async emptied(forMs: number): Promise<void> {
    const deadline = performance.now() + forMs;
    while (this.connections.size > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}

/** A TLS socket is nobody's connection before its handshake, which may never end. */
function track(server: Server, sockets: Set<Socket>): void {
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
}

function factsOf({ name, host, port, tls, protocolOptions = {} }: ListenerOptions): ListenerFacts {
  return { name, host, port, secure: tls !== undefined, options: protocolOptions };
}

function partsOf(
  options: ListenerOptions,
  listener: ListenerFacts,
  connections: Set<Connection>,
): ConnectionParts {
  return {
    listener,
    arena: options.arena,
    turn: options.turn,
    clock: options.clock,
    logger: options.logger,
    scratch: options.scratch,
    acceptor: options.acceptor,
    highWaterBytes: options.outputHighWaterBytes,
    closed: (connection) => {
      if (connections.delete(connection)) options.budget.open--;
    },
  };
}

function open(accepted: Socket, parts: ConnectionParts, connections: Set<Connection>): void {
  const connection = new Connection(accepted, parts);
  connections.add(connection);
  const { arena, scratch } = parts;
  if (connection.tls === null) {
    const buffer = arena.bytes.subarray(scratch.at, scratch.at + scratch.size);
    const adopted = adoptWithBuffer(accepted, buffer, (count) => connection.onBytes(count));
    if (adopted !== null) {
      connection.open(adopted);
      adopted.read(0);
      return;
    }
  }
  connection.open(accepted);
  accepted.on("data", (chunk: Buffer) => connection.onData(chunk));
  accepted.resume();
}
