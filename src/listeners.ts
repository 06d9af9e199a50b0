import { readFile } from "node:fs/promises";
import type { TlsOptions } from "node:tls";
import type { Arena } from "./base/arena.ts";
import { ConfigError } from "./config/sources.ts";
import {
  type ClientPort,
  flagName,
  isSecure,
  listenerName,
  type OptionName,
  type Settings,
} from "./config.ts";
import { reserveScratch } from "./net/connection.ts";
import { Listener, type ListenerOptions } from "./net/listener.ts";
import type { Offering, SpokenProtocol } from "./net/offering.ts";
import type { ConnectionAcceptor } from "./net/transport.ts";
import { PROTOCOLS, type ProtocolEntry } from "./protocols.ts";
import type { ProtocolContext } from "./wire/protocol.ts";

const WEBSOCKET_PORTS = ["wsPort", "wssPort"] as const;
/** What stands around the largest message, when each is one WebSocket message. */
const WEBSOCKET_HEAD_BYTES = 256 * 1024;

/** A port that could not be opened, with the options that say which one it is. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly code: string;
  readonly host: string;
  readonly port: number;
  readonly portOption: OptionName;
  readonly hostOption: OptionName;

  constructor(cause: Error, host: string, port: number, portOption: OptionName, hostOption: OptionName) {
    super(`cannot listen on ${host} port ${port}: ${cause.message}`, { cause });
    this.code = (cause as NodeJS.ErrnoException).code ?? "";
    this.host = host;
    this.port = port;
    this.portOption = portOption;
    this.hostOption = hostOption;
  }
}

export interface ClientListenersParts {
  readonly settings: Settings;
  readonly arena: Arena;
  readonly tls: TlsOptions | null;
  readonly context: Omit<ProtocolContext, "settings">;
}

type Announce = (scheme: string, name: string, address: Listener["address"]) => void;
type Shared = Omit<ListenerOptions, "name" | "port" | "offering">;

/** The ports that clients come in by: those of every protocol, as the settings have them. */
export class ClientListeners {
  private readonly parts: ClientListenersParts;
  private readonly acceptors = new Map<ProtocolEntry, ConnectionAcceptor>();
  private readonly listeners: Listener[] = [];

  constructor(parts: ClientListenersParts) {
    this.parts = parts;
  }

  get connectionCount(): number {
    return this.listeners.reduce((sum, listener) => sum + listener.connectionCount, 0);
  }

  /** @throws ListenError; what was opened before stays open until `close` */
  async open(announce: Announce): Promise<void> {
    const { settings, arena, context } = this.parts;
    for (const entry of PROTOCOLS) {
      if (this.isWanted(entry)) this.acceptors.set(entry, entry.acceptor(context, settings));
    }
    const remainders = [...this.acceptors.values()].map(({ remainderBytesMax }) => remainderBytesMax);
    const shared: Shared = {
      host: settings.host,
      arena,
      scratch: reserveScratch(arena, Math.max(0, ...remainders)),
      turn: context.turn,
      clock: context.clock,
      logger: context.logger,
      outputHighWaterBytes: context.limits.outputHighWaterBytes,
      handshakeMsMax: context.limits.handshakeMsMax,
      budget: { open: 0, max: context.limits.connectionsMax },
    };
    const listen = async (option: ClientPort, scheme: string, offering: Offering): Promise<void> => {
      const listener = await this.listen(option, this.guarded(option, offering), shared);
      if (listener !== null)
        announce(`${scheme}${isSecure(option) ? "s" : ""}`, listenerName(option), listener.address);
    };
    for (const entry of this.acceptors.keys()) {
      const { scheme } = entry.protocol;
      for (const port of entry.ports)
        await listen(port, scheme, { kind: "plain", protocols: [this.spoken(entry, port)] });
    }
    const protocols = [...this.acceptors.keys()].map((entry) =>
      this.spoken(entry, entry.ports[0] as ClientPort),
    );
    const webSocket = {
      origins: settings.wsOrigins,
      messageBytesMax: context.limits.messageBytesMax + WEBSOCKET_HEAD_BYTES,
    };
    for (const port of WEBSOCKET_PORTS) await listen(port, "ws", { kind: "websocket", protocols, webSocket });
    await listen("sharedPort", "tcp", { kind: "shared", protocols, webSocket });
  }

  /** All at once: nobody gets in by one port while another says goodbye. */
  async close(): Promise<void> {
    const { shutdownGrace } = this.parts.settings;
    await Promise.all(this.listeners.map((listener) => listener.close(shutdownGrace)));
    for (const acceptor of this.acceptors.values()) acceptor.close();
  }

  private isWanted({ ports, protocol }: ProtocolEntry): boolean {
    const { settings } = this.parts;
    if (ports.some((port) => settings[port] !== null)) return true;
    const inWebSockets = protocol.webSocket !== undefined;
    if (inWebSockets && WEBSOCKET_PORTS.some((port) => settings[port] !== null)) return true;
    return settings.sharedPort !== null && (inWebSockets || protocol.recognises !== undefined);
  }

  private spoken(entry: ProtocolEntry, port: ClientPort): SpokenProtocol {
    const acceptor = this.acceptors.get(entry) as ConnectionAcceptor;
    const { recognises, webSocket } = entry.protocol;
    return { acceptor, recognises, webSocket, options: entry.listenerOptions(this.parts.settings, port) };
  }

  /** With what stands before every protocol: a proxy's header, TLS. */
  private guarded(option: ClientPort, offering: Offering): Offering {
    const { settings, tls } = this.parts;
    const { proxyProtocol, proxyTrusted } = settings;
    const encrypted = tls !== null && (isSecure(option) || offering.kind === "shared");
    const proxied = proxyProtocol === "all" || proxyProtocol.includes(listenerName(option));
    return {
      ...offering,
      ...(encrypted && { tls }),
      ...(proxied && { proxies: proxyTrusted?.list ?? null }),
    };
  }

  private async listen(option: ClientPort, offering: Offering, shared: Shared): Promise<Listener | null> {
    const { [option]: port, host } = this.parts.settings;
    if (port === null) return null;
    const name = listenerName(option);
    const listener = await Listener.listen({ ...shared, name, port, offering }).catch((error: Error) => {
      throw new ListenError(error, host, port, option, "host");
    });
    this.listeners.push(listener);
    return listener;
  }
}

async function readPem(name: "tlsCert" | "tlsKey" | "tlsCa", file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new ConfigError(`${flagName(name)}: ${(error as Error).message}`);
  }
}

/** Null without a certificate: then the configuration has no TLS port. @throws ConfigError */
export async function readTls(settings: Settings): Promise<TlsOptions | null> {
  const { tlsCert, tlsKey, tlsCa, tlsVerifyPeer } = settings;
  if (tlsCert === null || tlsKey === null) return null;
  const [cert, key] = await Promise.all([readPem("tlsCert", tlsCert), readPem("tlsKey", tlsKey)]);
  const ca = tlsCa === null ? {} : { ca: await readPem("tlsCa", tlsCa) };
  const { createSecureContext } = await import("node:tls");
  try {
    createSecureContext({ cert, key, ...ca });
  } catch (error) {
    throw new ConfigError(`tls-cert and tls-key cannot be used together: ${(error as Error).message}`);
  }
  // A certificate that is asked for but not demanded lets clients log in with it all the same.
  return { cert, key, ...ca, requestCert: tlsCa !== null, rejectUnauthorized: tlsVerifyPeer };
}
