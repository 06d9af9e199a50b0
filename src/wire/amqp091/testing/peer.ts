import { Arena } from "../../../base/arena.ts";
import { ManualClock } from "../../../base/clock.ts";
import { silentLogger } from "../../../base/logger.ts";
import { Turn } from "../../../base/turn.ts";
import { DEFAULT_LIMITS, type Limits } from "../../../limits.ts";
import type { Table } from "../../../message/values.ts";
import type { Receipt } from "../../../net/byte-stream.ts";
import { Outbox } from "../../../net/outbox.ts";
import type { ConnectionAcceptor, ConnectionHandler, Transport } from "../../../net/transport.ts";
import { readU16, writeMethodFrame } from "../codec/frame.ts";
import { type MethodArguments, type MethodName, methodById, readArguments } from "../codec/method.ts";
import { Reader } from "../codec/reader.ts";
import { Writer } from "../codec/writer.ts";
import { amqp091 } from "../index.ts";
import { FakeBroker, type FakeSession } from "./broker.ts";

/** What came out of the broker: a method, or a content frame. */
export interface SentFrame {
  readonly type: number;
  readonly channel: number;
  readonly name: string;
  readonly args: Record<string, unknown>;
  readonly payload: Buffer;
}

/** One for all: what a peer gets from it is soon given back. */
const ARENA = new Arena(64 * 1024 * 1024);

/** A client that is all hands: it writes frames and reads frames. */
export class FakePeer implements Transport {
  readonly arena = ARENA;
  readonly clock = new ManualClock();
  readonly broker: FakeBroker;
  readonly outbox: Outbox;
  readonly name = "client -> server";
  readonly remoteAddress = "127.0.0.1";
  readonly remotePort = 40_000;
  readonly localAddress = "127.0.0.1";
  readonly localPort = 5672;
  readonly listener = { name: "amqp", host: "127.0.0.1", port: 5672, secure: false, options: {} };
  readonly loopback = true;
  readonly tls: Transport["tls"] = null;
  lastReadMs = 0;
  lastWriteMs = 0;
  paused = 0;
  ended = false;
  destroyed = false;
  readonly acceptor: ConnectionAcceptor;
  readonly handler: ConnectionHandler;
  /** True: nothing that is written is taken by the other side. */
  blocked = false;
  private readonly unwritten: (() => void)[] = [];
  private written: Buffer[] = [];
  private remainder = Buffer.alloc(0);

  constructor(
    broker = new FakeBroker(),
    limits: Partial<Limits> = {},
    tls: Transport["tls"] = null,
    failed: () => void = () => {},
  ) {
    this.broker = broker;
    this.tls = tls;
    const socket = {
      destroyed: false,
      write: (parts: readonly Uint8Array[], receipt: Receipt) => {
        this.written.push(Buffer.concat(parts));
        if (this.blocked) this.unwritten.push(() => receipt.done());
        else receipt.done();
      },
    };
    this.outbox = new Outbox(this.arena, new Turn(), socket, 1024 * 1024, {
      drained: () => this.handler.drained(),
      wrote: () => {},
      exhausted: () => this.destroy(),
    });
    const context = {
      broker,
      clock: this.clock,
      turn: new Turn(),
      readers: new Map(),
      logger: { ...silentLogger, error: failed },
      limits: { ...DEFAULT_LIMITS, ...limits },
      settings: {},
      product: "RabbitMQ",
      platform: "PolyMQ",
      version: "4.0.0",
    };
    this.acceptor = amqp091.acceptor(context);
    this.handler = this.acceptor.accept(this);
  }

  pauseReading(): void {
    this.paused++;
  }

  resumeReading(): void {
    this.paused--;
  }

  end(): void {
    this.ended = true;
  }

  destroy(): void {
    this.destroyed = true;
  }

  /** Gives bytes to the broker as the network would, with what it left unread in front. */
  write(bytes: Uint8Array): void {
    const all = Buffer.concat([this.remainder, bytes]);
    this.lastReadMs = this.clock.monotonic();
    const consumed = this.handler.read(all, 0, all.length);
    this.remainder = all.subarray(consumed);
  }

  send<N extends MethodName>(channel: number, name: N, values: MethodArguments<N>): void {
    this.write(methodFrame(channel, name, values));
  }

  unblock(): void {
    this.blocked = false;
    for (const done of this.unwritten.splice(0)) done();
  }

