import { Socket } from "node:net";
import { getSystemErrorName } from "node:util";
import type { ByteStream, Flow, Receipt } from "./byte-stream.ts";

/**
 * The one place that reaches into the runtime's private parts. An accepted socket offers no way to
 * read into memory of ours; taking its handle into a new socket with `onread` does, and measured 1.95
 * times the bytes per CPU second of 'data' events. Writing to the handle rather than through the
 * socket's stream spares a request object, a queue and a tick for each write. Where the handle is not
 * what we expect, the caller falls back to 'data' and the stream.
 */
interface StreamHandle {
  readStart(): number;
  readStop(): number;
  /** 0, or a negative errno. `request` is used up only if the write could not be finished at once. */
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  writev(request: WriteRequest, parts: readonly Uint8Array[], allBytes: true): number;
  reading?: boolean;
}

interface WriteRequest {
  oncomplete: ((status: number) => void) | null;
  /** Keeps the memory that is written from. */
  parts: readonly Uint8Array[] | null;
}

interface Opened {
  _handle: StreamHandle | null;
}

interface StreamBinding {
  readonly WriteWrap: new () => WriteRequest;
  readonly kLastWriteWasAsync: number;
  readonly streamBaseState: Int32Array;
}

const BINDING = loadBinding();

function loadBinding(): StreamBinding | null {
  try {
    const { binding } = process as unknown as { binding(name: string): StreamBinding };
    const found = binding.call(process, "stream_wrap");
    const { WriteWrap, streamBaseState, kLastWriteWasAsync } = found;
    const known = typeof WriteWrap === "function" && streamBaseState?.[kLastWriteWasAsync] !== undefined;
    return known ? found : null;
  } catch {
    // Not in this version, or not allowed by its permissions.
    return null;
  }
}

/** A stream on the same connection whose reads land in `buffer`; null when this runtime cannot. */
export function adoptWithBuffer(
  accepted: Socket,
  buffer: Uint8Array,
  onBytes: (count: number) => void,
): RawStream | null {
  const opened = accepted as unknown as Opened;
  const handle = opened._handle;
  if (BINDING === null || handle === null) return null;
  const { readStart, readStop, writeBuffer, writev } = handle;
  if ([readStart, readStop, writeBuffer, writev].some((method) => typeof method !== "function")) return null;
  opened._handle = null;
  const options = {
    handle,
    onread: {
      buffer,
      callback: (count: number): boolean => {
        onBytes(count);
        return true;
      },
    },
  };
  const socket = new Socket(options as unknown as ConstructorParameters<typeof Socket>[0]);
  return new RawStream(socket, BINDING);
}

export class RawStream implements ByteStream {
  readonly socket: Socket;
  private readonly binding: StreamBinding;

  constructor(socket: Socket, binding: StreamBinding) {
    this.socket = socket;
    this.binding = binding;
  }

  /** Asked before every write, and the socket's own answer is slow; its handle leaves it as it is destroyed. */
  get destroyed(): boolean {
    return this.handle === null;
  }

  /** What the kernel does not take at once waits in the runtime's queue, before whatever comes later. */
  write(parts: readonly Uint8Array[], receipt: Receipt): void {
    const { handle } = this;
    if (handle === null) {
      receipt.done();
      return;
    }
    const { streamBaseState, kLastWriteWasAsync, WriteWrap } = this.binding;
    const request = spareRequest ?? new WriteWrap();
    spareRequest = request;
    const status =
      parts.length === 1
        ? handle.writeBuffer(request, parts[0] as Uint8Array)
        : handle.writev(request, parts, true);
    if (status === 0 && streamBaseState[kLastWriteWasAsync] !== 0) {
      spareRequest = null;
      request.parts = parts.slice();
      request.oncomplete = (late) => {
        request.parts = null;
        this.failed(late);
        receipt.done();
      };
      return;
    }
    this.failed(status);
    receipt.done();
  }

  /** Stops the kernel from handing out more bytes; what has been read is not held back. */
  pause(): void {
    const { handle } = this;
    if (handle === null) return;
    handle.reading = false;
    handle.readStop();
  }

  resume(): void {
    const { handle } = this;
    if (handle === null) return;
    handle.reading = true;
    handle.readStart();
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  private get handle(): StreamHandle | null {
    return (this.socket as unknown as Opened)._handle;
  }

  private failed(status: number): void {
    if (status >= 0 || this.destroyed) return;
    const code = getSystemErrorName(status);
    this.socket.destroy(Object.assign(new Error(`write ${code}`), { code, errno: status, syscall: "write" }));
  }
}

/** A request that no write is using: most are finished at once and leave it as it was. */
let spareRequest: WriteRequest | null = null;

/** For sockets with `onread`: the stream's own pause would not reach them. */
export const RAW_FLOW: Flow<RawStream> = {
  pause: (stream) => stream.pause(),
  resume: (stream) => stream.resume(),
};
