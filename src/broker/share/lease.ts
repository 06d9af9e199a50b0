import { Deadline, type Deadlines } from "../../base/deadlines.ts";
import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_TRANSACTIONAL,
  ATTRIBUTES_AT,
  BASE_OFFSET_AT,
  LAST_OFFSET_DELTA_AT,
  PRODUCER_ID_AT,
  readI16,
  readI32,
  readI64,
} from "../../message/record-batch.ts";
import {
  type AbortedTransaction,
  type OffsetWaiter,
  type PartitionHandle,
  type Piece,
  type StreamHandle,
  StreamSlice,
} from "../stream/types.ts";
import type { DeadLetterOffice } from "./dead-letter-office.ts";
import { LeaseWindow, type WindowRules, type WindowSnapshot } from "./lease-window.ts";
import type { Leased, LeasedRange, LeaseHandle, LeaseWaiter, SharePolicy, Verdict } from "./types.ts";

export interface LeaseHost {
  readonly deadlines: Deadlines;
  readonly office: DeadLetterOffice;
  /** Monotonic ms. */
  now(): number;
  /** Takes the window as it is now to the store; durable with its next flush. */
  save(lease: Lease): void;
}

/** One partition, as one share group reads it. */
export class Lease implements LeaseHandle, OffsetWaiter, WindowRules {
  readonly group: string;
  readonly handle: PartitionHandle;
  policy: SharePolicy;
  readonly window: LeaseWindow;
  private readonly host: LeaseHost;
  private readonly waiters = new Set<LeaseWaiter>();
  private readonly due = new Deadline(() => this.tick());
  private watching = false;

  constructor(
    group: string,
    handle: PartitionHandle,
    policy: SharePolicy,
    stored: WindowSnapshot | null,
    host: LeaseHost,
  ) {
    this.group = group;
    this.handle = handle;
    this.policy = policy;
    this.host = host;
    const start = policy.startAt === "earliest" ? handle.startOffset : this.visibleEnd;
    this.window = new LeaseWindow(start, this);
    if (stored !== null) this.window.restore(stored);
    else host.save(this);
  }

  get stream(): StreamHandle {
    return this.handle.stream;
  }

  get partition(): number {
    return this.handle.index;
  }

  // --- what the window asks ---------------------------------------------------------------------

  get leaseMs(): number {
    return this.policy.leaseMs;
  }

  get deliveriesMax(): number {
    return this.policy.deliveriesMax;
  }

  retryMs(deliveries: number): number {
    const { retryMs, retryMsMax } = this.policy;
    return retryMs === 0 ? 0 : Math.min(retryMs * 2 ** Math.min(deliveries - 1, 30), retryMsMax);
  }

  leaves(offset: number, deliveries: number, why: "rejected" | "delivery-limit"): boolean {
    const { deadLetterStream } = this.policy;
    if (deadLetterStream === null) return false;
    this.host.office.send({ lease: this, to: deadLetterStream, offset, deliveries, why }, () => {
      this.window.left(offset);
      this.host.save(this);
      this.wake();
    });
    return true;
  }

  // --- taking -----------------------------------------------------------------------------------

  take(
    member: string,
    recordsMax: number,
    bytesMax: number,
    strict: boolean,
  ): Leased | null | Promise<Leased | null> {
    for (;;) {
      const position = this.position();
      if (position < 0) return null;
      const { isolation } = this.policy;
      const slice = new StreamSlice();
      if (!this.handle.read(position, bytesMax, isolation, slice)) {
        return this.load(position, member, recordsMax, bytesMax, strict);
      }
      const leased = this.leaseFrom(slice, member, recordsMax, strict);
      // What was read may have held nothing for anybody: then there is more behind it.
      if (leased !== null || this.position() === position) return leased;
    }
  }

  private async load(
    position: number,
    member: string,
    recordsMax: number,
    bytesMax: number,
    strict: boolean,
  ): Promise<Leased | null> {
    const slice = await this.handle.load(position, bytesMax, this.policy.isolation);
    const leased = this.leaseFrom(slice, member, recordsMax, strict);
    if (leased !== null || this.position() === position) return leased;
    return this.take(member, recordsMax, bytesMax, strict);
  }

  /** Where the next records to lease lie, or -1. */
  private position(): number {
    const { window, handle } = this;
    window.trim(Math.min(handle.startOffset, handle.endOffset));
    const ready = window.firstReady();
    const position = ready >= 0 ? ready : window.end;
    if (position >= this.visibleEnd || position < handle.startOffset) return -1;
    return ready < 0 && window.size >= this.policy.windowMax ? -1 : position;
  }

