// A publisher and a subscriber that keep the rules of QoS 1 and 2 over every break, as a careful device does: what
// they have under way is remembered, and taken up again when they are back.
import { RawMqtt } from "../support/mqtt-raw.ts";

export type Side = "publisher" | "subscriber";
/** A packet of one side, seen from there. */
export type Step = "out publish" | "in puback" | "in pubrec" | "out pubrel" | "in pubcomp" | SubscriberStep;
type SubscriberStep = "in publish" | "out puback" | "out pubrec" | "in pubrel" | "out pubcomp";

/** Called for each packet, right after it was written or read. */
export type Observe = (side: Side, step: Step) => void;

const lasting = (clientId: string) => ({
  clientId,
  clean: false,
  properties: { sessionExpiryInterval: 36_000 },
});

class Peer {
  protected raw: RawMqtt | null = null;
  private connectedBefore = false;
  readonly clientId: string;
  protected readonly observe: Observe;

  constructor(clientId: string, observe: Observe) {
    this.clientId = clientId;
    this.observe = observe;
  }

  protected async open(url: string): Promise<RawMqtt> {
    const raw = await RawMqtt.connect(url, lasting(this.clientId));
    if (this.connectedBefore && raw.connack?.sessionPresent !== true) throw new Error("the session is lost");
    this.connectedBefore = true;
    this.raw = raw;
    return raw;
  }

  /** Ends the connection without a word. */
  cut(): void {
    this.raw?.close();
  }
}

interface Message {
  readonly text: string;
  readonly qos: 1 | 2;
  readonly packetId: number;
  state: "new" | "published" | "released" | "done";
}

export class Publisher extends Peer {
  private readonly topic: string;
  private readonly messages: Message[];

  constructor(clientId: string, topic: string, texts: readonly string[], observe: Observe) {
    super(clientId, observe);
    this.topic = topic;
    this.messages = texts.map((text, i) => ({
      text,
      qos: i % 2 === 0 ? 2 : 1,
      packetId: i + 1,
      state: "new",
    }));
  }

  get done(): boolean {
    return this.messages.every(({ state }) => state === "done");
  }

  /** Until all is done, or the connection breaks. `window` messages are under way at a time. */
  async run(url: string, window: number): Promise<void> {
    const raw = await this.open(url);
    for (const message of this.messages) {
      if (message.state === "published") this.publish(raw, message, true);
      else if (message.state === "released") this.release(raw, message);
    }
    while (!this.done) {
      const under = this.messages.filter(({ state }) => state === "published" || state === "released").length;
      const fresh = this.messages
        .filter(({ state }) => state === "new")
        .slice(0, Math.max(0, window - under));
      for (const message of fresh) this.publish(raw, message, false);
      await this.answer(raw);
    }
    raw.close();
  }

  private publish(raw: RawMqtt, message: Message, dup: boolean): void {
    message.state = "published";
    const { text, qos, packetId: messageId } = message;
    raw.publish({ topic: this.topic, payload: text, qos, messageId, dup });
    this.observe("publisher", "out publish");
  }

  private release(raw: RawMqtt, message: Message): void {
    message.state = "released";
    raw.send({ cmd: "pubrel", messageId: message.packetId });
    this.observe("publisher", "out pubrel");
  }

  private async answer(raw: RawMqtt): Promise<void> {
    const packet = await raw.any();
    const message = this.messages.find(({ packetId }) => packetId === packet.messageId);
    if (message === undefined) throw new Error(`${packet.cmd} for nothing`);
    if (packet.cmd === "puback") {
      this.observe("publisher", "in puback");
      message.state = "done";
    } else if (packet.cmd === "pubrec") {
      this.observe("publisher", "in pubrec");
      this.release(raw, message);
    } else if (packet.cmd === "pubcomp") {
      this.observe("publisher", "in pubcomp");
      message.state = "done";
    } else throw new Error(`unexpected ${packet.cmd}`);
  }
}

export class Subscriber extends Peer {
  /** How often each text came, QoS 2 counted when it was new to the client. */
  readonly seen = new Map<string, number>();
  private readonly filter: string;
  private readonly open2 = new Set<number>();
  private subscribed = false;

  constructor(clientId: string, filter: string, observe: Observe) {
    super(clientId, observe);
    this.filter = filter;
  }

  /** Messages of QoS 2 that were received and never released. */
  get unreleased(): number {
    return this.open2.size;
  }

  get ready(): boolean {
    return this.subscribed;
  }

  /** Until the connection breaks. */
  async run(url: string): Promise<void> {
    const raw = await this.open(url);
    if (!this.subscribed) await raw.subscribe(this.filter, 2);
    this.subscribed = true;
    for (;;) await this.take(raw);
  }

  /** Whatever the broker still believes to be owed comes now. */
  async rest(url: string): Promise<void> {
    const raw = await this.open(url);
    for (;;) {
      await raw.settle();
      if (raw.packets.length === 0) break;
      await this.take(raw);
    }
    raw.close();
  }

  private async take(raw: RawMqtt): Promise<void> {
    const packet = await raw.any();
    const messageId = packet.messageId as number;
    if (packet.cmd === "publish") {
      this.observe("subscriber", "in publish");
      const fresh = packet.qos === 1 || !this.open2.has(messageId);
      const text = `${packet.payload}`;
      if (fresh) this.seen.set(text, (this.seen.get(text) ?? 0) + 1);
      if (packet.qos === 2) this.open2.add(messageId);
      raw.send({ cmd: packet.qos === 1 ? "puback" : "pubrec", messageId });
      this.observe("subscriber", packet.qos === 1 ? "out puback" : "out pubrec");
    } else if (packet.cmd === "pubrel") {
      this.observe("subscriber", "in pubrel");
      this.open2.delete(messageId);
      raw.send({ cmd: "pubcomp", messageId });
      this.observe("subscriber", "out pubcomp");
    } else throw new Error(`unexpected ${packet.cmd}`);
  }
}
