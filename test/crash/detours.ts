// Load that does not go straight through: by priority, over a dead-letter exchange, after a delay.
import {
  Confirmer,
  declare,
  drain,
  mustBeInOrderOnce,
  mustContain,
  open,
  untilGone,
  type Worker,
} from "./load.ts";

const LEVELS = 4;
const DELAY_MS_MAX = 600;
const PATIENCE_MS = 60_000;

/** Messages of several priorities: all there, once, the urgent first, each level in order. */
export async function prioritised(url: string, queue: string): Promise<Worker> {
  const raw = await open(url);
  await declare(raw, queue, { "x-max-priority": LEVELS - 1 });
  await raw.call("confirm.select", 1);
  const confirmer = new Confirmer(raw, { routingKey: queue });
  let next = 0;
  const publish = (): Promise<void> => confirmer.publish(++next, { priority: next % LEVELS });
  return {
    run: () => untilGone(raw, publish).finally(() => confirmer.collect()),
    promised: () => confirmer.confirmed.size,
    async check(after) {
      const numbers = await drain(after, queue);
      mustContain(queue, numbers, confirmer.confirmed);
      const levels = numbers.map((number) => number % LEVELS);
      if (levels.some((level, i) => i > 0 && level > levels[i - 1]!))
        throw new Error(`${queue}: an urgent message came after one of a lower priority`);
      for (let level = 0; level < LEVELS; level++) {
        const own = numbers.filter((number) => number % LEVELS === level);
        mustBeInOrderOnce(`${queue}, priority ${level}`, own);
      }
    },
  };
}

/** A consumer that rejects: what was confirmed is in its queue or in the dead-letter target, never in both. */
export async function deadLettered(url: string, name: string): Promise<Worker> {
  const [publisher, consumer] = [await open(url), await open(url)];
  const [source, target] = [`${name}.source`, `${name}.dead`];
  await declare(publisher, target);
  await declare(publisher, source, { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": target });
  await publisher.call("confirm.select", 1);
  await consumer.call("basic.qos", 1, { prefetchCount: 50 });
  await consumer.call("basic.consume", 1, { queue: source });
  const confirmer = new Confirmer(publisher, { routingKey: source });
  let next = 0;
  const reject = async (): Promise<void> => {
    const { args } = await consumer.expect("basic.deliver", 1);
    consumer.send("basic.reject", 1, { deliveryTag: args.deliveryTag, requeue: false });
  };
  return {
    async run() {
      const publishing = untilGone(publisher, () => confirmer.publish(++next)).finally(() =>
        confirmer.collect(),
      );
      await Promise.all([publishing, untilGone(consumer, reject)]);
    },
    promised: () => confirmer.confirmed.size,
    async check(after, strict) {
      const [left, dead] = [await drain(after, source), await drain(after, target)];
      mustBeInOrderOnce(source, left);
      mustBeInOrderOnce(target, dead);
      // RabbitMQ moves a dead letter without waiting for its confirm.
      if (!strict) return;
      mustContain(name, [...left, ...dead], confirmer.confirmed);
      const both = left.filter((number) => dead.includes(number));
      if (both.length > 0) throw new Error(`${name}: ${both.length} messages are in both queues`);
    },
  };
}

/** Delays that a crash interrupts: each message comes after all, once. */
export async function delayed(url: string, name: string): Promise<Worker> {
  const raw = await open(url);
  await declare(raw, name);
  const exchange = { exchange: name, type: "x-delayed-message", durable: true };
  await raw.call("exchange.declare", 1, { ...exchange, arguments: { "x-delayed-type": "fanout" } });
  await raw.call("queue.bind", 1, { queue: name, exchange: name });
  await raw.call("confirm.select", 1);
  const confirmer = new Confirmer(raw, { exchange: name });
  let next = 0;
  const publish = (): Promise<void> =>
    confirmer.publish(++next, { headers: { "x-delay": 1 + ((next * 7919) % DELAY_MS_MAX) } });
  return {
    run: () => untilGone(raw, publish).finally(() => confirmer.collect()),
    promised: () => confirmer.confirmed.size,
    async check(after) {
      const numbers: number[] = [];
      const deadline = Date.now() + PATIENCE_MS;
      const missing = (): boolean => {
        const seen = new Set(numbers);
        return [...confirmer.confirmed].some((number) => !seen.has(number));
      };
      do {
        numbers.push(...(await drain(after, name)));
      } while (missing() && Date.now() < deadline);
      mustContain(name, numbers, confirmer.confirmed);
      mustBeInOrderOnce(
        name,
        numbers.sort((a, b) => a - b),
      );
    },
  };
}
