import type { Timer } from "../../../base/clock.ts";
import { BrokerError } from "../../../base/errors.ts";
import type { Task } from "../../../base/turn.ts";
import type { Isolation, OffsetWaiter, PartitionHandle } from "../../../broker/index.ts";
import { StreamSlice } from "../../../broker/index.ts";
import { ATTRIBUTES_AT, batchBytes, COMPRESSION_MASK } from "../../../message/record-batch.ts";
import { type Call, type DueWork, LATER, type Outcome } from "../api.ts";
import type { Request } from "../codec/api.ts";
import { CODES, codeOf } from "../errors.ts";
import { convertDown } from "../legacy/down.ts";
import { throttleOf } from "../quotas/throttle.ts";
import type { fetch } from "../schemas/fetch.ts";
import { encodeFetchAnswer } from "./answer.ts";
import { type FetchScope, rotate } from "./sessions.ts";
import type { FetchTarget } from "./target.ts";

const READ_COMMITTED = 1;
const FIRST_WITH_BATCHES = 4;
const FIRST_WITH_MAGIC_1 = 2;
/** KIP-110 */
const FIRST_WITH_ZSTD = 10;
const ZSTD = 4;
/** How long a fetch waits for memory before it is answered without records. */
const SCARCE_PAUSE_MS = 200;

/** One fetch: waits until there is enough to read or it has waited long enough, then reads it all in one go. */
export class FetchWork implements OffsetWaiter, Task, DueWork {
  scheduled = false;
  private readonly call: Call<typeof fetch>;
  private readonly request: Request<typeof fetch>;
  private readonly scope: FetchScope;
  private readonly isolation: Isolation;
  private readonly deadlineMs: number;
  private waiting = false;
  private loadedOnce = false;
  private timer: Timer | null = null;
  private forget: () => void = () => {};

  constructor(call: Call<typeof fetch>, request: Request<typeof fetch>, scope: FetchScope) {
    this.call = call;
    this.request = request;
    this.scope = scope;
    this.isolation = request.isolationLevel === READ_COMMITTED ? "stable" : "committed";
    this.deadlineMs = call.node.context.clock.monotonic() + request.maxWaitMs;
  }

  start(): Outcome<typeof fetch> {
    this.resolve();
    if (this.request.maxWaitMs <= 0 || this.enough()) this.call.whenDue(this);
    else this.wait(this.request.maxWaitMs);
    return LATER;
  }

  // --- waiting ----------------------------------------------------------------------------------

  private wait(forMs: number): void {
    const { peer, node } = this.call;
    this.waiting = true;
    this.timer = node.context.clock.setTimer(forMs, () => this.stopWaiting());
    this.forget = peer.onClosed(() => this.stopWaiting());
    for (const { partition, offset } of this.scope.targets)
      partition?.wait(Math.max(offset, this.visibleEnd(partition)), this.isolation, this);
  }

  /** More has come. What else comes in this turn is waited for, and read together. */
  reached(): void {
    if (this.waiting) this.call.node.context.turn.soon(this);
  }

  run(): void {
    if (!this.waiting) return;
    if (this.enough()) {
      this.stopWaiting();
      return;
    }
    for (const { partition } of this.scope.targets) {
      if (partition === null) continue;
      partition.cancelWait(this);
      partition.wait(this.visibleEnd(partition), this.isolation, this);
    }
  }

  private stopWaiting(): void {
    if (!this.waiting) return;
    this.waiting = false;
    this.timer?.cancel();
    this.forget();
    for (const { partition } of this.scope.targets) partition?.cancelWait(this);
    this.resolve();
    this.call.whenDue(this);
  }

  private resolve(): void {
    for (const target of this.scope.targets) target.resolve(this.call.peer, this.call.version >= 13);
  }

  private visibleEnd(partition: PartitionHandle): number {
    return this.isolation === "stable" ? partition.stableOffset : partition.committedOffset;
  }

  private enough(): boolean {
    const { minBytes } = this.request;
    let bytes = 0;
    for (const { partition, errorCode, offset } of this.scope.targets) {
      if (errorCode !== CODES.NONE || partition === null) return true;
      if (partition.stream.deleted) return true;
      if (offset < this.visibleEnd(partition))
        bytes += Math.max(1, partition.bytesFrom(offset, this.isolation));
      if (bytes >= minBytes && bytes > 0) return true;
    }
    return minBytes <= 0;
  }

  // --- reading ----------------------------------------------------------------------------------

  due(late: boolean): void {
    if (late) this.resolve();
    // An answer without records is always right, and a client that asks at once again must not have it at once.
    if (this.call.allowanceBytes > 0) this.read();
    else this.call.node.context.clock.setTimer(SCARCE_PAUSE_MS, () => this.finish());
  }

