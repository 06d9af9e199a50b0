import { CHECKPOINT_INTERVAL, ENGINE_URL } from "./config/engine-url.ts";
import { GROUP_OPTIONS } from "./config/group-options.ts";
import { LISTENER_NAMES, NETWORKS, ORIGINS } from "./config/lists.ts";
import { type Known, type Option, option } from "./config/option.ts";
import {
  ADDRESS_OR_NONE,
  BOOLEAN,
  BYTES,
  choice,
  duration,
  formatBytes,
  formatDuration,
  integer,
  listOf,
  orOff,
  PATH_OR_NONE,
  PORT,
  TEXT,
  TEXT_OR_NONE,
} from "./config/value-types.ts";
import { checkLimits, DEFAULT_LIMITS, type Limits } from "./limits.ts";

export type { Known, Option } from "./config/option.ts";

const DAY_MS = 24 * 3_600_000;
const MiB = 1024 * 1024;

/** The two ports of a protocol; the second listens where there is a certificate. */
function ports<const N extends string>(name: N, title: string, plain: number, secure: number) {
  return {
    [`${name}Port`]: option({
      file: `${name}.port`,
      type: orOff(PORT),
      default: `${plain}`,
      help: `port for ${title}`,
      listens: "plain",
    }),
    [`${name}sPort`]: option({
      file: `${name}s.port`,
      type: orOff(PORT),
      default: (known) => (known.text("tlsCert") === "" ? "off" : `${secure}`),
      defaultText: `\`${secure}\` when \`tls.cert\` is set, else \`off\``,
      help: `port for ${title} over TLS`,
      listens: "tls",
    }),
  } as Record<`${N}Port` | `${N}sPort`, Option<number | null>>;
}

/** In whole MiB, so that it can be shown as it is meant. */
function shareOfMachine(known: Known, share: number): number {
  return Math.max(1, Math.floor((known.machineMemoryBytes * share) / MiB)) * MiB;
}

const STORAGE = {
  dataDir: option({
    file: "data-dir",
    type: TEXT,
    default: "./data",
    help: "directory that holds everything the broker keeps; created when missing",
  }),
  engine: option({
    file: "engine",
    type: ENGINE_URL,
    default: "file:",
    help: "what keeps the messages: `file:` the data directory, `memory:` nothing but memory",
  }),
  durability: option({
    file: "durability",
    type: choice("fsync", "os", "memory"),
    default: (known) => (known.text("engine").toLowerCase().startsWith("memory") ? "memory" : "fsync"),
    defaultText: "`fsync`; `memory` with `engine: memory:`",
    help: "how far a message has come when it is confirmed: stable storage, the operating system, memory",
  }),
  checkpointInterval: option({
    file: "checkpoint-interval",
    type: orOff(CHECKPOINT_INTERVAL),
    default: "off",
    help: "with `engine: memory:` or `durability: memory`: write what is in memory to the data directory this often",
  }),
};

