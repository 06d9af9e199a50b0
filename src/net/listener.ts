import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import type { Arena } from "../base/arena.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Turn } from "../base/turn.ts";
import { Connection, type ConnectionParts, type Scratch } from "./connection.ts";
import { adoptWithBuffer } from "./raw-socket.ts";
import type { ConnectionAcceptor } from "./transport.ts";

/** More than this leaves the processor's cache and measured slower. */
const READ_BYTES = 64 * 1024;

export interface ListenerOptions {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly tls?: TlsOptions;
  readonly acceptor: ConnectionAcceptor;
  readonly arena: Arena;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly outputHighWaterBytes: number;
  /** Connections of this listener at most; more are closed at once. */
  readonly connectionsMax: number;
}

/** Accepts connections on one address for one protocol. */
export class Listener {
  readonly address: { readonly host: string; readonly port: number };
  private readonly server: Server;
  private readonly connections: Set<Connection>;

  private constructor(server: Server, connections: Set<Connection>, host: string, port: number) {
    this.server = server;
    this.connections = connections;
    this.address = { host, port };
  }

  /** @throws the system's error, e.g. EADDRINUSE */
  static async listen(options: ListenerOptions): Promise<Listener> {
    const connections = new Set<Connection>();
    const parts = partsOf(options, connections);
    const accept = (socket: Socket): void => {
      socket.on("error", () => {});
      if (connections.size >= options.connectionsMax) {
        options.logger.warn(
          { connectionsMax: options.connectionsMax },
          "connection refused: too many connections",
        );
        socket.destroy();
        return;
      }
      open(socket, parts, connections);
    };
    const server =
      options.tls === undefined
        ? createServer({ pauseOnConnect: true, noDelay: true }, accept)
        : createTlsServer({ ...options.tls, handshakeTimeout: 10_000 }, accept);
    server.on("tlsClientError", () => {});
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: options.host, port: options.port, backlog: 4096 }, () => {
        server.removeListener("error", reject);
        resolve();
      });
    });
    server.on("error", (error) => options.logger.error({ error: error.message }, "accepting failed"));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : options.port;
    return new Listener(server, connections, options.host, port);
  }

  get connectionCount(): number {
    return this.connections.size;
  }

  /** Accepts no more. */
  stop(): void {
    this.server.close();
  }

  /** Closes every connection; those that do not go within `graceMs` are cut. */
  async close(graceMs: number): Promise<void> {
    this.stop();
    for (const connection of this.connections) connection.end(graceMs);
    const deadline = performance.now() + graceMs;
    while (this.connections.size > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    for (const connection of this.connections) connection.destroy();
  }
}

function partsOf(options: ListenerOptions, connections: Set<Connection>): ConnectionParts {
  const headroom = options.acceptor.remainderBytesMax;
  const base = options.arena.reserve(headroom + READ_BYTES);
  const scratch: Scratch = { at: base + headroom, size: READ_BYTES, headroom };
  return {
    arena: options.arena,
    turn: options.turn,
    clock: options.clock,
    scratch,
    acceptor: options.acceptor,
    highWaterBytes: options.outputHighWaterBytes,
    closed: (connection) => connections.delete(connection),
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
