import type { Outbox } from "../../net/outbox.ts";
import type { Answer, ByteTarget, Call, DueWork, KafkaNode, Peer, RawAnswer } from "./api.ts";
import type { AnyApi, ServedApi } from "./api-table.ts";
import { writeResponseHeader } from "./codec/header.ts";
import { MalformedError } from "./codec/reader.ts";
import { Writer } from "./codec/writer.ts";
import { CODES, type Refusal, refusalOf } from "./errors.ts";

/** Shared: an answer is encoded and copied away in one go. */
const writer = new Writer();

/** What answers need of their connection. */
export interface AnswerSource {
  readonly peer: Peer;
  readonly outbox: Outbox;
  /** See `Call.charge`. */
  charge(call: PendingCall): number;
  /** A handler failed in a way that its API has no answer for. */
  failed(error: unknown): void;
  /** Something went wrong that should not; the client is told so, and no more. */
  fault(error: unknown): void;
  /** Something has left. */
  answered(): void;
}

/** A request that waits for its answer, which waits for its turn. */
export class PendingCall implements Call<AnyApi> {
  readonly served: ServedApi;
  readonly version: number;
  readonly correlationId: number;
  readonly clientId: string | null;
  readonly request: unknown;
  /** What to send when all before it have been sent; null: not known yet. */
  encoded: Uint8Array | null = null;
  /** Monotonic, ms: since when the broker's time counts; 0: it does not, or has been counted. */
  startedMs = 0;
  throttleMs = 0;
  /** Waits for its turn. */
  deferred: DueWork | null = null;
  private readonly answers: Answers;

  constructor(
    answers: Answers,
    served: ServedApi,
    version: number,
    correlationId: number,
    clientId: string | null,
    request: unknown,
  ) {
    this.answers = answers;
    this.served = served;
    this.version = version;
    this.correlationId = correlationId;
    this.clientId = clientId;
    this.request = request;
  }

  get peer(): Peer {
    return this.answers.source.peer;
  }

  get node(): KafkaNode {
    return this.peer.node;
  }

  charge(): number {
    return this.answers.source.charge(this);
  }

  get allowanceBytes(): number {
    return this.answers.source.outbox.allowanceBytes;
  }

  whenDue(work: DueWork): void {
    this.answers.whenDue(this, work);
  }

  answer(answer: Answer<AnyApi>): void {
    this.answers.answer(this, answer);
  }

  fail(error: unknown): void {
    this.answers.fail(this, error);
  }
}

const NOTHING = new Uint8Array(0);

/** The answers of one connection, in the order of its requests. */
export class Answers {
  readonly source: AnswerSource;
  private calls: PendingCall[] = [];
  private first = 0;
  private closed = false;
  private resuming = false;

  constructor(source: AnswerSource) {
    this.source = source;
  }

  /** Requests that are not answered, or whose answers wait for others. */
  get length(): number {
    return this.calls.length - this.first;
  }

  expect(call: PendingCall): void {
    this.calls.push(call);
  }

  /** See `Call.whenDue`. */
  whenDue(call: PendingCall, work: DueWork): void {
    if (this.isDue(call)) work.due(false);
    else call.deferred = work;
  }

  /** There may be room for what waits for its turn. */
  resume(): void {
    // What is started here answers, which comes back here.
    if (this.resuming) return;
    this.resuming = true;
    for (;;) {
      const call = this.calls[this.first];
      const work = call?.deferred ?? null;
      if (call === undefined || work === null || !this.isDue(call)) break;
      call.deferred = null;
      try {
        work.due(true);
      } catch (error) {
        this.fail(call, error);
      }
    }
    this.resuming = false;
  }

  private isDue(call: PendingCall): boolean {
    return this.calls[this.first] === call && !this.source.outbox.full;
  }

  answer(call: PendingCall, answer: Answer<AnyApi>): void {
    if (this.closed || call.encoded !== null) return;
    try {
      this.encode(call, answer);
    } catch (error) {
      this.source.failed(error);
    }
  }

  private encode(call: PendingCall, answer: Answer<AnyApi>): void {
    const head = this.calls[this.first] === call;
    const raw = isRaw(answer) ? answer : null;
    writer.reset();
    writer.int32(0);
    const { api } = call.served;
    writeResponseHeader(writer, api, call.version, call.correlationId);
    if (!isRaw(answer)) api.response(call.version).write(writer, throttled(answer, call.charge()));
    const size = writer.length + (raw?.rawBytes ?? 0);
    writer.buffer.writeInt32BE(size - 4, 0);
    const target: ByteTarget = head ? this.source.outbox : new Gathered(size);
    target.copy(writer.buffer, 0, writer.length);
    raw?.copyTo(target);
    call.encoded = head ? NOTHING : (target as Gathered).bytes;
    if (head) this.flush();
  }

  /** It has none. */
  settle(call: PendingCall): void {
    if (this.closed) return;
    call.encoded = NOTHING;
    if (this.calls[this.first] === call) this.flush();
  }

  fail(call: PendingCall, error: unknown): void {
    if (this.closed || call.encoded !== null) return;
    try {
      const refuse = call.served.handler.refuse;
      const refusal = answerable(error);
      if (refusal?.errorCode === CODES.UNKNOWN_SERVER_ERROR) this.source.fault(error);
      if (refusal === null || refuse === undefined) this.source.failed(error);
      else this.answer(call, refuse(refusal, call.request as never, call.version));
    } catch (worse) {
      this.source.failed(worse);
    }
  }

  close(): void {
    this.closed = true;
    this.calls = [];
    this.first = 0;
  }

  private flush(): void {
    const { outbox } = this.source;
    for (;;) {
      const call = this.calls[this.first];
      if (call === undefined || call.encoded === null) break;
      if (call.encoded.length > 0) outbox.copy(call.encoded, 0, call.encoded.length);
      this.first++;
    }
    if (this.first === this.calls.length) {
      this.calls.length = 0;
      this.first = 0;
    } else if (this.first > 64) {
      this.calls.splice(0, this.first);
      this.first = 0;
    }
    this.source.answered();
    this.resume();
  }
}

function isRaw(answer: Answer<AnyApi>): answer is RawAnswer {
  return "rawBytes" in answer;
}

/** Whoever has to pause is told; answers may be shared, so this one is a copy. */
function throttled<T extends object>(answer: T, throttleMs: number): T {
  if (throttleMs === 0) return answer;
  const { throttleTimeMs = 0 } = answer as { throttleTimeMs?: number };
  return { ...answer, throttleTimeMs: Math.max(throttleTimeMs, throttleMs) };
}

/** An answer that is ready before its turn. */
class Gathered implements ByteTarget {
  readonly bytes: Uint8Array;
  private used = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size);
  }

  copy(source: Uint8Array, offset: number, length: number): void {
    this.bytes.set(source.subarray(offset, offset + length), this.used);
    this.used += length;
  }
}

/** Null: the client's bytes cannot be understood. */
function answerable(error: unknown): Refusal | null {
  if (error instanceof MalformedError) return null;
  return refusalOf(error) ?? { errorCode: CODES.UNKNOWN_SERVER_ERROR, errorMessage: "internal error" };
}
