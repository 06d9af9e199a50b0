import type { Ledger } from "../../broker/index.ts";
import { readU32 } from "../../message/record.ts";
import { HEADER_FLAGS_OFFSET } from "./codec/properties.ts";
import { AmqpError } from "./errors.ts";
import { headerPayloadAt, type IncomingMessage } from "./message.ts";

interface BufferedPublish {
  /** [routing][native] */
  readonly bytes: Uint8Array;
  readonly routingLength: number;
  readonly bodyBytes: number;
  readonly blindCopies: readonly string[] | null;
  readonly mandatory: boolean;
}

interface BufferedSettlement {
  readonly tag: number;
  readonly multiple: boolean;
  /** "accept", or what becomes of a rejected message. */
  readonly kind: "accept" | "requeue" | "reject";
}

/** The last delivery tag that a channel sent. */
export interface DeliveryPosition {
  tag: number;
}

/** What a transactional channel has been told since the last commit or rollback. */
export class Transaction {
  publishes: BufferedPublish[] = [];
  settlements: BufferedSettlement[] = [];
  /** A commit waits for what it needs from the disk. */
  committing = false;
  private readonly bytesMax: number;
  private bytes = 0;
  private settled = new Set<number>();
  private settledUpTo = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Keeps a copy of the message. @throws AmqpError 506 when the transaction outgrows memory */
  publish(message: IncomingMessage, mandatory: boolean): void {
    this.refuseWhileCommitting();
    const routingLength = message.routingEnd - message.routingStart;
    const bytes = new Uint8Array(routingLength + message.nativeEnd - message.nativeStart);
    bytes.set(message.bytes.subarray(message.routingStart, message.routingEnd));
    bytes.set(message.bytes.subarray(message.nativeStart, message.nativeEnd), routingLength);
    this.bytes += bytes.length;
    if (this.bytes > this.bytesMax) throw tooLarge();
    const { bodyBytes, blindCopies } = message;
    this.publishes.push({ bytes, routingLength, bodyBytes, blindCopies, mandatory });
  }

  /** Notes a settlement; the tag must be open, also as seen from inside. @throws AmqpError 406 */
  settle(
    ledger: Ledger,
    position: DeliveryPosition,
    tag: number,
    multiple: boolean,
    kind: BufferedSettlement["kind"],
  ): void {
    this.refuseWhileCommitting();
    if (multiple && tag === 0) {
      // "All" means all delivered by now, not all delivered by the time of the commit.
      if (ledger.unsettled === 0) return;
      let last = position.tag;
      while (last > this.settledUpTo && (!ledger.has(last) || this.settled.has(last))) last--;
      if (last > this.settledUpTo) this.settle(ledger, position, last, true, kind);
      return;
    }
    const known = ledger.has(tag) && tag > this.settledUpTo && !this.settled.has(tag);
    if (!known) throw new AmqpError("PRECONDITION_FAILED", `unknown delivery tag ${tag}`);
    if (multiple) this.settledUpTo = tag;
    else this.settled.add(tag);
    this.settlements.push({ tag, multiple, kind });
  }

  /** As RabbitMQ does. @throws AmqpError 504 */
  refuseWhileCommitting(): void {
    if (!this.committing) return;
    throw new AmqpError("CHANNEL_ERROR", "unexpected command while processing 'tx.commit'");
  }

  /** Forgets everything; deliveries that were settled in it are open again. */
  reset(): void {
    this.publishes = [];
    this.settlements = [];
    this.committing = false;
    this.bytes = 0;
    this.settled = new Set();
    this.settledUpTo = 0;
  }
}

/** Memory does not hold what the transaction would do at once. */
export function tooLarge(): AmqpError {
  return new AmqpError("RESOURCE_ERROR", "transaction too large");
}

/** Fills `message` with a publish that was kept. */
export function restore(message: IncomingMessage, kept: BufferedPublish): void {
  message.routingStart = 0;
  message.routingEnd = kept.routingLength;
  message.nativeStart = kept.routingLength;
  message.nativeEnd = kept.bytes.length;
  message.bodyBytes = kept.bodyBytes;
  const headerAt = headerPayloadAt(kept.routingLength);
  message.scan(kept.bytes, headerAt + HEADER_FLAGS_OFFSET, headerAt + readU32(kept.bytes, headerAt - 4));
  message.blindCopies = kept.blindCopies;
}
