import type { Table } from "../message/values.ts";
import type { GroupControl } from "./groups/types.ts";
import type { ShareControl } from "./share/types.ts";
import type { StreamControl } from "./stream/types.ts";
import type { TransactionControl } from "./transactions/types.ts";
import type {
  CommitWaiter,
  ConsumeOptions,
  ConsumerHandle,
  ConsumerSink,
  Delivery,
  ExchangeDeclaration,
  Incoming,
  LedgerHandle,
  Notebook,
  Owner,
  QueueCounts,
  QueueDeclaration,
  RetainedSink,
  RetainedWalk,
  Route,
  StoredMessage,
  TopicPattern,
} from "./types.ts";

/**
 * One user's access to one namespace: the whole of what a protocol can do. Every method checks the
 * user's permissions and throws BrokerError. Changes of topology act at once and are durable when
 * `Broker.durable` says so: a protocol answers a declaration only then.
 */
export interface Session {
  readonly namespace: string;
  readonly user: string;
  readonly owner: Owner;
  /** Groups of readers of this namespace's streams. */
  readonly groups: GroupControl;
  /** Transactions over this namespace's streams and groups. */
  readonly transactions: TransactionControl;
  /** Reading this namespace's streams like queues. */
  readonly shares: ShareControl;
  /** The namespace's streams. */
  readonly streams: StreamControl;

  exchangeDeclare(declaration: ExchangeDeclaration): void;
  /** @throws BrokerError exchange-not-found */
  exchangeCheck(name: string): void;
  /** Deleting what is not there is no error. */
  exchangeDelete(name: string, ifUnused: boolean): void;
  exchangeBind(destination: string, source: string, routingKey: string, args: Table): void;
  exchangeUnbind(destination: string, source: string, routingKey: string, args: Table): void;

  /** An empty name is replaced by a generated one. */
  queueDeclare(declaration: QueueDeclaration): QueueCounts;
  queueCheck(name: string): QueueCounts;
  /** Returns how many messages were ready; 0 when there is no such queue. */
  queueDelete(name: string, ifUnused: boolean, ifEmpty: boolean): number;
  queuePurge(name: string): number;
  queueBind(queue: string, exchange: string, routingKey: string, args: Table): void;
  queueUnbind(queue: string, exchange: string, routingKey: string, args: Table): void;
  /** Declared arguments of an existing queue or exchange, for error texts. */
  declaredArguments(kind: "queue" | "exchange", name: string): Table | null;

  /** Rises when the user's permissions change: routes from before must be asked for again. */
  readonly accessRevision: number;
  /** @throws BrokerError exchange-not-found, access-refused, internal-exchange */
  route(exchange: string, routingKey: string): Route;
  /** Stores and routes one message. Returns PUBLISH_*. `route` must be valid. */
  publish(route: Route, message: Incoming): number;
  /**
   * Number of the batch that is gathering; `waiter.committed` is called with it once it is durable.
   * Batches are committed in rising order.
   */
  whenCommitted(waiter: CommitWaiter): number;
  /** Everything published and settled inside `work` is one batch: all of it survives, or nothing. What it
   *  rejects must be held in memory (`hold`), as a dead letter is a copy. */
  atomically(work: () => void): void;
  /**
   * Reads back the messages of these deliveries as needed, and keeps them in memory until `release` is
   * called. `done` may be called at once; with null when memory does not hold them all.
   */
  hold(
    ledger: LedgerHandle,
    deliveries: readonly { readonly tag: number; readonly multiple: boolean }[],
    done: (release: (() => void) | null) => void,
  ): void;

  /** Deliveries waiting to be settled; one per channel, session or subscription. */
  openLedger(): LedgerHandle;
  consume(queue: string, options: ConsumeOptions, sink: ConsumerSink, ledger: LedgerHandle): ConsumerHandle;
  /**
   * Takes one message. `done` gets null when the queue is empty, and else how many stay ready; it may be
   * called later, when the message has to be read from disk.
   */
  get(
    queue: string,
    noAck: boolean,
    ledger: LedgerHandle,
    done: (delivery: Delivery | null, ready: number) => void,
  ): void;
  /**
   * Puts a stored message into one queue as it is: same bytes, same routing, the rest of its time to live. For what
   * a subscriber is owed beyond what routing gives it: retained messages that need an acknowledgement, a
   * message that moves from a shared queue to the one of the member that got it (with `LedgerHandle.accept`
   * in the same turn: one batch). `retained` is told again with each delivery.
   * Returns PUBLISH_*. `message` must be the one handed out during this very call.
   * @throws BrokerError queue-not-found, access-refused (write permission on the queue)
   */
  forward(queue: string, message: StoredMessage, retained: boolean): number;

  /**
   * Hands out the retained messages whose routing key matches, in no particular order, from later turns
   * on: slice by slice, while the sink is writable. What is published before this call is handed out once it is
   * durable. What is replaced later may be left out: its successor is a publish like any other, so bind first.
   * @throws BrokerError access-refused (read permission on `exchange`, and for the pattern as a topic)
   */
  retained(exchange: string, pattern: TopicPattern, sink: RetainedSink): RetainedWalk;
  /** Retained messages of the namespace. */
  readonly retainedCount: number;

  /** The notes that go by this name: made by its first note, gone with its last. Needs no permission. */
  notebook(name: string): Notebook;
  /** Names of the namespace's notebooks that begin with `prefix`. */
  notebooks(prefix: string): Iterable<string>;

  /** A queue of this owner for direct replies: unlisted, transient, gone with the owner. Returns its name. */
  openReplyQueue(): string;
  closeReplyQueue(name: string): void;
  /** Releases ledgers, consumers and exclusive queues. */
  close(): void;
}
