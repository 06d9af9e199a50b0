import type { Batch, Log, LogSource } from "../../engine/engine.ts";
import {
  ATTRIBUTE_APPEND_TIME,
  ATTRIBUTE_TRANSACTIONAL,
  ATTRIBUTES_AT,
  BASE_OFFSET_AT,
  BASE_SEQUENCE_AT,
  COUNT_AT,
  LEADER_EPOCH_AT,
  MAX_TIMESTAMP_AT,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  readI16,
  readI32,
  readI64,
  sealBatch,
  writeI16,
  writeI32,
  writeI64,
} from "../../message/record-batch.ts";
import { writeMarker } from "../../message/record-writer.ts";
import { checkBatch } from "./batch-check.ts";
import { CleanedChunk } from "./cleaned-chunk.ts";
import type { StreamContext } from "./context.ts";
import {
  FLAG_BEGINS_RUN,
  FLAG_CLEANED,
  FLAG_COMMIT,
  FLAG_CONTROL,
  FLAG_TRANSACTIONAL,
  type HeadVisitor,
  type PartitionState,
  type RecordsHead,
  visitHeads,
} from "./heads.ts";
import type { Portion } from "./portion.ts";
import { Producers, SEQUENCE_DUPLICATE, SEQUENCE_FENCED, SEQUENCE_GAP } from "./producers.ts";
import { type Run, Runs } from "./runs.ts";
import { Tail } from "./tail-cache.ts";
import { Transactions } from "./transactions.ts";
import type { AppendResult, StreamConfig } from "./types.ts";

/** The part of a commit round that one batch of the log takes: what a reader steps over at most to find an offset. */
const PORTION_BYTES = 256 * 1024;
/** Files of the log; a run is cut into several when it is larger. */
const FILE_BYTES_MAX = 64 << 20;
const FILE_BYTES_MIN = 1 << 20;

/** The leader's epoch in every batch: one node never changes leaders. */
export const LEADER_EPOCH = 0;

export interface PartitionLogHost {
  readonly config: StreamConfig;
  /** Name of the log. */
  readonly logName: string;
  /** More is durable, or decided. */
  advanced(): void;
  /** Nothing more will be. */
  storageFailed(): void;
}

/**
 * A partition that has been written to: gives batches their offsets, takes them to the log, and
 * knows what they say about producers and transactions. All of it is rebuilt from the log's heads.
 */
export class PartitionLog implements LogSource, HeadVisitor {
  startOffset = 0;
  endOffset = 0;
  committedOffset = 0;
  stableOffset = 0;
  readonly runs = new Runs();
  readonly tail = new Tail();
  readonly producers = new Producers();
  readonly transactions = new Transactions();
  /** How often cleaning has put something in the place of what was there. */
  replacements = 0;
  /** Set when storage takes no more. */
  failure: Error | null = null;
  log: Log | null = null;
  private readonly context: StreamContext;
  private readonly host: PartitionLogHost;
  private opening: Promise<void> | null = null;
  /** Not taken yet; the last one is being filled. */
  private readonly queue: Portion[] = [];
  private readonly inFlight: Portion[] = [];
  private queuedBytes = 0;
  private waking = false;
  private closed = false;
  /** Of the run that grows, batches that are not taken yet included. */
  private activeBytes = 0;
  private activeSinceMs = 0;
  private rollsNext = true;
  /** A cut waits for its place in the log, and another for that. */
  private cutting = false;
  private cutsAgain = false;
  /** The run that cleaned batches went to last. */
  private cleaned: Run | null = null;
  private replacedTo = -1;

  constructor(context: StreamContext, host: PartitionLogHost) {
    this.context = context;
    this.host = host;
  }

  get storedBytes(): number {
    return this.runs.bytes + this.queuedBytes;
  }

  /** Nothing is written any more. */
  get over(): boolean {
    return this.closed || this.failure !== null;
  }

  /** The run that what comes in goes to; undefined when the next batch begins one. */
  get growing(): Run | undefined {
    return this.rollsNext && this.queue.length === 0 ? undefined : this.runs.active;
  }

  get more(): boolean {
    return this.queue.length > 0;
  }

  // --- life -----------------------------------------------------------------------------------

