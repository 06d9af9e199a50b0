import { Deadline, type Deadlines } from "../../base/deadlines.ts";
import type { PartitionName } from "../groups/types.ts";
import type {
  ProducerName,
  TransactionRefusal,
  TransactionSettings,
  TransactionState,
  TransactionView,
} from "./types.ts";

/** A producer's epoch is 16 bits wide, and one is kept for fencing; then it gets a new number. */
const EPOCH_MAX = 0x7ffe;
const NOBODY: ProducerName = { producerId: -1, epoch: -1 };

export interface TransactionHost {
  readonly deadlines: Deadlines;
  readonly settings: TransactionSettings;
  /** Wall clock, ms. */
  now(): number;
  newProducerId(done: (id: number) => void): void;
  /** Runs `done` when the transaction as it is now is durable. */
  save(transaction: Transaction, done: () => void): void;
  /** Runs `done` when everything saved so far is durable. */
  saved(done: () => void): void;
  /** The producer may write to the partition from now on. */
  begin(partition: PartitionName, producer: ProducerName): void;
  /** Puts the end into the partition; `done` is called when it is durable there, or the partition is gone. */
  end(partition: PartitionName, producer: ProducerName, commit: boolean, done: () => void): void;
  /** Offsets of these groups that waited for the decision. */
  decide(groups: Iterable<string>, producerId: number, commit: boolean): void;
}

export interface TransactionSnapshot {
  readonly producerId: number;
  readonly epoch: number;
  readonly lastProducerId: number;
  readonly lastEpoch: number;
  readonly timeoutMs: number;
  readonly state: TransactionState;
  readonly startedAtMs: number;
  readonly changedAtMs: number;
  readonly partitions: readonly PartitionName[];
  readonly groups: readonly string[];
  /** While it is being ended: whose end it is, where the producer has another epoch by now. */
  readonly endedAs?: ProducerName | null;
}

export type InitDone = (refusal: TransactionRefusal | null, producer: ProducerName) => void;
type Done = (refusal: TransactionRefusal | null) => void;
type EndDone = (refusal: TransactionRefusal | null, next: ProducerName) => void;

/**
 * The transactions of one name, one after the other (KIP-98).
 *
 *     empty, committed, aborted -> ongoing     something is added to it
 *     ongoing -> committing | aborting         decided: once this is durable, it is so
 *     committing -> committed                  the end stands in every partition
 *
 * A request that comes while one is being ended waits for that, and is not sent away to ask again.
 */
export class Transaction {
  readonly name: string;
  state: TransactionState = "empty";
  changedAtMs: number;
  private readonly host: TransactionHost;
  private producerId = -1;
  private epoch = -1;
  /** What the producer had before, when it said what it had: it may not have heard the answer. */
  private lastProducerId = -1;
  private lastEpoch = -1;
  private timeoutMs = 0;
  private startedAtMs = -1;
  private endedAs: ProducerName | null = null;
  /** What `partitions` has that is durable. */
  private readonly kept = new Set<string>();
  private readonly partitions = new Map<string, PartitionName>();
  private readonly groups = new Set<string>();
  private readonly timeout = new Deadline(() => this.timedOut());
  private readonly patience = new Deadline(() => this.released(false));
  private idle: ((isIdle: boolean) => void)[] = [];
  private endsMissing = 0;

  constructor(name: string, host: TransactionHost) {
    this.name = name;
    this.host = host;
    this.changedAtMs = host.now();
  }

  /** Nobody has been given a number under this name. */
  get unused(): boolean {
    return this.producerId < 0;
  }

  get ending(): boolean {
    return this.state === "committing" || this.state === "aborting";
  }

  // --- producers ------------------------------------------------------------------------------

  init(timeoutMs: number, known: ProducerName | null, done: InitDone): void {
    if (known !== null && !this.mayGoOn(known)) done("producer-fenced", NOBODY);
    else if (this.ending || this.state === "ongoing") {
      if (this.state === "ongoing") this.abort();
      this.whenIdle((isIdle) => {
        if (isIdle) this.init(timeoutMs, null, done);
        else done("transaction-busy", NOBODY);
      });
    } else if (known !== null && this.lastEpoch >= 0 && known.epoch === this.lastEpoch) {
      // It asks again: the answer got lost.
      done(null, this.producer);
    } else if (this.producerId < 0 || this.epoch >= EPOCH_MAX) this.renumber(timeoutMs, known, done);
    else {
      this.lastProducerId = known === null ? -1 : this.producerId;
      this.lastEpoch = known === null ? -1 : this.epoch;
      this.epoch++;
      this.reopen(timeoutMs, done);
    }
  }

  private mayGoOn({ producerId, epoch }: ProducerName): boolean {
    if (this.producerId < 0) return true;
    if (producerId === this.producerId && epoch === this.epoch) return true;
    if (this.lastEpoch < 0 || epoch !== this.lastEpoch) return false;
    return producerId === this.lastProducerId || producerId === this.producerId;
  }

