/** A question, or the answer to one. */
export interface Exchanged {
  readonly body: string;
  readonly correlationId: string;
}

export type Request = (address: string, question: Exchanged) => Promise<Exchanged>;

/** One protocol's clients and services, as its users write them. */
export interface Peer {
  readonly name: string;
  /** The ways in which a client of this protocol can wait for an answer. */
  readonly ways: Readonly<Record<string, Request>>;
  /** Answers whatever is published to `address` of the topic exchange, from when this resolves. */
  serve(address: string, answer: (body: string) => string): Promise<void>;
  close(): Promise<void>;
}

/** Answers by correlation id. */
export class Answers {
  private readonly waiting = new Map<string, (answer: Exchanged) => void>();

  wait(correlationId: string): Promise<Exchanged> {
    return new Promise((resolve) => this.waiting.set(correlationId, resolve));
  }

  arrived(answer: Exchanged): void {
    this.waiting.get(answer.correlationId)?.(answer);
    this.waiting.delete(answer.correlationId);
  }
}
