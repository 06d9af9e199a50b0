import { BrokerError } from "../../base/errors.ts";
import type { Task } from "../../base/turn.ts";
import type { RecordReader } from "../../message/reader.ts";
import { RecordView } from "../../message/record.ts";
import { recordOfMessage } from "../../message/stream-record.ts";
import type { Ledger } from "../ledger.ts";
import type { PublishTarget } from "../publisher.ts";
import type { ConsumeOptions, ConsumerSink, QueueDeclaration, QueueHandle } from "../types.ts";
import { Gatherer } from "./gatherer.ts";
import { partitionOf } from "./murmur2.ts";
import type { Partition } from "./partition.ts";
import { filterOf, placeOf } from "./place.ts";
import type { Stream } from "./stream.ts";
import { StreamConsumer } from "./stream-consumer.ts";
import type { StreamQueueContext } from "./stream-queue-context.ts";

/** A stream, where queues are expected: it can be published to, bound, consumed and deleted like one. */
export class StreamQueue implements QueueHandle, PublishTarget, Task {
  scheduled = false;
  readonly id: number;
  readonly stream: Stream;
  readonly declaration: QueueDeclaration;
  readonly owner = null;
  readonly logged = false;
  readonly limited = false;
  readonly writeBehind = false;
  readonly synced = false;
  readonly apart = true;
  readonly unackedCount = 0;
  private readonly context: StreamQueueContext;
  private readonly record = new RecordView();
  /** What was published in this turn, by partition. */
  private readonly gatherers: (Gatherer | undefined)[] = [];
  private readonly gathering = new Set<Gatherer>();
  private readonly consumers = new Set<StreamConsumer>();
  /** Records without a key go to one partition for a turn, and to the next one then. */
  private sticky = 0;
  private readonly grown = (): void => {
    for (const consumer of this.consumers) consumer.follow(this.stream.partitions);
  };

  constructor(context: StreamQueueContext, id: number, stream: Stream, declaration: QueueDeclaration) {
    this.context = context;
    this.id = id;
    this.stream = stream;
    this.declaration = declaration;
    stream.growthListeners.add(this.grown);
  }

  get namespace(): string {
    return this.stream.namespace;
  }

  get name(): string {
    return this.stream.name;
  }

  get deleted(): boolean {
    return this.stream.deleted;
  }

  /** Offsets that readers can see; after cleaning there may be fewer records. */
  get readyCount(): number {
    let count = 0;
    for (const { stableOffset, startOffset } of this.stream.partitions) count += stableOffset - startOffset;
    return count;
  }

  get consumerCount(): number {
    return this.consumers.size;
  }

  // --- publishing -----------------------------------------------------------------------------

  /** Where storage has failed for one partition, it is not left to the keys whether a message is kept. */
  accepts(): boolean {
    return !this.deleted && !this.stream.failed;
  }

  committed(): void {}

  holds(): boolean {
    return false;
  }

  attemptOf(): null {
    return null;
  }

  /** Becomes a record of the batch that this turn gathers. */
  offer(slot: number): void {
    const { context, record, stream } = this;
    context.view(slot, record);
    const pivot = (context.readers.get(record.origin) as RecordReader).pivot(record);
    const made = recordOfMessage(record, pivot, context.clock.now());
    // Where only records with keys are kept, the routing key is one.
    const key = made.key ?? (stream.config.cleanup === "delete" ? null : Buffer.from(pivot.routingKey));
    const { partitions } = stream;
    const index = key === null ? this.sticky % partitions.length : partitionOf(key, partitions.length);
    const gatherer = this.gathererOf(index);
    gatherer.add(made, key, () => context.hold());
    if (!this.gathering.has(gatherer)) this.gathering.add(gatherer);
    context.turn.soon(this);
    context.release(slot);
  }

  run(): void {
    for (const gatherer of this.gathering) gatherer.flush();
    this.gathering.clear();
    this.sticky++;
  }

  // --- consuming ------------------------------------------------------------------------------

  /** `only`: one partition, instead of all of them merged. */
  addConsumer(options: ConsumeOptions, sink: ConsumerSink, ledger: Ledger, only?: Partition): StreamConsumer {
    const partitions = only === undefined ? this.stream.partitions : [only];
    const place = placeOf(options.arguments, this.context.clock.now(), this.name, this.namespace);
    const filter = filterOf(options.arguments, this.name, this.namespace);
    const consumer = new StreamConsumer(this.context, this, options, filter, sink, ledger);
    this.consumers.add(consumer);
    ledger.addConsumer(consumer);
    consumer.start(partitions, place, only === undefined);
    return consumer;
  }

  removeConsumer(consumer: StreamConsumer): void {
    this.consumers.delete(consumer);
  }

  get(): never {
    const what = `single messages cannot be got from stream '${this.name}'`;
    throw new BrokerError("not-implemented", what, { what });
  }

  purge(): never {
    const what = `stream '${this.name}' cannot be purged`;
    throw new BrokerError("not-implemented", what, { what });
  }

  /** The stream is deleted. Returns how many records readers could see. */
  delete(): number {
    const count = this.readyCount;
    this.stream.growthListeners.delete(this.grown);
    for (const gatherer of this.gatherers) gatherer?.drop();
    for (const consumer of [...this.consumers]) consumer.cancelledByStream();
    return count;
  }

  private gathererOf(index: number): Gatherer {
    const known = this.gatherers[index];
    if (known !== undefined) return known;
    const made = new Gatherer(this.stream.partitions[index] as Partition);
    this.gatherers[index] = made;
    return made;
  }
}
