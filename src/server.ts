import { resolve } from "node:path";
import type { Admin, AdminSource, ListenerOverview } from "./admin/index.ts";
import { Arena } from "./base/arena.ts";
import { type Clock, SystemClock } from "./base/clock.ts";
import type { Logger } from "./base/logger.ts";
import { Turn } from "./base/turn.ts";
import type { StreamConfig, TokenVerifier } from "./broker/index.ts";
import { openBroker, type RunningBroker } from "./broker/open.ts";
import { namesAdmin, type Settings } from "./config.ts";
import { dataDirectoryOf, openEngine } from "./engines.ts";
import type { Limits } from "./limits.ts";
import { ClientListeners, ListenError, readTls } from "./listeners.ts";
import { PROTOCOLS } from "./protocols.ts";
import { PRODUCT, RABBITMQ_VERSION, VERSION } from "./version.ts";

/** Pages that are never touched cost nothing; what is in use is bounded by the budgets, not by the mapping. */
const ADDRESS_SPACE_FACTOR = 4;

export interface ServerOptions {
  readonly settings: Settings;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * A whole broker: the only place that knows all its parts. Opened from the bottom up, closed from
 * the top down; what fails to open closes what was opened before it.
 */
export class Server {
  readonly listeners: ListenerOverview[] = [];
  /** Null until the stored data is read. */
  broker: RunningBroker | null = null;
  private readonly options: ServerOptions;
  private readonly closers: (() => Promise<void>)[] = [];
  private clients: ClientListeners | null = null;
  private phase: "starting" | "serving" | "draining" = "starting";
  private closing: Promise<void> | null = null;

  private constructor(options: ServerOptions) {
    this.options = options;
  }

  /** @throws LockedError, CorruptionError, DataDirectoryError, ListenError */
  static async start(options: ServerOptions): Promise<Server> {
    const server = new Server(options);
    try {
      await server.start();
    } catch (error) {
      // What is wrong with the start is the news, not what closing it may have met besides.
      await server.close().catch((failure: Error) => options.logger.error({ err: failure }, failure.message));
      throw error;
    }
    return server;
  }

  get dataDirectory(): string | null {
    const directory = dataDirectoryOf(this.options.settings);
    return directory === null ? null : resolve(directory);
  }

  /** Drains and closes everything; the same promise however often it is asked for. */
  close(): Promise<void> {
    this.closing ??= this.closeAll();
    return this.closing;
  }

  private async start(): Promise<void> {
    const { settings, limits, clock, logger } = this.options;
    const arena = new Arena(limits.arenaBytes * ADDRESS_SPACE_FACTOR);
    const turn = new Turn(
      (error) => logger.error({ err: error }, "a fault of the broker's own: it goes on"),
      () => performance.now(),
    );
    const tls = await readTls(settings);
    // First of all that can be refused: a second start on the same data is told so, not that a port is taken.
    const engine = await openEngine({ settings, clock, logger });
    this.closers.push(() => engine.close());
    // Before the messages are recovered, which may take a while, and closed after the last of them is
    // stored: whoever watches sees "starting" and "draining".
    const admin = await this.openAdmin();
    const readers = new Map(PROTOCOLS.map(({ protocol }) => [protocol.origin, protocol.reader]));
    this.broker = await openBroker({
      engine,
      clock,
      turn,
      arena,
      limits,
      logger,
      durability: settings.durability,
      // Nobody named: the broker makes its own guest, who may come from this machine only.
      ...(namesAdmin(settings) && {
        initialUser: { name: settings.adminUser, password: settings.adminPassword },
      }),
      ...(await tokenOptions(settings, logger)),
      streamDefaults: streamDefaults(settings),
      readers,
      consumerTimeoutMs: settings.consumerTimeout,
      quorumDeliveryLimit: settings.quorumDeliveryLimit ?? -1,
      groups: {
        offsetRetentionMs: settings.groupOffsetRetention,
        initialDelayMs: settings.groupInitialDelay,
        sessionTimeoutMsMin: settings.groupSessionTimeoutMin,
        membersMax: settings.groupMembersMax,
      },
      transactions: { timeoutMsMax: settings.transactionTimeoutMax },
    });
    const broker = this.broker;
    this.closers.push(() => broker.close());
    if (admin !== null) broker.observeCommits(admin.observeCommit);
    // Peers live in real time: a clock moved by hand must not make them look dead.
    const socketClock = new SystemClock();
    const product = settings.amqpProduct;
    const version = product === PRODUCT ? VERSION : RABBITMQ_VERSION;
    const platform = `${PRODUCT} ${VERSION}, Node.js ${process.versions.node}`;
    const context = { broker, clock: socketClock, turn, logger, limits, readers, product, version, platform };
    const clients = new ClientListeners({ settings, arena, tls, context });
    this.clients = clients;
    this.closers.push(() => clients.close());
    await clients.open((scheme, name, address) => this.announce(scheme, name, address));
    this.phase = "serving";
  }

  private async openAdmin(): Promise<Admin | null> {
    const { httpHost: host, httpPort: port } = this.options.settings;
    if (port === null) return null;
    const hostOption = host === this.options.settings.host ? "host" : "httpHost";
    const { openAdmin } = await import("./admin/index.ts");
    const { clock, logger } = this.options;
    const options = { host, port, clock, logger, source: this.adminSource() };
    const admin = await openAdmin(options).catch((error: Error) => {
      throw new ListenError(error, host, port, "httpPort", hostOption);
    });
    this.closers.push(() => admin.close());
    this.announce("http", "http", admin.address);
    return admin;
  }

  private adminSource(): AdminSource {
    const { engine, durability } = this.options.settings;
    return {
      stats: () => this.broker?.stats() ?? null,
      connections: () => this.clients?.connectionCount ?? 0,
      overview: () => ({
        product: PRODUCT,
        version: VERSION,
        engine: `${engine.scheme}:`,
        durability,
        dataDirectory: this.dataDirectory,
        listeners: this.listeners,
      }),
      unready: () => (this.phase === "serving" ? null : this.phase),
    };
  }

  private announce(scheme: string, name: string, { host, port }: { host: string; port: number }): void {
    const url = `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
    this.listeners.push({ name, url, host, port });
  }

  private async closeAll(): Promise<void> {
    this.phase = "draining";
    const failures: unknown[] = [];
    for (let close = this.closers.pop(); close !== undefined; close = this.closers.pop()) {
      // One part that fails to close must not leave the others open, least of all the log.
      await close().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw new AggregateError(failures, "not everything closed cleanly");
  }
}

/** Login by token, when it is set up. */
async function tokenOptions(settings: Settings, logger: Logger): Promise<{ tokens?: TokenVerifier }> {
  const { oauthJwks: keys, oauthIssuer: issuer, oauthAudience: audience } = settings;
  if (keys === null) return {};
  if (issuer === null || audience === null) {
    logger.warn({}, "oauth-issuer and oauth-audience are not both set: tokens meant for others are accepted");
  }
  const { JwtVerifier } = await import("./broker/access/tokens.ts");
  const { oauthScope: scope, oauthUserClaim: userClaim } = settings;
  return { tokens: new JwtVerifier({ keys, issuer, audience, scope, userClaim }) };
}

function streamDefaults(settings: Settings): Partial<StreamConfig> {
  return {
    retentionMs: settings.streamRetentionTime ?? -1,
    retentionBytes: settings.streamRetentionBytes ?? -1,
    segmentBytes: settings.streamSegmentBytes,
  };
}
