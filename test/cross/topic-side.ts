// Keys that are hard to say, and what the tests of them need of a protocol.

const PIECES = [".", "/", ".", "/", "+", "#", "*", "a", "b", "ä", "𝄞", "$", " ", "%", "%2F", "\\", ":", "\n"];
/** Each piece by itself, in the middle, at the ends; and some that `random` makes. */
export const keysOf = (random: () => number): readonly string[] =>
  [
    ...["+", "#", "*", "$", " ", "%", "%2F", "\\", ":", "\n", "ä", "𝄞", "/", ".", "\0", ">"].flatMap(
      (piece) => [piece, `a.${piece}.b`, `${piece}.b`, `a.${piece}`, `a${piece}b`],
    ),
    "",
    "..",
    "//",
    "a..b",
    "a//b",
    ".a.",
    "/a/",
    "$SYS.broker.uptime",
    "$share.g.a",
    "$queue.orders",
    "~",
    ...Array.from({ length: 150 }, () =>
      Array.from(
        { length: 1 + Math.floor(random() * 7) },
        () => PIECES[Math.floor(random() * PIECES.length)],
      ).join(""),
    ),
  ].filter((key, index, all) => all.indexOf(key) === index);

/** Arrives everywhere: what has not come before it does not come. */
export const END = "the.end";

export interface TopicSide {
  readonly name: string;
  /** Whether this protocol has a way to publish, or to be told, this key of the topic exchange. */
  says(key: string): boolean;
  publish(key: string): Promise<void>;
  /** Every key that arrives at a subscription to all there is, until END. The body is the key, too. */
  everything(keys: readonly string[]): Promise<() => Promise<string[]>>;
  close(): Promise<void>;
}

export class Arrivals {
  private readonly keys: string[] = [];
  private done: () => void = () => {};
  private readonly end = new Promise<void>((resolve) => {
    this.done = resolve;
  });

  add(key: string, body: string): void {
    if (key === END) this.done();
    else this.keys.push(key === body ? key : `'${body}' as '${key}'`);
  }

  async all(): Promise<string[]> {
    await this.end;
    return this.keys;
  }
}
