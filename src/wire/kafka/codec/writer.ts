import { asBuffer, writeU32 } from "../../../message/record.ts";

const TWO_32 = 0x100000000;
const INT64_MAX = 2 ** 63;
const KEPT_BYTES_MAX = 1024 * 1024;

/** A growing byte buffer in which answers are encoded before they are copied to the outbox. */
export class Writer {
  buffer: Buffer;
  length = 0;

  constructor(capacity = 4096) {
    this.buffer = Buffer.allocUnsafeSlow(capacity);
  }

  /** Forgets the content, and the memory too when it grew out of proportion. */
  reset(): void {
    this.length = 0;
    if (this.buffer.length > KEPT_BYTES_MAX) this.buffer = Buffer.allocUnsafeSlow(4096);
  }

  int8(value: number): void {
    const at = this.room(1);
    this.buffer[at] = value;
  }

  bool(value: boolean): void {
    this.int8(value ? 1 : 0);
  }

  /** Signed or not: the same two bytes. */
  int16(value: number): void {
    const at = this.room(2);
    this.buffer[at] = value >>> 8;
    this.buffer[at + 1] = value;
  }

  int32(value: number): void {
    const at = this.room(4);
    writeU32(this.buffer, at, value);
  }

  /** Beyond 2^63 - 1: that. */
  int64(value: number): void {
    const at = this.room(8);
    if (value >= INT64_MAX) {
      writeU32(this.buffer, at, 0x7fffffff);
      writeU32(this.buffer, at + 4, 0xffffffff);
      return;
    }
    const high = Math.floor(value / TWO_32);
    writeU32(this.buffer, at, high);
    writeU32(this.buffer, at + 4, value - high * TWO_32);
  }

  float64(value: number): void {
    const at = this.room(8);
    this.buffer.writeDoubleBE(value, at);
  }

  uuid(hex: string): void {
    const at = this.room(16);
    this.buffer.write(hex, at, 16, "hex");
  }

  uvarint(value: number): void {
    let left = value >>> 0;
    while (left > 0x7f) {
      this.int8(left | 0x80);
      left >>>= 7;
    }
    this.int8(left);
  }

  /** Without its length: the caller has written that. */
  text(text: string, byteLength: number): void {
    const at = this.room(byteLength);
    this.buffer.write(text, at, byteLength, "utf8");
  }

  raw(bytes: Uint8Array, start = 0, end = bytes.length): void {
    const at = this.room(end - start);
    asBuffer(bytes).copy(this.buffer, at, start, end);
  }

  /** Puts the length of what was written since `start` in front of it. */
  prefixLength(start: number): void {
    const length = this.length - start;
    let octets = 1;
    for (let left = length; left > 0x7f; left >>>= 7) octets++;
    this.room(octets);
    this.buffer.copyWithin(start + octets, start, start + length);
    this.length = start;
    this.uvarint(length);
    this.length = start + octets + length;
  }

  /** Offset of `count` fresh bytes. May replace the buffer: call it before looking at `buffer`. */
  room(count: number): number {
    const at = this.length;
    const needed = at + count;
    if (needed > this.buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
      this.buffer.copy(grown, 0, 0, at);
      this.buffer = grown;
    }
    this.length = needed;
    return at;
  }
}
