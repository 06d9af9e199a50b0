import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket, type TlsOptions } from "node:tls";
import type { Arrival, Entrance } from "./entrance.ts";
import { describeTls } from "./peer.ts";

/** Decrypts. The server behind it listens nowhere: it is handed its sockets. */
export class TlsEntrance implements Entrance {
  private readonly server: Server;
  private readonly next: Entrance;
  /** By both addresses: the decrypted socket does not say which one it was made of. */
  private readonly handshakes = new Map<string, Arrival>();

  constructor(options: TlsOptions, next: Entrance) {
    this.next = next;
    this.server = createServer(options, (socket) => this.decrypted(socket));
    // A handshake that fails is the client's to look into; its socket is closed.
    this.server.on("tlsClientError", () => {});
  }

  admit(socket: Socket, arrival: Arrival): void {
    const key = keyOf(socket);
    this.handshakes.set(key, arrival);
    socket.on("close", () => {
      if (this.handshakes.get(key) === arrival) this.handshakes.delete(key);
    });
    this.server.emit("connection", socket);
  }

  private decrypted(socket: TLSSocket): void {
    const key = keyOf(socket);
    const arrival = this.handshakes.get(key);
    this.handshakes.delete(key);
    socket.on("error", () => {});
    if (arrival === undefined) {
      socket.destroy();
      return;
    }
    arrival.tls = describeTls(socket);
    this.next.admit(socket, arrival);
  }
}

function keyOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`;
}
