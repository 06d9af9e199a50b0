import type { Peer } from "./api.ts";
import type { KafkaListenerOptions } from "./settings.ts";

/**
 * Where clients of this connection are told to go: what is configured for the listener, else what they came
 * to themselves, which they can reach unless something translates addresses on the way.
 */
export function advertisedAddress(peer: Peer): { host: string; port: number } {
  const { advertised } = peer.listener.options as KafkaListenerOptions;
  if (advertised !== null) return { host: advertised.host, port: advertised.port ?? peer.localPort };
  // Some clients put host and port together with a colon between them, and take them apart again.
  const host = peer.localAddress === "::1" ? "localhost" : peer.localAddress;
  return { host, port: peer.localPort };
}
