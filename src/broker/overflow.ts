import type { QueueOptions } from "./types.ts";

/** How long a queue may get, and what gives when it is too long. */
export class LengthLimit {
  private readonly count: number;
  private readonly bytes: number;
  /** The newest message is refused; else the oldest goes. */
  private readonly refusing: boolean;
  /** As in RabbitMQ, whose queues of this type look at what is there, the others at what would be. */
  private readonly soft: boolean;
  readonly set: boolean;
  readonly volatile: boolean;
  private readonly transientBytes: number;

  private constructor(options: QueueOptions) {
    const { lengthMax, lengthBytesMax, overflow, volatile, transientBytesMax } = options;
    this.soft = options.type === "quorum";
    this.volatile = volatile === true;
    this.transientBytes = transientBytesMax ?? -1;
    this.count = lengthMax ?? Number.POSITIVE_INFINITY;
    this.bytes = lengthBytesMax ?? Number.POSITIVE_INFINITY;
    this.refusing = !this.volatile && overflow !== undefined && overflow !== "drop-head";
    this.set = !this.volatile && (lengthMax !== undefined || lengthBytesMax !== undefined);
  }

  /** Why a message that has come goes at once, or null: to a volatile queue, or one that keeps few transient ones. */
  atArrival(consumers: number, count: number, bytes: number, transient: boolean): "offline" | "slow" | null {
    const few = transient && this.transientBytes >= 0;
    if (!this.volatile && !few) return null;
    if (consumers === 0) return "offline";
    if (few && bytes >= this.transientBytes) return "slow";
    return this.volatile && (count >= this.count || bytes >= this.bytes) ? "slow" : null;
  }

  private static readonly unlimited = new LengthLimit({});

  /** Queues without a limit share one object. */
  static of(options: QueueOptions): LengthLimit {
    const { lengthMax, lengthBytesMax, volatile, transientBytesMax } = options;
    const unlimited =
      lengthMax === undefined && lengthBytesMax === undefined && transientBytesMax === undefined;
    return unlimited && volatile !== true ? LengthLimit.unlimited : new LengthLimit(options);
  }

  /** A queue that holds so much does not take a message with a body of `bodyBytes`. */
  refuses(count: number, bytes: number, bodyBytes: number): boolean {
    if (!this.refusing) return false;
    return count >= this.count || (this.soft ? bytes >= this.bytes : bytes + bodyBytes > this.bytes);
  }

  /** A queue that holds so much must let go of its oldest. */
  exceeded(count: number, bytes: number): boolean {
    return !this.refusing && count > 0 && (count > this.count || bytes > this.bytes);
  }
}
