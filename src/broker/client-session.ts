import { BrokerError } from "../base/errors.ts";
import type { Durability } from "../engine/engine.ts";
import type { Annotations } from "../message/record.ts";
import type { Access } from "./access/access.ts";
import type { Groups } from "./groups/groups.ts";
import type { GroupSpace } from "./groups/space.ts";
import type { Principal } from "./index.ts";
import type { Ledger } from "./ledger.ts";
import type { PublishTarget } from "./publisher.ts";
import type { Queue } from "./queue.ts";
import { Readdressed } from "./redirect.ts";
import type { Session } from "./session.ts";
import type { Shard } from "./shard.ts";
import type { ShareSpace, Shares } from "./share/shares.ts";
import type { Partition } from "./stream/partition.ts";
import { SessionStreams } from "./stream/session-streams.ts";
import type { StreamQueue } from "./stream/stream-queue.ts";
import { declarationOf } from "./stream/stream-queues.ts";
import type { Streams } from "./stream/streams.ts";
import { ControlSession } from "./topology/control.ts";
import type { Topology } from "./topology/topology.ts";
import type { TransactionCoordinator, TransactionSpace } from "./transactions/coordinator.ts";
import {
  type CommitWaiter,
  type ConsumeOptions,
  type ConsumerHandle,
  type ConsumerSink,
  type Delivery,
  type Incoming,
  type LedgerHandle,
  type Notebook,
  type Owner,
  PUBLISH_DONE,
  PUBLISH_PENDING,
  PUBLISH_REFUSED,
  type QueueCounts,
  type QueueDeclaration,
  type QueueHandle,
  type RetainedSink,
  type RetainedWalk,
  type Route,
  type StoredMessage,
  type TopicPattern,
} from "./types.ts";

/** Weakest first. */
const LEVELS: readonly Durability[] = ["memory", "os", "fsync"];

export interface ClientSessionParts {
  readonly shard: Shard;
  readonly streams: Streams;
  readonly topology: Topology;
  readonly access: Pick<Access, "grants">;
  readonly groups: Groups;
  readonly transactions: TransactionCoordinator;
  readonly shares: Shares;
  readonly principal: Principal;
  readonly namespace: string;
  readonly owner: Owner;
  readonly closed: (session: ClientSession) => void;
}

/** A client's session: the topology half is inherited, publishing and consuming are here. */
export class ClientSession extends ControlSession implements Session {
  readonly groups: GroupSpace;
  readonly transactions: TransactionSpace;
  readonly shares: ShareSpace;
  readonly streams: SessionStreams;
  private readonly shard: Shard;
  private readonly onClosed: (session: ClientSession) => void;
  private readonly ledgers = new Set<Ledger>();

  constructor(parts: ClientSessionParts) {
    super(parts);
    this.shard = parts.shard;
    this.groups = parts.groups.space(this.namespace);
    this.transactions = parts.transactions.space(this.namespace);
    this.shares = parts.shares.space(this.namespace);
    this.streams = new SessionStreams({
      address: parts.owner.address ?? null,
      streams: parts.streams,
      grants: this.grants,
      namespace: parts.namespace,
      checkName: (name) => this.space.checkStreamName(name),
      made: (stream) => this.space.enterStream(declarationOf(stream)),
      remove: (name) => void this.space.queueDelete(name, false, false, this.owner),
    });
    this.onClosed = parts.closed;
  }

  /** @throws BrokerError also argument-invalid, for a level of durability that this broker cannot give */
  override queueDeclare(declaration: QueueDeclaration): QueueCounts {
    const { durability } = declaration.options;
    if (durability !== undefined && LEVELS.indexOf(durability) > LEVELS.indexOf(this.shard.durability)) {
      const reason = `this broker gives '${this.shard.durability}' at most`;
      const { name } = declaration;
      const detail = { kind: "queue", name, namespace: this.namespace, argument: "durability", reason };
      throw new BrokerError("argument-invalid", `durability '${durability}': ${reason}`, detail);
    }
    return super.queueDeclare(declaration);
  }

  publish(route: Route, message: Incoming): number {
    const { redirect } = route;
    if (redirect !== undefined) return this.publish(redirect, new Readdressed(message, redirect));
    const result = this.send(route, message);
    // What a queue refused was refused as a whole: the publisher is told so, and sends it again.
    if (message.retain !== true || route.routingKey === "" || (result & PUBLISH_REFUSED) !== 0) return result;
    const { expirationMs } = message;
    const kept = this.shard.retained.put(this.namespace, route.routingKey, message, null, expirationMs);
    return kept ? result | PUBLISH_PENDING : result;
  }