  /** Rebuilds what the log holds. */
  async recover(): Promise<void> {
    const log = await this.openLog();
    await log.recover(({ heads, position }) => visitHeads(heads, position, this.context.head, this));
    this.committedOffset = this.endOffset;
    if (this.runs.active?.cleaned !== false) this.rollsNext = true;
    this.runs.trim(this.startOffset);
    this.transactions.trimmed(this.startOffset);
    this.stableOffset = this.transactions.stableOffset(this.committedOffset);
    this.log = log;
    log.start(this);
  }

  /** Commits what was appended. */
  async close(): Promise<void> {
    await this.opening;
    this.closed = true;
    await this.log?.close();
  }

  /** Nothing is appended or told any more. */
  async discard(): Promise<void> {
    this.closed = true;
    this.failure = new Error("the stream was deleted");
    this.context.chunks.forget(this.runs);
    await this.opening;
    this.lose();
  }

  // --- appending ------------------------------------------------------------------------------

  /** `own`: the broker made the batch, and it needs no check. */
  append(bytes: Uint8Array, start: number, end: number, own = false): AppendResult {
    const { context, host } = this;
    const { result } = context;
    result.clear();
    if (this.failure !== null) return result.refuse("storage", this.failure.message);
    const nowMs = context.clock.now();
    if (!own && !checkBatch(bytes, start, end, host.config, nowMs, context.cursor, result)) return result;
    const attributes = readI16(bytes, start + ATTRIBUTES_AT);
    const producerId = readI64(bytes, start + PRODUCER_ID_AT);
    const transactional = (attributes & ATTRIBUTE_TRANSACTIONAL) !== 0;
    if (producerId >= 0 && !this.checkProducer(bytes, start, producerId, transactional)) return result;

    const head = context.head;
    head.flags = transactional ? FLAG_TRANSACTIONAL : 0;
    head.producerId = producerId;
    head.producerEpoch = readI16(bytes, start + PRODUCER_EPOCH_AT);
    head.baseSequence = readI32(bytes, start + BASE_SEQUENCE_AT);
    head.lastOffsetDelta = readI32(bytes, start + COUNT_AT) - 1;
    head.maxTimestampMs = readI64(bytes, start + MAX_TIMESTAMP_AT);
    head.appendedMs = nowMs;
    const stamps = host.config.timestamps === "append";
    if (stamps) result.appendTimeMs = head.maxTimestampMs = nowMs;
    result.baseOffset = this.endOffset;
    this.store(bytes, start, end, head);
    if (stamps || (attributes & ATTRIBUTE_APPEND_TIME) !== 0) {
      this.restamp(end - start, attributes, stamps ? nowMs : -1);
    }
    if (producerId >= 0) {
      const { baseSequence, baseOffset, producerEpoch } = head;
      this.producers.appended(
        producerId,
        producerEpoch,
        baseSequence,
        head.lastOffsetDelta + 1,
        baseOffset,
        nowMs,
      );
      if (transactional) this.transactions.appended(producerId, baseOffset);
    }
    return result;
  }

  beginTransaction(producerId: number, producerEpoch: number): void {
    this.producers.fence(producerId, producerEpoch, this.context.clock.now());
    this.transactions.begin(producerId, producerEpoch);
  }

  /** @throws Error when storage failed */
  endTransaction(
    producerId: number,
    producerEpoch: number,
    commit: boolean,
    coordinatorEpoch: number,
  ): number {
    if (this.failure !== null) throw this.failure;
    const { context } = this;
    const nowMs = context.clock.now();
    const { writer, head } = context;
    const length = writeMarker(writer, nowMs, producerId, producerEpoch, commit, coordinatorEpoch);
    head.flags = FLAG_TRANSACTIONAL | FLAG_CONTROL | (commit ? FLAG_COMMIT : 0);
    head.producerId = producerId;
    head.producerEpoch = producerEpoch;
    head.baseSequence = -1;
    head.lastOffsetDelta = 0;
    head.maxTimestampMs = head.appendedMs = nowMs;
    this.store(writer.bytes, 0, length, head);
    this.producers.fence(producerId, producerEpoch, nowMs);
    this.transactions.ended(producerId, commit, head.baseOffset);
    return head.baseOffset;
  }

  /** The next batch begins a run. */
  closeRun(): void {
    this.rollsNext = true;
  }

  /** Closes a run that is old enough, though nothing comes in. */
  rollIfOld(nowMs: number): void {
    if (this.activeBytes === 0) return;
    const { cleanup, segmentMs, compactionLagMaxMs } = this.host.config;
    const ageMs = nowMs - this.activeSinceMs;
    const old = segmentMs >= 0 && ageMs >= segmentMs;
    // What must be cleaned in time must be closed before.
    const late = cleanup !== "delete" && compactionLagMaxMs >= 0 && ageMs > compactionLagMaxMs;
    if (old || late) this.closeRun();
  }

