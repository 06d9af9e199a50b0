/**
 * A message as it lies in memory and in the log: a small header, then the bytes of the protocol it
 * came in by, untouched. Big-endian.
 *
 *      0        4    5    6        8            12          16
 *     +--------+----+----+--------+------------+-----------+------------+---------+--------+
 *     | crc32c | or | fl | rtLen  | annLength  | bodyBytes | annotations| routing | native |
 *     +--------+----+----+--------+------------+-----------+------------+---------+--------+
 *       u32      u8   u8   u16      u32          u32
 *
 * crc32c covers everything after itself; 0 = not computed (the message never reaches a disk).
 * or = origin protocol; fl = flags; routing = [u8 length, exchange][u8 length, routing key]: a key whose
 * length is 255 there has that many bytes or more, and goes on to the end of routing;
 * native = whatever the origin's codec stores and reads back (AMQP 0-9-1: see its message.ts).
 * Routing stands directly before native so that a protocol can copy both with one move.
 * annotations = JSON of `Annotations`, what the broker itself has to say about the message.
 */
export const RECORD_HEADER_BYTES = 16;
export const RECORD_CRC_OFFSET = 0;
export const RECORD_ORIGIN_OFFSET = 4;
export const RECORD_FLAGS_OFFSET = 5;
export const RECORD_ROUTING_LENGTH_OFFSET = 6;
export const RECORD_ANNOTATIONS_LENGTH_OFFSET = 8;
export const RECORD_BODY_BYTES_OFFSET = 12;

export const ORIGIN_NEUTRAL = 0;
export const ORIGIN_AMQP091 = 1;
export const ORIGIN_KAFKA = 2;
export const ORIGIN_MQTT = 3;
export const ORIGIN_STOMP = 4;

export const FLAG_PERSISTENT = 1;
/** It stands for what was retained, not for a publish of this moment. */
export const FLAG_RETAINED = 2;
/** 65,536 more bytes of routing than rtLen says. */
export const FLAG_LONG_ROUTING = 4;

/** One line of a message's history of deaths. Neutral; AMQP shows it as x-death. */
export interface Death {
  readonly queue: string;
  readonly reason: DeathReason;
  readonly count: number;
  /** Seconds since the epoch of the first death of this kind. */
  readonly firstTime: number;
  readonly exchange: string;
  readonly routingKeys: readonly string[];
  /** Per-message expiration in ms as text, when the message had one before it died. */
  readonly originalExpiration?: string;
}

export type DeathReason = "rejected" | "expired" | "maxlen" | "delivery_limit";

export interface Annotations {
  /** Most recent first. */
  readonly deaths?: readonly Death[];
  /** The very first death, and the latest, whatever the order above. */
  readonly firstDeath?: { readonly queue: string; readonly reason: DeathReason; readonly exchange: string };
  readonly lastDeath?: { readonly queue: string; readonly reason: DeathReason; readonly exchange: string };
  /** Per-message expiration was taken off (it acts once). */
  readonly expirationRemoved?: boolean;
  /** Extra routing keys of the publish (carbon copies), and which of them are blind. */
  readonly copies?: readonly string[];
  readonly blindCopies?: readonly string[];
  /** Carbon-copy header is to be left out on delivery. */
  readonly copiesRemoved?: boolean;
  /** Delay the message has served, in ms. AMQP shows it negated as x-delay. */
  readonly delayServedMs?: number;
  /** Streams that it came through on its way, by exchanges that they feed. */
  readonly fed?: readonly string[];
}

/** A record in place. One mutable instance is reused for every message that is handed out. */
export class RecordView {
  bytes: Uint8Array = new Uint8Array(0);
  offset = 0;
  length = 0;

  get origin(): number {
    return this.bytes[this.offset + RECORD_ORIGIN_OFFSET] as number;
  }

  get persistent(): boolean {
    return ((this.bytes[this.offset + RECORD_FLAGS_OFFSET] as number) & FLAG_PERSISTENT) !== 0;
  }

  get retained(): boolean {
    return ((this.bytes[this.offset + RECORD_FLAGS_OFFSET] as number) & FLAG_RETAINED) !== 0;
  }

  get routingLength(): number {
    return routingLengthAt(this.bytes, this.offset);
  }

  get annotationsLength(): number {
    return readU32(this.bytes, this.offset + RECORD_ANNOTATIONS_LENGTH_OFFSET);
  }

  get bodyBytes(): number {
    return readU32(this.bytes, this.offset + RECORD_BODY_BYTES_OFFSET);
  }

  get routingOffset(): number {
    return this.offset + RECORD_HEADER_BYTES + this.annotationsLength;
  }

  get nativeOffset(): number {
    return this.routingOffset + this.routingLength;
  }

  get end(): number {
    return this.offset + this.length;
  }

  exchange(): string {
    const at = this.routingOffset;
    return asBuffer(this.bytes).toString("utf8", at + 1, at + 1 + (this.bytes[at] as number));
  }

  routingKey(): string {
    const at = this.keyOffset;
    return asBuffer(this.bytes).toString("utf8", at, this.nativeOffset);
  }

  /** Where the routing key begins; it ends where native begins. */
  get keyOffset(): number {
    return this.routingOffset + 2 + (this.bytes[this.routingOffset] as number);
  }

  annotations(): Annotations | null {
    const length = this.annotationsLength;
    if (length === 0) return null;
    const at = this.offset + RECORD_HEADER_BYTES;
    return JSON.parse(asBuffer(this.bytes).toString("utf8", at, at + length)) as Annotations;
  }
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) * 0x1000000 +
    (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
  );
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Of the record that begins at `offset`. */
export function routingLengthAt(bytes: Uint8Array, offset: number): number {
  const at = offset + RECORD_ROUTING_LENGTH_OFFSET;
  const long = ((bytes[offset + RECORD_FLAGS_OFFSET] as number) & FLAG_LONG_ROUTING) << 14;
  return long | ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

/** The part `routing` of a record. The exchange has at most 255 bytes, the routing key 65,535. */
export function encodeRouting(exchange: string, routingKey: string): Uint8Array {
  const [e, k] = [Buffer.from(exchange), Buffer.from(routingKey)];
  return Buffer.concat([Buffer.of(e.length), e, Buffer.of(Math.min(k.length, 255)), k]);
}
