/** Memory for reads from disk, used again. What is not given back is the collector's. */
const BUFFER_BYTES = (1 << 20) + (320 << 10);
const KEPT_MAX = 4;

export class ReadBuffers {
  private readonly free: Uint8Array[] = [];

  /** At least `bytes`. */
  take(bytes: number): Uint8Array {
    if (bytes > BUFFER_BYTES) return Buffer.allocUnsafeSlow(bytes);
    return this.free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
  }

  give(buffer: Uint8Array): void {
    if (buffer.length === BUFFER_BYTES && this.free.length < KEPT_MAX) this.free.push(buffer);
  }
}
