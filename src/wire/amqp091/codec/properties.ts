import { readU32 } from "../../../message/record.ts";
import { readU16 } from "./frame.ts";
import { MalformedError } from "./reader.ts";

/**
 * Content header payload:
 *
 *      0       2        4           12      14
 *     +-------+--------+-----------+-------+--------------------------+
 *     | class | weight | body size | flags | properties, bit 15 first |
 *     +-------+--------+-----------+-------+--------------------------+
 *       u16     u16      u64         u16
 */
export const HEADER_FLAGS_OFFSET = 12;

export const CONTENT_TYPE = 0;
export const CONTENT_ENCODING = 1;
export const HEADERS = 2;
export const DELIVERY_MODE = 3;
export const PRIORITY = 4;
export const CORRELATION_ID = 5;
export const REPLY_TO = 6;
export const EXPIRATION = 7;
export const MESSAGE_ID = 8;
export const TIMESTAMP = 9;
export const TYPE = 10;
export const USER_ID = 11;
export const APP_ID = 12;
export const CLUSTER_ID = 13;
export const PROPERTY_COUNT = 14;

/** Flag of the property with the given index. */
export function flagOf(property: number): number {
  return 0x8000 >> property;
}

/** Start and end of every property's value, -1 where it is absent; one instance can be filled again. */
export class PropertyMap {
  private readonly ranges = new Int32Array(PROPERTY_COUNT * 2);
  flags = 0;

  start(property: number): number {
    return this.ranges[property * 2] as number;
  }

  end(property: number): number {
    return this.ranges[property * 2 + 1] as number;
  }

  has(property: number): boolean {
    return this.start(property) >= 0;
  }

  /** @throws MalformedError unless the properties end exactly at `end` */
  locate(bytes: Uint8Array, flagsAt: number, end: number): void {
    const flags = readU16(bytes, flagsAt);
    // Bits 1 and 0 have no meaning; bit 0 would announce more flags, which no property needs.
    if ((flags & 3) !== 0) throw new MalformedError("unknown property flags");
    this.flags = flags;
    let at = flagsAt + 2;
    for (let property = 0; property < PROPERTY_COUNT; property++) {
      if ((flags & flagOf(property)) === 0) {
        this.ranges[property * 2] = -1;
        continue;
      }
      this.ranges[property * 2] = at;
      at += sizeAt(bytes, property, at);
      if (!(at <= end)) throw new MalformedError("properties exceed the content header");
      this.ranges[property * 2 + 1] = at;
    }
    if (at !== end) throw new MalformedError("octets left behind the properties");
  }
}

function sizeAt(bytes: Uint8Array, property: number, at: number): number {
  switch (property) {
    case HEADERS:
      return 4 + readU32(bytes, at);
    case DELIVERY_MODE:
    case PRIORITY:
      return 1;
    case TIMESTAMP:
      return 8;
    default:
      return 1 + (bytes[at] as number);
  }
}
