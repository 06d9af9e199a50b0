import { resolve } from "node:path";
import type { QueueOptions } from "./broker/index.ts";
import type { ClientPort, Settings } from "./config.ts";
import { dataDirectoryOf } from "./engines.ts";
import type { ConnectionAcceptor } from "./net/transport.ts";
import { amqp091 } from "./wire/amqp091/index.ts";
import { kafka } from "./wire/kafka/index.ts";
import { mqtt } from "./wire/mqtt/index.ts";
import type { Protocol, ProtocolContext } from "./wire/protocol.ts";
import { stomp } from "./wire/stomp/index.ts";

/**
 * Every protocol that is spoken. To add one:
 *
 * 1. `wire/X/index.ts` exports a `Protocol<XSettings>`; its own settings are the type parameter.
 *    `webSocket` and `recognises` let it be spoken inside WebSockets and on the shared port, as if over any socket.
 * 2. `config.ts`, LISTENERS: `...ports("mqtt", "MQTT", 1883, 8883)` declares `mqttPort` and `mqttsPort`;
 *    beside it one `option` for each setting. `UPDATE_DOCS=1 npx vitest run test/shell/options.test.ts`.
 * 3. Here one entry, such as
 *    `entry({ protocol: mqtt, ports: ["mqttPort", "mqttsPort"], settings: (all) => ({ receiveMax: all.mqttReceiveMax }) })`.
 *    What differs between its listeners comes from `listenerOptions` and arrives as `transport.listener.options`.
 *
 * The listeners, the refusals of a configuration, the banner, `startBroker({ mqtt: { port: 0 } })` and
 * `broker.mqtt.url` follow from that.
 */
export const PROTOCOLS: readonly ProtocolEntry[] = [
  entry({ protocol: amqp091, ports: ["amqpPort", "amqpsPort"] }),
  entry({
    protocol: kafka,
    ports: ["kafkaPort", "kafkasPort"],
    settings: (all) => ({
      nodeId: all.kafkaNodeId,
      namespace: "/",
      autoCreateTopics: all.kafkaAutoCreateTopics,
      partitionsDefault: all.kafkaNumPartitions,
      requestBytesMax: all.kafkaMaxRequestBytes,
      idleMsMax: all.kafkaIdleTimeout,
      anonymousUser: all.kafkaAnonymousUser,
      saslMechanisms: all.kafkaSaslMechanisms,
      replicationStrict: all.kafkaReplicationFactor !== "any",
      logDir: logDirOf(all),
    }),
    listenerOptions: (all, port) => ({
      advertised: port === "kafkasPort" ? all.kafkasAdvertised : all.kafkaAdvertised,
    }),
  }),
  entry({
    protocol: mqtt,
    ports: ["mqttPort", "mqttsPort"],
    settings: (all) => ({
      anonymousUser: all.mqttAnonymousUser,
      receiveMax: all.mqttReceiveMax,
      topicAliasMax: all.mqttTopicAliasMax,
      keepAliveSecondsMax: secondsOf(all.mqttKeepAliveMax),
      sessionExpirySecondsMax: secondsOf(all.mqttSessionExpiryMax),
      sysIntervalMs: all.mqttSysInterval,
      sessionQueue: sessionQueueOf(all),
    }),
  }),
  entry({
    protocol: stomp,
    ports: ["stompPort", "stompsPort", "stompActivemqPort"],
    listenerOptions: ({ stompDialect }, port) => ({
      dialect: port === "stompActivemqPort" ? "activemq" : stompDialect,
    }),
  }),
];

export interface ProtocolEntry {
  readonly protocol: Omit<Protocol, "acceptor">;
  readonly ports: readonly ClientPort[];
  /** One for all its listeners. */
  acceptor(context: Omit<ProtocolContext, "settings">, settings: Settings): ConnectionAcceptor;
  listenerOptions(settings: Settings, port: ClientPort): object;
}

interface Declaration<S> {
  readonly protocol: Protocol<S>;
  readonly ports: readonly ClientPort[];
  /** What the protocol is given of the broker's settings, as `context.settings`. */
  readonly settings?: (all: Settings) => S;
  readonly listenerOptions?: (all: Settings, port: ClientPort) => object;
}

function secondsOf(ms: number | null): number | null {
  return ms === null ? null : Math.floor(ms / 1000);
}

function logDirOf(all: Settings): string {
  const directory = dataDirectoryOf(all);
  return directory === null ? "memory" : resolve(directory);
}

/** Forgets the type of a protocol's settings once it is known that they fit. */
function entry<S>(declaration: Declaration<S>): ProtocolEntry {
  const { protocol, ports, settings = () => ({}) as S, listenerOptions = () => ({}) } = declaration;
  const acceptor: ProtocolEntry["acceptor"] = (context, all) =>
    protocol.acceptor({ ...context, settings: settings(all) });
  return { protocol, ports, acceptor, listenerOptions };
}

const RETRY_CEILING_MS = 60_000;

/** What becomes of messages that MQTT clients refuse. */
function sessionQueueOf(all: Settings): QueueOptions {
  const { mqttDeadLetterExchange: deadLetterExchange, mqttRetryAttempts: attempts } = all;
  const initialMs = all.mqttRetryBackoff;
  const ceilingMs = Math.max(RETRY_CEILING_MS, initialMs);
  return {
    ...(deadLetterExchange !== null && { deadLetterExchange }),
    ...(attempts !== null && { retry: { attempts, initialMs, multiplier: 2, ceilingMs, jitter: 0.2 } }),
  };
}
