import { randomBytes } from "node:crypto";
import type { Timer } from "../../base/clock.ts";
import { BrokerError } from "../../base/errors.ts";
import { dirtOf, wantsCleaning } from "./compaction.ts";
import { checkOverrides, invalid, STREAM_DEFAULTS } from "./config.ts";
import { StreamContext, type StreamOptions } from "./context.ts";
import { logNameOf, type Partition } from "./partition.ts";
import { retain } from "./retention.ts";
import { type DeclaredQueue, Stream } from "./stream.ts";
import { StreamStore } from "./stream-store.ts";
import type { TailCache } from "./tail-cache.ts";
import type { StreamConfig, StreamDeclaration } from "./types.ts";

const LOG_PREFIX = "stream-";
const RECOVERIES_AT_ONCE = 8;
const SWEEP_MS = 1000;
const PARTITIONS_MAX = 100_000;
const NAME_BYTES_MAX = 255;

/** All streams of all namespaces. */
export class Streams {
  /** What a stream is that says nothing else. */
  defaults: StreamConfig;
  /** What of that was changed while it ran. */
  changedDefaults: Partial<StreamConfig>;
  /** As the broker was started. */
  readonly initialDefaults: StreamConfig;
  private readonly context: StreamContext;
  private readonly store: StreamStore;
  private readonly spaces = new Map<string, Map<string, Stream>>();
  private readonly byId = new Map<string, Stream>();
  private readonly removals = new Set<Promise<void>>();
  private cleaning: Promise<void> | null = null;
  private sweepTimer: Timer | null = null;

  constructor(options: StreamOptions, cache: TailCache) {
    this.context = new StreamContext(options, cache);
    this.store = new StreamStore(options.engine.meta);
    this.initialDefaults = { ...STREAM_DEFAULTS, ...options.defaults, durability: options.durability };
    this.changedDefaults = this.store.defaults();
    this.defaults = { ...this.initialDefaults, ...this.changedDefaults };
    for (const { namespace, ...record } of this.store.all()) {
      this.enter(new Stream(this.context, namespace, record, this.defaults));
    }
  }

  /** Rebuilds what was written, and removes what a deletion left behind. @throws CorruptionError */
  async recover(): Promise<void> {
    const { engine } = this.context;
    const written = new Set((await engine.logNames()).filter((name) => name.startsWith(LOG_PREFIX)));
    const work: (() => Promise<void>)[] = [];
    for (const stream of this.byId.values()) {
      for (const partition of stream.partitions) {
        if (written.delete(partition.logName)) work.push(() => partition.recover());
      }
    }
    for (const orphan of written) work.push(() => engine.deleteLog(orphan));
    const next = work[Symbol.iterator]();
    const worker = async (): Promise<void> => {
      for (const job of next) await job();
    };
    await Promise.all(Array.from({ length: RECOVERIES_AT_ONCE }, worker));
    this.sweep();
  }

  /** More is on its way to the disk than memory was set aside for. */
  get pressed(): boolean {
    return this.context.cache.pressed;
  }

  find(namespace: string, name: string): Stream | null {
    return this.spaces.get(namespace)?.get(name) ?? null;
  }

  findById(id: string): Stream | null {
    return this.byId.get(id) ?? null;
  }

  all(): Iterable<Stream> {
    return this.byId.values();
  }

  in(namespace: string): Iterable<Stream> {
    return this.spaces.get(namespace)?.values() ?? [];
  }

  /** The name must be free. @throws BrokerError name-invalid, argument-invalid */
  create(namespace: string, declaration: StreamDeclaration, declared: DeclaredQueue | null = null): Stream {
    this.check(namespace, declaration);
    const { name, partitions, overrides, attributes } = declaration;
    const id = randomBytes(16).toString("hex");
    const facts = { id, name, partitions, overrides, attributes, declared };
    const stream = new Stream(this.context, namespace, facts, this.defaults);
    this.enter(stream);
    this.store.put(namespace, facts);
    return stream;
  }

  /** @throws BrokerError name-invalid, argument-invalid */
  check(namespace: string, { name, partitions, overrides }: Omit<StreamDeclaration, "attributes">): void {
    if (name === "" || Buffer.byteLength(name) > NAME_BYTES_MAX) {
      const detail = { kind: "queue", name, namespace };
      throw new BrokerError("name-invalid", `a stream cannot be named '${name}'`, detail);
    }
    this.checkPartitions(name, namespace, partitions, 1);
    checkOverrides(name, namespace, overrides, this.highest);
  }