const LISTENERS = {
  host: option({
    file: "host",
    type: TEXT,
    default: "127.0.0.1",
    help: "address to listen on; 0.0.0.0 or :: for every interface",
  }),
  ...ports("amqp", "AMQP 0-9-1", 5672, 5671),
  amqpProduct: option({
    file: "amqp.product",
    type: TEXT,
    default: "RabbitMQ",
    help: "product that AMQP clients are told they talk to; some choose their ways by it",
  }),
  ...ports("kafka", "Kafka", 9092, 9093),
  ...ports("stomp", "STOMP", 61613, 61614),
  stompDialect: option({
    file: "stomp.dialect",
    type: choice("rabbitmq", "activemq"),
    default: "rabbitmq",
    help: "whose destinations and headers STOMP clients use",
  }),
  ...ports("mqtt", "MQTT", 1883, 8883),
  stompActivemqPort: option({
    file: "stomp-activemq.port",
    type: orOff(PORT),
    default: "off",
    help: "another port for STOMP, on which they are ActiveMQ's whatever `stomp-dialect` says",
    listens: "plain",
  }),
  ...ports("ws", "WebSocket", 15_675, 15_676),
  wsOrigins: option({
    file: "ws.origins",
    type: ORIGINS,
    default: "any",
    help: "pages that browsers may connect from over WebSocket; programs that name no origin always may",
  }),
  sharedPort: option({
    file: "shared.port",
    type: orOff(PORT),
    default: "off",
    help: "one port for all protocols and WebSocket, plain and over TLS: the first bytes tell which it is",
    listens: "plain",
  }),
  proxyProtocol: option({
    file: "proxy.protocol",
    type: LISTENER_NAMES,
    default: "off",
    help: "listeners whose connections begin with a PROXY protocol header (version 1 or 2); without one they are refused",
  }),
  proxyTrusted: option({
    file: "proxy.trusted",
    type: NETWORKS,
    default: "any",
    help: "proxies that are believed; connections from elsewhere to those listeners are refused",
  }),
  httpPort: option({
    file: "http.port",
    type: orOff(PORT),
    default: "15672",
    help: "port for status, health and metrics over HTTP",
  }),
  httpHost: option({
    file: "http.host",
    type: TEXT,
    default: (known) => known.text("host"),
    defaultText: "as `host`",
    help: "address that the HTTP port listens on",
  }),
};

const KAFKA = {
  kafkaAdvertised: option({
    file: "kafka.advertised",
    type: ADDRESS_OR_NONE,
    default: "",
    defaultText: "the address that the client connected to",
    help: "host, or host:port, that Kafka clients are told to connect to: needed behind a proxy or a port mapping",
  }),
  kafkasAdvertised: option({
    file: "kafkas.advertised",
    type: ADDRESS_OR_NONE,
    default: "",
    defaultText: "the address that the client connected to",
    help: "likewise, for Kafka clients over TLS",
  }),
  kafkaNodeId: option({
    file: "kafka.node-id",
    type: integer(0, 2 ** 31 - 1),
    default: "1",
    help: "number that Kafka clients know this broker by",
  }),
  kafkaAutoCreateTopics: option({
    file: "kafka.auto-create-topics",
    type: BOOLEAN,
    default: "yes",
    help: "create a topic when a Kafka client asks for one that is not there, and allows it",
  }),
  kafkaNumPartitions: option({
    file: "kafka.num-partitions",
    type: integer(1, 100_000),
    default: "1",
    help: "partitions of a topic for which no number is given",
  }),
  kafkaMaxRequestBytes: option({
    file: "kafka.max-request-bytes",
    type: BYTES,
    default: "100MiB",
    help: "largest request of a Kafka client; who sends a larger one is hung up on",
  }),
  kafkaIdleTimeout: option({
    file: "kafka.idle-timeout",
    type: duration(1000, DAY_MS),
    default: "10m",
    help: "Kafka connections on which nothing is heard for so long are closed; clients open them again",
  }),
  mqttAnonymousUser: option({
    file: "mqtt.anonymous-user",
    type: orOff(TEXT),
    default: "guest",
    help: "who MQTT clients are that do not log in; `guest` only on this machine, while its password is `guest`",
  }),
  mqttReceiveMax: option({
    file: "mqtt.receive-max",
    type: integer(1, 65_535),
    default: "1000",
    help: "messages of QoS 1 and 2 that an MQTT 5 client may have sent without an acknowledgement",
  }),
  mqttTopicAliasMax: option({
    file: "mqtt.topic-alias-max",
    type: integer(0, 65_535),
    default: "64",
    help: "topic aliases that an MQTT 5 client may use",
  }),
  mqttKeepAliveMax: option({
    file: "mqtt.keep-alive-max",
    type: orOff(duration(1000, 65_535_000)),
    default: "off",
    help: "longest keep-alive interval of MQTT 5 clients, in whole seconds; `off`: whatever they ask for",
  }),
  mqttSessionExpiryMax: option({
    file: "mqtt.session-expiry-max",
    type: orOff(duration(1000, 100 * 365 * DAY_MS)),
    default: "off",
    help: "longest time that the session of an absent MQTT client is kept; `off`: as long as it asks for",
  }),
  mqttDeadLetterExchange: option({
    file: "mqtt.dead-letter-exchange",
    type: orOff(TEXT),
    default: "off",
    help: "exchange for messages that an MQTT 5 client refuses (a reason of 0x80 and more), or that expire in its session",
  }),
  mqttRetryAttempts: option({
    file: "mqtt.retry-attempts",
    type: orOff(integer(1, 1_000_000)),
    default: "off",
    help: "how often a message that an MQTT 5 client refuses is sent again before it counts as refused",
  }),
  mqttRetryBackoff: option({
    file: "mqtt.retry-backoff",
    type: duration(1, DAY_MS),
    default: "1s",
    help: "how long such a message waits before it is sent again; twice as long for each one more, up to a minute",
  }),
  mqttSysInterval: option({
    file: "mqtt.sys-interval",
    type: orOff(duration(1000, DAY_MS)),
    default: "10s",
    help: "how often the statistics below the MQTT topic `$SYS/broker` are published",
  }),
  kafkaAnonymousUser: option({
    file: "kafka.anonymous-user",
    type: orOff(TEXT),
    default: "guest",
    help: "who Kafka clients are that do not log in; `guest` only on this machine, while its password is `guest`",
  }),
  kafkaSaslMechanisms: option({
    file: "kafka.sasl-mechanisms",
    type: listOf("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"),
    default: "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
    help: "how Kafka clients can log in; OAUTHBEARER only when `oauth.jwks` is set, too",
  }),
  kafkaReplicationFactor: option({
    file: "kafka.replication-factor",
    type: choice("any", "1"),
    default: "any",
    help: "which replication factors Kafka clients may ask for: there is one replica in any case",
  }),
};

