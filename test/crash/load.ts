// The load a crash interrupts. Each worker notes what the broker promised before the lights went
// out, and checks afterwards that the promise was kept.
import { type Incoming, RawConnection } from "../support/raw-connection.ts";
import type { Args } from "../support/wire.ts";

const WINDOW = 200;
const PERSISTENT = { deliveryMode: 2 };

export interface Worker {
  /** Runs until the broker is gone. */
  run(): Promise<void>;
  /** Throws where a promise was broken; leaves its queues empty. */
  check(url: string, strict: boolean): Promise<void>;
  /** How much was promised: a crash test that crashed nothing proves nothing. */
  promised(): number;
}

/** Runs a loop that the death of the connection ends. */
export async function untilGone(raw: RawConnection, loop: () => Promise<void>): Promise<void> {
  try {
    while (!raw.isClosed) await loop();
  } catch (error) {
    if (!raw.isClosed) throw error;
  } finally {
    raw.destroy();
  }
}

export async function open(url: string): Promise<RawConnection> {
  const raw = await RawConnection.open(url);
  await raw.openChannel(1);
  return raw;
}

export async function declare(raw: RawConnection, queue: string, args: Args = {}): Promise<void> {
  const reply = await raw.call("queue.declare", 1, { queue, durable: true, arguments: args });
  if (reply.name !== "queue.declare-ok") throw new Error(JSON.stringify(reply));
}

/**
 * Everything in a durable queue, in order; the queue is empty afterwards. What comes in meanwhile stays: it
 * may be sent here, but is not acknowledged.
 */
export async function drain(url: string, queue: string): Promise<number[]> {
  const raw = await open(url);
  const { args } = await raw.call("queue.declare", 1, { queue, passive: true });
  await raw.call("basic.consume", 1, { queue });
  const numbers: number[] = [];
  while (numbers.length < args.messageCount) {
    const delivery = await raw.expect("basic.deliver", 1);
    numbers.push(Number(delivery.body));
    if (numbers.length === args.messageCount)
      raw.send("basic.ack", 1, { deliveryTag: delivery.args.deliveryTag, multiple: true });
  }
  await raw.close();
  return numbers;
}

export function mustBeInOrderOnce(queue: string, numbers: number[]): void {
  for (let i = 1; i < numbers.length; i++) {
    if (numbers[i]! > numbers[i - 1]!) continue;
    const what = numbers[i] === numbers[i - 1] ? "twice" : "out of order";
    throw new Error(`${queue}: ${numbers[i]} is there ${what}, after ${numbers[i - 1]}`);
  }
}

export function mustContain(queue: string, numbers: Iterable<number>, promised: Iterable<number>): void {
  const present = new Set(numbers);
  const missing = [...promised].filter((number) => !present.has(number));
  if (missing.length > 0) {
    throw new Error(`${queue}: ${missing.length} confirmed messages are gone, e.g. ${missing.slice(0, 5)}`);
  }
}

/** Publishes numbers with confirms, a window at a time, and knows which are confirmed. */
export class Confirmer {
  readonly confirmed = new Set<number>();
  private readonly numbers: number[] = [];
  private settledUpTo = 0;
  private readonly raw: RawConnection;
  private readonly route: { exchange?: string; routingKey?: string };

  constructor(raw: RawConnection, route: { exchange?: string; routingKey?: string }) {
    this.raw = raw;
    this.route = route;
  }

  async publish(number: number, properties: Args = {}): Promise<void> {
    this.raw.publish(1, this.route, { ...PERSISTENT, ...properties }, String(number));
    this.numbers.push(number);
    const outstanding = () => this.numbers.length - this.confirmed.size;
    if (this.numbers.length % 20 === 0) await new Promise(setImmediate);
    this.collect();
    while (outstanding() >= WINDOW) {
      await this.raw.until(() => this.raw.incoming.length > 0 || this.raw.isClosed, "a confirm");
      if (this.raw.isClosed) break;
      this.collect();
    }
  }

  /** Also after the crash: confirms that had already arrived were promises. */
  collect(): void {
    for (const { name, args } of this.raw.incoming.splice(0) as Incoming[]) {
      if (name !== "basic.ack") throw new Error(`expected a confirm, got ${name} ${JSON.stringify(args)}`);
      const first = args.multiple ? this.settledUpTo + 1 : args.deliveryTag;
      for (let tag = first; tag <= args.deliveryTag; tag++) this.confirmed.add(this.numbers[tag - 1]!);
      if (args.multiple) this.settledUpTo = args.deliveryTag;
    }
  }
}

/** One queue, confirmed publishes: all there, once, in order. */
export async function plain(url: string, queue: string): Promise<Worker> {
  const raw = await open(url);
  await declare(raw, queue);
  await raw.call("confirm.select", 1);
  const confirmer = new Confirmer(raw, { routingKey: queue });
  let next = 0;
  return {
    run: () => untilGone(raw, () => confirmer.publish(++next)).finally(() => confirmer.collect()),
    promised: () => confirmer.confirmed.size,
    async check(after) {
      const numbers = await drain(after, queue);
      mustBeInOrderOnce(queue, numbers);
      mustContain(queue, numbers, confirmer.confirmed);
    },
  };
}

