import { copyBytes } from "../../base/copy-bytes.ts";
import type { Ledger } from "../../broker/index.ts";
import { StompError } from "./errors.ts";
import type { KeptMessage, StompIncoming } from "./incoming.ts";
import type { SendTarget } from "./targets.ts";

/** A message that waits for COMMIT, and where it goes. */
export interface KeptSend extends KeptMessage {
  readonly targets: readonly SendTarget[];
}

export interface KeptSettlement {
  readonly ledger: Ledger;
  readonly tag: number;
  readonly multiple: boolean;
  readonly accept: boolean;
  readonly requeue: boolean;
}

/** What a client has sent and acknowledged between BEGIN and COMMIT. */
export class Transaction {
  readonly sends: KeptSend[] = [];
  readonly settlements: KeptSettlement[] = [];
  private readonly bytesMax: number;
  private bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** @throws StompError when the transaction outgrows memory */
  send(message: StompIncoming, targets: readonly SendTarget[]): void {
    const bytes = copyBytes(message.bytes, message.nativeStart, message.nativeEnd);
    this.bytes += bytes.length;
    if (this.bytes > this.bytesMax) throw new StompError("resource_error", "transaction too large");
    const { bodyBytes, persistent, priority, expirationMs, delayMs } = message;
    this.sends.push({ targets, bytes, bodyBytes, persistent, priority, expirationMs, delayMs });
  }

  /** @throws StompError for a delivery that is not open, also as seen from inside */
  settle(settlement: KeptSettlement): void {
    const { ledger, tag } = settlement;
    const settled = this.settlements.some(
      (other) => other.ledger === ledger && (other.multiple ? other.tag >= tag : other.tag === tag),
    );
    if (settled || !ledger.has(tag)) throw new StompError("precondition_failed", `unknown delivery ${tag}`);
    this.settlements.push(settlement);
  }
}
