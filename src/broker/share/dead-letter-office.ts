import { Deadline, type Deadlines } from "../../base/deadlines.ts";
import type { Logger } from "../../base/logger.ts";
import { MalformedRecords, RecordCursor, type RecordHeader } from "../../message/record-cursor.ts";
import { RecordWriter } from "../../message/record-writer.ts";
import { isKept, type PartitionHandle, type StreamHandle } from "../stream/types.ts";

export interface DeadRecord {
  readonly lease: { readonly group: string; readonly handle: PartitionHandle };
  readonly to: string;
  readonly offset: number;
  readonly deliveries: number;
  readonly why: "rejected" | "delivery-limit";
}

interface Appended {
  readonly partition: PartitionHandle;
  readonly offset: number;
}

/** A dead letter that cannot be kept now is tried again, and its record waits. */
const RETRY_MS = 5000;

/** Copies records that a share group gives up to where its dead letters go, saying where they come from and why. */
export class DeadLetterOffice {
  private readonly find: (namespace: string, name: string) => StreamHandle | null;
  private readonly now: () => number;
  private readonly deadlines: Deadlines;
  private readonly logger: Logger;
  private readonly cursor = new RecordCursor();
  private readonly writer = new RecordWriter();

  constructor(
    find: (namespace: string, name: string) => StreamHandle | null,
    now: () => number,
    deadlines: Deadlines,
    logger: Logger,
  ) {
    this.find = find;
    this.now = now;
    this.deadlines = deadlines;
    this.logger = logger;
  }

  /** `done` is called when the copy is durable, or there is nothing that could be copied. */
  send(record: DeadRecord, done: () => void): void {
    const { handle, group } = record.lease;
    this.copy(record, done).catch((error: unknown) => {
      const where = { group, stream: handle.stream.name, partition: handle.index, offset: record.offset };
      this.logger.error({ ...where, to: record.to, error: String(error) }, "a dead letter could not be kept");
      this.deadlines.set(new Deadline(() => this.send(record, done)), RETRY_MS);
    });
  }

  private async copy(record: DeadRecord, done: () => void): Promise<void> {
    const { offset, to } = record;
    const { handle } = record.lease;
    const target = this.find(handle.stream.namespace, to);
    if (target === null) throw new Error(`there is no stream '${to}'`);
    const slice = await handle.load(offset, 1, "committed");
    let appended: Appended | null = null;
    try {
      for (const { bytes, start, end } of slice.batches()) {
        this.cursor.open(bytes, start, end);
        while (this.cursor.next()) {
          if (this.cursor.offset === offset) appended = this.append(record, target);
        }
      }
    } catch (error) {
      if (!(error instanceof MalformedRecords)) throw error;
      // Nobody could read it, which is why it leaves.
      this.logger.error({ offset, error: error.message }, "a dead letter is in a batch that cannot be read");
    } finally {
      slice.release();
    }
    if (appended !== null) await durable(appended, to);
    done();
  }

  private append(record: DeadRecord, target: StreamHandle): Appended {
    const { handle, group } = record.lease;
    const text = (name: string, value: string | number): RecordHeader => {
      return { name, value: Buffer.from(`${value}`) };
    };
    const headers = [
      ...this.cursor.headers(),
      text("x-death-stream", handle.stream.name),
      text("x-death-partition", handle.index),
      text("x-death-offset", record.offset),
      text("x-death-group", group),
      text("x-death-reason", record.why),
      text("x-delivery-count", record.deliveries),
    ];
    this.writer.begin();
    this.writer.add(this.now(), this.cursor.key(), this.cursor.value(), headers);
    const length = this.writer.finish();
    const partition = target.partitions[handle.index % target.partitions.length] as PartitionHandle;
    const { refusal, reason, baseOffset } = partition.append(this.writer.bytes, 0, length);
    if (refusal !== null) throw new Error(`stream '${target.name}' does not take it: ${reason}`);
    return { partition, offset: baseOffset };
  }
}

/** @throws Error when its storage fails */
function durable({ partition, offset }: Appended, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const reached = (): void => {
      if (isKept(partition, offset)) resolve();
      else reject(new Error(`the storage of stream '${name}' has failed`));
    };
    partition.wait(offset, "committed", { reached });
  });
}
