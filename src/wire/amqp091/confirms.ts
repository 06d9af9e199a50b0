import { ShortList } from "../../base/short-list.ts";
import { PUBLISH_APART, PUBLISH_DONE, PUBLISH_PENDING } from "../../broker/index.ts";

/** Where a channel's confirms go: tags up to and including `tag`, or `tag` alone. */
export interface ConfirmSink {
  /** `count`: how many that is, without those refused in between. */
  acknowledge(tag: number, multiple: boolean, count: number): void;
  refuse(tag: number, multiple: boolean): void;
}

/** Batch of a run of this chunk. */
const UNASSIGNED = Number.POSITIVE_INFINITY;

/**
 * Publisher confirms of one channel: which tags are done, and which wait for which batch.
 *
 * Tags count up, and batches are committed in order, so the open tags are a short list of runs
 * (batch, highest tag) and every acknowledgement covers all below it. A tag that is done while
 * earlier ones wait joins the last of them: one number to remember instead of a set. A run is either of
 * tags that a stream may still refuse, or of none.
 */
export class Confirms {
  private readonly sink: ConfirmSink;
  private nextTag = 1;
  private ackedTag = 0;
  private doneTag = 0;
  /** Runs of this chunk whose batch is not known yet. */
  private unassignedRuns = 0;
  private readonly batches = new ShortList<number>();
  private readonly tags = new ShortList<number>();
  private readonly aparts = new ShortList<boolean>();
  /** How many tags below each run's, and above the one before it, were refused. */
  private readonly refusals = new ShortList<number>();
  /** Refused below `doneTag` and not told of yet, and above every run. */
  private refusedDone = 0;
  private refusedLately = 0;

  constructor(sink: ConfirmSink) {
    this.sink = sink;
  }

  get waiting(): boolean {
    return this.tags.length > this.unassignedRuns;
  }

  /** Takes the outcome of the next publish. */
  record(outcome: number): void {
    const tag = this.nextTag++;
    const kind = outcome & 3;
    if (kind === PUBLISH_DONE) {
      if (this.tags.length > 0) this.follow(tag);
      else this.done(tag, this.takeRefused());
    } else if (kind === PUBLISH_PENDING) {
      this.enter(tag, (outcome & PUBLISH_APART) !== 0, UNASSIGNED);
    } else {
      this.refusedLately++;
      this.sink.refuse(tag, false);
    }
  }

  get unassigned(): boolean {
    return this.unassignedRuns > 0;
  }

  /** The batch that everything recorded so far belongs to at the latest. */
  assign(batch: number): void {
    const { batches } = this;
    for (let at = batches.length - this.unassignedRuns; at < batches.length; at++) batches.put(at, batch);
    this.unassignedRuns = 0;
  }

  /** `lost`: what streams were to keep of this batch they do not. */
  committed(batch: number, lost: boolean): void {
    let count = 0;
    while (count < this.batches.length && this.batches.at(count) <= batch) {
      const tag = this.tags.at(count);
      if (lost && this.aparts.at(count) && this.batches.at(count) === batch) this.lose(tag);
      else this.done(tag, this.refusals.at(count));
      count++;
    }
    if (count === 0) return;
    this.batches.removeFirst(count);
    this.tags.removeFirst(count);
    this.aparts.removeFirst(count);
    this.refusals.removeFirst(count);
    this.flush();
  }

  /** Acknowledges what is done, with one frame. */
  flush(): void {
    const tag = this.doneTag;
    if (tag === this.ackedTag) return;
    const covered = tag - this.ackedTag;
    const count = covered - this.refusedDone;
    this.ackedTag = tag;
    this.refusedDone = 0;
    this.sink.acknowledge(tag, covered > 1, count);
  }

  private done(tag: number, refused: number): void {
    this.doneTag = tag;
    this.refusedDone += refused;
  }

  private takeRefused(): number {
    const refused = this.refusedLately;
    this.refusedLately = 0;
    return refused;
  }

  /** Done, as soon as what was published before it is. */
  private follow(tag: number): void {
    const last = this.tags.length - 1;
    this.enter(tag, false, this.batches.at(last));
  }

  private enter(tag: number, apart: boolean, batch: number): void {
    const last = this.tags.length - 1;
    if (last >= 0 && this.batches.at(last) === batch && this.aparts.at(last) === apart) {
      this.tags.put(last, tag);
      this.refusals.put(last, this.refusals.at(last) + this.takeRefused());
      return;
    }
    this.batches.push(batch);
    this.tags.push(tag);
    this.aparts.push(apart);
    this.refusals.push(this.takeRefused());
    if (batch === UNASSIGNED) this.unassignedRuns++;
  }

  /** Refuses what comes after the last tag that is done, up to this one. */
  private lose(tag: number): void {
    this.flush();
    this.sink.refuse(tag, tag - this.ackedTag > 1);
    this.doneTag = this.ackedTag = tag;
  }
}
