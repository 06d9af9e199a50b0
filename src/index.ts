/** PolyMQ in your own process: `const broker = await startBroker(); … await broker.stop();` */
import type { ListenerOverview } from "./admin/index.ts";
import { type Clock, SystemClock } from "./base/clock.ts";
import { type Logger, silentLogger } from "./base/logger.ts";
import { clientUrl } from "./cli/banner.ts";
import { suggestion } from "./config/nearest.ts";
import { ConfigError, configure, type Given } from "./config/sources.ts";
import {
  CLIENT_PORTS,
  flagName,
  isSecure,
  type ListenerName,
  limitsOf,
  listenerName,
  OPTION_NAMES,
  type OptionName,
} from "./config.ts";
import type { Durability } from "./engine/engine.ts";
import { checkLimits, DEFAULT_LIMITS, type Limits } from "./limits.ts";
import { Server } from "./server.ts";

export { type Clock, ManualClock, SystemClock, type Timer } from "./base/clock.ts";
export type { Logger } from "./base/logger.ts";
export { CorruptionError, DataDirectoryError, type Durability, LockedError } from "./engine/engine.ts";
export type { Limits } from "./limits.ts";
export { ListenError } from "./listeners.ts";
export { ConfigError };

export interface ListenOptions {
  /** Default: 127.0.0.1 */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
}

export interface PortOptions {
  /** Default 0: any free port. */
  readonly port?: number;
}

export interface TlsListenOptions extends PortOptions {
  /** PEM files, the same for all listeners. */
  readonly cert: string;
  readonly key: string;
  readonly ca?: string;
  readonly verifyPeer?: boolean;
}

type SecureName = {
  [N in ListenerName]: N extends `${infer P}s` ? (P extends ListenerName ? N : never) : never;
}[ListenerName];
type PlainName = Exclude<ListenerName, SecureName | "amqp">;

/** The other ports for clients: in process only those that are asked for are opened. All listen on the host of `amqp`. */
export type PortsOptions = { readonly [N in PlainName]?: PortOptions } & {
  readonly [N in SecureName]?: TlsListenOptions;
};

export interface BrokerOptions extends PortsOptions {
  /** `memory:` (default), `memory:?checkpoint-dir=DIR`, `file:`, `file:/path` */
  readonly engine?: string;
  /** Where `file:` keeps its data; default ./data */
  readonly dataDir?: string;
  readonly durability?: Durability;
  /** With `memory:`: writes the whole state to the data directory this often. */
  readonly checkpointIntervalMs?: number;
  readonly amqp?: ListenOptions;
  /** Status, health and metrics; default: false. */
  readonly http?: ListenOptions | boolean;
  /** The administrator that a first start creates; default guest, guest. */
  readonly user?: { readonly name: string; readonly password: string };
  readonly limits?: Partial<Limits>;
  /** Any other option of `polymq serve`, with its value as it would be written there: `{ kafkaAnonymousUser: "off" }`. */
  readonly settings?: { readonly [N in OptionName]?: string | number };
  /** Default: no limit. Queues may set their own. */
  readonly consumerTimeoutMs?: number;
  /** Time that connections get to finish at `stop`; default 0, because a test has nothing to wait for. */
  readonly shutdownGraceMs?: number;
  /**
   * A `ManualClock` makes TTLs, delays and acknowledgement timeouts a matter of `clock.advance("1h")`.
   * Heartbeats and whatever else concerns sockets go by real time in any case.
   */
  readonly clock?: Clock;
  /** Any pino-like logger; default: silent. */
  readonly logger?: Logger;
}

export interface Endpoint {
  /** With user and password where the protocol takes them. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
}

/** By the name of the listener: `mqtt`, `mqtts`. */
export type Endpoints = { readonly [N in Exclude<ListenerName, "amqp">]?: Endpoint };

export interface Broker extends Endpoints {
  readonly amqp: Endpoint;
  readonly http?: Endpoint;
  /** Closes every connection and leaves nothing behind. May be called again. */
  stop(): Promise<void>;
}

/** Message memory of a broker in a test; one that serves says more with `limits.arenaBytes`. */
const ARENA_BYTES = 64 * 1024 * 1024;

/**
 * Starts a broker in this process. As many as you like: they share nothing.
 * @throws ConfigError, LockedError, CorruptionError, DataDirectoryError, ListenError
 */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  refuseUnknown(options);
  const { settings } = configure([layerOf(options)]);
  const limits = { ...limitsOf(settings), ...options.limits };
  checkLimits(limits);
  const { clock = new SystemClock(), logger = silentLogger } = options;
  const server = await Server.start({ settings, limits, clock, logger });
  const user = [settings.adminUser, settings.adminPassword].map(encodeURIComponent).join(":");
  const endpoints: Record<string, Endpoint> = {};
  for (const listener of server.listeners) endpoints[listener.name] = endpointOf(listener, user);
  return { ...endpoints, amqp: endpoints.amqp as Endpoint, stop: () => server.close() };
}

