import { isUtf8 } from "node:buffer";
import type { WebSocket } from "ws";
import type { ByteStream, Receipt } from "./byte-stream.ts";

/** RFC 6455 section 7.4.1. */
const NORMAL_CLOSURE = 1000;

/** Bytes inside a WebSocket: what leaves an outbox together is one message. */
export class WebSocketStream implements ByteStream {
  /** The client sends text and wants to be answered likewise. */
  text = false;
  private readonly socket: WebSocket;

  constructor(socket: WebSocket) {
    this.socket = socket;
  }

  get destroyed(): boolean {
    return this.socket.readyState !== this.socket.OPEN;
  }

  write(parts: readonly Uint8Array[], receipt: Receipt): void {
    const message = parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
    // Text that is none would have to be refused by the client (RFC 6455 section 8.1).
    const binary = !(this.text && isUtf8(message));
    this.socket.send(message, { binary }, () => receipt.done());
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  end(): void {
    // Whoever is not read does not see the other side's answer.
    this.socket.resume();
    this.socket.close(NORMAL_CLOSURE);
  }

  destroy(): void {
    this.socket.terminate();
  }
}