  forgetProducers(nowMs: number): void {
    if (this.producers.size === 0) return;
    this.producers.expire(nowMs - this.context.producerExpiryMs, (producerId) =>
      this.transactions.busy(producerId),
    );
  }

  /** Forgets records below `offset`, and gives their space back once that is durable. */
  trim(offset: number): void {
    if (offset <= this.startOffset) return;
    this.startOffset = offset;
    this.runs.trim(offset);
    this.transactions.trimmed(offset);
    this.cut();
  }

  /** Writes down what the log's beginning says, so that it can go. */
  cut(): void {
    if (this.failure !== null) return;
    this.cutsAgain = this.cutting;
    if (this.cutting) return;
    this.cutting = true;
    // What is needed later than now must not decide about what is written down now.
    const { firstPosition } = this.runs;
    const waiting = this.queue.some(({ endOffset }) => endOffset >= 0);
    const portion = this.portion(0);
    portion.heads.state(this.startOffset, this.endOffset, this.logged);
    portion.onPlaced = (position) => {
      this.cutting = false;
      if (firstPosition >= 0) portion.trimPosition = Math.min(firstPosition, position);
      else if (!waiting) portion.trimPosition = position;
      if (this.cutsAgain) this.cut();
    };
    this.wake();
  }

  // --- cleaning -------------------------------------------------------------------------------

  openChunk(from: number): CleanedChunk {
    return new CleanedChunk(from, this.context.clock.now());
  }

  /**
   * Puts a chunk in the place of the offsets from its beginning to `to`. Resolves when that is so,
   * with the run that holds it; `target` is where the chunk before went.
   */
  replace(chunk: CleanedChunk, to: number, target: Run | null): Promise<Run | null> {
    return new Promise((resolve, reject) => {
      if (this.over) throw new Error("the partition is closed");
      const portion = this.context.takePortion();
      portion.heads.replace(chunk.from, to);
      for (const head of chunk.heads) portion.heads.records(head);
      if (chunk.bytes > 0) portion.addOwned(chunk.body);
      for (const marker of chunk.markersGone) this.transactions.forget(marker);
      if (chunk.markersGone.length > 0) portion.heads.state(this.startOffset, this.endOffset, this.logged);
      let at = -1;
      portion.onPlaced = (position) => {
        at = position;
        this.runs.active?.interrupted();
      };
      portion.onLost = () => reject(new Error("the partition takes no more writes"));
      portion.onCommitted = () => {
        this.cleaned = target;
        this.enterCleaned(chunk, to, at);
        resolve(this.cleaned);
      };
      this.queue.push(portion);
      this.wake();
    });
  }

  /** Readers find the new batches from here on. */
  private enterCleaned(chunk: CleanedChunk, to: number, position: number): void {
    this.replacements++;
    this.context.chunks.forget(this.runs);
    if (to <= this.startOffset) return;
    this.runs.cover(chunk.from, to);
    this.tail.forgetBefore(to);
    for (const [index, head] of chunk.heads.entries()) this.enterCleanedBatch(head, position, index === 0);
  }

  private enterCleanedBatch(head: RecordsHead, position: number, first: boolean): void {
    const { runs } = this;
    // A run begins where a section does.
    if (first)
      this.cleaned = runs.cleaned(head.baseOffset, position, this.cleaned, this.host.config.segmentBytes);
    const run = this.cleaned as Run;
    if (first) run.section(head.baseOffset, position);
    runs.grow(run, head.nextOffset, head.length, head.appendedMs);
    run.newest(head.maxTimestampMs, head.nextOffset - 1);
  }

  /** What the heads so far say, for whoever reads on from here. */
  private get logged(): PartitionState {
    return { producers: this.producers.state(), ...this.transactions.state() };
  }

