// MQTT 5 clients as the specification wants them, with stores of their own that outlive the broker. What they are told
// and what they were given is written down.
import { generate, type Packet, parser } from "mqtt-packet";
import type { DirectConnection, DirectMqtt } from "../support/mqtt-direct.ts";

const EXPIRY_SECONDS = 3600;

export interface SimWill {
  readonly topic: string;
  readonly payload: string;
}

/** One client id: a connection that comes and goes, and what it has to say next. */
export abstract class SimClient {
  /** A CONNACK has come since the last `connect`. */
  connected = false;
  /** Ever: from then on its session must be there. */
  private known = false;
  private connection: DirectConnection | null = null;
  private sent: Promise<void> = Promise.resolve();
  /** Answers that the client has not come to yet. */
  private readonly due: Packet[] = [];
  readonly clientId: string;

  constructor(clientId: string) {
    this.clientId = clientId;
  }

  connect(broker: DirectMqtt, will?: SimWill): void {
    const incoming = parser({ protocolVersion: 5 });
    this.connected = false;
    this.due.length = 0;
    this.sent = Promise.resolve();
    const connection = broker.connect((bytes) => {
      if (connection === this.connection) incoming.parse(bytes);
    });
    this.connection = connection;
    incoming.on("packet", (packet) => this.take(packet));
    this.send({
      cmd: "connect",
      clientId: this.clientId,
      protocolId: "MQTT",
      protocolVersion: 5,
      clean: false,
      keepalive: 0,
      properties: { sessionExpiryInterval: EXPIRY_SECONDS },
      ...(will !== undefined && {
        will: { ...will, payload: Buffer.from(will.payload), qos: 2 as const, retain: false },
      }),
    });
  }

  /** Without a goodbye. */
  drop(): void {
    this.connection?.close();
    this.lost();
  }

  /** The broker is not there any more. */
  lost(): void {
    this.connection = null;
    this.connected = false;
  }

  /** Gives one of the answers that are due. */
  answer(): void {
    const packet = this.due.shift();
    if (packet !== undefined) this.send(packet);
  }

  get answering(): boolean {
    return this.due.length > 0;
  }

  protected send(packet: Packet): void {
    const { connection } = this;
    const bytes = generate(packet, { protocolVersion: 5 });
    this.sent = this.sent.then(() => connection?.write(bytes)).catch(() => {});
  }

  protected later(packet: Packet): void {
    this.due.push(packet);
  }

  private take(packet: Packet): void {
    if (packet.cmd === "connack") {
      if (packet.reasonCode !== 0) throw new Error(`${this.clientId}: CONNACK ${packet.reasonCode}`);
      if (this.known && !packet.sessionPresent) throw new Error(`${this.clientId}: its session is gone`);
      this.connected = true;
      this.known = true;
      this.resumed(packet.sessionPresent);
    } else if (packet.cmd === "disconnect") {
      throw new Error(`${this.clientId}: DISCONNECT ${packet.reasonCode}`);
    } else this.received(packet);
  }

  protected abstract resumed(present: boolean): void;
  protected abstract received(packet: Packet): void;
}

interface Unacknowledged {
  readonly topic: string;
  readonly payload: string;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  released: boolean;
}

export class SimPublisher extends SimClient {
  /** By packet identifier, in the order in which they were sent. */
  readonly unacknowledged = new Map<number, Unacknowledged>();
  /** Payloads that the broker has taken over, for good: PUBACK, or PUBCOMP. */
  readonly acknowledged = new Set<string>();

  publish(message: { topic: string; payload: string; qos: 1 | 2; retain: boolean }): void {
    let messageId = 1;
    while (this.unacknowledged.has(messageId)) messageId++;
    this.unacknowledged.set(messageId, { ...message, released: false });
    this.send({ cmd: "publish", dup: false, messageId, ...message });
  }

  protected resumed(): void {
    for (const [messageId, { released, ...message }] of this.unacknowledged) {
      if (released) this.send({ cmd: "pubrel", messageId });
      else this.send({ cmd: "publish", dup: true, messageId, ...message });
    }
  }

  protected received(packet: Packet): void {
    const messageId = packet.messageId as number;
    const message = this.unacknowledged.get(messageId);
    if (packet.cmd === "pubrec") {
      if (message === undefined || message.qos !== 2) throw new Error(`PUBREC of ${messageId}`);
      message.released = true;
      this.later({ cmd: "pubrel", messageId });
    } else if (packet.cmd === "puback" || packet.cmd === "pubcomp") {
      if (message === undefined || message.qos !== (packet.cmd === "puback" ? 1 : 2))
        throw new Error(`${packet.cmd} of ${messageId}`);
      this.unacknowledged.delete(messageId);
      this.acknowledged.add(message.payload);
    }
  }
}

export class SimSubscriber extends SimClient {
  /** Payload -> how often it was given to the application. */
  readonly delivered = new Map<string, number>();
  subscribed = false;
  /** QoS 2, received and not released: the same identifier is the same message. */
  private readonly held = new Set<number>();
  private readonly filters: readonly string[];

  constructor(clientId: string, filters: readonly string[]) {
    super(clientId);
    this.filters = filters;
  }

  protected resumed(): void {
    if (this.subscribed) return;
    const subscriptions = this.filters.map((topic) => ({ topic, qos: 2 as const, rh: 2 }));
    this.send({ cmd: "subscribe", messageId: 1, subscriptions });
  }

  protected received(packet: Packet): void {
    const messageId = packet.messageId as number;
    if (packet.cmd === "suback") this.subscribed = true;
    else if (packet.cmd === "pubrel") {
      this.held.delete(messageId);
      this.later({ cmd: "pubcomp", messageId });
    } else if (packet.cmd === "publish") {
      const payload = `${packet.payload}`;
      if (packet.qos === 2 && this.held.has(messageId)) {
        if (!packet.dup) throw new Error(`${payload} comes with an identifier that is in use`);
      } else this.delivered.set(payload, (this.delivered.get(payload) ?? 0) + 1);
      if (packet.qos === 2) this.held.add(messageId);
      if (packet.qos > 0) this.later({ cmd: packet.qos === 2 ? "pubrec" : "puback", messageId });
    }
  }
}

/** Reads what is retained, once. */
export class SimReader extends SimClient {
  readonly retained = new Map<string, string>();
  finished = false;
  private readonly filter: string;

  constructor(clientId: string, filter: string) {
    super(clientId);
    this.filter = filter;
  }

  protected resumed(): void {
    this.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: this.filter, qos: 0 }] });
  }

  protected received(packet: Packet): void {
    if (packet.cmd === "suback") this.finished = true;
    else if (packet.cmd === "publish") this.retained.set(packet.topic, `${packet.payload}`);
  }
}