  private renumber(timeoutMs: number, known: ProducerName | null, done: InitDone): void {
    const { producerId, epoch } = this;
    this.host.newProducerId((id) => {
      if (this.producerId !== producerId || this.epoch !== epoch) {
        // Somebody else was quicker.
        done("transaction-busy", NOBODY);
        return;
      }
      this.lastProducerId = known === null ? -1 : producerId;
      this.lastEpoch = known === null ? -1 : epoch;
      this.producerId = id;
      this.epoch = 0;
      this.reopen(timeoutMs, done);
    });
  }

  private reopen(timeoutMs: number, done: InitDone): void {
    this.timeoutMs = timeoutMs;
    this.turn("empty");
    const { producer } = this;
    this.host.save(this, () => done(null, producer));
  }

  private get producer(): ProducerName {
    return { producerId: this.producerId, epoch: this.epoch };
  }

  // --- one transaction ------------------------------------------------------------------------

  writesTo(producer: ProducerName, partitions: readonly PartitionName[]): boolean {
    if (this.state !== "ongoing" || this.refusalOf(producer) !== null) return false;
    return partitions.every((partition) => this.kept.has(keyOf(partition)));
  }

  addPartitions(producer: ProducerName, partitions: readonly PartitionName[], done: Done): void {
    const added = (refusal: TransactionRefusal | null): void => {
      const goesOn = refusal === null && this.state === "ongoing" && this.refusalOf(producer) === null;
      if (goesOn) for (const partition of partitions) this.kept.add(keyOf(partition));
      done(refusal);
    };
    this.add(producer, added, () => {
      let added = 0;
      for (const partition of partitions) {
        const key = keyOf(partition);
        if (this.partitions.has(key)) continue;
        this.partitions.set(key, partition);
        this.host.begin(partition, producer);
        added++;
      }
      return added > 0;
    });
  }

  addGroup(producer: ProducerName, group: string, done: Done): void {
    this.add(producer, done, () => {
      if (this.groups.has(group)) return false;
      this.groups.add(group);
      return true;
    });
  }

  private add(producer: ProducerName, done: Done, apply: () => boolean): void {
    const refusal = this.refusalOf(producer);
    if (refusal !== null) done(refusal);
    else if (this.ending) {
      this.whenIdle((isIdle) => (isIdle ? this.add(producer, done, apply) : done("transaction-busy")));
    } else {
      const begins = this.state !== "ongoing";
      if (begins) this.startedAtMs = this.host.now();
      if (!apply() && !begins) {
        // An earlier request may have added it and not be durable yet.
        this.host.saved(() => done(null));
        return;
      }
      if (begins) {
        this.turn("ongoing");
        this.host.deadlines.set(this.timeout, this.timeoutMs);
      }
      this.host.save(this, () => done(null));
    }
  }

  /** May this producer's transaction commit offsets of this group? */
  offsetRefusal(producer: ProducerName, group: string): TransactionRefusal | null {
    const refusal = this.refusalOf(producer);
    if (refusal !== null) return refusal;
    return this.state === "ongoing" && this.groups.has(group) ? null : "transaction-state";
  }

  end(producer: ProducerName, commit: boolean, done: Done): void {
    const refusal = this.refusalOf(producer);
    if (refusal !== null) done(refusal);
    else if (this.state === "ongoing") this.decide(commit, () => done(null));
    else if (this.state === (commit ? "committed" : "aborted")) done(null);
    else if (this.state === (commit ? "committing" : "aborting")) {
      this.whenIdle((isIdle) => done(isIdle ? null : "transaction-busy"));
    } else done("transaction-state");
  }

  /** Likewise, and the producer goes on under a new epoch. */
  endAndRenew(producer: ProducerName, commit: boolean, done: EndDone): void {
    const again = this.lastEpoch === producer.epoch && this.lastProducerId === producer.producerId;
    const refusal = again ? null : this.refusalOf(producer);
    if (refusal !== null) done(refusal, NOBODY);
    else if (this.ending) {
      this.whenIdle((isIdle) => {
        if (isIdle) this.endAndRenew(producer, commit, done);
        else done("transaction-busy", NOBODY);
      });
    } else if (again) {
      // The answer got lost: what was asked for is done.
      if (this.state === (commit ? "committed" : "aborted")) done(null, this.producer);
      else
        done(
          this.state === "committed" || this.state === "aborted" ? "transaction-state" : "producer-fenced",
          NOBODY,
        );
    } else if (this.state === "ongoing" || !commit) this.renew(commit, done);
    else done("transaction-state", NOBODY);
  }

