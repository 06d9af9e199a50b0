import { isIPv4, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Transport } from "./transport.ts";

/** Both ends of a connection, as the client and this broker see them. */
export interface Peer {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** The client is on this machine, whatever stands between it and the socket. */
  readonly loopback: boolean;
}

export function peerOf(socket: Socket): Peer {
  const remoteAddress = unmapped(socket.remoteAddress ?? "");
  return {
    remoteAddress,
    remotePort: socket.remotePort ?? 0,
    localAddress: unmapped(socket.localAddress ?? ""),
    localPort: socket.localPort ?? 0,
    loopback: isLoopback(remoteAddress),
  };
}

/** A socket that listens for both families calls IPv4 ::ffff:192.0.2.1. */
export function unmapped(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}

export function isLoopback(address: string): boolean {
  return address === "::1" || (address.startsWith("127.") && isIPv4(address));
}

export function describeTls(socket: TLSSocket): Transport["tls"] {
  const name = socket.authorized ? socket.getPeerCertificate()?.subject?.CN : undefined;
  return { peerName: (Array.isArray(name) ? name[0] : name) ?? null, version: socket.getProtocol() ?? "TLS" };
}
