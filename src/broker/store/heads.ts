/**
 * What the shard writes beside message bodies: one head per event, replayed at start. Big-endian.
 *
 *     ENQUEUE  u8 1 | u8 flags | u8 priority | u8 0 | u32 bodyOffset | u32 length | u32 bodyBytes | f64 id
 *              | [f64 enqueuedAt] (flag 1) | [f64 expiresAt] (flag 2)
 *              | u32 n | n x u32 queueId
 *              flag 4: the message was moved forward in the log; it may be known already
 *     SETTLE   u8 2 | u32 queueId | f64 id
 *     ATTEMPT  u8 3 | u32 queueId | f64 id | u32 deliveryCount | f64 dueAt (0: ready at once)
 *     PURGE    u8 4 | u32 queueId | f64 idMax | u32 n | n x f64 kept id
 *
 * bodyOffset counts from the first body byte of the batch that holds the head.
 */
export const HEAD_ENQUEUE = 1;
export const HEAD_SETTLE = 2;
export const HEAD_ATTEMPT = 3;
export const HEAD_PURGE = 4;

export const ENQUEUE_HAS_TIME = 1;
export const ENQUEUE_HAS_EXPIRY = 2;
export const ENQUEUE_MOVED = 4;

export interface EnqueueHead {
  flags: number;
  priority: number;
  position: number;
  length: number;
  bodyBytes: number;
  id: number;
  enqueuedAt: number;
  expiresAt: number;
  queueIds: number[];
}

/** A head to be filled, again and again. */
export function enqueueHead(flags = 0, queueIds: number[] = []): EnqueueHead {
  return {
    flags,
    priority: 0,
    position: 0,
    length: 0,
    bodyBytes: 0,
    id: 0,
    enqueuedAt: 0,
    expiresAt: 0,
    queueIds,
  };
}

/** Growable buffer of heads. */
export class HeadWriter {
  private bytes = Buffer.allocUnsafe(16 * 1024);
  used = 0;
  count = 0;

  taken(): Uint8Array {
    return this.bytes.subarray(0, this.used);
  }

  clear(): void {
    if (this.bytes.length > 1024 * 1024) this.bytes = Buffer.allocUnsafe(16 * 1024);
    this.used = 0;
    this.count = 0;
  }

  enqueue(head: EnqueueHead, bodyOffset: number): void {
    const at = this.reserve(56 + 4 * head.queueIds.length);
    const b = this.bytes;
    b[at] = HEAD_ENQUEUE;
    b[at + 1] = head.flags;
    b[at + 2] = head.priority;
    b[at + 3] = 0;
    b.writeUInt32BE(bodyOffset, at + 4);
    b.writeUInt32BE(head.length, at + 8);
    b.writeUInt32BE(head.bodyBytes, at + 12);
    b.writeDoubleBE(head.id, at + 16);
    let end = at + 24;
    if ((head.flags & ENQUEUE_HAS_TIME) !== 0) end = b.writeDoubleBE(head.enqueuedAt, end);
    if ((head.flags & ENQUEUE_HAS_EXPIRY) !== 0) end = b.writeDoubleBE(head.expiresAt, end);
    end = b.writeUInt32BE(head.queueIds.length, end);
    for (const queueId of head.queueIds) end = b.writeUInt32BE(queueId, end);
    this.used = end;
    this.count++;
  }

  settle(queueId: number, id: number): void {
    const at = this.reserve(13);
    this.bytes[at] = HEAD_SETTLE;
    this.bytes.writeUInt32BE(queueId, at + 1);
    this.used = this.bytes.writeDoubleBE(id, at + 5);
    this.count++;
  }

  attempt(queueId: number, id: number, deliveryCount: number, dueAt: number): void {
    const at = this.reserve(25);
    this.bytes[at] = HEAD_ATTEMPT;
    this.bytes.writeUInt32BE(queueId, at + 1);
    this.bytes.writeDoubleBE(id, at + 5);
    this.bytes.writeUInt32BE(deliveryCount, at + 13);
    this.used = this.bytes.writeDoubleBE(dueAt, at + 17);
    this.count++;
  }