  private checkProducer(
    bytes: Uint8Array,
    start: number,
    producerId: number,
    transactional: boolean,
  ): boolean {
    const { result } = this.context;
    const epoch = readI16(bytes, start + PRODUCER_EPOCH_AT);
    const sequence = readI32(bytes, start + BASE_SEQUENCE_AT);
    const verdict = this.producers.check(producerId, epoch, sequence, readI32(bytes, start + COUNT_AT));
    if (verdict === SEQUENCE_FENCED) {
      result.refuse("producer-fenced", `epoch ${epoch} of producer ${producerId} is over`);
    } else if (verdict === SEQUENCE_DUPLICATE) {
      result.duplicate = true;
      result.baseOffset = this.producers.duplicateOffset;
    } else if (verdict === SEQUENCE_GAP) {
      result.refuse(
        "sequence-out-of-order",
        `sequence ${sequence} of producer ${producerId} is not the next`,
      );
    } else if (transactional !== (this.transactions.begunEpoch(producerId) === epoch)) {
      result.refuse(
        "transaction-state",
        transactional ? "no transaction was begun here" : "a transaction is open here",
      );
    } else return true;
    return false;
  }

  /** Gives a batch its place: the copy is `cache.bytes` from `cache.at` on. */
  private store(bytes: Uint8Array, start: number, end: number, head: RecordsHead): void {
    const { cache, counters } = this.context;
    const length = end - start;
    counters.streamRecordsWritten += head.lastOffsetDelta + 1;
    counters.streamBytesWritten += length;
    const { config } = this.host;
    if (this.activeBytes > 0) {
      const full = this.activeBytes + length > config.segmentBytes;
      const old = config.segmentMs >= 0 && head.appendedMs - this.activeSinceMs >= config.segmentMs;
      if (full || old) this.rollsNext = true;
    }
    const portion = this.portion(length);
    if (this.rollsNext) {
      portion.beginsRun = true;
      this.rollsNext = false;
      this.activeBytes = 0;
      this.activeSinceMs = head.appendedMs;
      head.flags |= FLAG_BEGINS_RUN;
    }
    head.length = length;
    head.baseOffset = this.endOffset;
    const address = cache.put(bytes, start, end);
    writeI64(cache.bytes, cache.at + BASE_OFFSET_AT, head.baseOffset);
    writeI32(cache.bytes, cache.at + LEADER_EPOCH_AT, LEADER_EPOCH);
    portion.add(cache, length);
    portion.heads.records(head);
    if (portion.endOffset < 0) {
      portion.baseOffset = head.baseOffset;
      portion.maxTimestampMs = -1;
    }
    portion.endOffset = this.endOffset = head.nextOffset;
    portion.appendedMs = head.appendedMs;
    if (head.maxTimestampMs > portion.maxTimestampMs) {
      portion.maxTimestampMs = head.maxTimestampMs;
      portion.maxTimestampOffset = head.nextOffset - 1;
    }
    this.tail.push(cache, head.baseOffset, address, length);
    this.activeBytes += length;
    this.queuedBytes += length;
    this.wake();
  }

  /** Sets or clears the broker's timestamp in the copy just made. */
  private restamp(length: number, attributes: number, appendTimeMs: number): void {
    const { bytes, at } = this.context.cache;
    if (appendTimeMs >= 0) {
      writeI16(bytes, at + ATTRIBUTES_AT, attributes | ATTRIBUTE_APPEND_TIME);
      writeI64(bytes, at + MAX_TIMESTAMP_AT, appendTimeMs);
    } else writeI16(bytes, at + ATTRIBUTES_AT, attributes & ~ATTRIBUTE_APPEND_TIME);
    sealBatch(bytes, at, at + length);
  }

  /** The portion that takes `length` more bytes. */
  private portion(length: number): Portion {
    const last = this.queue[this.queue.length - 1];
    const fits = last !== undefined && (length === 0 || last.bodyBytes + length <= PORTION_BYTES);
    if (fits && last.onPlaced === null && !(this.rollsNext && length > 0)) return last;
    const portion = this.context.takePortion();
    this.queue.push(portion);
    return portion;
  }

  // --- the log --------------------------------------------------------------------------------

  take(): Batch | null {
    this.waking = false;
    const portion = this.queue.shift();
    const { log } = this;
    if (portion === undefined || log === null) return null;
    if (portion.beginsRun && this.runs.list.length > 0) log.beginSegment();
    const position = log.nextPosition;
    if (portion.endOffset >= 0) this.enter(portion, position);
    portion.onPlaced?.(position);
    this.inFlight.push(portion);
    const synced = this.host.config.durability === "fsync" || portion.trimPosition >= 0;
    return portion.batch(synced ? "fsync" : "os");
  }