const TLS = {
  tlsCert: option({
    file: "tls.cert",
    type: PATH_OR_NONE,
    default: "",
    help: "file with the server's certificate chain, PEM",
  }),
  tlsKey: option({
    file: "tls.key",
    type: PATH_OR_NONE,
    default: "",
    help: "file with the server's private key, PEM",
  }),
  tlsCa: option({
    file: "tls.ca",
    type: PATH_OR_NONE,
    default: "",
    help: "file with the authorities that client certificates must come from, PEM",
  }),
  tlsVerifyPeer: option({
    file: "tls.verify-peer",
    type: BOOLEAN,
    default: "no",
    help: "refuse TLS clients without a certificate from `tls.ca`",
  }),
};

const ACCESS = {
  adminUser: option({
    file: "admin.user",
    type: TEXT,
    default: "guest",
    help: "name of the administrator that the first start on an empty data directory creates",
  }),
  adminPassword: option({
    file: "admin.password",
    type: TEXT,
    default: "guest",
    help: "password of that administrator; better set by environment or file than by flag",
    secret: true,
  }),
};

const OAUTH = {
  oauthJwks: option({
    file: "oauth.jwks",
    type: TEXT_OR_NONE,
    default: "",
    help: "URL or file with the keys that tokens are signed with (a JSON Web Key Set); none: no login by token",
  }),
  oauthIssuer: option({
    file: "oauth.issuer",
    type: TEXT_OR_NONE,
    default: "",
    help: "who must have issued a token (claim `iss`); to be set with `oauth.jwks`",
  }),
  oauthAudience: option({
    file: "oauth.audience",
    type: TEXT_OR_NONE,
    default: "",
    help: "whom a token must be meant for (claim `aud`); to be set with `oauth.jwks`",
  }),
  oauthScope: option({
    file: "oauth.scope",
    type: TEXT_OR_NONE,
    default: "",
    help: "what a token must be good for: a word that the claim `scope` must hold",
  }),
  oauthUserClaim: option({
    file: "oauth.user-claim",
    type: TEXT,
    default: "sub",
    help: "claim of a token that names the user, who must exist",
  }),
};

