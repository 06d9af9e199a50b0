/**
 * Where a partition's batches lie in its log. A run is a stretch of ascending offsets at ascending
 * log positions: what one segment is to a log file elsewhere. The last run grows; retention and
 * cleaning act on the others. Between a run's batches the log may hold batches of other runs (what
 * cleaning wrote while records came in), which are told by their offsets.
 */

/** Bytes between two entries of an index; a reader steps over so much at most to find an offset. */
const STEP_BYTES = 64 * 1024;
/** offset, position, largest timestamp before */
const FIELDS = 3;

export class Run {
  /** First offset, or behind what is cleaned or trimmed away from the front. */
  baseOffset: number;
  /** Offset behind the last. */
  endOffset: number;
  /** Log position of the first section. */
  readonly position: number;
  /** Of record batches. */
  bytes = 0;
  maxTimestampMs = -1;
  /** Last offset of the batch that has it. */
  maxTimestampOffset = -1;
  /** When its first batch was appended. */
  firstAppendedMs = 0;
  /** When its last batch was appended. */
  lastAppendedMs = 0;
  /** Written by cleaning. */
  readonly cleaned: boolean;
  private entries: Float64Array = new Float64Array(4 * FIELDS);
  private count = 0;
  private bytesSince = STEP_BYTES;

  constructor(baseOffset: number, position: number, cleaned: boolean) {
    this.baseOffset = baseOffset;
    this.endOffset = baseOffset;
    this.position = position;
    this.cleaned = cleaned;
  }

  /** A section of the log begins at `position` with a batch of this run. */
  section(baseOffset: number, position: number): void {
    if (this.bytesSince < STEP_BYTES) return;
    this.bytesSince = 0;
    if (this.count * FIELDS === this.entries.length) {
      const larger = new Float64Array(this.entries.length * 2);
      larger.set(this.entries);
      this.entries = larger;
    }
    const at = this.count * FIELDS;
    this.entries[at] = baseOffset;
    this.entries[at + 1] = position;
    this.entries[at + 2] = this.maxTimestampMs;
    this.count++;
  }

  /** Batches of `bytes` together end before `nextOffset`. */
  batches(nextOffset: number, bytes: number, appendedMs: number): void {
    if (this.bytes === 0) this.firstAppendedMs = appendedMs;
    this.lastAppendedMs = appendedMs;
    this.endOffset = nextOffset;
    this.bytes += bytes;
    this.bytesSince += bytes;
  }

  /** The largest timestamp of batches just added, and the last offset of the batch that has it. */
  newest(maxTimestampMs: number, maxTimestampOffset: number): void {
    if (maxTimestampMs <= this.maxTimestampMs) return;
    this.maxTimestampMs = maxTimestampMs;
    this.maxTimestampOffset = maxTimestampOffset;
  }

  /**
   * A section at or before the one that holds `offset`: its position, and how many bytes behind it, about and at most,
   * the batch that is wanted begins.
   */
  sectionOf(offset: number, leadMax: number): { readonly position: number; readonly lead: number } {
    let low = 0;
    let high = this.count - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.entries[middle * FIELDS] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    const position = this.entries[low * FIELDS + 1] as number;
    if (low === this.count - 1) return { position, lead: leadMax };
    const next = this.entries[(low + 1) * FIELDS + 1] as number;
    return { position, lead: Math.min(leadMax, Math.max(0, next - position)) };
  }

  /** What comes next does not lie directly behind what came last. */
  interrupted(): void {
    this.bytesSince = STEP_BYTES;
  }

  /** The front up to `offset` is elsewhere now. Returns about how many bytes that was. */
  shorten(offset: number): number {
    const gone = Math.floor((this.bytes * (offset - this.baseOffset)) / (this.endOffset - this.baseOffset));
    this.bytes -= gone;
    this.baseOffset = offset;
    return gone;
  }

  /** An offset at or before the first batch with a timestamp that is not less. */
  offsetBefore(timestampMs: number): number {
    let low = 0;
    let high = this.count - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.entries[middle * FIELDS + 2] as number) < timestampMs) low = middle;
      else high = middle - 1;
    }
    return Math.max(this.baseOffset, this.entries[low * FIELDS] as number);
  }

  /** Nothing is added any more: lets go of memory for it. */
  seal(): void {
    if (this.entries.length > this.count * FIELDS) this.entries = this.entries.slice(0, this.count * FIELDS);
  }
}

/** All runs of a partition, ascending and without overlaps. */
export class Runs {
  readonly list: Run[] = [];
  bytes = 0;

  /** The one that grows. */
  get active(): Run | undefined {
    return this.list[this.list.length - 1];
  }

  /** Index of the run that holds `offset` or, when it was cleaned away, the next offset there is. */
  indexOf(offset: number): number {
    let low = 0;
    let high = this.list.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.list[middle] as Run).endOffset <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  begin(baseOffset: number, position: number): Run {
    this.active?.seal();
    const run = new Run(baseOffset, position, false);
    this.list.push(run);
    return run;
  }

  grow(run: Run, nextOffset: number, bytes: number, appendedMs: number): void {
    run.batches(nextOffset, bytes, appendedMs);
    this.bytes += bytes;
  }

  /** Forgets runs that end at or before `offset`, and is told so of the one that begins before it. */
  trim(offset: number): void {
    let count = 0;
    while (count < this.list.length && (this.list[count] as Run).endOffset <= offset) {
      this.bytes -= (this.list[count] as Run).bytes;
      count++;
    }
    if (count > 0) this.list.splice(0, count);
    const first = this.list[0];
    if (first !== undefined && first.baseOffset < offset) first.baseOffset = offset;
  }

  /** Takes [from, to) out of the runs that hold it: what is left of it comes in `cleaned`. */
  cover(from: number, to: number): void {
    const first = this.indexOf(from);
    let count = 0;
    for (
      let run = this.list[first];
      run !== undefined && run.endOffset <= to;
      run = this.list[first + count]
    ) {
      this.bytes -= run.bytes;
      count++;
    }
    if (count > 0) this.list.splice(first, count);
    const next = this.list[first];
    if (next !== undefined && next.baseOffset < to) this.bytes -= next.shorten(to);
  }

  /** The run that takes a cleaned batch: `last`, which the one before it went to, or a new one. */
  cleaned(baseOffset: number, position: number, last: Run | null, bytesMax: number): Run {
    const index = this.indexOf(baseOffset);
    if (
      last !== null &&
      last.bytes < bytesMax &&
      last.endOffset <= baseOffset &&
      this.list[index - 1] === last
    ) {
      return last;
    }
    const run = new Run(baseOffset, position, true);
    this.list.splice(index, 0, run);
    return run;
  }

  /** Log position before which nothing is needed, or -1 when there is nothing at all. */
  get firstPosition(): number {
    let first = -1;
    for (const { position } of this.list) if (first < 0 || position < first) first = position;
    return first;
  }
}
