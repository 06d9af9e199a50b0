// A bare AMQP connection for what client libraries hide: the handshake's stages, exact reply
// texts, the order of frames across channels, and input no client would ever send.
import { connect, type Socket } from "node:net";
import { type Args, decodeHeader, decodeMethod, encodeMethod, encodePublish, frame } from "./wire.ts";

export interface Incoming {
  /** Method name, or "heartbeat". */
  name: string;
  channel: number;
  args: Args;
  properties?: Args;
  body?: Buffer;
}

export interface RawOptions {
  keepTags?: boolean;
  capabilities?: Args;
  user?: string;
  password?: string;
  vhost?: string;
  tune?: { channelMax?: number; frameMax?: number; heartbeat?: number };
}

const PATIENCE_MS = 60_000;
export const PROTOCOL_HEADER = Buffer.from("AMQP\x00\x00\x09\x01", "latin1");

export class RawConnection {
  readonly incoming: Incoming[] = [];
  /** Bytes received before the first frame, when the broker answered with a protocol header. */
  protocolReply: Buffer | undefined;
  readonly closed: Promise<void>;
  isClosed = false;
  frameMax = 131072;
  private pending: Buffer = Buffer.alloc(0);
  private wake = new Set<() => void>();
  private content = new Map<number, { message: Incoming; left: number; parts: Buffer[] }>();

  readonly socket: Socket;
  private readonly options: RawOptions;

  private constructor(socket: Socket, options: RawOptions) {
    this.socket = socket;
    this.options = options;
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.receive(chunk));
    socket.on("error", () => {});
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.isClosed = true;
        this.notify();
        resolve();
      });
    });
  }

  static async dial(url: string, options: RawOptions = {}): Promise<RawConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port || 5672) });
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new RawConnection(socket, options);
  }

  /** Dials and completes the handshake. */
  static async open(url: string, options: RawOptions = {}): Promise<RawConnection> {
    const raw = await RawConnection.dial(url, options);
    raw.write(PROTOCOL_HEADER);
    await raw.expect("connection.start");
    raw.startOk();
    const { args } = await raw.expect("connection.tune");
    const tune = { ...args, heartbeat: 0, ...options.tune };
    raw.frameMax = Number((tune as Args).frameMax) || 131072;
    raw.send("connection.tune-ok", 0, tune);
    raw.send("connection.open", 0, { virtualHost: options.vhost ?? "/" });
    await raw.expect("connection.open-ok");
    return raw;
  }

  startOk(): void {
    const capabilities = this.options.capabilities ?? {
      consumer_cancel_notify: true,
      "basic.nack": true,
      authentication_failure_close: true,
      "connection.blocked": true,
    };
    const { user = "guest", password = "guest" } = this.options;
    this.send("connection.start-ok", 0, {
      clientProperties: { product: "polymq tests", capabilities },
      mechanism: "PLAIN",
      response: `\0${user}\0${password}`,
      locale: "en_US",
    });
  }

  write(bytes: Buffer): void {
    if (!this.socket.destroyed) this.socket.write(bytes);
  }
  send(name: string, channel: number, args: Args = {}): void {
    this.write(encodeMethod(name, channel, args));
  }
  sendFrame(type: number, channel: number, payload: Buffer): void {
    this.write(frame(type, channel, payload));
  }
  publish(channel: number, args: Args, properties: Args = {}, body: string | Buffer = ""): void {
    this.write(encodePublish(channel, args, properties, Buffer.from(body as string), this.frameMax));
  }
  /** Sends a method and resolves to the next method that arrives on its channel. */
  async call(name: string, channel: number, args: Args = {}): Promise<Incoming> {
    this.send(name, channel, args);
    return this.next(channel);
  }
  async openChannel(channel: number): Promise<void> {
    this.send("channel.open", channel);
    await this.expect("channel.open-ok", channel);
  }

  /** The next message on a channel, or on any channel. */
  next(channel?: number): Promise<Incoming> {
    return this.take((item) => channel === undefined || item.channel === channel);
  }
  async expect(name: string, channel?: number): Promise<Incoming> {
    const item = await this.next(channel);
    if (item.name !== name)
      throw new Error(`expected ${name}, got ${item.name} ${JSON.stringify(item.args)}`);
    return item;
  }
  /** Like next(), but passes over everything of other names. */
  find(name: string, channel?: number): Promise<Incoming> {
    return this.take((item) => item.name === name && (channel === undefined || item.channel === channel));
  }
  async until(condition: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!condition()) {
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`waited ${PATIENCE_MS} ms for ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, left);
        const wake = this.wake;
        function done() {
          clearTimeout(timer);
          wake.delete(done);
          resolve();
        }
        this.wake.add(done);
      });
    }
  }

  async close(): Promise<void> {
    if (!this.isClosed) {
      this.send("connection.close", 0, { replyCode: 200, replyText: "bye" });
      await Promise.race([this.find("connection.close-ok", 0), this.closed]).catch(() => {});
    }
    this.destroy();
  }
  destroy(): void {
    this.socket.destroy();
  }

  private async take(match: (item: Incoming) => boolean): Promise<Incoming> {
    await this.until(() => this.incoming.some(match) || this.isClosed, "a frame from the broker");
    const index = this.incoming.findIndex(match);
    if (index < 0) throw new Error("the broker closed the socket");
    return this.incoming.splice(index, 1)[0]!;
  }

  private notify(): void {
    for (const wake of [...this.wake]) wake();
  }

  private receive(chunk: Buffer): void {
    this.pending = this.pending.length ? Buffer.concat([this.pending, chunk]) : chunk;
    if (this.pending.length >= 4 && this.pending.toString("latin1", 0, 4) === "AMQP") {
      this.protocolReply = this.pending;
      this.notify();
      return;
    }
    while (this.pending.length >= 8) {
      const size = this.pending.readUInt32BE(3);
      if (this.pending.length < size + 8) break;
      this.frameArrived(
        this.pending.readUInt8(0),
        this.pending.readUInt16BE(1),
        this.pending.subarray(7, 7 + size),
      );
      this.pending = this.pending.subarray(size + 8);
    }
    this.notify();
  }

  private frameArrived(type: number, channel: number, payload: Buffer): void {
    if (type === 1) {
      this.methodArrived(channel, payload);
      return;
    }
    if (type === 8) {
      this.incoming.push({ name: "heartbeat", channel, args: {} });
      return;
    }
    const partial = this.content.get(channel);
    if (!partial) throw new Error(`content frame ${type} on channel ${channel} without a method`);
    if (type === 2) {
      const { size, properties } = decodeHeader(payload, this.options.keepTags);
      partial.left = size;
      partial.message.properties = properties;
    } else {
      partial.left -= payload.length;
      partial.parts.push(Buffer.from(payload));
    }
    if (partial.left > 0) return;
    partial.message.body = Buffer.concat(partial.parts);
    this.content.delete(channel);
    this.incoming.push(partial.message);
  }

  private methodArrived(channel: number, payload: Buffer): void {
    const message: Incoming = { channel, ...decodeMethod(payload, this.options.keepTags) };
    if (["basic.deliver", "basic.return", "basic.get-ok"].includes(message.name)) {
      this.content.set(channel, { message, left: 0, parts: [] });
    } else this.incoming.push(message);
  }
}
