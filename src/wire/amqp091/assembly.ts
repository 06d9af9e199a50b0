import { readU32 } from "../../message/record.ts";
import {
  CLASS_BASIC,
  CONTENT_HEAD_BYTES,
  FRAME_BODY,
  FRAME_END,
  FRAME_HEADER,
  FRAME_OVERHEAD_BYTES,
  readU16,
  writeFrameHead,
} from "./codec/frame.ts";
import { AmqpError } from "./errors.ts";

const TWO_32 = 0x100000000;

/**
 * A publish that is coming in frame by frame, put together as [routing][native bytes] so that it can
 * be handed over as if it had been one piece. Memory is taken as the body comes in, not as it is announced: an
 * announcement on each of thousands of channels costs next to nothing.
 */
export class Assembly {
  readonly mandatory: boolean;
  readonly routingLength: number;
  bodyBytes = -1;
  buffer: Buffer;
  length: number;
  headerAt = 0;
  private received = 0;

  constructor(bytes: Uint8Array, routingStart: number, routingEnd: number, mandatory: boolean) {
    this.mandatory = mandatory;
    this.routingLength = routingEnd - routingStart;
    this.buffer = Buffer.from(bytes.subarray(routingStart, routingEnd));
    this.length = this.routingLength;
  }

  get whole(): boolean {
    return this.bodyBytes === this.received;
  }

  /** @throws AmqpError 505 when it is not the content header that has to follow, 406 when it is too large */
  header(type: number, bytes: Uint8Array, at: number, end: number, messageBytesMax: number): void {
    if (type !== FRAME_HEADER || end - at < CONTENT_HEAD_BYTES || readU16(bytes, at + 2) !== 0) {
      throw new AmqpError(
        "UNEXPECTED_FRAME",
        `expected content header for class ${CLASS_BASIC}, got non content header frame instead`,
      );
    }
    const classId = readU16(bytes, at);
    if (classId !== CLASS_BASIC) {
      throw new AmqpError(
        "UNEXPECTED_FRAME",
        `expected content header for class ${CLASS_BASIC}, got one for class ${classId} instead`,
      );
    }
    const bodyBytes = readU32(bytes, at + 4) * TWO_32 + readU32(bytes, at + 8);
    if (bodyBytes > messageBytesMax) throw tooLarge(bodyBytes, messageBytesMax);
    this.bodyBytes = bodyBytes;
    const headerBytes = end - at;
    this.grow(this.length + 1 + headerBytes + 2 * FRAME_OVERHEAD_BYTES);
    this.buffer[this.length] = FRAME_END;
    this.headerAt = writeFrameHead(this.buffer, this.length + 1, FRAME_HEADER, 0, headerBytes);
    this.buffer.set(bytes.subarray(at, end), this.headerAt);
    this.length = this.headerAt + headerBytes;
    this.buffer[this.length++] = FRAME_END;
    if (bodyBytes > 0) this.length = writeFrameHead(this.buffer, this.length, FRAME_BODY, 0, bodyBytes);
  }

  /** @throws AmqpError 505 when it is not the body that has to follow, or more of it than announced */
  body(type: number, bytes: Uint8Array, at: number, end: number): void {
    const size = end - at;
    if (type !== FRAME_BODY || this.received + size > this.bodyBytes) {
      throw new AmqpError("UNEXPECTED_FRAME", "expected content body, got non content body frame instead");
    }
    this.grow(this.length + size + 1);
    this.buffer.set(bytes.subarray(at, end), this.length);
    this.length += size;
    this.received += size;
    if (this.received === this.bodyBytes) this.buffer[this.length++] = FRAME_END;
  }

  /** A body in one frame gets what it needs and no more; what comes in many is copied a few times. */
  private grow(needed: number): void {
    if (needed <= this.buffer.length) return;
    const whole = this.length + (this.bodyBytes - this.received) + 1;
    const grown = Buffer.allocUnsafe(Math.max(needed, Math.min(whole, this.buffer.length * 2)));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }
}

export function tooLarge(bodyBytes: number, messageBytesMax: number): AmqpError {
  return new AmqpError(
    "PRECONDITION_FAILED",
    `message size ${bodyBytes} is larger than configured max size ${messageBytesMax}`,
  );
}