  private get visibleEnd(): number {
    return this.policy.isolation === "stable" ? this.handle.stableOffset : this.handle.committedOffset;
  }

  private leaseFrom(slice: StreamSlice, member: string, recordsMax: number, strict: boolean): Leased | null {
    const { window, policy } = this;
    const ranges: LeasedRange[] = [];
    const pieces: Piece[] = [];
    const undone = new UndoneRecords(slice.aborted);
    const nowMs = this.host.now();
    let left = recordsMax;
    let bytes = 0;
    let skipped = false;
    for (const { bytes: source, start, end } of slice.batches()) {
      const first = readI64(source, start + BASE_OFFSET_AT);
      const last = first + readI32(source, start + LAST_OFFSET_DELTA_AT);
      const full = window.size > 0 && last >= window.end && last + 1 - window.start > policy.windowMax;
      if (
        left <= 0 ||
        (full && ranges.length > 0) ||
        (full && window.size >= policy.windowMax && first >= window.end)
      )
        break;
      window.extend(last + 1);
      if (undone.includes(source, start, first)) {
        window.skip(first, last);
        skipped = true;
        continue;
      }
      const found = window.lease(first, last, member, strict ? left : Number.POSITIVE_INFINITY, nowMs);
      if (found.length === 0) continue;
      for (const range of found) left -= range.last - range.first + 1;
      ranges.push(...found);
      pieces.push({ bytes: source, start, end });
      bytes += end - start;
    }
    if (skipped) {
      window.tick(nowMs);
      this.host.save(this);
    }
    this.arm();
    if (ranges.length > 0) return { ranges, pieces, bytes, release: slice.release };
    slice.release();
    return null;
  }

  // --- settling ---------------------------------------------------------------------------------

  settle(member: string, first: number, last: number, verdicts: readonly Verdict[]): boolean {
    if (!this.window.settle(first, last, member, verdicts, this.host.now())) return false;
    this.changed();
    return true;
  }

  /** What the member has is ready for others. */
  releaseOf(member: string): void {
    if (this.window.release(member)) this.changed();
  }

  private tick(): void {
    if (this.window.tick(this.host.now())) this.changed();
    else this.arm();
  }

  private changed(): void {
    this.host.save(this);
    this.arm();
    this.wake();
  }

  private arm(): void {
    const { nextDueMs } = this.window;
    const { deadlines } = this.host;
    if (nextDueMs === Number.POSITIVE_INFINITY) deadlines.clear(this.due);
    else deadlines.set(this.due, Math.max(0, nextDueMs - this.host.now()));
  }

  // --- waiting ----------------------------------------------------------------------------------

  wait(waiter: LeaseWaiter): void {
    this.waiters.add(waiter);
    this.watch();
  }

  cancelWait(waiter: LeaseWaiter): void {
    this.waiters.delete(waiter);
  }

  reached(): void {
    this.watching = false;
    this.wake();
    if (!this.stream.deleted) this.watch();
  }

  close(): void {
    this.host.deadlines.clear(this.due);
    this.handle.cancelWait(this);
    this.wake();
    this.waiters.clear();
  }

  private watch(): void {
    if (this.watching || this.waiters.size === 0) return;
    this.watching = true;
    this.handle.wait(Math.max(this.visibleEnd, this.window.end), this.policy.isolation, this);
  }

  private wake(): void {
    for (const waiter of [...this.waiters]) waiter.leasable();
  }
}

/** Goes through batches in order and says which hold nothing for readers: markers, and what was aborted. */
class UndoneRecords {
  private readonly left: AbortedTransaction[];
  private readonly open = new Set<number>();

  constructor(aborted: readonly AbortedTransaction[]) {
    this.left = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset);
  }

  includes(bytes: Uint8Array, start: number, first: number): boolean {
    const attributes = readI16(bytes, start + ATTRIBUTES_AT);
    const producerId = readI64(bytes, start + PRODUCER_ID_AT);
    while (this.left[0] !== undefined && this.left[0].firstOffset <= first) {
      this.open.add((this.left.shift() as AbortedTransaction).producerId);
    }
    if ((attributes & ATTRIBUTE_CONTROL) !== 0) {
      this.open.delete(producerId);
      return true;
    }
    return (attributes & ATTRIBUTE_TRANSACTIONAL) !== 0 && this.open.has(producerId);
  }
}
