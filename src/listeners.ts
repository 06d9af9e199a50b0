import { readFile } from "node:fs/promises";
import type { TlsOptions } from "node:tls";
import type { Arena } from "./base/arena.ts";
import { type ClientPort, isSecure, listenerName, type OptionName, type Settings } from "./config.ts";
import { reserveScratch } from "./net/connection.ts";
import { Listener, type ListenerOptions } from "./net/listener.ts";
import type { ConnectionAcceptor } from "./net/transport.ts";
import { PROTOCOLS, type ProtocolEntry } from "./protocols.ts";
import type { ProtocolContext } from "./wire/protocol.ts";

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
type Shared = Omit<ListenerOptions, "name" | "port" | "acceptor">;

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
      if (entry.ports.every((port) => settings[port] === null)) continue;
      this.acceptors.set(entry, entry.acceptor(context, settings));
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
      budget: { open: 0, max: context.limits.connectionsMax },
    };
    for (const [entry, acceptor] of this.acceptors) {
      for (const port of entry.ports) await this.listen(entry, port, acceptor, shared, announce);
    }
  }

  /** All at once: nobody gets in by one port while another says goodbye. */
  async close(): Promise<void> {
    const { shutdownGrace } = this.parts.settings;
    await Promise.all(this.listeners.map((listener) => listener.close(shutdownGrace)));
    for (const acceptor of this.acceptors.values()) acceptor.close();
  }

  private async listen(
    entry: ProtocolEntry,
    option: ClientPort,
    acceptor: ConnectionAcceptor,
    shared: Shared,
    announce: Announce,
  ): Promise<void> {
    const { settings, tls } = this.parts;
    const { [option]: port, host } = settings;
    if (port === null) return;
    const secure = isSecure(option);
    const listener = await Listener.listen({
      ...shared,
      name: listenerName(option),
      port,
      acceptor,
      protocolOptions: entry.listenerOptions(settings, option),
      ...(secure && tls !== null && { tls }),
    }).catch((error: Error) => {
      throw new ListenError(error, host, port, option, "host");
    });
    this.listeners.push(listener);
    announce(`${entry.protocol.scheme}${secure ? "s" : ""}`, listenerName(option), listener.address);
  }
}

/** Null without a certificate: then the configuration has no TLS port. */
export async function readTls(settings: Settings): Promise<TlsOptions | null> {
  const { tlsCert, tlsKey, tlsCa, tlsVerifyPeer } = settings;
  if (tlsCert === null || tlsKey === null) return null;
  const [cert, key] = await Promise.all([readFile(tlsCert), readFile(tlsKey)]);
  const ca = tlsCa === null ? {} : { ca: await readFile(tlsCa) };
  // A certificate that is asked for but not demanded lets clients log in with it all the same.
  return { cert, key, ...ca, requestCert: tlsCa !== null, rejectUnauthorized: tlsVerifyPeer };
}
