import type { Arena } from "../base/arena.ts";
import { BLOCK_BYTES } from "../base/arena.ts";
import { type Clock, SystemClock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { residentBytes } from "../base/process-memory.ts";
import type { Turn } from "../base/turn.ts";
import type { Durability, Engine, EngineObserver } from "../engine/engine.ts";
import type { Limits } from "../limits.ts";
import type { RecordReaders } from "../message/reader.ts";
import { Access } from "./access/access.ts";
import { FULL_PERMISSIONS, Grants } from "./access/grants.ts";
import { Rules } from "./access/rules.ts";
import type { Rights, ScramExchange, ScramMechanism, TokenLogin, TokenVerifier } from "./access/types.ts";
import { type AlarmListener, Alarms } from "./alarms.ts";
import { ClientSession } from "./client-session.ts";
import type { QueueFinder } from "./dead-letter.ts";
import { startFeeding } from "./feeding.ts";
import { Groups } from "./groups/groups.ts";
import type { KnownStream, StreamDirectory } from "./groups/subscriptions.ts";
import type { GroupSettings } from "./groups/types.ts";
import type { Broker, Credentials, Principal } from "./index.ts";
import { parkingLotDeclaration } from "./parking.ts";
import type { PublishTarget } from "./publisher.ts";
import type { Queue } from "./queue.ts";
import { QueueRooms } from "./queue-rooms.ts";
import type { Session } from "./session.ts";
import { MetaSettings } from "./settings.ts";
import { Shard } from "./shard.ts";
import { Shares } from "./share/shares.ts";
import type { BrokerStats, Counters } from "./stats.ts";
import type { StreamFeeds } from "./stream/stream-feeds.ts";
import type { StreamQueue } from "./stream/stream-queue.ts";
import { StreamQueues } from "./stream/stream-queues.ts";
import { Streams } from "./stream/streams.ts";
import { TailCache } from "./stream/tail-cache.ts";
import type { StreamConfig, StreamHandle } from "./stream/types.ts";
import { groupLags, streamFigures } from "./stream-figures.ts";
import { Topology } from "./topology/topology.ts";
import { TransactionCoordinator } from "./transactions/coordinator.ts";
import type { TransactionSettings } from "./transactions/types.ts";
import type { Owner, QueueHandle } from "./types.ts";

export interface BrokerOptions {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly arena: Arena;
  readonly limits: Limits;
  readonly logger: Logger;
  readonly durability: Durability;
  /** First administrator of a new data directory; absent: guest/guest, from loopback only. */
  readonly initialUser?: { readonly name: string; readonly password: string };
  /** What streams are that say nothing else; absent: see `stream/config.ts`. */
  readonly streamDefaults?: Partial<Omit<StreamConfig, "durability">>;
  /** Absent: nobody can log in with a token. */
  readonly tokens?: TokenVerifier;
  /** Acknowledgement timeout of queues that do not set one; null = none. */
  readonly consumerTimeoutMs: number | null;
  /** Of quorum queues that do not set one; -1 = none. */
  readonly quorumDeliveryLimit: number;
  /** What differs from the defaults of groups of readers. */
  readonly groups?: Partial<GroupSettings>;
  readonly transactions?: Partial<TransactionSettings>;
  /** What each protocol can say of messages it brought in. */
  readonly readers: RecordReaders;
  /** 0 <= random() < 1 */
  readonly random?: () => number;
}

const MESSAGE_BLOCKS_SHARE = 0.5;
/** Of the budget of payload memory, for the newest batches of streams. */
const STREAM_CACHE_SHARE = 0.25;
const PRODUCER_EXPIRY_MS = 86_400_000;

/** Opens the broker on an engine: topology, users, messages. @throws CorruptionError */
export async function openBroker(options: BrokerOptions): Promise<RunningBroker> {
  const { engine, clock, arena, limits, logger } = options;
  const log = await engine.openLog("shard-0");
  let topology: Topology;
  const finder: QueueFinder = {
    find: (namespace, exchange, keys, message) => findQueues(topology, namespace, exchange, keys, message),
    parkingLot: (namespace) => parkingLot(topology, namespace),
  };
  const shard = new Shard({
    log,
    arena,
    turn: options.turn,
    clock,
    logger,
    finder,
    readers: options.readers,
    durability: engine.durability === "memory" ? "memory" : options.durability,
    blocksMax: Math.floor((limits.arenaBytes / BLOCK_BYTES) * MESSAGE_BLOCKS_SHARE),
    random: options.random ?? Math.random,
    consumerTimeoutMs: options.consumerTimeoutMs,
    quorumDeliveryLimit: options.quorumDeliveryLimit,
    onCorruption: (error) => logger.error({ error: error.message }, "stored data is damaged"),
  });
  const [streams, streamQueues] = makeStreams(options, shard);
  const rooms = new QueueRooms(shard, streamQueues);
  topology = Topology.open(engine.meta, rooms, { queuesMax: limits.queuesMax, streams: streamQueues });
  const access = await Access.open(engine.meta, {
    clock,
    ...(options.initialUser !== undefined && { initialUser: options.initialUser }),
    ...(options.tokens !== undefined && { tokens: options.tokens }),
  });
  await shard.recover();
  await streams.recover();
  const groups = new Groups({
    meta: engine.meta,
    clock,
    streams: { in: (namespace) => directoryOf(streams, namespace) },
    sessionClock: new SystemClock(),
    ...(options.groups !== undefined && { settings: options.groups }),
    removed: (namespace, group) => shares.space(namespace).forgetGroup(group),
  });
  const shares: Shares = new Shares({ meta: engine.meta, clock, logger, streams, groups });
  const transactions = new TransactionCoordinator({
    meta: engine.meta,
    clock,
    logger,
    groups,
    streams,
    coordinatorEpoch: engine.epoch,
    ...(options.transactions !== undefined && { settings: options.transactions }),
  });
  const { readers, turn } = options;
  const core = { shard, streams, topology };
  const feeds = startFeeding({ ...core, finder, readers, meta: engine.meta, turn, clock, logger });
  topology.onChange(({ kind, action, name }) => {
    if (kind !== "namespace" || action !== "deleted") return;
    groups.forgetNamespace(name);
    transactions.forgetNamespace(name);
  });
  return new RunningBroker(options, { ...core, access, groups, transactions, shares, feeds });
}

interface BrokerParts {
  readonly shard: Shard;
  readonly streams: Streams;
  readonly topology: Topology;
  readonly access: Access;
  readonly groups: Groups;
  readonly transactions: TransactionCoordinator;
  readonly feeds: StreamFeeds;
  readonly shares: Shares;
}

/** Users always have a name. */
const OWN_PRINCIPAL: Principal = { user: "", tags: [] };

function ownGrants(user: string, namespace: string): Grants {
  const grants = new Grants(user, namespace, { rules: new Rules(), isAdministrator: () => true });
  grants.set(FULL_PERMISSIONS);
  return grants;
}

function makeStreams(options: BrokerOptions, shard: Shard): [Streams, StreamQueues] {
  const { engine, clock, arena, limits, logger } = options;
  const streams = new Streams(
    {
      engine,
      clock,
      logger,
      durability: engine.durability === "memory" ? "memory" : options.durability,
      producerExpiryMs: PRODUCER_EXPIRY_MS,
      counters: shard.counters,
      defaults: options.streamDefaults ?? {},
    },
    new TailCache(arena, options.turn, clock, Math.floor(limits.arenaBytes * STREAM_CACHE_SHARE)),
  );
  const queues = new StreamQueues(streams, {
    turn: options.turn,
    clock,
    logger,
    counters: shard.counters,
    readers: options.readers,
    view: (slot, record) => shard.store.view(slot, record),
    release: (slot) => shard.release(slot),
    hold: () => shard.store.journal.hold(),
  });
  return [streams, queues];
}

/** A broker that serves. */
export class RunningBroker implements Broker, EngineObserver {
  readonly shard: Shard;
  readonly streams: Streams;
  readonly topology: Topology;
  readonly access: Access;
  readonly groups: Groups;
  readonly transactions: TransactionCoordinator;
  private readonly feeds: StreamFeeds;
  readonly shares: Shares;
  readonly settings: MetaSettings;
  private readonly options: BrokerOptions;
  private readonly alarms: Alarms;
  private readonly sessions = new Set<ClientSession>();
  private syncs = 0;
  private rounds = 0;
  private writtenBytes = 0;
  private onRound: (seconds: number) => void = () => {};

  constructor(options: BrokerOptions, parts: BrokerParts) {
    const { shard, streams, topology, access, groups, transactions, shares, feeds } = parts;
    this.options = options;
    this.shard = shard;
    this.streams = streams;
    this.topology = topology;
    this.access = access;
    this.groups = groups;
    this.transactions = transactions;
    this.feeds = feeds;
    this.shares = shares;
    this.settings = new MetaSettings(options.engine.meta);
    const { engine, logger, limits } = options;
    this.alarms = new Alarms({
      engine,
      // Memory and disk are the machine's, which has its own time: a clock moved by hand would only
      // have them looked at a million times over.
      clock: new SystemClock(),
      logger,
      messagesPress: () => shard.store.pressed || streams.pressed,
      messagesShare: () => shard.store.memoryShare,
      residentBytes,
      memoryBytesMax: limits.memoryBytesMax,
      diskFreeBytesMin: limits.diskFreeBytesMin,
    });
    engine.observe(this);
    this.alarms.start();
  }

  get counters(): Counters {
    return this.shard.counters;
  }

  get crowded(): boolean {
    return this.shard.store.crowded;
  }

  get alarm(): string | null {
    return this.alarms.reason;
  }

  addAlarmListener(listener: AlarmListener): void {
    this.alarms.add(listener);
  }

  removeAlarmListener(listener: AlarmListener): void {
    this.alarms.remove(listener);
  }

  authenticate(credentials: Credentials): Promise<Principal> {
    return this.access.authenticate(credentials);
  }

  principalOf(user: string): Promise<Principal> {
    return this.access.principalOf(user);
  }

  scram(mechanism: ScramMechanism, loopback: boolean): ScramExchange {
    return this.access.scram(mechanism, loopback);
  }

  get acceptsTokens(): boolean {
    return this.access.tokens !== null;
  }

  authenticateToken(token: string, loopback: boolean): Promise<TokenLogin> {
    return this.access.authenticateToken(token, loopback);
  }

  rights(principal: Principal, namespace: string, address: string): Rights {
    return this.access.rights(principal.user, namespace, address);
  }

  openSession(principal: Principal, namespace: string, owner: Owner): Session {
    return this.addSession(this.access, principal, namespace, owner);
  }

  ownSession(namespace: string, owner: Owner): Session {
    return this.addSession({ grants: ownGrants }, OWN_PRINCIPAL, namespace, owner);
  }

  now(): number {
    return this.options.clock.now();
  }

  get newestMessageId(): number {
    return this.shard.store.lastId;
  }

  namespaces(): readonly string[] {
    return Array.from(this.topology.namespaces(), ({ name }) => name);
  }

  private addSession(
    access: Pick<Access, "grants">,
    principal: Principal,
    namespace: string,
    owner: Owner,
  ): Session {
    const { shard, topology, streams, groups, transactions, shares } = this;
    const closed = (gone: ClientSession): void => {
      this.sessions.delete(gone);
    };
    const session = new ClientSession({
      ...{ shard, streams, topology, groups, transactions, shares, access },
      ...{ principal, namespace, owner, closed },
    });
    this.sessions.add(session);
    return session;
  }

  durable(done: () => void): void {
    this.options.engine.meta.flush(done);
  }

  round(syncs: number, bytes: number, seconds: number): void {
    this.rounds++;
    this.syncs += syncs;
    this.writtenBytes += bytes;
    this.onRound(seconds);
  }

  pressure(reason: string | null): void {
    this.alarms.storage(reason);
  }

  failed(error: Error): void {
    this.options.logger.error({ error: error.message }, "storage failed for good: restart the broker");
    this.alarms.storage(`storage failed: ${error.message}`);
  }

  /** `observe` is called with the seconds that each commit round took. */
  observeCommits(observe: (seconds: number) => void): void {
    this.onRound = observe;
  }

  stats(): BrokerStats {
    const { shard, options, streams, groups } = this;
    const { counters } = shard;
    let [ready, unacked, waiting, consumers, queues] = [0, 0, shard.delays.count, 0, 0];
    for (const queue of shard.queues.values()) {
      queues++;
      ready += queue.readyCount;
      unacked += queue.unackedCount;
      waiting += queue.waitingCount;
      consumers += queue.consumerCount;
    }
    return {
      channels: shard.ledgers.size,
      queues,
      consumers,
      messagesReady: ready,
      messagesUnacked: unacked,
      messagesWaiting: waiting,
      messagesRetained: shard.retained.count,
      published: counters.published,
      publishedBytes: counters.publishedBytes,
      confirmed: counters.confirmed,
      delivered: counters.delivered + counters.got,
      acked: counters.acknowledged,
      redelivered: counters.redelivered,
      requeued: counters.requeued,
      returned: counters.returned,
      unroutable: counters.unroutable,
      refused: counters.refused,
      deadLettered: counters.deadLettered,
      parked: counters.parked,
      retried: counters.retried,
      dropped: { ...counters.dropped },
      ...streamFigures(streams, groups, counters),
      get groupLags() {
        return groupLags(streams, groups);
      },
      logBytes: shard.storedBytes,
      logSyncs: this.syncs,
      logWrittenBytes: this.writtenBytes,
      commitRounds: this.rounds,
      movedMessages: shard.movedMessages,
      messageMemoryBytes: shard.store.memoryBytes,
      arenaBytesUsed: options.arena.usedBlocks * BLOCK_BYTES,
      arenaBytesMax: options.arena.blocksMax * BLOCK_BYTES,
      alarms: this.alarms.kinds,
    };
  }

  /** Everything accepted is kept; nobody may use the broker after this. */
  async close(): Promise<void> {
    for (const session of [...this.sessions]) session.close();
    this.alarms.stop();
    this.groups.stop();
    this.transactions.stop();
    this.shares.stop();
    await this.access.idle();
    this.feeds.stop();
    try {
      await this.streams.close();
    } finally {
      await this.shard.close();
    }
  }
}

function directoryOf(streams: Streams, namespace: string): StreamDirectory {
  const known = ({ id, name, partitions }: StreamHandle): KnownStream => {
    return { id, name, partitions: partitions.length };
  };
  return {
    find: (name) => {
      const stream = streams.find(namespace, name);
      return stream === null ? null : known(stream);
    },
    *all() {
      for (const stream of streams.in(namespace)) yield known(stream);
    },
  };
}

function findQueues(
  topology: Topology,
  namespace: string,
  exchange: string,
  keys: readonly string[],
  message: Parameters<QueueFinder["find"]>[3],
): readonly PublishTarget[] {
  if (!topology.has(namespace)) return [];
  const space = topology.namespace(namespace);
  if (space.exchange(exchange) === undefined) return [];
  const route = space.route(exchange, keys[0] ?? "");
  const found: QueueHandle[] = [];
  space.destinations(route, message, keys.slice(1), found);
  return found as (Queue | StreamQueue)[];
}

function parkingLot(topology: Topology, namespace: string): Queue {
  const space = topology.namespace(namespace);
  const declaration = parkingLotDeclaration();
  const existing = space.queue(declaration.name);
  if (existing !== undefined) return existing as Queue;
  space.queueDeclare(declaration, null);
  return space.queue(declaration.name) as Queue;
}
