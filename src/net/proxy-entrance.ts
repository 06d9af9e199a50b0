import { type BlockList, isIPv6, type Socket } from "node:net";
import type { Arrival, Entrance } from "./entrance.ts";
import { readFirstBytes } from "./first-bytes.ts";
import { isLoopback, unmapped } from "./peer.ts";
import { type ProxyHeader, parseProxyHeader } from "./proxy-header.ts";

/** Learns from a proxy in front of the broker who the client is. Whoever comes without one is refused. */
export class ProxyEntrance implements Entrance {
  /** Who may say so; null: anybody. */
  private readonly trusted: BlockList | null;
  private readonly next: Entrance;

  constructor(trusted: BlockList | null, next: Entrance) {
    this.trusted = trusted;
    this.next = next;
  }

  admit(socket: Socket, arrival: Arrival): void {
    const address = arrival.peer.remoteAddress;
    if (this.trusted?.check(address, isIPv6(address) ? "ipv6" : "ipv4") === false) {
      arrival.refuse(socket, "it comes from no trusted proxy");
      return;
    }
    const judge = (bytes: Buffer): { consumed: number } | "more" => {
      try {
        const header = parseProxyHeader(bytes);
        if (header === "more") return "more";
        introduce(arrival, header);
        return { consumed: header.length };
      } catch (error) {
        arrival.refuse(socket, (error as Error).message);
        return "more";
      }
    };
    readFirstBytes(socket, judge, () => this.next.admit(socket, arrival));
  }
}

function introduce(arrival: Arrival, { local, ends }: ProxyHeader): void {
  if (local) return;
  const { peer } = arrival;
  // The proxy may be on another machine and call its own loopback the client's; and whom it does not name may be anybody.
  const loopback = ends !== null && peer.loopback && isLoopback(unmapped(ends.remoteAddress));
  arrival.peer = { ...peer, ...ends, loopback };
}
