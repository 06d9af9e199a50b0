import type { PartitionHandle, StreamSlice } from "../../../broker/index.ts";
import type { Peer } from "../api.ts";
import { CODES } from "../errors.ts";
import { epochError, findPartition, findPartitionById } from "../partitions.ts";

/** What a fetch wants of one partition, and what it gets. In a session it is kept from fetch to fetch. */
export class FetchTarget {
  readonly topic: string;
  readonly topicId: string;
  readonly index: number;
  offset = 0;
  bytesMax = 0;
  leaderEpoch = -1;
  partition: PartitionHandle | null = null;
  errorCode = 0;
  slice: StreamSlice | null = null;
  /** `slice` was read from disk: it stays until it is released. */
  loaded = false;
  /** Instead of the slice: the same records in an older format. */
  converted: Uint8Array | null = null;
  /** As told in the session's last answer. */
  toldHighWatermark = -1;
  toldStartOffset = -1;

  constructor(topic: string, topicId: string, index: number) {
    this.topic = topic;
    this.topicId = topicId;
    this.index = index;
  }

  /** Looks for the partition anew: topics and rights come and go. */
  resolve(peer: Peer, byId: boolean): void {
    const found = byId
      ? findPartitionById(peer, "read", this.topicId, this.index)
      : findPartition(peer, "read", this.topic, this.index);
    this.partition = typeof found === "number" ? null : found;
    this.errorCode = typeof found === "number" ? found : epochError(found, this.leaderEpoch);
    if (typeof found === "number" || this.errorCode !== CODES.NONE) return;
    if (this.offset < found.startOffset || this.offset > found.endOffset)
      this.errorCode = CODES.OFFSET_OUT_OF_RANGE;
  }

  /** Bytes of records that go into the answer. */
  get recordBytes(): number {
    if (this.converted !== null) return this.converted.length;
    return this.slice?.bytes ?? 0;
  }

  /** Whether a session's answer has to mention it. */
  get changed(): boolean {
    const { partition } = this;
    if (this.errorCode !== CODES.NONE || this.recordBytes > 0 || partition === null) return true;
    return (
      partition.committedOffset !== this.toldHighWatermark || partition.startOffset !== this.toldStartOffset
    );
  }

  told(): void {
    this.toldHighWatermark = this.partition?.committedOffset ?? -1;
    this.toldStartOffset = this.partition?.startOffset ?? -1;
  }

  /** Forgets what was read. */
  release(): void {
    if (this.loaded) this.slice?.release();
    this.slice = null;
    this.loaded = false;
    this.converted = null;
  }
}
