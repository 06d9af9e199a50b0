import { asBuffer, readU32 } from "../../../message/record.ts";

/** The bytes do not follow the grammar. Kafka closes such a connection without an answer. */
export class MalformedError extends Error {
  override readonly name = "MalformedError";
}

const TWO_32 = 0x100000000;
const HEX_UUID_BYTES = 16;

/** Part of a buffer that is not ours to keep: valid until the handler it was given to returns. */
export interface ByteRange {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** A cursor over [at, end) of a request or an answer. Every length is checked before it is used. */
export class Reader {
  bytes: Buffer;
  at: number;
  end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = asBuffer(bytes);
    this.at = at;
    this.end = end;
  }

  reset(bytes: Uint8Array, at: number, end: number): void {
    if (this.bytes.buffer !== bytes.buffer || this.bytes.byteOffset !== bytes.byteOffset)
      this.bytes = asBuffer(bytes);
    this.at = at;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.at;
  }

  int8(): number {
    return (this.bytes[this.take(1)]! << 24) >> 24;
  }

  bool(): boolean {
    return this.bytes[this.take(1)] !== 0;
  }

  int16(): number {
    const at = this.take(2);
    return ((this.bytes[at]! << 24) >> 16) | this.bytes[at + 1]!;
  }

  uint16(): number {
    const at = this.take(2);
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  int32(): number {
    return readU32(this.bytes, this.take(4)) | 0;
  }

  /** Exact up to 2^53; what lies beyond (a client's "for ever") comes out as the nearest double. */
  int64(): number {
    const at = this.take(8);
    return (readU32(this.bytes, at) | 0) * TWO_32 + readU32(this.bytes, at + 4);
  }

  float64(): number {
    return this.bytes.readDoubleBE(this.take(8));
  }

  /** 32 hexadecimal digits: as good a key of a Map as a string, which 16 bytes are not. */
  uuid(): string {
    const at = this.take(HEX_UUID_BYTES);
    return this.bytes.hexSlice(at, at + HEX_UUID_BYTES);
  }

  uvarint(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const octet = this.bytes[this.take(1)]!;
      value |= (octet & 0x7f) << shift;
      if (octet < 0x80) return value;
    }
    const last = this.bytes[this.take(1)]!;
    if (last > 0x0f) throw new MalformedError("a variable-length integer is longer than 32 bits");
    return (value | (last << 28)) >>> 0;
  }

  text(length: number): string {
    const at = this.take(length);
    return this.bytes.utf8Slice(at, at + length);
  }

  /** A copy: the bytes read from are recycled. */
  copy(length: number): Uint8Array {
    const at = this.take(length);
    const copy = Buffer.allocUnsafeSlow(length);
    this.bytes.copy(copy, 0, at, at + length);
    return copy;
  }

  /** Not a copy. */
  range(length: number): ByteRange {
    const start = this.take(length);
    return { bytes: this.bytes, start, end: start + length };
  }

  /** Moves on by `length`; returns where that part starts. */
  take(length: number): number {
    const at = this.at;
    if (length > this.end - at) throw new MalformedError("unexpected end of data");
    this.at = at + length;
    return at;
  }

  /** Tagged fields that nobody here knows. */
  skipTags(): void {
    for (let count = this.uvarint(); count > 0; count--) {
      this.uvarint();
      this.take(this.uvarint());
    }
  }
}

declare global {
  // What toString("utf8", ...) and toString("hex", ...) arrive at, without looking up the encoding's name.
  interface Buffer {
    utf8Slice(start: number, end: number): string;
    hexSlice(start: number, end: number): string;
  }
}
