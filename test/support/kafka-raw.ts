// A Kafka client that says exactly what it is told to, in any version, over a real socket.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Api } from "../../src/wire/kafka/codec/api.ts";
import { Reader } from "../../src/wire/kafka/codec/reader.ts";
import type { Draft, Message, Shape } from "../../src/wire/kafka/codec/schema.ts";
import { Writer } from "../../src/wire/kafka/codec/writer.ts";

export class RawKafka {
  readonly socket: Socket;
  closed = false;
  /** Frames that have come and that nobody has taken. */
  private readonly frames: Buffer[] = [];
  private unread = Buffer.alloc(0);
  private wake: () => void = () => {};
  private correlationId = 0;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.take(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
      this.wake();
    });
  }

  static async open({ host, port }: { host: string; port: number }): Promise<RawKafka> {
    const socket = connect(port, host);
    await once(socket, "connect");
    return new RawKafka(socket);
  }

  private take(chunk: Buffer): void {
    this.unread = Buffer.concat([this.unread, chunk]);
    while (this.unread.length >= 4 && this.unread.length >= 4 + this.unread.readInt32BE(0)) {
      const end = 4 + this.unread.readInt32BE(0);
      this.frames.push(this.unread.subarray(4, end));
      this.unread = this.unread.subarray(end);
    }
    this.wake();
  }

  /** Without its size. @throws when the connection ends instead */
  async frame(): Promise<Buffer> {
    for (;;) {
      const frame = this.frames.shift();
      if (frame !== undefined) return frame;
      if (this.closed) throw new Error("the broker hung up");
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  get answersWaiting(): number {
    return this.frames.length;
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Sends a request; returns how to read its answer, which must be read in turn. */
  post<Q extends Shape, A extends Shape>(
    api: Api<Q, A>,
    version: number,
    request: Draft<Message<Q>>,
  ): () => Promise<Message<A>> {
    const correlationId = this.correlationId++;
    this.write(requestFrame(api, version, correlationId, request));
    return async () => {
      const reader = new Reader(await this.frame());
      const answered = reader.int32();
      if (answered !== correlationId) throw new Error(`answer ${answered} came before ${correlationId}`);
      if (api.isFlexible(version) && api.key !== 18) reader.skipTags();
      const response = api.response(version).read(reader);
      if (reader.remaining > 0) throw new Error(`${reader.remaining} bytes behind the answer`);
      return response;
    };
  }

  ask<Q extends Shape, A extends Shape>(
    api: Api<Q, A>,
    version: number,
    request: Draft<Message<Q>>,
  ): Promise<Message<A>> {
    return this.post(api, version, request)();
  }

  /** Resolves when the broker has closed the connection. */
  async hungUp(): Promise<void> {
    if (!this.closed) await once(this.socket, "close");
  }

  close(): void {
    this.socket.destroy();
  }
}

export function requestFrame<Q extends Shape, A extends Shape>(
  api: Api<Q, A>,
  version: number,
  correlationId: number,
  request: Draft<Message<Q>>,
): Buffer {
  const writer = new Writer();
  writer.int32(0);
  writer.int16(api.key);
  writer.int16(version);
  writer.int32(correlationId);
  writer.int16(3);
  writer.text("raw", 3);
  if (api.isFlexible(version)) writer.uvarint(0);
  api.request(version).write(writer, request);
  writer.buffer.writeInt32BE(writer.length - 4, 0);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}
