/** Messages of one queue that are published and not durable yet: in order, counted, not to be seen. */
export class PendingMessages {
  count = 0;
  bytes = 0;
  /** The oldest so many were purged while they waited. */
  private purged = 0;
  private purgedBytes = 0;

  add(bytes: number): void {
    this.count++;
    this.bytes += bytes;
  }

  /** The oldest became durable. True when it is to be let go instead of shown. */
  leave(bytes: number): boolean {
    this.count--;
    this.bytes -= bytes;
    if (this.purged === 0) return false;
    this.purged--;
    this.purgedBytes -= bytes;
    return true;
  }

  /** Those that will be shown. */
  get wanted(): number {
    return this.count - this.purged;
  }

  get wantedBytes(): number {
    return this.bytes - this.purgedBytes;
  }

  /** Lets go of all that wait now, as they become durable. Returns how many. */
  purge(): number {
    const { wanted } = this;
    this.purged = this.count;
    this.purgedBytes = this.bytes;
    return wanted;
  }
}

/** What queues share until a message is pending for the first time. */
export const NONE_PENDING = new PendingMessages();
