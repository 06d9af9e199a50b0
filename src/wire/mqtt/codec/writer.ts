import { writeU32 } from "../../../message/record.ts";
import { varintBytes, writeU16, writeVarint } from "./packet.ts";

/** A growing packet; for everything but PUBLISH and its acknowledgements, which go straight to the outbox. */
export class Writer {
  buffer: Buffer;
  length = 0;

  constructor(size = 256) {
    this.buffer = Buffer.allocUnsafeSlow(size);
  }

  reset(): void {
    this.length = 0;
  }

  get written(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  room(count: number): number {
    const at = this.length;
    if (at + count > this.buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(at + count, this.buffer.length * 2));
      this.buffer.copy(grown, 0, 0, at);
      this.buffer = grown;
    }
    this.length = at + count;
    return at;
  }

  octet(value: number): void {
    const at = this.room(1);
    this.buffer[at] = value;
  }

  u16(value: number): void {
    const at = this.room(2);
    writeU16(this.buffer, at, value);
  }

  u32(value: number): void {
    const at = this.room(4);
    writeU32(this.buffer, at, value);
  }

  varint(value: number): void {
    const at = this.room(varintBytes(value));
    writeVarint(this.buffer, at, value);
  }

  raw(bytes: Uint8Array, start = 0, end = bytes.length): void {
    const at = this.room(end - start);
    this.buffer.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), at);
  }

  binary(bytes: Uint8Array): void {
    this.u16(bytes.length);
    this.raw(bytes);
  }

  text(value: string): void {
    this.binary(Buffer.from(value));
  }

  /** A whole packet: type and flags, length, and what `body` writes. */
  packet(first: number, body: (writer: Writer) => void): void {
    this.reset();
    // Written behind the longest head, then moved up against the real one.
    this.room(HEAD_ROOM);
    body(this);
    const bytes = this.length - HEAD_ROOM;
    const head = 1 + varintBytes(bytes);
    this.buffer[0] = first;
    writeVarint(this.buffer, 1, bytes);
    this.buffer.copyWithin(head, HEAD_ROOM, this.length);
    this.length = head + bytes;
  }
}

const HEAD_ROOM = 5;