/** By name, what may be said inside; nothing for values, and for objects that are somebody else's. */
const OWN_OPTIONS = {
  engine: [],
  dataDir: [],
  durability: [],
  checkpointIntervalMs: [],
  amqp: ["host", "port"],
  http: ["host", "port"],
  user: ["name", "password"],
  limits: Object.keys(DEFAULT_LIMITS),
  settings: OPTION_NAMES,
  consumerTimeoutMs: [],
  shutdownGraceMs: [],
  clock: [],
  logger: [],
} satisfies Record<Exclude<keyof BrokerOptions, keyof PortsOptions>, readonly string[]>;

/** What a compiler says to those who have one. @throws ConfigError */
function refuseUnknown(options: BrokerOptions): void {
  const ports = CLIENT_PORTS.filter((name) => name !== "amqpPort").map(
    (name) =>
      [listenerName(name), isSecure(name) ? ["port", "cert", "key", "ca", "verifyPeer"] : ["port"]] as const,
  );
  const known = new Map<string, readonly string[]>([...Object.entries(OWN_OPTIONS), ...ports]);
  const refuse = (name: string, names: Iterable<string>, place = ""): never => {
    throw new ConfigError(`unknown option '${place}${name}'${suggestion(name, names)}`);
  };
  for (const [option, value] of Object.entries(options)) {
    const names = known.get(option) ?? refuse(option, known.keys());
    if (names.length === 0 || typeof value !== "object") continue;
    for (const name of Object.keys(value ?? {})) if (!names.includes(name)) refuse(name, names, `${option}.`);
  }
}

function endpointOf(listener: ListenerOverview, user: string): Endpoint {
  return { url: clientUrl(listener, user), host: listener.host, port: listener.port };
}

/** The options as the texts that the configuration is made of, so that both are checked by the same rules. */
function layerOf(options: BrokerOptions): Map<OptionName, Given> {
  const { amqp = {}, user, http = false } = options;
  const tls = tlsOf(options);
  const httpListen = http === true ? {} : http;
  const texts: Partial<Record<OptionName, string | number | undefined>> = {
    engine: options.engine ?? "memory:",
    dataDir: options.dataDir,
    durability: options.durability,
    checkpointInterval: options.checkpointIntervalMs && `${options.checkpointIntervalMs}ms`,
    memoryBudget: options.limits?.arenaBytes ?? ARENA_BYTES,
    host: amqp.host,
    ...portsOf({ ...options, amqp }),
    tlsCert: tls?.cert,
    tlsKey: tls?.key,
    tlsCa: tls?.ca,
    tlsVerifyPeer: tls?.verifyPeer ? "yes" : undefined,
    httpPort: httpListen === false ? "off" : (httpListen.port ?? 0),
    httpHost: httpListen === false ? undefined : httpListen.host,
    adminUser: user?.name,
    adminPassword: user?.password,
    consumerTimeout: options.consumerTimeoutMs && `${options.consumerTimeoutMs}ms`,
    shutdownGrace: `${options.shutdownGraceMs ?? 0}ms`,
    ...options.settings,
  };
  const layer = new Map<OptionName, Given>();
  for (const [name, value] of Object.entries(texts)) {
    if (value === undefined) continue;
    layer.set(name as OptionName, { text: `${value}`, place: `option ${flagName(name)}` });
  }
  return layer;
}

function portsOf(options: BrokerOptions): Partial<Record<OptionName, string | number>> {
  const ports = CLIENT_PORTS.map((name) => {
    const asked = options[listenerName(name)];
    return [name, asked === undefined ? "off" : (asked.port ?? 0)];
  });
  return Object.fromEntries(ports);
}

/** One certificate for all ports. @throws ConfigError when they name different ones */
function tlsOf(options: BrokerOptions): TlsListenOptions | undefined {
  const given = CLIENT_PORTS.filter(isSecure)
    .map((name) => options[listenerName(name)] as TlsListenOptions | undefined)
    .filter((tls) => tls !== undefined);
  const texts = given.map(({ cert, key, ca, verifyPeer = false }) =>
    JSON.stringify([cert, key, ca, verifyPeer]),
  );
  if (new Set(texts).size > 1)
    throw new ConfigError("all TLS ports share one certificate, key and authority");
  return given[0];
}
