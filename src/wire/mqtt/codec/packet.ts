/**
 * Fixed header of every packet (MQTT 3.1.1 and 5, 2.1):
 *
 *     +-----------------+------------------------------------+----------------+
 *     | type, flags     | remaining length, 1 to 4 bytes of  | that many      |
 *     | 4 bits each     | 7 bits, least significant first    | bytes          |
 *     +-----------------+------------------------------------+----------------+
 */
export const CONNECT = 1;
export const CONNACK = 2;
export const PUBLISH = 3;
export const PUBACK = 4;
export const PUBREC = 5;
export const PUBREL = 6;
export const PUBCOMP = 7;
export const SUBSCRIBE = 8;
export const SUBACK = 9;
export const UNSUBSCRIBE = 10;
export const UNSUBACK = 11;
export const PINGREQ = 12;
export const PINGRESP = 13;
export const DISCONNECT = 14;
export const AUTH = 15;

/** Most that a remaining length can say. */
export const REMAINING_MAX = 268_435_455;
/** Type, flags and the longest remaining length. */
export const FIXED_HEADER_BYTES_MAX = 5;

export const LEVEL_3_1 = 3;
export const LEVEL_3_1_1 = 4;
export const LEVEL_5 = 5;

/** Bytes that a variable byte integer takes. */
export function varintBytes(value: number): number {
  return value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4;
}

/** Returns the offset behind it. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let [rest, to] = [value, at];
  while (rest > 127) {
    bytes[to++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  bytes[to++] = rest;
  return to;
}

export function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}
