import type { ProducerState } from "./heads.ts";
import type { PartitionProducer } from "./types.ts";

/** Batches of a producer that are remembered (KIP-98: as many as a producer may have in flight). */
const KEPT = 5;
const SEQUENCE_END = 2 ** 31;

export const SEQUENCE_NEXT = 0;
export const SEQUENCE_DUPLICATE = 1;
export const SEQUENCE_GAP = 2;
export const SEQUENCE_FENCED = 3;

/** What is known of one producer in one partition. */
class Producer {
  epoch: number;
  lastMs = 0;
  /** Ring of KEPT triples: first sequence, last sequence, base offset. */
  readonly batches = new Float64Array(KEPT * 3);
  count = 0;
  next = 0;

  constructor(epoch: number) {
    this.epoch = epoch;
  }

  /** Slot of the newest batch. */
  get newest(): number {
    return ((this.next + KEPT - 1) % KEPT) * 3;
  }
}

/** The sequence `count` after `sequence`: behind 2^31 - 1 comes 0. */
function advance(sequence: number, count: number): number {
  return (sequence + count) % SEQUENCE_END;
}

/**
 * The idempotent producers of a partition: whether a batch is new, was there already, or has a
 * predecessor that never came. Rebuilt from the heads in the log.
 */
export class Producers {
  private readonly producers = new Map<number, Producer>();
  /** Set by `check` for a duplicate. */
  duplicateOffset = -1;

  get size(): number {
    return this.producers.size;
  }

  /** What a batch of `count` records is, judged by its first sequence. */
  check(producerId: number, epoch: number, baseSequence: number, count: number): number {
    const producer = this.producers.get(producerId);
    if (producer === undefined) return SEQUENCE_NEXT;
    if (epoch < producer.epoch) return SEQUENCE_FENCED;
    if (epoch > producer.epoch) return baseSequence === 0 ? SEQUENCE_NEXT : SEQUENCE_GAP;
    if (producer.count === 0) return SEQUENCE_NEXT;
    const { batches } = producer;
    if (advance(batches[producer.newest + 1] as number, 1) === baseSequence) return SEQUENCE_NEXT;
    const lastSequence = advance(baseSequence, count - 1);
    for (let slot = 0; slot < producer.count * 3; slot += 3) {
      if (batches[slot] !== baseSequence || batches[slot + 1] !== lastSequence) continue;
      this.duplicateOffset = batches[slot + 2] as number;
      return SEQUENCE_DUPLICATE;
    }
    return SEQUENCE_GAP;
  }

  epochOf(producerId: number): number {
    return this.producers.get(producerId)?.epoch ?? -1;
  }

  appended(
    producerId: number,
    epoch: number,
    baseSequence: number,
    count: number,
    baseOffset: number,
    nowMs: number,
  ): void {
    const producer = this.of(producerId, epoch);
    producer.lastMs = nowMs;
    const slot = producer.next * 3;
    producer.batches[slot] = baseSequence;
    producer.batches[slot + 1] = advance(baseSequence, count - 1);
    producer.batches[slot + 2] = baseOffset;
    producer.next = (producer.next + 1) % KEPT;
    if (producer.count < KEPT) producer.count++;
  }

  /** From now on only this epoch or later ones may write. */
  fence(producerId: number, epoch: number, nowMs: number): void {
    this.of(producerId, epoch).lastMs = nowMs;
  }

  /** Forgets who has not written since `beforeMs`, unless `busy` says that he must be kept. */
  expire(beforeMs: number, busy: (producerId: number) => boolean): void {
    for (const [producerId, producer] of this.producers) {
      if (producer.lastMs < beforeMs && !busy(producerId)) this.producers.delete(producerId);
    }
  }

  state(): ProducerState[] {
    return Array.from(this.producers, ([producerId, producer]) => {
      const state = [producerId, producer.epoch, producer.lastMs];
      for (let index = producer.count; index > 0; index--) {
        const slot = ((producer.next + KEPT - index) % KEPT) * 3;
        state.push(...producer.batches.subarray(slot, slot + 3));
      }
      return state;
    });
  }

  list(): Omit<PartitionProducer, "transactionStart">[] {
    return Array.from(this.producers, ([producerId, { epoch, lastMs, count, batches, newest }]) => {
      return { producerId, epoch, lastMs, lastSequence: count === 0 ? -1 : (batches[newest + 1] as number) };
    });
  }

  restore(states: readonly ProducerState[]): void {
    this.producers.clear();
    for (const [producerId = -1, epoch = -1, lastMs = 0, ...batches] of states) {
      const producer = this.of(producerId, epoch);
      producer.lastMs = lastMs;
      producer.batches.set(batches.slice(0, KEPT * 3));
      producer.count = Math.min(KEPT, batches.length / 3);
      producer.next = producer.count % KEPT;
    }
  }

  private of(producerId: number, epoch: number): Producer {
    let producer = this.producers.get(producerId);
    if (producer === undefined) {
      producer = new Producer(epoch);
      this.producers.set(producerId, producer);
    } else if (epoch > producer.epoch) {
      producer.epoch = epoch;
      producer.count = 0;
      producer.next = 0;
    }
    return producer;
  }
}
