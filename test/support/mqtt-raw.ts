// An MQTT peer without manners of its own: sends what it is told, byte by byte if need be, and keeps what comes.
import { connect, type Socket } from "node:net";
import { generate, type IConnackPacket, type IConnectPacket, type Packet, parser } from "mqtt-packet";

type PacketOf<C extends Packet["cmd"]> = Extract<Packet, { cmd: C }>;
type Received<C extends Packet["cmd"]> = PacketOf<C> & { messageId?: number };

export interface PublishFields {
  readonly topic: string;
  readonly payload: string | Buffer;
  readonly qos?: 0 | 1 | 2;
  readonly messageId?: number;
  readonly dup?: boolean;
  readonly retain?: boolean;
  readonly properties?: NonNullable<PacketOf<"publish">["properties"]>;
}

let counter = 0;

export class RawMqtt {
  readonly packets: Packet[] = [];
  readonly closed: Promise<void>;
  connack: IConnackPacket | null = null;
  version: number;
  clientId = "";
  private readonly socket: Socket;
  private waiting: (() => void)[] = [];
  private gone = false;

  private constructor(socket: Socket, version: number) {
    this.socket = socket;
    this.version = version;
    const packets = parser({ protocolVersion: version });
    packets.on("packet", (packet: Packet) => {
      this.packets.push(packet);
      this.wake();
    });
    packets.on("error", (error: Error) => {
      throw error;
    });
    socket.on("data", (chunk) => packets.parse(chunk as Buffer));
    socket.on("error", () => {});
    this.closed = new Promise((resolve) =>
      socket.on("close", () => {
        this.gone = true;
        this.wake();
        resolve();
      }),
    );
  }

  private wake(): void {
    for (const wake of this.waiting.splice(0)) wake();
  }

  /** A socket that has said nothing yet. */
  static async open(url: string, version = 5): Promise<RawMqtt> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port) });
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    socket.setNoDelay(true);
    return new RawMqtt(socket, version);
  }

  static async connect(url: string, fields: Partial<IConnectPacket> = {}): Promise<RawMqtt> {
    const raw = await RawMqtt.open(url, fields.protocolVersion ?? 5);
    raw.connack = await raw.login(fields);
    return raw;
  }

  async login(fields: Partial<IConnectPacket> = {}): Promise<IConnackPacket> {
    this.clientId = fields.clientId ?? `raw-${process.pid}-${++counter}`;
    this.send({
      cmd: "connect",
      protocolId: this.version === 3 ? "MQIsdp" : "MQTT",
      protocolVersion: this.version as 3 | 4 | 5,
      clean: true,
      keepalive: 0,
      ...fields,
      clientId: this.clientId,
    });
    return this.next("connack");
  }

  send(packet: Packet | Buffer): void {
    this.socket.write(Buffer.isBuffer(packet) ? packet : this.encode(packet));
  }

  encode(packet: Packet): Buffer {
    return generate(packet, { protocolVersion: this.version });
  }

  publish(fields: PublishFields): void {
    this.send({ cmd: "publish", qos: 0, dup: false, retain: false, ...fields });
  }

  /** The next packet of this kind; those before it stay. @throws Error when the connection ends first */
  async next<C extends Packet["cmd"]>(cmd: C): Promise<Received<C>> {
    for (;;) {
      const at = this.packets.findIndex((packet) => packet.cmd === cmd);
      if (at >= 0) return this.packets.splice(at, 1)[0] as Received<C>;
      if (this.gone) throw new Error(`closed before ${cmd}`);
      await new Promise<void>((wake) => this.waiting.push(wake));
    }
  }

  /** The next packet, whatever it is. @throws Error when the connection ends first */
  async any(): Promise<Packet & { messageId?: number }> {
    while (this.packets.length === 0) {
      if (this.gone) throw new Error("closed");
      await new Promise<void>((wake) => this.waiting.push(wake));
    }
    return this.packets.shift() as Packet;
  }

  async subscribe(topic: string, qos: 0 | 1 | 2, options: object = {}, properties: object = {}) {
    const messageId = 1 + (++counter % 60_000);
    const subscriptions = [{ topic, qos, ...options }];
    const extra = this.version === 5 ? { properties } : {};
    this.send({ cmd: "subscribe", messageId, subscriptions, ...extra } as Packet);
    return this.next("suback");
  }

  /** Whatever the broker had to say before is here. */
  async ping(): Promise<void> {
    this.send({ cmd: "pingreq" });
    await this.next("pingresp");
  }

  /** Likewise, and what went through a commit of the broker's as well. */
  async settle(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      await this.ping();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  close(): void {
    this.socket.destroy();
  }
}
