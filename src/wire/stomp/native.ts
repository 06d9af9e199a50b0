import { asBuffer, type RecordView, readU32, writeU32 } from "../../message/record.ts";
import { decodeValue, encodeValue, indexOfOctet, type Version } from "./codec/frame.ts";

/**
 * Native bytes of a message that came in by STOMP:
 *
 *     +-------+----------------+--------------------------------------+------+
 *     | flags | header bytes   | header lines as they were sent, less | body |
 *     |       |                | those that were for the broker       |      |
 *     +-------+----------------+--------------------------------------+------+
 *       u8      u32              "name:value\n" each
 */
export const NATIVE_HEAD_BYTES = 5;

/** Two bits of version: how the lines are escaped. */
const FLAG_VERSION = 3;
/** Nothing in the lines needs an escape in any version: they can be copied whatever the receiver speaks. */
const FLAG_PLAIN = 4;
/** The sender gave a content-length: for ActiveMQ's clients that makes it a message of bytes. */
const FLAG_SIZED = 8;
/** Sent through a listener with ActiveMQ's conventions. */
const FLAG_ACTIVEMQ = 16;

export function nativeFlags(version: Version, plain: boolean, sized: boolean, activemq: boolean): number {
  return version | (plain ? FLAG_PLAIN : 0) | (sized ? FLAG_SIZED : 0) | (activemq ? FLAG_ACTIVEMQ : 0);
}

export function writeNativeHead(bytes: Uint8Array, at: number, flags: number, headerBytes: number): void {
  bytes[at] = flags;
  writeU32(bytes, at + 1, headerBytes);
}

/** Native bytes in place. */
export class StompContent {
  bytes: Uint8Array = new Uint8Array(0);
  version: Version = 2;
  plain = false;
  sized = true;
  activemq = false;
  headersAt = 0;
  headersEnd = 0;
  bodyEnd = 0;

  locate(record: RecordView): this {
    return this.locateIn(record.bytes, record.nativeOffset, record.end);
  }

  locateIn(bytes: Uint8Array, at: number, end: number): this {
    const flags = bytes[at] as number;
    this.bytes = bytes;
    this.version = (flags & FLAG_VERSION) as Version;
    this.plain = (flags & FLAG_PLAIN) !== 0;
    this.sized = (flags & FLAG_SIZED) !== 0;
    this.activemq = (flags & FLAG_ACTIVEMQ) !== 0;
    this.headersAt = at + NATIVE_HEAD_BYTES;
    this.headersEnd = this.headersAt + readU32(bytes, at + 1);
    this.bodyEnd = end;
    return this;
  }

  /** Names and values, in order. */
  headers(): [name: string, value: string][] {
    const { bytes, version } = this;
    const headers: [string, string][] = [];
    let at = this.headersAt;
    while (at < this.headersEnd) {
      const lineEnd = indexOfOctet(bytes, 0x0a, at, this.headersEnd);
      const colon = indexOfOctet(bytes, 0x3a, at, lineEnd);
      let valueAt = colon + 1;
      if (version === 0) while (bytes[valueAt] === 0x20 && valueAt < lineEnd) valueAt++;
      headers.push([decodeValue(bytes, at, colon, version), decodeValue(bytes, valueAt, lineEnd, version)]);
      at = lineEnd + 1;
    }
    return headers;
  }

  /** The header lines for a receiver of another version. */
  linesFor(version: Version, without: ReadonlySet<string>): Buffer {
    let lines = "";
    for (const [name, value] of this.headers()) {
      const isSayable = version !== 0 || !name.includes(":");
      if (isSayable && !without.has(name))
        lines += `${encodeValue(name, version)}:${encodeValue(value, version)}\n`;
    }
    return Buffer.from(lines);
  }

  /** The header lines can be sent as they are. */
  fits(version: Version): boolean {
    return this.plain || (this.version === version && version !== 0);
  }

  bodyText(): string {
    return asBuffer(this.bytes).toString("utf8", this.headersEnd, this.bodyEnd);
  }
}