const LOGGING = {
  logLevel: option({
    file: "log.level",
    type: choice("debug", "info", "warn", "error"),
    default: "info",
    help: "least serious entries to log",
  }),
  logFormat: option({
    file: "log.format",
    type: choice("pretty", "json"),
    default: "pretty",
    help: "log entries, and the start banner, for people or as one JSON object a line",
  }),
};

const LIMITS = {
  memoryBudget: option({
    file: "memory.budget",
    type: BYTES,
    default: (known) => formatBytes(Math.min(DEFAULT_LIMITS.arenaBytes, shareOfMachine(known, 0.25))),
    defaultText: "`256MiB`, or a quarter of a smaller machine's memory",
    help: "memory for message bodies and socket buffers; what does not fit stays on disk",
  }),
  memoryHighWatermark: option({
    file: "memory.high-watermark",
    type: BYTES,
    default: (known) => formatBytes(shareOfMachine(known, 0.6)),
    defaultText: "60 % of the machine's memory",
    help: "resident memory above which publishers are held back",
  }),
  diskFreeMin: option({
    file: "disk.free-min",
    type: BYTES,
    default: formatBytes(DEFAULT_LIMITS.diskFreeBytesMin),
    help: "free disk space under which publishers are held back",
  }),
  maxMessageBytes: option({
    file: "max-message-bytes",
    type: BYTES,
    default: formatBytes(DEFAULT_LIMITS.messageBytesMax),
    help: "largest message that is accepted",
  }),
  connectionMax: option({
    file: "connection-max",
    type: integer(1, 1_000_000),
    default: `${DEFAULT_LIMITS.connectionsMax}`,
    help: "connections at most, on all ports for clients together; four fifths of the files that the system lets the process open, where that is fewer",
  }),
  queueMax: option({
    file: "queue-max",
    type: integer(1, 100_000_000),
    default: `${DEFAULT_LIMITS.queuesMax}`,
    help: "queues at most",
  }),
  channelMax: option({
    file: "amqp.channel-max",
    type: integer(1, 65_535),
    default: `${DEFAULT_LIMITS.channelsMax}`,
    help: "channels a connection at most",
  }),
  frameMax: option({
    file: "amqp.frame-max",
    type: BYTES,
    default: formatBytes(DEFAULT_LIMITS.frameBytesMax),
    help: "largest frame that is negotiated",
  }),
  heartbeat: option({
    file: "amqp.heartbeat",
    type: orOff(duration(1000, 65_535_000)),
    default: `${DEFAULT_LIMITS.heartbeatSeconds}s`,
    help: "heartbeat interval that is proposed to clients, in whole seconds",
  }),
  handshakeTimeout: option({
    file: "handshake-timeout",
    type: duration(100, DAY_MS),
    default: formatDuration(DEFAULT_LIMITS.handshakeMsMax),
    help: "time in which a new connection must have logged in",
  }),
};

const STREAMS = {
  streamRetentionTime: option({
    file: "stream.retention-time",
    type: orOff(duration(1000, 100 * 365 * DAY_MS)),
    default: "168h",
    help: "how long streams keep records that do not say so themselves; `off` for ever",
  }),
  streamRetentionBytes: option({
    file: "stream.retention-bytes",
    type: orOff(BYTES),
    default: "off",
    help: "how much a partition of a stream keeps that does not say so itself",
  }),
  streamSegmentBytes: option({
    file: "stream.segment-bytes",
    type: BYTES,
    default: "1GiB",
    help: "size at which a partition begins a new segment; old records go by whole segments",
  }),
};

