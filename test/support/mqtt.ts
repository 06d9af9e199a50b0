// MQTT clients for tests: MQTT.js, with what it receives kept in order.
import { connect, type IClientOptions, type IPublishPacket, type MqttClient } from "mqtt";
import type { Clock } from "../../src/index.ts";
import { startServer } from "./broker.ts";

export type Version = 3 | 4 | 5;

export interface Received {
  readonly topic: string;
  readonly payload: string;
  readonly packet: IPublishPacket;
}

/** A broker in this process that speaks MQTT, on a port of its own. */
export async function startMqtt(texts: Record<string, string> = {}, clock?: Clock) {
  const started = await startServer({ mqttPort: "0", ...texts }, clock);
  return { ...started, url: `mqtt://127.0.0.1:${started.port("mqtt")}` };
}

/** A client that remembers what came. */
export class Client {
  readonly mqtt: MqttClient;
  readonly received: Received[] = [];
  private waiting: (() => void)[] = [];

  private constructor(mqtt: MqttClient) {
    this.mqtt = mqtt;
    mqtt.on("message", (topic, payload, packet) => {
      this.received.push({ topic, payload: payload.toString(), packet });
      for (const wake of this.waiting.splice(0)) wake();
    });
  }

  static async connect(url: string, options: IClientOptions = {}): Promise<Client> {
    const version = options.protocolVersion ?? 5;
    const mqtt = connect(url, {
      reconnectPeriod: 0,
      connectTimeout: 60_000,
      protocolVersion: version,
      ...(version === 3 && { protocolId: "MQIsdp" }),
      ...options,
    });
    // At once: what waits for a session comes right behind its CONNACK.
    const client = new Client(mqtt);
    try {
      await new Promise<void>((resolve, reject) => {
        mqtt.once("connect", () => resolve());
        mqtt.once("error", reject);
        mqtt.once("close", () => reject(new Error("closed")));
      });
    } catch (error) {
      mqtt.end(true);
      throw error;
    }
    mqtt.on("error", () => {});
    return client;
  }

  /** Resolves when `count` messages have come since the start. */
  async until(count: number): Promise<Received[]> {
    while (this.received.length < count) await new Promise<void>((wake) => this.waiting.push(wake));
    return this.received;
  }

  /** Everything that was sent to this client before now is here. */
  async settle(): Promise<Received[]> {
    const marker = `settle/${this.mqtt.options.clientId}/${Math.random()}`;
    await this.mqtt.subscribeAsync(marker, { qos: 1 });
    await this.mqtt.publishAsync(marker, "", { qos: 1 });
    const arrived = () => this.received.findIndex(({ topic }) => topic === marker);
    while (arrived() < 0) await new Promise<void>((wake) => this.waiting.push(wake));
    this.received.splice(arrived(), 1);
    await this.mqtt.unsubscribeAsync(marker);
    return this.received;
  }

  payloads(): string[] {
    return this.received.map(({ payload }) => payload);
  }

  end(): Promise<void> {
    return this.mqtt.endAsync();
  }

  /** Without a goodbye. */
  async drop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.mqtt.once("close", () => resolve()));
    this.mqtt.stream.destroy();
    await closed;
  }
}