  private read(): void {
    const loads: Promise<void>[] = [];
    let left = Math.min(this.request.maxBytes, this.call.allowanceBytes);
    let first = true;
    for (const target of this.scope.targets) {
      if (!target.loaded) target.release();
      if (target.errorCode !== CODES.NONE || target.partition === null) continue;
      const room = left > 0 || (first && loads.length === 0);
      if (!target.loaded && room && target.offset < this.visibleEnd(target.partition)) {
        const bytesMax = Math.max(0, Math.min(target.bytesMax, left));
        if (!this.readTarget(target, target.partition, bytesMax)) {
          // One round of the disk is enough, if there is anything to answer with then.
          if (this.loadedOnce && !first) continue;
          loads.push(this.loadTarget(target, target.partition, bytesMax));
          left -= bytesMax;
          continue;
        }
      }
      const bytes = target.slice?.bytes ?? 0;
      // At least one batch, whatever its size, or a client with low limits would not get past it.
      if (bytes > left && !first) target.release();
      else if (bytes > 0) {
        first = false;
        left -= bytes;
      }
    }
    if (loads.length === 0) {
      this.finish();
      return;
    }
    this.loadedOnce = true;
    // What is in memory is read again then: it may have gone from there meanwhile.
    Promise.all(loads).then(() => this.read());
  }

  /** From memory; false: not there. */
  private readTarget(target: FetchTarget, partition: PartitionHandle, bytesMax: number): boolean {
    const slice = new StreamSlice();
    try {
      if (!partition.read(target.offset, bytesMax, this.isolation, slice)) return false;
      target.slice = slice;
    } catch (error) {
      this.targetFailed(target, error);
    }
    return true;
  }

  /** From disk. Never rejects. */
  private async loadTarget(target: FetchTarget, partition: PartitionHandle, bytesMax: number): Promise<void> {
    try {
      target.slice = await partition.load(target.offset, bytesMax, this.isolation);
      target.loaded = true;
    } catch (error) {
      this.targetFailed(target, error);
    }
  }

  private targetFailed(target: FetchTarget, error: unknown): void {
    if (error instanceof BrokerError) {
      target.errorCode = codeOf(error);
      return;
    }
    target.errorCode = CODES.KAFKA_STORAGE_ERROR;
    const { topic, topicId, index } = target;
    this.call.node.context.logger.error({ err: error, topic, topicId, partition: index }, "fetch failed");
  }

  private finish(): void {
    const { call, scope } = this;
    const { session, incremental } = scope;
    for (const target of scope.targets) this.convert(target);
    if (this.goesOn()) return;
    const targets = incremental ? scope.targets.filter((target) => target.changed) : scope.targets;
    const throttle = throttleOf(call.node);
    const pauseMs = throttle.idle ? 0 : throttle.spend("consumer_byte_rate", call, recordBytes(targets));
    call.answer(
      encodeFetchAnswer({
        version: call.version,
        throttleTimeMs: Math.max(pauseMs, call.charge()),
        sessionId: session?.id ?? 0,
        targets,
        stable: this.isolation === "stable",
      }),
    );
    const { counters } = call.node.context.broker;
    for (const { slice, offset } of targets) {
      if (slice === null || slice.bytes === 0) continue;
      counters.streamRecordsRead += slice.nextOffset - offset;
      counters.streamBytesRead += slice.bytes;
    }
    if (session !== null) {
      for (const target of targets) target.told();
      rotate(session, targets);
    }
    for (const target of scope.targets) target.release();
  }

  /**
   * Clients of the old formats are not shown the marks that transactions leave. What is nothing but marks is
   * stepped over here, and not by the client, who would ask for it again and again.
   */
  private goesOn(): boolean {
    const { targets } = this.scope;
    if (this.call.version >= FIRST_WITH_BATCHES) return false;
    if (targets.some(({ errorCode, recordBytes }) => errorCode !== CODES.NONE || recordBytes > 0))
      return false;
    const hidden = targets.filter(({ slice }) => slice !== null && slice.bytes > 0);
    const leftMs = this.deadlineMs - this.call.node.context.clock.monotonic();
    if (hidden.length === 0 || leftMs <= 0) return false;
    for (const target of hidden) target.offset = (target.slice as StreamSlice).nextOffset;
    for (const target of targets) target.release();
    this.loadedOnce = false;
    if (this.enough()) this.read();
    else this.wait(leftMs);
    return true;
  }

  /** For clients that are older than what is stored. */
  private convert(target: FetchTarget): void {
    const { version } = this.call;
    const { slice } = target;
    if (slice === null || version >= FIRST_WITH_ZSTD) return;
    if (version < FIRST_WITH_BATCHES) {
      const magic = version >= FIRST_WITH_MAGIC_1 ? 1 : 0;
      target.converted = convertDown(slice.pieces, target.offset, magic);
    } else if (hasZstd(slice)) {
      target.release();
      target.errorCode = CODES.UNSUPPORTED_COMPRESSION_TYPE;
    }
  }
}

function recordBytes(targets: readonly FetchTarget[]): number {
  return targets.reduce((sum, target) => sum + target.recordBytes, 0);
}

function hasZstd({ pieces }: StreamSlice): boolean {
  for (const { bytes, start, end } of pieces) {
    for (let at = start; at < end; at += batchBytes(bytes, at)) {
      if ((bytes[at + ATTRIBUTES_AT + 1]! & COMPRESSION_MASK) === ZSTD) return true;
    }
  }
  return false;
}