  committed(): void {
    const portion = this.inFlight.shift() as Portion;
    const { endOffset, trimPosition, onCommitted } = portion;
    this.context.givePortion(portion);
    if (trimPosition >= 0) this.log?.trim(trimPosition);
    onCommitted?.();
    if (endOffset < 0) return;
    this.committedOffset = endOffset;
    this.stableOffset = this.transactions.stableOffset(endOffset);
    this.host.advanced();
  }

  failed(error: Error): void {
    const { context, host } = this;
    if (this.failure === null) {
      context.logger.error(
        { log: host.logName, err: error },
        "a partition takes no more writes: its storage failed",
      );
    }
    this.failure ??= error;
    this.lose();
    host.storageFailed();
  }

  private lose(): void {
    const lost = [...this.inFlight, ...this.queue];
    // What is on its way may still be read by a write that does not know yet.
    for (const portion of this.queue.splice(0)) this.context.givePortion(portion);
    for (const { onLost } of lost) onLost?.();
  }

  /** Enters a portion in the index: now its place is known. */
  private enter(portion: Portion, position: number): void {
    const { runs } = this;
    let run = runs.active;
    if (run === undefined || portion.beginsRun) run = runs.begin(portion.baseOffset, position);
    run.section(portion.baseOffset, position);
    runs.grow(run, portion.endOffset, portion.bodyBytes, portion.appendedMs);
    run.newest(portion.maxTimestampMs, portion.maxTimestampOffset);
    this.queuedBytes -= portion.bodyBytes;
  }

  private wake(): void {
    if (this.waking || this.closed) return;
    this.waking = true;
    if (this.log !== null) this.log.wake();
    else this.opening ??= this.open();
  }

  /** The first batch makes the log; until it is there, what comes gathers. */
  private async open(): Promise<void> {
    try {
      const log = await this.openLog();
      this.log = log;
      log.start(this);
      log.wake();
    } catch (error) {
      this.failed(error as Error);
    }
  }

  private openLog(): Promise<Log> {
    const { segmentBytes } = this.host.config;
    const fileBytes = Math.max(FILE_BYTES_MIN, Math.min(FILE_BYTES_MAX, segmentBytes));
    return this.context.engine.openLog(this.host.logName, { segmentBytes: fileBytes, preallocate: false });
  }

  // --- recovery -------------------------------------------------------------------------------

  records(head: RecordsHead, position: number, bodyOffset: number): void {
    if ((head.flags & FLAG_CLEANED) !== 0) {
      this.enterCleanedBatch(head, position, bodyOffset === 0);
      return;
    }
    const { runs } = this;
    let run = runs.active;
    if (run === undefined || (head.flags & FLAG_BEGINS_RUN) !== 0) {
      run = runs.begin(head.baseOffset, position);
      this.activeBytes = 0;
      this.activeSinceMs = head.appendedMs;
      this.rollsNext = false;
    }
    if (bodyOffset === 0) run.section(head.baseOffset, position);
    this.endOffset = head.nextOffset;
    runs.grow(run, head.nextOffset, head.length, head.appendedMs);
    run.newest(head.maxTimestampMs, head.nextOffset - 1);
    this.activeBytes += head.length;
    this.replayProducer(head);
  }

  state(startOffset: number, endOffset: number, state: PartitionState): void {
    this.startOffset = startOffset;
    this.endOffset = Math.max(this.endOffset, endOffset);
    this.runs.trim(startOffset);
    this.producers.restore(state.producers);
    this.transactions.restore(state);
  }

  replaced(from: number, to: number): void {
    this.runs.cover(from, to);
    this.runs.active?.interrupted();
    // The chunks of a pass follow upon each other; a run is of one pass.
    if (from !== this.replacedTo) this.cleaned = null;
    this.replacedTo = to;
  }

  private replayProducer(head: RecordsHead): void {
    const { producerId, producerEpoch, baseOffset, appendedMs } = head;
    if (producerId < 0) return;
    if ((head.flags & FLAG_CONTROL) !== 0) {
      this.producers.fence(producerId, producerEpoch, appendedMs);
      this.transactions.ended(producerId, (head.flags & FLAG_COMMIT) !== 0, baseOffset);
      return;
    }
    this.producers.appended(
      producerId,
      producerEpoch,
      head.baseSequence,
      head.lastOffsetDelta + 1,
      baseOffset,
      appendedMs,
    );
    if ((head.flags & FLAG_TRANSACTIONAL) !== 0) this.transactions.appended(producerId, baseOffset);
  }
}
