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
 *     RETAIN   u8 5 | u8 flags | u8 priority | u8 0 | u32 bodyOffset | u32 length | u32 bodyBytes | f64 id
 *              | [f64 expiresAt] (flag 2) | text namespace | text key
 *              the message is now the last one of its key
 *     UNRETAIN u8 6 | text namespace | text key: there is none any more
 *     NOTE     u8 7 | text namespace | text book | text key | u32 length, value
 *     NOTE END u8 8 | text namespace | text book | text key: the note is gone
 *     BOOK END u8 9 | text namespace | text book: all its notes are gone
 *
 * text = u16 length, UTF-8. The namespace and book of a note come encoded from the notebook.
 * bodyOffset counts from the first body byte of the batch that holds the head.
 */
export const HEAD_ENQUEUE = 1;
export const HEAD_SETTLE = 2;
export const HEAD_ATTEMPT = 3;
export const HEAD_PURGE = 4;
export const HEAD_RETAIN = 5;
export const HEAD_UNRETAIN = 6;
export const HEAD_NOTE = 7;
export const HEAD_NOTE_END = 8;
export const HEAD_BOOK_END = 9;

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

  /** `expiresAt` of the head: 0 = never. Its queue ids do not matter. */
  retain(head: EnqueueHead, bodyOffset: number, namespace: string, key: string): void {
    requireText(key);
    const at = this.reserve(36 + 3 * (namespace.length + key.length));
    const b = this.bytes;
    b[at] = HEAD_RETAIN;
    b[at + 1] = head.expiresAt === 0 ? 0 : ENQUEUE_HAS_EXPIRY;
    b[at + 2] = head.priority;
    b[at + 3] = 0;
    b.writeUInt32BE(bodyOffset, at + 4);
    b.writeUInt32BE(head.length, at + 8);
    b.writeUInt32BE(head.bodyBytes, at + 12);
    const end = b.writeDoubleBE(head.id, at + 16);
    this.used = head.expiresAt === 0 ? end : b.writeDoubleBE(head.expiresAt, end);
    this.text(namespace);
    this.text(key);
    this.count++;
  }

  unretain(namespace: string, key: string): void {
    requireText(key);
    const at = this.reserve(5 + 3 * (namespace.length + key.length));
    this.bytes[at] = HEAD_UNRETAIN;
    this.used = at + 1;
    this.text(namespace);
    this.text(key);
    this.count++;
  }

  /** `prefix`: namespace and book. Returns the length of the head. */
  note(prefix: Uint8Array, key: string, value: string): number {
    requireText(key);
    const at = this.begin(HEAD_NOTE, prefix, 6 + 3 * (key.length + value.length));
    this.text(key);
    const written = this.bytes.write(value, this.used + 4);
    this.bytes.writeUInt32BE(written, this.used);
    this.used += 4 + written;
    return this.used - at;
  }

  noteEnd(prefix: Uint8Array, key: string): void {
    requireText(key);
    this.begin(HEAD_NOTE_END, prefix, 2 + 3 * key.length);
    this.text(key);
  }

  bookEnd(prefix: Uint8Array): void {
    this.begin(HEAD_BOOK_END, prefix, 0);
  }

  private begin(type: number, prefix: Uint8Array, more: number): number {
    const at = this.reserve(1 + prefix.length + more);
    this.bytes[at] = type;
    this.bytes.set(prefix, at + 1);
    this.used = at + 1 + prefix.length;
    this.count++;
    return at;
  }

  /** There must be room for it. */
  private text(text: string): void {
    const written = this.bytes.write(text, this.used + 2);
    this.used = this.bytes.writeUInt16BE(written, this.used) + written;
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

const TEXT_BYTES_MAX = 0xffff;

/** Before anything is written: half a head would make the log unreadable. @throws RangeError above 65,535 bytes */
function requireText(text: string): void {
  if (text.length * 3 > TEXT_BYTES_MAX && Buffer.byteLength(text) > TEXT_BYTES_MAX) {
    throw new RangeError("a key is too long for the log");
  }
}

export interface HeadVisitor {
  enqueue(head: EnqueueHead): void;
  settle(queueId: number, id: number): void;
  attempt(queueId: number, id: number, deliveryCount: number, dueAt: number): void;
  purge(queueId: number, idMax: number, keptIds: readonly number[]): void;
  retain(head: EnqueueHead, namespace: string, key: string): void;
  unretain(namespace: string, key: string): void;
  /** `position`: of the batch that holds the head; `bytes`: length of the head. */
  note(namespace: string, book: string, key: string, value: string, position: number, bytes: number): void;
  noteEnd(namespace: string, book: string, key: string): void;
  bookEnd(namespace: string, book: string): void;
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
      case HEAD_RETAIN:
        at = readRetain(b, at, batchPosition, visitor);
        break;
      case HEAD_UNRETAIN:
      case HEAD_NOTE:
      case HEAD_NOTE_END:
      case HEAD_BOOK_END:
        at = readTexts(b, at, batchPosition, visitor);
        break;
      default:
        throw new RangeError(`unknown record type ${b[at]} in the log: it was written by another version`);
    }
  }
}

const scratch = enqueueHead();

function textAt(b: Buffer, at: number): string {
  return b.toString("utf8", at + 2, afterText(b, at));
}

function afterText(b: Buffer, at: number): number {
  return at + 2 + b.readUInt16BE(at);
}

/** A head that names things and no message. */
function readTexts(b: Buffer, start: number, batchPosition: number, visitor: HeadVisitor): number {
  const namespace = textAt(b, start + 1);
  const second = afterText(b, start + 1);
  const third = afterText(b, second);
  switch (b[start]) {
    case HEAD_UNRETAIN:
      visitor.unretain(namespace, textAt(b, second));
      return third;
    case HEAD_BOOK_END:
      visitor.bookEnd(namespace, textAt(b, second));
      return third;
    case HEAD_NOTE_END:
      visitor.noteEnd(namespace, textAt(b, second), textAt(b, third));
      return afterText(b, third);
    default: {
      const at = afterText(b, third);
      const end = at + 4 + b.readUInt32BE(at);
      const value = b.toString("utf8", at + 4, end);
      visitor.note(namespace, textAt(b, second), textAt(b, third), value, batchPosition, end - start);
      return end;
    }
  }
}

function readRetain(b: Buffer, start: number, batchPosition: number, visitor: HeadVisitor): number {
  let at = readMessage(b, start, batchPosition);
  if ((scratch.flags & ENQUEUE_HAS_EXPIRY) !== 0) {
    scratch.expiresAt = b.readDoubleBE(at);
    at += 8;
  }
  scratch.queueIds.length = 0;
  const key = afterText(b, at);
  visitor.retain(scratch, textAt(b, at), textAt(b, key));
  return afterText(b, key);
}

/** What ENQUEUE and RETAIN begin with. */
function readMessage(b: Buffer, start: number, batchPosition: number): number {
  scratch.flags = b[start + 1] as number;
  scratch.priority = b[start + 2] as number;
  scratch.position = batchPosition + b.readUInt32BE(start + 4);
  scratch.length = b.readUInt32BE(start + 8);
  scratch.bodyBytes = b.readUInt32BE(start + 12);
  scratch.id = b.readDoubleBE(start + 16);
  scratch.enqueuedAt = 0;
  scratch.expiresAt = 0;
  return start + 24;
}

function readEnqueue(b: Buffer, start: number, batchPosition: number, visitor: HeadVisitor): number {
  let at = readMessage(b, start, batchPosition);
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
