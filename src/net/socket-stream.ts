import type { Socket } from "node:net";
import type { ByteStream, Flow, Receipt } from "./byte-stream.ts";

/** A socket as the runtime offers it: what is encrypted, and what cannot be had more directly. */
export class SocketStream implements ByteStream {
  private readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  get destroyed(): boolean {
    return this.socket.destroyed;
  }

  write(parts: readonly Uint8Array[], receipt: Receipt): void {
    const { socket } = this;
    socket.cork();
    for (let i = 0; i < parts.length - 1; i++) socket.write(parts[i] as Uint8Array);
    socket.write(parts.at(-1) as Uint8Array, () => receipt.done());
    socket.uncork();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }
}

export const SOCKET_FLOW: Flow<SocketStream> = {
  pause: (stream) => stream.pause(),
  resume: (stream) => stream.resume(),
};
