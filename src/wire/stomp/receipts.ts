interface Receipt {
  readonly id: string;
  /** Commits and metadata that it still waits for. */
  waits: number;
}

/**
 * Receipts in the order in which they were asked for, each once what its frame asked for is durable:
 * so that a receipt vouches for everything before it, too.
 */
export class Receipts {
  private readonly open: Receipt[] = [];
  private readonly send: (id: string) => void;

  constructor(send: (id: string) => void) {
    this.send = send;
  }

  /** `when` is given what to call when it is time; it may call it at once. */
  add(id: string, ...conditions: ((done: () => void) => void)[]): void {
    const receipt: Receipt = { id, waits: conditions.length + 1 };
    this.open.push(receipt);
    const done = (): void => {
      receipt.waits--;
      this.drain();
    };
    for (const condition of conditions) condition(done);
    done();
  }

  private drain(): void {
    while (this.open[0]?.waits === 0) this.send((this.open.shift() as Receipt).id);
  }
}
