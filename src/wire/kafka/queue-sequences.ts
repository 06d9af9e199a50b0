// Sequence numbers of idempotent producers that write to queues: partitions keep their own. They are notes,
// in one batch with the messages, so that a batch which is sent again is known after a restart, too.
import { Producers, type Session } from "../../broker/index.ts";
import type { KafkaNode, Peer } from "./api.ts";

const NOTEBOOK = "queue-sequences";
/** Like partitions: who has sent nothing for a day is forgotten. */
const EXPIRY_MS = 86_400_000;
const SWEEP_MS = 3_600_000;
const SEQUENCE_END = 2 ** 31;

/** Of a batch that a queue took in part: where the producer goes on when he sends it again. */
interface Begun {
  readonly epoch: number;
  readonly sequence: number;
}

interface Noted {
  readonly producer: readonly number[];
  readonly begun: Begun | null;
}

/** One producer at one queue. */
export class QueueSequence {
  readonly key: string;
  readonly producerId: number;
  readonly producers = new Producers();
  lastMs = 0;
  private begun: Begun | null = null;

  constructor(key: string, producerId: number, noted: string | undefined) {
    this.key = key;
    this.producerId = producerId;
    if (noted === undefined) return;
    const { producer, begun } = JSON.parse(noted) as Noted;
    this.producers.restore(producer.length === 0 ? [] : [producer]);
    this.lastMs = producer[2] ?? 0;
    this.begun = begun;
  }

  /** How many records at the beginning of a batch are in the queue already. */
  taken(epoch: number, baseSequence: number, count: number): number {
    const { begun } = this;
    if (begun === null || begun.epoch !== epoch) return 0;
    const ahead = (begun.sequence - baseSequence + SEQUENCE_END) % SEQUENCE_END;
    return ahead <= count ? ahead : 0;
  }

  /** The queue took the first `taken` records of a batch, or all of them. */
  took(epoch: number, baseSequence: number, count: number, taken: number, nowMs: number): void {
    this.lastMs = nowMs;
    if (taken === count) {
      this.begun = null;
      this.producers.appended(this.producerId, epoch, baseSequence, count, 0, nowMs);
    } else if (taken > 0) this.begun = { epoch, sequence: (baseSequence + taken) % SEQUENCE_END };
  }

  get noted(): string {
    const [producer = []] = this.producers.state();
    return JSON.stringify({ producer, begun: this.begun } satisfies Noted);
  }
}

/** All of a node. */
class QueueSequences {
  private readonly known = new Map<string, QueueSequence>();
  private sweptMs = 0;

  of({ session, node }: Peer, queue: string, producerId: number): QueueSequence {
    const key = `${producerId} ${queue}`;
    let sequence = this.known.get(key);
    if (sequence === undefined) {
      sequence = new QueueSequence(key, producerId, session.notebook(NOTEBOOK).get(key));
      this.known.set(key, sequence);
      this.sweep(session, node.context.clock.now());
    }
    return sequence;
  }

  note(session: Session, sequence: QueueSequence): void {
    session.notebook(NOTEBOOK).set(sequence.key, sequence.noted);
  }

  forget(session: Session, { key }: QueueSequence): void {
    this.known.delete(key);
    session.notebook(NOTEBOOK).delete(key);
  }

  private sweep(session: Session, nowMs: number): void {
    if (nowMs - this.sweptMs < SWEEP_MS) return;
    this.sweptMs = nowMs;
    const notes = session.notebook(NOTEBOOK);
    for (const [key, noted] of notes.entries()) {
      if (this.known.has(key)) continue;
      const { lastMs } = new QueueSequence(key, 0, noted);
      if (nowMs - lastMs > EXPIRY_MS) notes.delete(key);
    }
    for (const sequence of this.known.values()) {
      if (sequence.lastMs > 0 && nowMs - sequence.lastMs > EXPIRY_MS) this.forget(session, sequence);
    }
  }
}

const makeSequences = (_node: KafkaNode): QueueSequences => new QueueSequences();

export function queueSequencesOf(node: KafkaNode): QueueSequences {
  return node.part(makeSequences);
}