  /** Ends what is going on, if anything is, under the next epoch. */
  private renew(commit: boolean, done: EndDone): void {
    const { producerId, epoch } = this;
    const go = (next: ProducerName): void => {
      this.lastProducerId = producerId;
      this.lastEpoch = epoch;
      this.producerId = next.producerId;
      this.epoch = next.epoch;
      // The end of the old number has its last epoch, which no producer is given.
      this.endedAs = { producerId, epoch: epoch + 1 };
      this.decide(commit, () => done(null, next));
    };
    if (epoch < EPOCH_MAX) {
      go({ producerId, epoch: epoch + 1 });
      return;
    }
    this.host.newProducerId((id) => {
      const same = this.producerId === producerId && this.epoch === epoch && !this.ending;
      if (same) go({ producerId: id, epoch: 0 });
      else done("transaction-busy", NOBODY);
    });
  }

  private refusalOf({ producerId, epoch }: ProducerName): TransactionRefusal | null {
    if (producerId !== this.producerId) return "producer-unknown";
    return epoch === this.epoch ? null : "producer-fenced";
  }

  private timedOut(): void {
    if (this.state === "ongoing") this.abort();
  }

  /** Without being asked to by its producer, who may write no more. */
  private abort(): void {
    this.epoch++;
    this.lastProducerId = -1;
    this.lastEpoch = -1;
    this.decide(false, () => {});
  }

  private decide(commit: boolean, done: () => void): void {
    this.host.deadlines.clear(this.timeout);
    this.turn(commit ? "committing" : "aborting");
    this.host.save(this, () => {
      done();
      this.finish();
    });
  }

  /** What was decided is durable: now everybody is told. */
  private finish(): void {
    const commit = this.state === "committing";
    const { host } = this;
    const producer = this.endedAs ?? this.producer;
    host.decide(this.groups, producer.producerId, commit);
    this.endsMissing = this.partitions.size + 1;
    const ended = (): void => {
      if (--this.endsMissing === 0) this.finished(commit);
    };
    for (const partition of this.partitions.values()) host.end(partition, producer, commit, ended);
    ended();
  }

  private finished(commit: boolean): void {
    this.partitions.clear();
    this.kept.clear();
    this.groups.clear();
    this.endedAs = null;
    this.startedAtMs = -1;
    this.turn(commit ? "committed" : "aborted");
    this.host.save(this, () => {});
    this.released(true);
  }

  // --- waiting --------------------------------------------------------------------------------

  private whenIdle(then: (isIdle: boolean) => void): void {
    if (this.idle.length === 0) this.host.deadlines.set(this.patience, this.host.settings.patienceMs);
    this.idle.push(then);
  }

  private released(isIdle: boolean): void {
    const { idle } = this;
    this.idle = [];
    this.host.deadlines.clear(this.patience);
    for (const then of idle) then(isIdle);
  }

  private turn(state: TransactionState): void {
    this.state = state;
    this.changedAtMs = this.host.now();
  }

  // --- life -----------------------------------------------------------------------------------

  snapshot(): TransactionSnapshot {
    return {
      producerId: this.producerId,
      epoch: this.epoch,
      lastProducerId: this.lastProducerId,
      lastEpoch: this.lastEpoch,
      timeoutMs: this.timeoutMs,
      state: this.state,
      startedAtMs: this.startedAtMs,
      changedAtMs: this.changedAtMs,
      partitions: [...this.partitions.values()],
      groups: [...this.groups],
      endedAs: this.endedAs,
    };
  }

  /** Goes on where a broker that went down left it: what was decided is carried out. */
  restore(stored: TransactionSnapshot): void {
    this.producerId = stored.producerId;
    this.epoch = stored.epoch;
    this.lastProducerId = stored.lastProducerId;
    this.lastEpoch = stored.lastEpoch;
    this.timeoutMs = stored.timeoutMs;
    this.state = stored.state;
    this.startedAtMs = stored.startedAtMs;
    this.changedAtMs = stored.changedAtMs;
    this.endedAs = stored.endedAs ?? null;
    for (const partition of stored.partitions) {
      this.partitions.set(keyOf(partition), partition);
      this.kept.add(keyOf(partition));
    }
    for (const group of stored.groups) this.groups.add(group);
    if (this.ending) this.finish();
    if (this.state !== "ongoing") return;
    for (const partition of stored.partitions) this.host.begin(partition, this.producer);
    const leftMs = stored.startedAtMs + stored.timeoutMs - this.host.now();
    this.host.deadlines.set(this.timeout, Math.min(Math.max(leftMs, 0), stored.timeoutMs));
  }

  /** Nobody will ask for it again. */
  abandon(): void {
    this.host.deadlines.clear(this.timeout);
    this.released(false);
  }

  view(): TransactionView {
    const { name, state, timeoutMs, producerId, epoch, startedAtMs } = this;
    return {
      name,
      state,
      timeoutMs,
      producerId,
      epoch,
      startedAtMs,
      partitions: [...this.partitions.values()],
    };
  }
}

function keyOf({ stream, partition }: PartitionName): string {
  return `${partition}/${stream}`;
}
