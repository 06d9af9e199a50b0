import type { Socket } from "node:net";
import { Connection, type ConnectionParts } from "./connection.ts";
import type { Arrival, Entrance } from "./entrance.ts";
import { adoptWithBuffer, RAW_FLOW } from "./raw-socket.ts";
import { SOCKET_FLOW, SocketStream } from "./socket-stream.ts";

/** The end of the way in: the socket becomes a connection of one protocol. */
export class ConnectionEntrance implements Entrance {
  readonly parts: ConnectionParts;
  readonly connections: Set<Connection>;

  constructor(parts: ConnectionParts, connections: Set<Connection>) {
    this.parts = parts;
    this.connections = connections;
  }

  admit(socket: Socket, arrival: Arrival): void {
    const connection = this.connect(arrival);
    if (arrival.tls === null && this.adopt(socket, connection)) return;
    connection.open(new SocketStream(socket), SOCKET_FLOW);
    bind(socket, connection);
    socket.on("data", (chunk: Buffer) => connection.onData(chunk));
    if (!connection.held) socket.resume();
  }

  /** A connection that is still to be opened. */
  connect(arrival: Arrival): Connection {
    arrival.settle();
    const connection = new Connection(arrival.peer, arrival.tls, this.parts);
    this.connections.add(connection);
    return connection;
  }

  private adopt(accepted: Socket, connection: Connection): boolean {
    const { arena, scratch } = this.parts;
    const first = accepted.read() as Buffer | null;
    const buffer = arena.bytes.subarray(scratch.at, scratch.at + scratch.size);
    const stream = adoptWithBuffer(accepted, buffer, (count) => connection.onBytes(count));
    if (stream === null) {
      if (first !== null) accepted.unshift(first);
      return false;
    }
    const { socket } = stream;
    connection.open(stream, RAW_FLOW);
    bind(socket, connection);
    if (first !== null) connection.onData(first);
    if (!connection.held) socket.read(0);
    return true;
  }
}

function bind(socket: Socket, connection: Connection): void {
  socket.setNoDelay(true);
  socket.on("error", (error) => connection.failed(error));
  socket.on("close", () => connection.closed());
  socket.on("end", () => connection.end());
}