  delete(stream: Stream): void {
    stream.deleted = true;
    this.byId.delete(stream.id);
    const space = this.spaces.get(stream.namespace);
    space?.delete(stream.name);
    if (space?.size === 0) this.spaces.delete(stream.namespace);
    this.store.delete(stream.namespace, stream.name);
    for (const partition of stream.partitions) partition.advanced();
    const removal = this.remove(stream)
      .catch((error: unknown) => {
        this.context.logger.error(
          { stream: stream.name, err: error },
          "a deleted stream's data could not be removed",
        );
      })
      .finally(() => this.removals.delete(removal));
    this.removals.add(removal);
  }

  /** Replaces what was changed of the defaults: acts at once on all streams. @throws BrokerError argument-invalid */
  alterDefaults(changes: Partial<StreamConfig>): void {
    checkOverrides("", "", changes, this.highest);
    this.changedDefaults = changes;
    this.defaults = { ...this.initialDefaults, ...changes };
    this.store.putDefaults(changes);
    for (const stream of this.byId.values()) stream.rebase(this.defaults);
  }

  /** @throws BrokerError argument-invalid */
  grow(stream: Stream, partitions: number): void {
    this.checkPartitions(stream.name, stream.namespace, partitions, stream.partitions.length + 1);
    stream.grow(partitions);
    this.store.put(stream.namespace, stream.facts);
  }

  /** @throws BrokerError argument-invalid */
  alter(
    stream: Stream,
    overrides: Partial<StreamConfig>,
    attributes: Readonly<Record<string, string>>,
  ): void {
    checkOverrides(stream.name, stream.namespace, overrides, this.highest);
    stream.alter(overrides, attributes);
    this.store.put(stream.namespace, stream.facts);
  }

  /** @throws Error when the storage of a partition has failed; the others are closed all the same */
  async close(): Promise<void> {
    this.sweepTimer?.cancel();
    await Promise.all(this.removals);
    const closing: Promise<void>[] = [];
    for (const { partitions } of this.byId.values()) {
      for (const { written } of partitions) if (written !== null) closing.push(written.close());
    }
    // One that has failed must not leave others open.
    const failed = (await Promise.allSettled(closing)).find(({ status }) => status === "rejected");
    await this.cleaning;
    if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
  }

  private get highest() {
    return this.context.engine.durability;
  }

  private enter(stream: Stream): void {
    const space = this.spaces.get(stream.namespace);
    if (space === undefined) this.spaces.set(stream.namespace, new Map([[stream.name, stream]]));
    else space.set(stream.name, stream);
    this.byId.set(stream.id, stream);
  }

  /** A log goes when the metadata no longer names it: a crash in between leaves it to the next start. */
  private async remove(stream: Stream): Promise<void> {
    const { engine } = this.context;
    await new Promise<void>((resolve) => engine.meta.flush(resolve));
    for (const { written, index } of stream.partitions) {
      if (written === null) continue;
      await written.discard();
      await engine.deleteLog(logNameOf(stream.id, index));
    }
  }

  /** What is not urgent: old runs, producers that have gone, and cleaning. */
  private sweep(): void {
    const nowMs = this.context.clock.now();
    this.context.chunks.sweep();
    let dirtiest: Partition | null = null;
    let dirtiestBytes = 0;
    for (const { partitions } of this.byId.values()) {
      for (const partition of partitions) {
        if (partition.written === null) continue;
        retain(partition, nowMs);
        partition.written.forgetProducers(nowMs);
        if (partition.config.cleanup === "delete" || this.cleaning !== null) continue;
        const dirt = dirtOf(partition.written, partition.config, nowMs);
        if (dirt.dirtyBytes <= dirtiestBytes || !wantsCleaning(dirt, partition.config, nowMs)) continue;
        dirtiest = partition;
        dirtiestBytes = dirt.dirtyBytes;
      }
    }
    if (dirtiest !== null) this.clean(dirtiest);
    this.sweepTimer = this.context.clock.setTimer(SWEEP_MS, () => this.sweep());
  }

  /** One partition at a time: it takes memory for keys, and reads and writes much. */
  private clean(partition: Partition): void {
    this.cleaning = partition
      .clean()
      .catch((error: unknown) => {
        if (partition.written?.over !== false) return;
        const { stream, index } = partition;
        this.context.logger.error(
          { stream: stream.name, partition: index, err: error },
          "cleaning by key failed",
        );
      })
      .finally(() => {
        this.cleaning = null;
      });
  }

  private checkPartitions(name: string, namespace: string, partitions: number, min: number): void {
    if (Number.isSafeInteger(partitions) && partitions >= min && partitions <= PARTITIONS_MAX) return;
    throw invalid(
      name,
      namespace,
      "partitions",
      `must be from ${min} to ${PARTITIONS_MAX}, not ${partitions}`,
    );
  }
}
