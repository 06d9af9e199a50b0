import { isUtf8 } from "node:buffer";
import { copyBytes } from "../../../base/copy-bytes.ts";
import { asBuffer, readU32 } from "../../../message/record.ts";
import { malformed } from "../reasons.ts";
import { readU16 } from "./packet.ts";

/** Reads the fields of one packet. Everything throws MqttError where the packet is malformed. */
export class Reader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  private take(count: number): number {
    const { at } = this;
    if (count > this.end - at) throw malformed("packet is too short");
    this.at = at + count;
    return at;
  }

  octet(): number {
    return this.bytes[this.take(1)] as number;
  }

  u16(): number {
    return readU16(this.bytes, this.take(2));
  }

  u32(): number {
    return readU32(this.bytes, this.take(4));
  }

  /** [MQTT-1.5.5-1] */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const octet = this.octet();
      value |= (octet & 127) << shift;
      if (octet < 128) return value;
    }
    throw malformed("variable byte integer is longer than 4 bytes");
  }

  /** A copy. */
  binary(): Uint8Array {
    const length = this.u16();
    const at = this.take(length);
    return copyBytes(this.bytes, at, at + length);
  }

  text(): string {
    const length = this.u16();
    const at = this.take(length);
    checkText(this.bytes, at, at + length);
    return asBuffer(this.bytes).toString("utf8", at, at + length);
  }

  rest(): Uint8Array {
    return copyBytes(this.bytes, this.at, this.end);
  }

  /** Everything has been read. */
  finish(): void {
    if (this.at !== this.end) throw malformed("packet is too long");
  }
}

/** [MQTT-1.5.4-1], [MQTT-1.5.4-2]: UTF-8 without U+0000. @throws MqttError */
export function checkText(bytes: Uint8Array, at: number, end: number): void {
  let ascii = true;
  for (let i = at; i < end; i++) {
    const octet = bytes[i] as number;
    if (octet === 0) throw malformed("text has a null character");
    if (octet > 127) ascii = false;
  }
  if (!ascii && !isUtf8(bytes.subarray(at, end))) throw malformed("text is not UTF-8");
}
