import { PUBLISH_DONE, PUBLISH_PENDING } from "../../broker/index.ts";

/** Where a channel's confirms go: tags up to and including `tag`, or `tag` alone. */
export interface ConfirmSink {
  acknowledge(tag: number, multiple: boolean, count: number): void;
  refuse(tag: number): void;
}

const NONE = 0;

/**
 * Publisher confirms of one channel: which tags are done, and which wait for which batch.
 *
 * Tags count up, and batches are committed in order, so the open tags are a short list of
 * (batch, highest tag) and every acknowledgement covers all below it. A tag that is done while
 * earlier ones wait joins the last of them: one number to remember instead of a set.
 */
export class Confirms {
  private readonly sink: ConfirmSink;
  private nextTag = 1;
  private ackedTag = 0;
  private doneTag = 0;
  /** Highest tag of this chunk whose batch is not known yet. */
  private unassignedTag = NONE;
  private batches: number[] = [];
  private tags: number[] = [];

  constructor(sink: ConfirmSink) {
    this.sink = sink;
  }

  get waiting(): boolean {
    return this.tags.length > 0;
  }

  /** Takes the outcome of the next publish, without the UNROUTED flag. */
  record(outcome: number): void {
    const tag = this.nextTag++;
    if (outcome === PUBLISH_DONE) {
      if (this.unassignedTag !== NONE) this.unassignedTag = tag;
      else if (this.tags.length > 0) this.tags[this.tags.length - 1] = tag;
      else this.doneTag = tag;
    } else if (outcome === PUBLISH_PENDING) {
      this.unassignedTag = tag;
    } else {
      this.sink.refuse(tag);
    }
  }

  get unassigned(): boolean {
    return this.unassignedTag !== NONE;
  }

  /** The batch that everything recorded so far belongs to at the latest. */
  assign(batch: number): void {
    if (this.unassignedTag === NONE) return;
    const last = this.tags.length - 1;
    if (last >= 0 && this.batches[last] === batch) this.tags[last] = this.unassignedTag;
    else {
      this.batches.push(batch);
      this.tags.push(this.unassignedTag);
    }
    this.unassignedTag = NONE;
  }

  committed(batch: number): void {
    let count = 0;
    while (count < this.batches.length && (this.batches[count] as number) <= batch) {
      this.doneTag = this.tags[count] as number;
      count++;
    }
    if (count === 0) return;
    this.batches.splice(0, count);
    this.tags.splice(0, count);
    this.flush();
  }

  /** Acknowledges what is done, with one frame. */
  flush(): void {
    const tag = this.doneTag;
    if (tag === this.ackedTag) return;
    const count = tag - this.ackedTag;
    this.ackedTag = tag;
    this.sink.acknowledge(tag, count > 1, count);
  }
}
