import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Turn } from "../../base/turn.ts";
import type { RecordReaders } from "../../message/reader.ts";
import type { RecordView } from "../../message/record.ts";
import type { Counters } from "../stats.ts";
import type { CommitHold } from "../store/journal.ts";

/** What a stream needs of the house to be a queue as well. */
export interface StreamQueueContext {
  readonly turn: Turn;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly counters: Counters;
  readonly readers: RecordReaders;
  /** Where a message in memory lies. */
  view(slot: number, record: RecordView): void;
  /** The message is not needed any more. */
  release(slot: number): void;
  /** Publishers wait until this is released. */
  hold(): CommitHold;
}