  purge(queueId: number, idMax: number, keptIds: readonly number[]): void {
    const at = this.reserve(17 + 8 * keptIds.length);
    this.bytes[at] = HEAD_PURGE;
    this.bytes.writeUInt32BE(queueId, at + 1);
    this.bytes.writeDoubleBE(idMax, at + 5);
    let end = this.bytes.writeUInt32BE(keptIds.length, at + 13);
    for (const id of keptIds) end = this.bytes.writeDoubleBE(id, end);
    this.used = end;
    this.count++;
  }

  private reserve(count: number): number {
    if (this.used + count > this.bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.used + count));
      this.bytes.copy(larger, 0, 0, this.used);
      this.bytes = larger;
    }
    return this.used;
  }
}

export interface HeadVisitor {
  enqueue(head: EnqueueHead): void;
  settle(queueId: number, id: number): void;
  attempt(queueId: number, id: number, deliveryCount: number, dueAt: number): void;
  purge(queueId: number, idMax: number, keptIds: readonly number[]): void;
}

/** Replays the heads of one batch. @throws RangeError on an unknown head: written by a newer version. */
export function readHeads(heads: Uint8Array, batchPosition: number, visitor: HeadVisitor): void {
  const b = Buffer.from(heads.buffer, heads.byteOffset, heads.byteLength);
  let at = 0;
  while (at < b.length) {
    switch (b[at]) {
      case HEAD_ENQUEUE:
        at = readEnqueue(b, at, batchPosition, visitor);
        break;
      case HEAD_SETTLE:
        visitor.settle(b.readUInt32BE(at + 1), b.readDoubleBE(at + 5));
        at += 13;
        break;
      case HEAD_ATTEMPT:
        visitor.attempt(
          b.readUInt32BE(at + 1),
          b.readDoubleBE(at + 5),
          b.readUInt32BE(at + 13),
          b.readDoubleBE(at + 17),
        );
        at += 25;
        break;
      case HEAD_PURGE: {
        const kept: number[] = [];
        const n = b.readUInt32BE(at + 13);
        for (let i = 0; i < n; i++) kept.push(b.readDoubleBE(at + 17 + 8 * i));
        visitor.purge(b.readUInt32BE(at + 1), b.readDoubleBE(at + 5), kept);
        at += 17 + 8 * n;
        break;
      }
      default:
        throw new RangeError(`unknown record type ${b[at]} in the log: it was written by another version`);
    }
  }
}

const scratch = enqueueHead();

function readEnqueue(b: Buffer, start: number, batchPosition: number, visitor: HeadVisitor): number {
  scratch.flags = b[start + 1] as number;
  scratch.priority = b[start + 2] as number;
  scratch.position = batchPosition + b.readUInt32BE(start + 4);
  scratch.length = b.readUInt32BE(start + 8);
  scratch.bodyBytes = b.readUInt32BE(start + 12);
  scratch.id = b.readDoubleBE(start + 16);
  let at = start + 24;
  scratch.enqueuedAt = 0;
  scratch.expiresAt = 0;
  if ((scratch.flags & ENQUEUE_HAS_TIME) !== 0) {
    scratch.enqueuedAt = b.readDoubleBE(at);
    at += 8;
  }
  if ((scratch.flags & ENQUEUE_HAS_EXPIRY) !== 0) {
    scratch.expiresAt = b.readDoubleBE(at);
    at += 8;
  }
  const n = b.readUInt32BE(at);
  at += 4;
  scratch.queueIds.length = 0;
  for (let i = 0; i < n; i++, at += 4) scratch.queueIds.push(b.readUInt32BE(at));
  visitor.enqueue(scratch);
  return at;
}
