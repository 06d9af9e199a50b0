import type { KafkaNode, Peer } from "../api.ts";
import { type Limit, type QuotaKey, type QuotaStore, quotaStore } from "./quota-store.ts";

/** Nobody is made to wait longer at once: a client that hears nothing for too long gives up. */
const THROTTLE_MS_MAX = 30_000;
/** What was not used may be used later, but no more than this much of it. */
const SAVED_SECONDS_MAX = 1;
const BUCKETS_MAX = 100_000;

/** Who is to pay: any request is. */
interface Charged {
  readonly peer: Peer;
  readonly clientId: string | null;
}

/** Fills at the rate of the quota; below zero those who share it have to wait until it is full to zero. */
interface Bucket {
  level: number;
  filledMs: number;
}

/** Makes clients keep to their quotas: they are told how long to wait, and not read from until then. */
export class Throttle {
  private readonly quotas: QuotaStore;
  private readonly node: KafkaNode;
  private readonly buckets = new Map<string, Bucket>();

  constructor(node: KafkaNode) {
    this.node = node;
    this.quotas = quotaStore(node);
  }

  /** Nothing is set for anybody. */
  get idle(): boolean {
    return this.quotas.isEmpty;
  }

  /**
   * Counts `amount` (bytes, or ms of the broker's time) as used; returns for how many ms the client has to
   * pause, which is what it is told.
   */
  private charge(key: QuotaKey, peer: Peer, clientId: string | null, amount: number): number {
    if (amount === 0) return 0;
    const limit = this.quotas.limit(key, peer.principal?.user ?? "", clientId ?? "");
    if (limit === null) return 0;
    const perSecond = key === "request_percentage" ? (limit.value / 100) * 1000 : limit.value;
    return this.use(`${key} ${limit.sharedBy}`, limit, perSecond, amount);
  }

  /** Charges it, and takes no requests from the client for as long as that comes to, which is returned. */
  spend(key: QuotaKey, { peer, clientId }: Charged, amount: number): number {
    const throttleMs = this.charge(key, peer, clientId, amount);
    if (throttleMs > 0) this.pause(peer, throttleMs);
    return throttleMs;
  }

  private pause(peer: Peer, throttleMs: number): void {
    const release = peer.hold();
    const timer = this.node.context.clock.setTimer(throttleMs, () => {
      forget();
      release();
    });
    const forget = peer.onClosed(() => timer.cancel());
  }

  private use(name: string, { value }: Limit, perSecond: number, amount: number): number {
    if (value <= 0) return THROTTLE_MS_MAX;
    const nowMs = this.node.context.clock.monotonic();
    let bucket = this.buckets.get(name);
    if (bucket === undefined) {
      if (this.buckets.size >= BUCKETS_MAX) this.buckets.clear();
      bucket = { level: perSecond * SAVED_SECONDS_MAX, filledMs: nowMs };
      this.buckets.set(name, bucket);
    }
    const filled = bucket.level + ((nowMs - bucket.filledMs) / 1000) * perSecond;
    bucket.level = Math.min(filled, perSecond * SAVED_SECONDS_MAX) - amount;
    bucket.filledMs = nowMs;
    if (bucket.level >= 0) return 0;
    return Math.min(THROTTLE_MS_MAX, Math.ceil((-bucket.level / perSecond) * 1000));
  }
}

export function throttleOf(node: KafkaNode): Throttle {
  return node.part(makeThrottle);
}

function makeThrottle(node: KafkaNode): Throttle {
  return new Throttle(node);
}
