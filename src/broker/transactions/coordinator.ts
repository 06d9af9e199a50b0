import type { Clock } from "../../base/clock.ts";
import { Deadline, Deadlines } from "../../base/deadlines.ts";
import type { Logger } from "../../base/logger.ts";
import type { MetaStore } from "../../engine/engine.ts";
import type { Groups } from "../groups/groups.ts";
import type { GroupSpace } from "../groups/space.ts";
import type { GroupRefusal, MemberClaim, OffsetCommit, PartitionName } from "../groups/types.ts";
import { isKept, type PartitionHandle } from "../stream/types.ts";
import { ProducerIds } from "./producer-ids.ts";
import { Transaction, type TransactionHost, type TransactionSnapshot } from "./transaction.ts";
import {
  DEFAULT_TRANSACTION_SETTINGS,
  type ProducerName,
  type TransactionControl,
  type TransactionRefusal,
  type TransactionSettings,
  type TransactionView,
} from "./types.ts";

/**
 * Transactions in the metadata store; '/' and '%' in names percent-encoded:
 *
 *     transactions/format               JSON {version}
 *     transactions/producer-ids         decimal: no number from here on was ever given out
 *     transactions/name/<ns>/<name>     JSON TransactionSnapshot
 */
const VERSION = 1;
const FORMAT_KEY = "transactions/format";
const NAME_PREFIX = "transactions/name/";
const SWEEP_MS = 3_600_000;
const RETRY_MS = 1000;
const NOBODY: ProducerName = { producerId: -1, epoch: -1 };

export interface CoordinatorOptions {
  readonly meta: MetaStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly groups: Pick<Groups, "space">;
  readonly streams: {
    find(namespace: string, name: string): { readonly partitions: readonly PartitionHandle[] } | null;
  };
  /** Stands in the markers; rises with every start. */
  readonly coordinatorEpoch: number;
  readonly settings?: Partial<TransactionSettings>;
}

interface Parts extends Omit<CoordinatorOptions, "settings"> {
  readonly deadlines: Deadlines;
  readonly settings: TransactionSettings;
  readonly producerIds: ProducerIds;
}

/** All transactions of the broker. */
export class TransactionCoordinator {
  private readonly parts: Parts;
  private readonly spaces = new Map<string, TransactionSpace>();
  private readonly sweep = new Deadline(() => this.expire());

  /** Takes up what is stored, and ends what was decided. @throws Error for a version that this program does not know */
  constructor(options: CoordinatorOptions) {
    const { meta, clock } = options;
    const value = meta.get(FORMAT_KEY);
    const { version } = value === undefined ? { version: VERSION } : (parse(value) as { version: number });
    if (version !== VERSION) {
      throw new Error(`transactions are stored in version ${version}; this program reads version ${VERSION}`);
    }
    if (value === undefined) meta.put(FORMAT_KEY, bytesOf({ version: VERSION }));
    this.parts = {
      ...options,
      deadlines: new Deadlines(clock),
      settings: { ...DEFAULT_TRANSACTION_SETTINGS, ...options.settings },
      producerIds: new ProducerIds(meta),
    };
    for (const [key, snapshot] of [...meta.entries(NAME_PREFIX)]) {
      const [namespace, name] = key.slice(NAME_PREFIX.length).split("/").map(decodeURIComponent);
      this.space(namespace).restore(name, parse(snapshot) as TransactionSnapshot);
    }
    this.parts.deadlines.set(this.sweep, SWEEP_MS);
  }

  space(namespace: string): TransactionSpace {
    let space = this.spaces.get(namespace);
    if (space === undefined) {
      space = new TransactionSpace(namespace, this.parts);
      this.spaces.set(namespace, space);
    }
    return space;
  }

  /** To be called when a namespace is deleted. */
  forgetNamespace(namespace: string): void {
    this.spaces.get(namespace)?.clear();
    this.spaces.delete(namespace);
  }

  /** Nothing times out after this. */
  stop(): void {
    this.parts.deadlines.stop();
  }

  private expire(): void {
    for (const space of this.spaces.values()) space.expire();
    this.parts.deadlines.set(this.sweep, SWEEP_MS);
  }
}

/** The transactions of one namespace. */
export class TransactionSpace implements TransactionControl {
  private readonly namespace: string;
  private readonly parts: Parts;
  private readonly groups: GroupSpace;
  private readonly transactions = new Map<string, Transaction>();
  private readonly host: TransactionHost;

  constructor(namespace: string, parts: Parts) {
    const { deadlines, settings, clock, meta, producerIds } = parts;
    this.namespace = namespace;
    this.parts = parts;
    this.groups = parts.groups.space(namespace);
    this.host = {
      deadlines,
      settings,
      now: () => clock.now(),
      newProducerId: (done) => producerIds.take(done),
      save: (transaction, done) => {
        meta.put(this.keyOf(transaction.name), bytesOf(transaction.snapshot()));
        meta.flush(done);
      },
      saved: (done) => meta.flush(done),
      begin: (partition, { producerId, epoch }) =>
        this.partition(partition)?.beginTransaction(producerId, epoch),
      end: (partition, producer, commit, done) => this.endIn(partition, producer, commit, done),
      decide: (groups, producerId, commit) => {
        for (const group of groups) this.groups.decide(group, producerId, commit);
      },
    };
  }