  get remainderBytes(): number {
    return this.remainder.length;
  }

  /** Raw output since the last call. */
  takeWritten(): Buffer[] {
    return this.written.splice(0);
  }

  /** Frames that the broker sent since the last call. */
  frames(): SentFrame[] {
    this.outbox.run();
    const bytes = Buffer.concat(this.written);
    this.written = [];
    const frames: SentFrame[] = [];
    let at = 0;
    while (at < bytes.length) {
      const size = bytes.readUInt32BE(at + 3);
      const payload = bytes.subarray(at + 7, at + 7 + size);
      if (bytes[at + 7 + size] !== 0xce) throw new Error("frame end is missing");
      frames.push(sentFrame(bytes[at] as number, readU16(bytes, at + 1), payload));
      at += size + 8;
    }
    return frames;
  }

  /** Names and arguments of the methods, "header" and "body" for content frames. */
  summary(): string[] {
    return this.frames().map(({ channel, name }) => `${channel} ${name}`);
  }

  session(): FakeSession {
    return this.broker.sessions[this.broker.sessions.length - 1] as FakeSession;
  }

  /** Lets time pass the way it does: the event loop goes round meanwhile. */
  async wait(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 500) {
      this.clock.advance(500);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Through the handshake, up to one open channel. */
  async open(tune: { frameMax?: number; heartbeat?: number; capabilities?: Table } = {}): Promise<this> {
    this.write(Buffer.from("AMQP\0\0\x09\x01", "latin1"));
    const capabilities = tune.capabilities ?? new Map();
    this.send(0, "connection.start-ok", {
      clientProperties: new Map([["capabilities", { type: "table", value: capabilities }]]),
      mechanism: "PLAIN",
      response: "\0guest\0guest",
      locale: "en_US",
    });
    await new Promise((resolve) => setImmediate(resolve));
    const { frameMax = 131_072, heartbeat = 0 } = tune;
    this.send(0, "connection.tune-ok", { channelMax: 2047, frameMax, heartbeat });
    this.send(0, "connection.open", { virtualHost: "/", reserved1: "", reserved2: false });
    this.send(1, "channel.open", { reserved1: "" });
    this.frames();
    return this;
  }
}

function sentFrame(type: number, channel: number, payload: Buffer): SentFrame {
  if (type !== 1) {
    const name = type === 2 ? "header" : type === 3 ? "body" : "heartbeat";
    return { type, channel, name, args: {}, payload };
  }
  const spec = methodById(payload.readUInt32BE(0));
  if (spec === undefined) throw new Error("unknown method sent");
  const args = readArguments(new Reader(payload, 4, payload.length), spec);
  return { type, channel, name: spec.name, args, payload };
}

export function methodFrame<N extends MethodName>(
  channel: number,
  name: N,
  values: MethodArguments<N>,
): Buffer {
  const writer = new Writer();
  writeMethodFrame(writer, channel, name, values);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

export function frame(type: number, channel: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(7);
  head[0] = type;
  head.writeUInt16BE(channel, 1);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.of(0xce)]);
}

/** Content header payload; `properties` = flags and values as on the wire. */
export function contentHeader(
  bodyBytes: number,
  properties: Uint8Array = Buffer.from("100001", "hex"),
): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(60, 0);
  head.writeBigUInt64BE(BigInt(bodyBytes), 4);
  return Buffer.concat([head, properties]);
}

export interface PublishOptions {
  readonly exchange?: string;
  readonly mandatory?: boolean;
  readonly properties?: Buffer;
  /** Body parts; default one. */
  readonly partBytes?: number;
}

/** All frames of a basic.publish. */
export function publishFrames(
  channel: number,
  routingKey: string,
  body: Uint8Array,
  options: PublishOptions = {},
): Buffer[] {
  const { exchange = "", mandatory = false, properties, partBytes = Number.POSITIVE_INFINITY } = options;
  const method = { reserved1: 0, exchange, routingKey, mandatory, immediate: false };
  const frames = [
    methodFrame(channel, "basic.publish", method),
    frame(2, channel, contentHeader(body.length, properties)),
  ];
  for (let at = 0; at < body.length; at += partBytes) {
    frames.push(frame(3, channel, body.subarray(at, Math.min(body.length, at + partBytes))));
  }
  return frames;
}
