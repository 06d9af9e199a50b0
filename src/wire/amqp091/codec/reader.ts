import { copyBytes } from "../../../base/copy-bytes.ts";
import { asBuffer, readU32 } from "../../../message/record.ts";

/** The bytes do not follow the grammar. The connection layer answers 502 SYNTAX_ERROR. */
export class MalformedError extends Error {
  override readonly name = "MalformedError";
}

/** A short string of a method is no UTF-8. The connection layer answers 501 FRAME_ERROR. */
export class MalformedTextError extends Error {
  override readonly name = "MalformedTextError";
}

const TWO_32 = 0x100000000;

/** A cursor over [at, end) of a frame's payload, for everything that is not on the hot path. */
export class Reader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;
  private bitsAt = -1;
  private bitsUsed = 0;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  octet(): number {
    return this.bytes[this.take(1)] as number;
  }

  short(): number {
    const at = this.take(2);
    return ((this.bytes[at] as number) << 8) | (this.bytes[at + 1] as number);
  }

  long(): number {
    return readU32(this.bytes, this.take(4));
  }

  /** Exact up to 2^53; delivery tags, body sizes and timestamps never come near it. */
  longlong(): number {
    const at = this.take(8);
    return readU32(this.bytes, at) * TWO_32 + readU32(this.bytes, at + 4);
  }

  /** Consecutive bits share octets, lowest bit first (AMQP 0-9-1, 4.2.5.2). */
  bit(): boolean {
    if (this.bitsAt !== this.at || this.bitsUsed === 8) {
      this.take(1);
      this.bitsAt = this.at;
      this.bitsUsed = 0;
    }
    return (((this.bytes[this.at - 1] as number) >> this.bitsUsed++) & 1) === 1;
  }

  shortstr(): string {
    return this.text(this.octet());
  }

  longstr(): string {
    return this.text(this.long());
  }

  text(length: number): string {
    const at = this.take(length);
    return asBuffer(this.bytes).toString("utf8", at, at + length);
  }

  /** A copy: what is read from here may be recycled. */
  raw(length: number): Uint8Array {
    const at = this.take(length);
    return copyBytes(this.bytes, at, at + length);
  }

  /** Moves on by `length`; returns where that part starts. */
  take(length: number): number {
    const at = this.at;
    if (length > this.end - at) throw new MalformedError("unexpected end of data");
    this.at = at + length;
    return at;
  }
}