  private send(route: Route, message: Incoming): number {
    const { copies, blindCopies } = message;
    const plain = copies === null && blindCopies === null;
    if (route.delaying && message.delayMs > 0) return this.publishDelayed(route, message);
    if (plain && !route.dynamic) {
      return this.shard.publisher.publish(
        route.queues as (Queue | StreamQueue)[],
        message,
        null,
        message.expirationMs,
      );
    }
    const found: QueueHandle[] = [];
    this.space.destinations(route, message, [...(copies ?? []), ...(blindCopies ?? [])], found);
    const annotations = plain ? null : Buffer.from(JSON.stringify(annotationsOf(message)));
    return this.shard.publisher.publish(
      found as (Queue | StreamQueue)[],
      message,
      annotations,
      message.expirationMs,
    );
  }

  /** Each delaying exchange on the way keeps the message until its delay is over; queues beside it get it now. */
  private publishDelayed(route: Route, message: Incoming): number {
    const { shard, namespace } = this;
    const { copies, blindCopies, expirationMs, delayMs } = message;
    const found: QueueHandle[] = [];
    const delays: string[] = [];
    this.space.destinations(route, message, [...(copies ?? []), ...(blindCopies ?? [])], found, delays);
    const plain = copies === null && blindCopies === null;
    const old = plain ? null : annotationsOf(message);
    const annotations = plain ? null : Buffer.from(JSON.stringify(old));
    if (delays.length === 0) {
      return shard.publisher.publish(found as (Queue | StreamQueue)[], message, annotations, expirationMs);
    }
    shard.publisher.count(message);
    let outcome = PUBLISH_DONE;
    for (const exchange of delays) {
      outcome |= shard.delays.add(namespace, exchange, message, old, expirationMs, delayMs);
    }
    if (found.length === 0) return outcome;
    const now = shard.publisher.store(found as (Queue | StreamQueue)[], message, annotations, expirationMs);
    return now === PUBLISH_REFUSED ? now : outcome | now;
  }

  whenCommitted(waiter: CommitWaiter): number {
    return this.shard.store.journal.waitFor(waiter);
  }

  /** One turn is one batch: nothing is taken to the disk while this runs. */
  atomically(work: () => void): void {
    this.shard.deadLetters.together(work);
  }

  hold(
    ledger: LedgerHandle,
    deliveries: readonly { readonly tag: number; readonly multiple: boolean }[],
    done: (release: (() => void) | null) => void,
  ): void {
    const slots = deliveries.flatMap(({ tag, multiple }) => (ledger as Ledger).slotsOf(tag, multiple));
    this.shard.store.holdAll(slots, done);
  }

  openLedger(): Ledger {
    const ledger = this.shard.openLedger((closed) => this.ledgers.delete(closed));
    this.ledgers.add(ledger);
    return ledger;
  }

  consume(queue: string, options: ConsumeOptions, sink: ConsumerSink, ledger: LedgerHandle): ConsumerHandle {
    const part = this.space.queue(queue) === undefined ? this.partition(queue) : null;
    if (part === null) return this.readable(queue).addConsumer(options, sink, ledger as Ledger);
    const source = this.readable(part.stream.name) as StreamQueue;
    return source.addConsumer(options, sink, ledger as Ledger, part);
  }

  get(
    queue: string,
    noAck: boolean,
    ledger: LedgerHandle,
    done: (delivery: Delivery | null, ready: number) => void,
  ): void {
    this.readable(queue).get(noAck, ledger as Ledger, done);
  }

  forward(queue: string, message: StoredMessage, retained: boolean): number {
    return this.shard.publisher.forward(this.writable(queue), message, retained);
  }

  retained(exchange: string, pattern: TopicPattern, sink: RetainedSink): RetainedWalk {
    this.checkTopicReading(exchange, pattern.pattern);
    return this.shard.retained.walk(this.namespace, pattern, sink);
  }

  get retainedCount(): number {
    return this.shard.retained.countOf(this.namespace);
  }

  notebook(name: string): Notebook {
    return this.shard.notes.notebook(this.namespace, name);
  }

  notebooks(prefix: string): Iterable<string> {
    return this.shard.notes.names(this.namespace, prefix);
  }

  override close(): void {
    for (const ledger of [...this.ledgers]) ledger.close();
    super.close();
    this.onClosed(this);
  }

  /** "orders-2" is the third partition of stream "orders", unless a queue is called so. */
  private partition(name: string): Partition | null {
    const [, stream = "", index = ""] = /^(.+)-(\d{1,6})$/s.exec(name) ?? [];
    const { partitions = [] } = this.streams.find(stream) ?? {};
    return partitions.length > 1 ? (partitions[Number(index)] ?? null) : null;
  }

  private readable(name: string): Queue | StreamQueue {
    return this.queueForReading(name) as Queue | StreamQueue;
  }

  private writable(name: string): PublishTarget {
    return this.queueForWriting(name) as Queue | StreamQueue;
  }
}

function annotationsOf(message: Incoming): Annotations {
  return {
    ...(message.copies === null ? {} : { copies: message.copies }),
    ...(message.blindCopies === null ? {} : { blindCopies: message.blindCopies }),
  };
}
