import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Durability, Engine } from "../../engine/engine.ts";
import { RecordCursor } from "../../message/record-cursor.ts";
import { RecordWriter } from "../../message/record-writer.ts";
import { Counters } from "../stats.ts";
import { ColdChunks } from "./cold-chunks.ts";
import { RecordsHead } from "./heads.ts";
import { Portion } from "./portion.ts";
import { ReadBuffers } from "./read-buffers.ts";
import type { TailCache } from "./tail-cache.ts";
import type { AppendRefusal, AppendResult, StreamConfig } from "./types.ts";

export class MutableAppendResult implements AppendResult {
  baseOffset = -1;
  appendTimeMs = -1;
  duplicate = false;
  refusal: AppendRefusal | null = null;
  reason = "";

  clear(): void {
    this.baseOffset = -1;
    this.appendTimeMs = -1;
    this.duplicate = false;
    this.refusal = null;
    this.reason = "";
  }

  refuse(refusal: AppendRefusal, reason: string): this {
    this.refusal = refusal;
    this.reason = reason;
    return this;
  }
}

export interface StreamOptions {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Level of streams that do not say which. */
  readonly durability: Durability;
  /** Where they differ from `STREAM_DEFAULTS`. */
  readonly defaults?: Partial<StreamConfig>;
  /** How long a producer that writes nothing is remembered. */
  readonly producerExpiryMs: number;
  /** Where written records are counted. */
  readonly counters?: Counters;
}

const PORTIONS_KEPT = 256;

/** What all partitions of a broker share: the outside world, and objects that are used again and again. */
export class StreamContext {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly producerExpiryMs: number;
  readonly counters: Counters;
  readonly cache: TailCache;
  readonly buffers = new ReadBuffers();
  readonly chunks: ColdChunks;
  readonly head = new RecordsHead();
  readonly result = new MutableAppendResult();
  readonly cursor = new RecordCursor();
  readonly writer = new RecordWriter();
  private readonly portions: Portion[] = [];

  constructor(options: StreamOptions, cache: TailCache) {
    this.engine = options.engine;
    this.clock = options.clock;
    this.logger = options.logger;
    this.producerExpiryMs = options.producerExpiryMs;
    this.counters = options.counters ?? new Counters();
    this.cache = cache;
    this.chunks = new ColdChunks(this.buffers, () => options.clock.monotonic());
  }

  takePortion(): Portion {
    return this.portions.pop() ?? new Portion();
  }

  givePortion(portion: Portion): void {
    portion.release(this.cache);
    if (this.portions.length < PORTIONS_KEPT) this.portions.push(portion);
  }
}
