import { writeU32 } from "../../../message/record.ts";

/** A growing byte buffer for control frames and for messages that have to be rebuilt. */
export class Writer {
  buffer: Buffer;
  length = 0;
  private bitsAt = -1;
  private bitsUsed = 0;

  constructor(capacity = 512) {
    this.buffer = Buffer.allocUnsafe(capacity);
  }

  /** Forgets the content, and the memory too when it grew out of proportion. */
  reset(): void {
    this.length = 0;
    this.bitsAt = -1;
    if (this.buffer.length > 65_536) this.buffer = Buffer.allocUnsafe(512);
  }

  octet(value: number): void {
    const at = this.room(1);
    this.buffer[at] = value;
  }

  short(value: number): void {
    const at = this.room(2);
    this.buffer[at] = value >>> 8;
    this.buffer[at + 1] = value;
  }

  long(value: number): void {
    const at = this.room(4);
    writeU32(this.buffer, at, value);
  }

  longlong(value: number): void {
    const at = this.room(8);
    writeU32(this.buffer, at, Math.floor(value / 0x100000000));
    writeU32(this.buffer, at + 4, value % 0x100000000);
  }

  bit(value: boolean): void {
    if (this.bitsAt !== this.length || this.bitsUsed === 8) {
      this.octet(0);
      this.bitsAt = this.length;
      this.bitsUsed = 0;
    }
    if (value) this.buffer[this.length - 1]! |= 1 << this.bitsUsed;
    this.bitsUsed++;
  }

  /** Cut at 255 bytes, as RabbitMQ does with long reply texts. */
  shortstr(text: string): void {
    const length = Math.min(Buffer.byteLength(text), 255);
    this.octet(length);
    const at = this.room(length);
    this.buffer.write(text, at, length, "utf8");
  }

  longstr(text: string): void {
    const length = Buffer.byteLength(text);
    this.long(length);
    const at = this.room(length);
    this.buffer.write(text, at, length, "utf8");
  }

  raw(bytes: Uint8Array, start = 0, end = bytes.length): void {
    const at = this.room(end - start);
    this.buffer.set(bytes.subarray(start, end), at);
  }

  /** Offset of `count` fresh bytes. May replace the buffer: call it before looking at `buffer`. */
  room(count: number): number {
    const at = this.length;
    const needed = at + count;
    if (needed > this.buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2));
      this.buffer.copy(grown, 0, 0, at);
      this.buffer = grown;
    }
    this.length = needed;
    return at;
  }
}