  initProducer(
    name: string | null,
    timeoutMs: number,
    known: ProducerName | null,
    done: (refusal: TransactionRefusal | null, producer: ProducerName) => void,
  ): void {
    const { producerIds, settings } = this.parts;
    if (name === null) producerIds.take((producerId) => done(null, { producerId, epoch: 0 }));
    else if (name === "") done("transaction-name-invalid", NOBODY);
    else if (timeoutMs <= 0 || timeoutMs > settings.timeoutMsMax) done("transaction-timeout-invalid", NOBODY);
    else this.obtain(name).init(timeoutMs, known, done);
  }

  addPartitions(
    name: string,
    producer: ProducerName,
    partitions: readonly PartitionName[],
    done: (refusal: TransactionRefusal | null) => void,
  ): void {
    const transaction = this.found(name, done);
    transaction?.addPartitions(producer, partitions, done);
  }

  addGroup(
    name: string,
    producer: ProducerName,
    group: string,
    done: (refusal: TransactionRefusal | null) => void,
  ): void {
    const transaction = this.found(name, done);
    transaction?.addGroup(producer, group, done);
  }

  commitOffsets(
    name: string,
    producer: ProducerName,
    group: string,
    claim: MemberClaim,
    offsets: readonly OffsetCommit[],
    done: (refusals: readonly (TransactionRefusal | GroupRefusal | null)[]) => void,
  ): void {
    const transaction = this.transactions.get(name);
    const refusal =
      transaction === undefined ? "producer-unknown" : transaction.offsetRefusal(producer, group);
    if (refusal !== null) done(offsets.map(() => refusal));
    else this.groups.stageOffsets(group, claim, producer.producerId, offsets, done);
  }

  end(
    name: string,
    producer: ProducerName,
    commit: boolean,
    renews: boolean,
    done: (refusal: TransactionRefusal | null, next: ProducerName) => void,
  ): void {
    const transaction = this.found(name, (refusal) => done(refusal, NOBODY));
    if (renews) transaction?.endAndRenew(producer, commit, done);
    else transaction?.end(producer, commit, (refusal) => done(refusal, producer));
  }

  writesTo(name: string, producer: ProducerName, partitions: readonly PartitionName[]): boolean {
    return this.transactions.get(name)?.writesTo(producer, partitions) === true;
  }

  describe(name: string): TransactionView | null {
    return this.transactions.get(name)?.view() ?? null;
  }

  list(): TransactionView[] {
    return Array.from(this.transactions.values(), (transaction) => transaction.view());
  }

  restore(name: string, snapshot: TransactionSnapshot): void {
    this.obtain(name).restore(snapshot);
  }

  /** Forgets names that nobody uses any more. */
  expire(): void {
    const { clock, meta, settings } = this.parts;
    const before = clock.now() - settings.nameRetentionMs;
    for (const [name, transaction] of this.transactions) {
      if (transaction.changedAtMs > before || transaction.ending || transaction.state === "ongoing") continue;
      this.transactions.delete(name);
      meta.delete(this.keyOf(name));
    }
  }

  /** The namespace is deleted, and what its transactions wrote to with it. */
  clear(): void {
    for (const [name, transaction] of this.transactions) {
      transaction.abandon();
      this.parts.meta.delete(this.keyOf(name));
    }
    this.transactions.clear();
  }

  private obtain(name: string): Transaction {
    let transaction = this.transactions.get(name);
    if (transaction === undefined) {
      transaction = new Transaction(name, this.host);
      this.transactions.set(name, transaction);
    }
    return transaction;
  }

  private found(name: string, done: (refusal: TransactionRefusal) => void): Transaction | null {
    const transaction = this.transactions.get(name) ?? null;
    if (name === "") done("transaction-name-invalid");
    else if (transaction === null) done("producer-unknown");
    return transaction;
  }

  private partition({ stream, partition }: PartitionName): PartitionHandle | undefined {
    return this.parts.streams.find(this.namespace, stream)?.partitions[partition];
  }

  private endIn(name: PartitionName, producer: ProducerName, commit: boolean, done: () => void): void {
    const { coordinatorEpoch, deadlines, logger } = this.parts;
    const partition = this.partition(name);
    if (partition === undefined) {
      done();
      return;
    }
    const again = (): void => this.endIn(name, producer, commit, done);
    try {
      const { producerId, epoch } = producer;
      const offset = partition.endTransaction(producerId, epoch, commit, coordinatorEpoch);
      partition.wait(offset, "committed", { reached: () => (isKept(partition, offset) ? done() : again()) });
    } catch (error) {
      // What is decided stays so: readers wait for it until storage takes it.
      logger.error({ ...name, error: String(error) }, "a transaction cannot be ended in a partition");
      deadlines.set(new Deadline(again), RETRY_MS);
    }
  }

  private keyOf(name: string): string {
    return `${NAME_PREFIX}${[this.namespace, name].map((part) => part.replace(/[%/]/g, encodeURIComponent)).join("/")}`;
  }
}

function bytesOf(json: object): Uint8Array {
  // Not a Buffer: a small one is a window on memory that it shares with others.
  return new TextEncoder().encode(JSON.stringify(json));
}

function parse(value: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(value));
}