const DELIVERY = {
  consumerTimeout: option({
    file: "consumer-timeout",
    type: orOff(duration(1000, 365 * DAY_MS)),
    default: "off",
    help: "time after which an unacknowledged message goes back to its queue; queues may set their own",
  }),
  quorumDeliveryLimit: option({
    file: "quorum-delivery-limit",
    type: orOff(integer(0, 1_000_000)),
    default: "20",
    help: "unsuccessful deliveries after which a quorum queue gives a message up; queues may set their own",
  }),
  ...GROUP_OPTIONS,
  shutdownGrace: option({
    file: "shutdown-grace",
    type: duration(0, DAY_MS),
    default: "5s",
    help: "time that connections get to finish when the broker stops",
  }),
};

/** In the order of evaluation: a computed default sees what stands above it. */
export const OPTIONS = {
  ...STORAGE,
  ...TLS,
  ...LISTENERS,
  ...KAFKA,
  ...ACCESS,
  ...OAUTH,
  ...LIMITS,
  ...STREAMS,
  ...DELIVERY,
  ...LOGGING,
};

export type OptionName = keyof typeof OPTIONS;
export type Settings = {
  readonly [K in OptionName]: (typeof OPTIONS)[K] extends Option<infer T> ? T : never;
};

export const OPTION_NAMES = Object.keys(OPTIONS) as OptionName[];

/** Option with a port for clients: all but that of HTTP. */
export type ClientPort = Exclude<Extract<OptionName, `${string}Port`>, "httpPort">;
/** amqpPort -> amqp */
export type ListenerName = ClientPort extends infer P ? (P extends `${infer N}Port` ? N : never) : never;

export const CLIENT_PORTS = OPTION_NAMES.filter(
  (name) => declared(name).listens !== undefined,
) as ClientPort[];

export function isSecure(port: ClientPort): boolean {
  return declared(port).listens === "tls";
}

/** amqpPort -> amqp: what the listener is called in the banner, in the log and in process. */
export function listenerName(port: ClientPort): ListenerName {
  return port.slice(0, -"Port".length) as ListenerName;
}

function declared(name: OptionName): Option<unknown> {
  return OPTIONS[name] as Option<unknown>;
}

/** amqpPort -> amqp-port */
export function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

export const ENVIRONMENT_PREFIX = "POLYMQ_";

/** amqpPort -> POLYMQ_AMQP_PORT */
export function environmentName(name: string): string {
  return `${ENVIRONMENT_PREFIX}${flagName(name).replaceAll("-", "_").toUpperCase()}`;
}

/** False when the first administrator is to be guest with the password that everybody knows. */
export function namesAdmin({ adminUser, adminPassword }: Settings): boolean {
  return adminUser !== OPTIONS.adminUser.default || adminPassword !== OPTIONS.adminPassword.default;
}

/** The option of each limit that has one. */
const LIMIT_OPTIONS = {
  arenaBytes: "memoryBudget",
  memoryBytesMax: "memoryHighWatermark",
  diskFreeBytesMin: "diskFreeMin",
  messageBytesMax: "maxMessageBytes",
  connectionsMax: "connectionMax",
  queuesMax: "queueMax",
  channelsMax: "channelMax",
  frameBytesMax: "frameMax",
  handshakeMsMax: "handshakeTimeout",
} as const satisfies Partial<Record<keyof Limits, OptionName>>;

/** The limits that the settings stand for. @throws RangeError in the options' own names when they contradict each other */
export function limitsOf(settings: Settings): Limits {
  const set = Object.entries(LIMIT_OPTIONS).map(([limit, name]) => [limit, settings[name]]);
  const limits: Limits = {
    ...DEFAULT_LIMITS,
    ...Object.fromEntries(set),
    heartbeatSeconds: Math.round((settings.heartbeat ?? 0) / 1000),
  };
  try {
    checkLimits(limits);
  } catch (error) {
    let text = (error as Error).message;
    for (const [limit, name] of Object.entries(LIMIT_OPTIONS)) text = text.replaceAll(limit, flagName(name));
    throw new RangeError(text);
  }
  return limits;
}
