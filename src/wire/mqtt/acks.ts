import type { Outbox } from "../../net/outbox.ts";
import { writeU16 } from "./codec/packet.ts";
import { Writer } from "./codec/writer.ts";

/** First bytes of the acknowledgements (2.1.2, 2.1.3). */
export const SEND_PUBACK = 0x40;
export const SEND_PUBREC = 0x50;
export const SEND_PUBREL = 0x62;
export const SEND_PUBCOMP = 0x70;

const INITIAL = 16;
/** Batch of an entry that waits for none. */
const DONE = 0;
/** Batch of an entry of this chunk that waits for whichever batch is gathering at its end. */
const UNASSIGNED = Number.POSITIVE_INFINITY;
/** Reason of an entry that is a success unless its batch is lost; no reason code of MQTT's. */
const UNCERTAIN = 0xff;
const long = new Writer(64);

/**
 * Acknowledgements of one connection that wait for commits, in the order in which their packets came in
 * [MQTT-4.6.0-2], [MQTT-4.6.0-3]: a ring, since batches are committed in rising order, too.
 */
export class Acks {
  private readonly outbox: Outbox;
  private firsts = new Uint8Array(0);
  private reasons = new Uint8Array(0);
  private packetIds = new Uint16Array(0);
  private batches = new Float64Array(0);
  private head = 0;
  private tail = 0;
  /** Entries of this chunk that want a batch. */
  unassigned = 0;
  /** Called for each PUBACK, PUBREC and PUBCOMP that goes out. */
  private readonly sent: (first: number, packetId: number, reason: number) => void;
  private readonly lost: (first: number, packetId: number) => number;

  /** `lost`: what was to be acknowledged is not kept; returns the reason to send, or -1 to send nothing any more. */
  constructor(
    outbox: Outbox,
    sent: (first: number, packetId: number, reason: number) => void,
    lost: (first: number, packetId: number) => number,
  ) {
    this.outbox = outbox;
    this.sent = sent;
    this.lost = lost;
  }

  /** Waits for the commit of what is gathering (`pending`), or only for those before it. `apart`: it may be lost. */
  add(first: number, packetId: number, reason: number, pending: boolean, apart = false): void {
    if (!pending && this.head === this.tail) {
      this.write(first, packetId, reason);
      return;
    }
    if (this.tail - this.head === this.firsts.length) this.grow();
    const index = this.tail++ & (this.firsts.length - 1);
    this.firsts[index] = first;
    this.reasons[index] = apart ? UNCERTAIN : reason;
    this.packetIds[index] = packetId;
    this.batches[index] = pending ? UNASSIGNED : DONE;
    if (pending) this.unassigned++;
  }

  /** The batch that everything added in this chunk belongs to at the latest. */
  assign(batch: number): void {
    const mask = this.firsts.length - 1;
    for (let at = this.tail - 1; this.unassigned > 0; at--) {
      if (this.batches[at & mask] !== UNASSIGNED) continue;
      this.batches[at & mask] = batch;
      this.unassigned--;
    }
  }

  committed(batch: number, lost: boolean): void {
    const mask = this.firsts.length - 1;
    while (this.head < this.tail) {
      const index = this.head & mask;
      if ((this.batches[index] as number) > batch) return;
      this.head++;
      const first = this.firsts[index] as number;
      const packetId = this.packetIds[index] as number;
      let reason = this.reasons[index] as number;
      if (reason === UNCERTAIN)
        reason = lost && this.batches[index] === batch ? this.lost(first, packetId) : 0;
      if (reason < 0) break;
      this.write(first, packetId, reason);
    }
    this.head = this.tail = 0;
  }

  private write(first: number, packetId: number, reason: number): void {
    writeAck(this.outbox, first, packetId, reason);
    this.sent(first, packetId, reason);
  }

  private grow(): void {
    const size = Math.max(INITIAL, this.firsts.length * 2);
    const mask = this.firsts.length - 1;
    const old = { firsts: this.firsts, reasons: this.reasons, ids: this.packetIds, batches: this.batches };
    this.firsts = new Uint8Array(size);
    this.reasons = new Uint8Array(size);
    this.packetIds = new Uint16Array(size);
    this.batches = new Float64Array(size);
    for (let at = this.head; at < this.tail; at++) {
      const to = at - this.head;
      this.firsts[to] = old.firsts[at & mask] as number;
      this.reasons[to] = old.reasons[at & mask] as number;
      this.packetIds[to] = old.ids[at & mask] as number;
      this.batches[to] = old.batches[at & mask] as number;
    }
    this.tail -= this.head;
    this.head = 0;
  }
}

/** The reason is left out when it says nothing (3.4.2.1); MQTT before 5 has none at all. */
export function writeAck(outbox: Outbox, first: number, packetId: number, reason: number): void {
  if (reason !== 0) {
    long.reset();
    long.octet(first);
    long.octet(3);
    long.u16(packetId);
    long.octet(reason);
    outbox.copy(long.buffer, 0, long.length);
    return;
  }
  const at = outbox.reserve(4);
  const { bytes } = outbox;
  bytes[at] = first;
  bytes[at + 1] = 2;
  writeU16(bytes, at + 2, packetId);
  outbox.advance(4);
}