/** One publish to several queues: confirmed means in all of them; and in none or in all, ever. */
export async function fanout(url: string, name: string): Promise<Worker> {
  const raw = await open(url);
  const queues = [`${name}.0`, `${name}.1`, `${name}.2`];
  await raw.call("exchange.declare", 1, { exchange: name, type: "fanout", durable: true });
  for (const queue of queues) {
    await declare(raw, queue);
    await raw.call("queue.bind", 1, { queue, exchange: name });
  }
  await raw.call("confirm.select", 1);
  const confirmer = new Confirmer(raw, { exchange: name });
  let next = 0;
  return {
    run: () => untilGone(raw, () => confirmer.publish(++next)).finally(() => confirmer.collect()),
    promised: () => confirmer.confirmed.size,
    async check(after, strict) {
      const contents = [];
      for (const queue of queues) {
        const numbers = await drain(after, queue);
        mustBeInOrderOnce(queue, numbers);
        mustContain(queue, numbers, confirmer.confirmed);
        contents.push(numbers.join());
      }
      if (strict && new Set(contents).size > 1)
        throw new Error(`${name}: a message reached only some of its queues`);
    },
  };
}

/** A consumer that acknowledges: what was confirmed is either still there or was acknowledged. */
export async function consumed(url: string, queue: string): Promise<Worker> {
  const [publisher, consumer] = [await open(url), await open(url)];
  await declare(publisher, queue);
  await publisher.call("confirm.select", 1);
  await consumer.call("basic.qos", 1, { prefetchCount: 50 });
  await consumer.call("basic.consume", 1, { queue });
  const confirmer = new Confirmer(publisher, { routingKey: queue });
  const acknowledged = new Set<number>();
  let next = 0;
  const work = async () => {
    const { args, body } = await consumer.expect("basic.deliver", 1);
    // Every tenth stays unacknowledged for good: it has to come back, in its place.
    if (Number(body) % 10 === 0 && acknowledged.size < 400) return;
    acknowledged.add(Number(body));
    consumer.send("basic.ack", 1, { deliveryTag: args.deliveryTag });
  };
  return {
    async run() {
      const publishing = untilGone(publisher, () => confirmer.publish(++next)).finally(() =>
        confirmer.collect(),
      );
      await Promise.all([publishing, untilGone(consumer, work)]);
    },
    promised: () => confirmer.confirmed.size,
    async check(after) {
      const numbers = await drain(after, queue);
      mustBeInOrderOnce(queue, numbers);
      mustContain(queue, [...numbers, ...acknowledged], confirmer.confirmed);
    },
  };
}

/** Transactions over two queues: committed is kept, and both queues always hold the same. */
export async function transactions(url: string, name: string): Promise<Worker> {
  const raw = await open(url);
  const queues = [`${name}.a`, `${name}.b`];
  for (const queue of queues) await declare(raw, queue);
  await raw.call("tx.select", 1);
  const committed: number[] = [];
  let next = 0;
  const commit = async () => {
    const numbers = [++next, ++next, ++next];
    for (const number of numbers) {
      for (const routingKey of queues) raw.publish(1, { routingKey }, PERSISTENT, String(number));
    }
    raw.send("tx.commit", 1);
    await raw.expect("tx.commit-ok", 1);
    committed.push(...numbers);
  };
  return {
    run: () => untilGone(raw, commit),
    promised: () => committed.length,
    async check(after, strict) {
      const [a, b] = [await drain(after, queues[0]!), await drain(after, queues[1]!)];
      for (const numbers of [a, b]) {
        mustBeInOrderOnce(name, numbers);
        mustContain(name, numbers, committed);
      }
      if (strict && (a.join() !== b.join() || a.length % 3 !== 0))
        throw new Error(`${name}: half a transaction`);
    },
  };
}

/** Moves messages from one queue to another in transactions: each is always in exactly one of them. */
export async function transfer(url: string, name: string): Promise<Worker> {
  const TOTAL = 2000;
  const raw = await open(url);
  const [from, to] = [`${name}.from`, `${name}.to`];
  for (const queue of [from, to]) await declare(raw, queue);
  await raw.call("tx.select", 1);
  for (let n = 1; n <= TOTAL; n++) raw.publish(1, { routingKey: from }, PERSISTENT, String(n));
  raw.send("tx.commit", 1);
  await raw.expect("tx.commit-ok", 1);
  const moved: number[] = [];
  const move = async () => {
    const got = await raw.call("basic.get", 1, { queue: from });
    if (got.name === "basic.get-empty") {
      await raw.closed;
      return;
    }
    raw.publish(1, { routingKey: to }, PERSISTENT, String(got.body));
    raw.send("basic.ack", 1, { deliveryTag: got.args.deliveryTag });
    raw.send("tx.commit", 1);
    await raw.expect("tx.commit-ok", 1);
    moved.push(Number(got.body));
  };
  return {
    run: () => untilGone(raw, move),
    promised: () => moved.length,
    async check(after, strict) {
      const [left, arrived] = [await drain(after, from), await drain(after, to)];
      mustBeInOrderOnce(from, left);
      mustBeInOrderOnce(to, arrived);
      mustContain(to, arrived, moved);
      mustContain(
        name,
        [...left, ...arrived],
        [...Array(TOTAL).keys()].map((n) => n + 1),
      );
      if (strict && left.length + arrived.length !== TOTAL)
        throw new Error(`${name}: a message is in both queues`);
      const back = left.filter((number) => moved.includes(number));
      if (strict && back.length > 0)
        throw new Error(`${name}: ${back.length} acknowledged in a committed transaction came back`);
    },
  };
}
