import type { QueueHandle, Route } from "../types.ts";

export interface CachedRoute extends Route {
  valid: boolean;
}

const NO_QUEUES: readonly QueueHandle[] = [];

/** Entries and queue references that one half of a cache holds before the older half is given up. */
const HALF_WEIGHT_MAX = 16_384;

/**
 * Routes of one exchange by routing key, in two generations: when the young half is full the old
 * half goes, all at once, so that keys that are never seen again cost a bounded amount of memory
 * and no bookkeeping. A route that leaves the cache turns invalid, since nobody could invalidate
 * it later.
 */
export class RouteCache {
  private young = new Map<string, CachedRoute>();
  private old = new Map<string, CachedRoute>();
  private weight = 0;
  private latest: readonly QueueHandle[] = NO_QUEUES;
  private keyless = false;

  get size(): number {
    return this.young.size + this.old.size;
  }

  get(key: string): CachedRoute | undefined {
    const young = this.young.get(key);
    if (young !== undefined || this.old.size === 0) return young;
    const old = this.old.get(key);
    if (old === undefined) return undefined;
    this.old.delete(key);
    this.put(old);
    if (old.queues !== this.latest) this.weight += old.queues.length;
    return old;
  }

  put(route: CachedRoute): void {
    if (this.weight >= HALF_WEIGHT_MAX) {
      invalidateAll(this.old);
      this.old = this.young;
      this.young = new Map();
      this.weight = 0;
    }
    this.young.set(route.routingKey, route);
    this.weight++;
  }

  /** The queues of whatever key, when none matters: a fanout to a thousand is worked out once, not per key. */
  get everyKey(): readonly QueueHandle[] | null {
    return this.keyless ? this.latest : null;
  }

  /** A copy of the list to keep: the last one again when it is the same. `keyless`: so it is for every key. */
  share(queues: readonly QueueHandle[], keyless: boolean): readonly QueueHandle[] {
    this.keyless = keyless;
    if (queues.length === 0) {
      if (keyless) this.latest = NO_QUEUES;
      return NO_QUEUES;
    }
    const { latest } = this;
    if (latest.length === queues.length && queues.every((queue, i) => queue === latest[i])) return latest;
    this.latest = queues.slice();
    this.weight += queues.length;
    return this.latest;
  }

  drop(key: string): void {
    const route = this.young.get(key) ?? this.old.get(key);
    if (route === undefined) return;
    route.valid = false;
    this.young.delete(key);
    this.old.delete(key);
    this.forgetLatest();
  }

  clear(): void {
    if (this.size === 0) return;
    invalidateAll(this.young);
    invalidateAll(this.old);
    this.young.clear();
    this.old.clear();
    this.weight = 0;
    this.forgetLatest();
  }

  private forgetLatest(): void {
    this.latest = NO_QUEUES;
    this.keyless = false;
  }
}

function invalidateAll(routes: Map<string, CachedRoute>): void {
  for (const route of routes.values()) route.valid = false;
}
