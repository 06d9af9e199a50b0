import { type Frame, type FrameLimits, INCOMPLETE, indexOfOctet } from "./codec/frame.ts";

const LF = 0x0a;
const CR = 0x0d;
/** A frame that is not whole yet and larger than this is gathered here, not in the socket's remainder. */
export const REMAINDER_BYTES_MAX = 32 * 1024;

/** Whoever takes frames. */
export interface FrameConsumer {
  /** False: no more frames may be handed out for now. */
  readonly ready: boolean;
  onFrame(frame: Frame): void;
}

/** Cuts what a client sends into frames; keeps what is large, or may not be looked at yet. */
export class Input {
  private readonly frame: Frame;
  private readonly limits: FrameLimits;
  private readonly consumer: FrameConsumer;
  private kept: Buffer | null = null;
  private keptBytes = 0;
  /** No NUL that could end the frame before here. */
  private searchedTo = 0;

  constructor(frame: Frame, limits: FrameLimits, consumer: FrameConsumer) {
    this.frame = frame;
    this.limits = limits;
    this.consumer = consumer;
  }

  /** Returns what was consumed of [start, end). @throws FrameError */
  read(bytes: Uint8Array, start: number, end: number): number {
    const chunk = bytes.subarray(start, end);
    if (this.kept === null) {
      const at = this.frames(chunk);
      if (at === chunk.length) return end;
      if (this.consumer.ready && chunk.length - at <= REMAINDER_BYTES_MAX) return start + at;
      this.keep(chunk.subarray(at));
      return end;
    }
    this.keep(chunk);
    this.proceed();
    return end;
  }

  /** Looks at what was kept: frames may be handed out again. @throws FrameError */
  proceed(): void {
    const { kept } = this;
    if (kept === null || !this.consumer.ready) return;
    // A frame of unknown length needs a NUL; until one comes there is nothing to look at.
    const whole = indexOfOctet(kept, 0, this.searchedTo, this.keptBytes) >= 0;
    this.searchedTo = this.keptBytes;
    if (!whole && this.keptBytes < this.limits.headerBytesMax) return;
    const at = this.frames(kept.subarray(0, this.keptBytes));
    if (at === 0) return;
    this.keptBytes -= at;
    this.searchedTo = 0;
    if (this.keptBytes === 0) this.kept = null;
    else kept.copyWithin(0, at, at + this.keptBytes);
  }

  private frames(chunk: Uint8Array): number {
    const { frame, consumer, limits } = this;
    let at = 0;
    while (consumer.ready) {
      while (chunk[at] === LF || chunk[at] === CR) at++;
      if (at === chunk.length) break;
      const next = frame.read(chunk, at, chunk.length, limits);
      if (next === INCOMPLETE) break;
      at = next;
      consumer.onFrame(frame);
    }
    return at;
  }

  private keep(bytes: Uint8Array): void {
    const needed = this.keptBytes + bytes.length;
    if (this.kept === null || this.kept.length < needed) {
      const grown = Buffer.allocUnsafe(Math.max(64 * 1024, 2 ** Math.ceil(Math.log2(needed))));
      this.kept?.copy(grown, 0, 0, this.keptBytes);
      this.kept = grown;
    }
    this.kept.set(bytes, this.keptBytes);
    this.keptBytes = needed;
  }
}
