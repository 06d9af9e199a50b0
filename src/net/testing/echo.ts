import { connect, type Socket } from "node:net";
import { Arena, BLOCK_BYTES, LARGE_CHUNK_BYTES } from "../../base/arena.ts";
import { SystemClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/logger.ts";
import { Turn } from "../../base/turn.ts";
import { reserveScratch } from "../connection.ts";
import { Listener, type ListenerOptions } from "../listener.ts";
import type { Offering } from "../offering.ts";
import type { ConnectionAcceptor, ConnectionHandler, Transport } from "../transport.ts";

/** Says back what it hears; "many" brings more than there is memory for. */
class Echo implements ConnectionHandler {
  private readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  read(bytes: Uint8Array, start: number, end: number): number {
    const { outbox } = this.transport;
    if (Buffer.from(bytes.subarray(start, end)).includes("many")) {
      for (let i = 0; i < 100; i++) {
        outbox.reserve(LARGE_CHUNK_BYTES);
        outbox.advance(LARGE_CHUNK_BYTES);
      }
    } else outbox.copy(bytes, start, end - start);
    return end;
  }

  drained(): void {}

  closed(): void {}

  shutdown(): void {
    this.transport.outbox.copy(Buffer.from("bye"), 0, 3);
    this.transport.end();
  }
}

export const echo: ConnectionAcceptor = {
  remainderBytesMax: 1024,
  accept: (transport) => new Echo(transport),
  close: () => {},
};

/** Echoes whole "words|" only, and leaves the rest unread; shows who its clients are. */
export class Words implements ConnectionAcceptor {
  readonly remainderBytesMax = 1024;
  readonly transports: Transport[] = [];
  readonly failures: (Error | null)[] = [];
  private readonly prefix: Uint8Array;

  constructor(prefix: string | Uint8Array = "") {
    this.prefix = Buffer.from(prefix);
  }

  accept(transport: Transport): ConnectionHandler {
    this.transports.push(transport);
    return {
      read: (bytes, start, end) => {
        const at = bytes.subarray(start, end).lastIndexOf(0x7c);
        if (at < 0) return start;
        const words = Buffer.concat([this.prefix, bytes.subarray(start, start + at + 1)]);
        transport.outbox.copy(words, 0, words.length);
        return start + at + 1;
      },
      drained: () => {},
      shutdown: () => transport.end(),
      closed: (error) => this.failures.push(error),
    };
  }

  close(): void {}
}

const open: (Listener | Socket)[] = [];

/** For afterEach. */
export async function closeAll(): Promise<void> {
  for (const one of open.splice(0)) {
    if (one instanceof Listener) await one.close(0);
    else one.destroy();
  }
}

const ECHO: Offering = { kind: "plain", protocols: [{ acceptor: echo }] };

export async function listen(
  offering: Offering = ECHO,
  options: Partial<ListenerOptions> = {},
): Promise<Listener> {
  const arena = new Arena(16 * BLOCK_BYTES);
  const listener = await Listener.listen({
    name: "test",
    host: "127.0.0.1",
    port: 0,
    offering,
    arena,
    scratch: reserveScratch(arena, 1024),
    turn: new Turn(),
    clock: new SystemClock(),
    logger: silentLogger,
    outputHighWaterBytes: 1024 * 1024,
    handshakeMsMax: 10_000,
    budget: { open: 0, max: 100 },
    ...options,
  });
  open.push(listener);
  return listener;
}

export class Client {
  readonly socket: Socket;
  heard = "";
  readonly gone: Promise<void>;
  private wake = (): void => {};

  constructor(listener: Listener, socket = connect(listener.address.port, "127.0.0.1")) {
    this.socket = socket;
    open.push(socket);
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      this.heard += chunk.toString();
      this.wake();
    });
    this.gone = new Promise((resolve) => {
      socket.once("close", () => {
        resolve();
        this.wake();
      });
    });
  }

  async hears(text: string): Promise<void> {
    while (!this.heard.includes(text)) {
      if (this.socket.destroyed) throw new Error(`closed without saying '${text}', but '${this.heard}'`);
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  async says(text: string): Promise<void> {
    this.socket.write(text);
    this.heard = "";
    await this.hears(text);
  }
}
