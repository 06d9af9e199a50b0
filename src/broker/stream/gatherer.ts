import { RecordWriter } from "../../message/record-writer.ts";
import type { StreamRecord } from "../../message/stream-record.ts";
import type { CommitHold } from "../store/journal.ts";
import type { Partition } from "./partition.ts";
import { isKept } from "./types.ts";

/** A batch is closed at this size, though the turn is not over. */
const BATCH_BYTES = 128 * 1024;
/** Memory of this size is kept for the next batch. */
const KEPT_BYTES = 16 * 1024;

/** Makes one batch of the records that are published to a partition in one turn. */
export class Gatherer {
  private readonly partition: Partition;
  private writer: RecordWriter | null = null;
  /** What publishers wait for, besides. */
  private holds: CommitHold[] = [];

  constructor(partition: Partition) {
    this.partition = partition;
  }

  /** `hold` holds the publisher's batch of this moment. */
  add(record: StreamRecord, key: Uint8Array | null, hold: () => CommitHold): void {
    this.writer ??= new RecordWriter();
    const { writer } = this;
    if (this.holds.length === 0) writer.begin();
    const held = hold();
    // One hold of a batch is enough.
    if (this.holds.includes(held)) held.release();
    else this.holds.push(held);
    const headers = record.headers.map(([name, value]) => ({ name, value }));
    writer.add(record.timestampMs, key, record.value, headers);
    if (writer.length >= BATCH_BYTES) this.flush();
  }

  /** Appends what has gathered. Publishers are told when it is durable, or never will be. */
  flush(): void {
    const { writer, holds, partition } = this;
    if (holds.length === 0 || writer === null) return;
    this.holds = [];
    const { refusal } = partition.appendOwn(writer.bytes, 0, writer.finish());
    if (writer.bytes.length > KEPT_BYTES) this.writer = null;
    if (refusal !== null) {
      for (const hold of holds) hold.fail();
      return;
    }
    const last = partition.endOffset - 1;
    const reached = (): void => {
      for (const hold of holds) {
        if (isKept(partition, last)) hold.release();
        else hold.fail();
      }
    };
    partition.wait(last, "committed", { reached });
  }

  /** The stream is gone: nobody need wait for it. */
  drop(): void {
    for (const hold of this.holds.splice(0)) hold.release();
  }
}
