import type { BlockList } from "node:net";
import type { TlsOptions } from "node:tls";
import type { Connection, ConnectionParts } from "./connection.ts";
import { ConnectionEntrance } from "./connection-entrance.ts";
import type { Entrance } from "./entrance.ts";
import { ProxyEntrance } from "./proxy-entrance.ts";
import type { Recognition } from "./recognition.ts";
import { type Choice, recognisesHttp, recognisesTls, SharedEntrance } from "./shared-entrance.ts";
import { TlsEntrance } from "./tls-entrance.ts";
import type { ConnectionAcceptor, ListenerFacts } from "./transport.ts";
import { WebSocketEntrance, type WebSocketOptions, type WebSocketRoute } from "./websocket-entrance.ts";

/** One protocol, as a listener offers it. */
export interface SpokenProtocol {
  readonly acceptor: ConnectionAcceptor;
  /** For its connections to see as `transport.listener.options`. */
  readonly options?: object;
  readonly webSocket?: WebSocketRoute | undefined;
  readonly recognises?: ((first: Uint8Array) => Recognition) | undefined;
}

/** What a listener serves. */
export interface Offering {
  /**
   * `plain`: the one protocol, from the first byte. `websocket`: those that have a route, by path. `shared`:
   * all that can be recognised, TLS and WebSocket among them.
   */
  readonly kind: "plain" | "websocket" | "shared";
  readonly protocols: readonly SpokenProtocol[];
  /** With `shared` both are served: what is encrypted, and what is not. */
  readonly tls?: TlsOptions;
  readonly webSocket?: WebSocketOptions;
  /** Every connection begins with a header of the PROXY protocol, from one of these; null: from anybody. */
  readonly proxies?: BlockList | null;
}

interface Site {
  readonly parts: Omit<ConnectionParts, "acceptor" | "listener">;
  readonly listener: Omit<ListenerFacts, "options">;
  readonly connections: Set<Connection>;
}

/** The way in for a listener's sockets, from the connections outwards. */
export async function openEntrance(offering: Offering, site: Site): Promise<Entrance> {
  const inner = await speak(offering, site);
  const { tls, proxies } = offering;
  const decrypted = tls === undefined || offering.kind === "shared" ? inner : new TlsEntrance(tls, inner);
  return proxies === undefined ? decrypted : new ProxyEntrance(proxies, decrypted);
}

async function speak(offering: Offering, site: Site): Promise<Entrance> {
  const { kind, protocols } = offering;
  if (kind === "websocket") return openWebSockets(offering, site);
  const choices = protocols.map((protocol) => ({ ...protocol, entrance: entranceOf(protocol, site) }));
  if (kind === "plain") {
    const [only] = choices;
    if (only === undefined || choices.length > 1)
      throw new RangeError("a plain listener speaks one protocol");
    return only.entrance;
  }
  const clear: Choice[] = choices.flatMap(({ recognises, entrance }) =>
    recognises ? [{ recognises, entrance }] : [],
  );
  if (protocols.some(({ webSocket }) => webSocket !== undefined)) {
    clear.push({ recognises: recognisesHttp, entrance: await openWebSockets(offering, site) });
  }
  if (offering.tls === undefined) return new SharedEntrance(clear);
  const encrypted = new TlsEntrance(offering.tls, new SharedEntrance(clear));
  return new SharedEntrance([...clear, { recognises: recognisesTls, entrance: encrypted }]);
}

function openWebSockets({ protocols, webSocket: options }: Offering, site: Site): Promise<Entrance> {
  if (options === undefined) throw new RangeError("a listener for WebSockets needs their options");
  const ways = protocols.flatMap((protocol) =>
    protocol.webSocket === undefined ? [] : [{ ...protocol.webSocket, entrance: entranceOf(protocol, site) }],
  );
  return WebSocketEntrance.open(ways, options);
}

function entranceOf(
  { acceptor, options = {} }: SpokenProtocol,
  { parts, listener, connections }: Site,
): ConnectionEntrance {
  const facts: ListenerFacts = {
    name: listener.name,
    host: listener.host,
    secure: listener.secure,
    options,
    // Known once it listens.
    get port() {
      return listener.port;
    },
  };
  return new ConnectionEntrance({ ...parts, acceptor, listener: facts }, connections);
}
