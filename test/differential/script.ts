// What a random conversation with a broker may consist of. A small universe on purpose: with three
// queues and two exchanges, operations keep meeting each other's effects.
import fc from "fast-check";

export const QUEUES = ["q0", "q1", "q2"];
export const EXCHANGES = ["e0", "e1"];
export const CHANNELS = 3;
const KEYS = ["a", "a.b", "b", ""];
const PATTERNS = [...KEYS, "#", "a.*", "*.b"];

export type Operation =
  | { op: "declareQueue"; ch: number; queue: string; variant: number }
  | { op: "deleteQueue"; ch: number; queue: string; ifUnused: boolean; ifEmpty: boolean }
  | { op: "purge"; ch: number; queue: string }
  | { op: "declareExchange"; ch: number; exchange: string; type: string; durable: boolean; passive: boolean }
  | { op: "deleteExchange"; ch: number; exchange: string; ifUnused: boolean }
  | { op: "bind" | "unbind"; ch: number; queue: string; exchange: string; key: string; headers: number }
  | { op: "bindExchange" | "unbindExchange"; ch: number; source: string; destination: string; key: string }
  | { op: "publish"; ch: number; exchange: string; key: string; mandatory: boolean; message: number }
  | { op: "send"; ch: number; queue: string; message: number }
  | { op: "get"; ch: number; queue: string; noAck: boolean }
  | { op: "consume"; ch: number; queue: string; noAck: boolean; exclusive: boolean; priority: number }
  | { op: "cancel"; ch: number; consumer: number }
  | {
      op: "settle";
      ch: number;
      how: "ack" | "nack" | "reject";
      pick: number;
      multiple: boolean;
      requeue: boolean;
    }
  | { op: "settleUnknown"; ch: number; how: "ack" | "nack" | "reject" }
  | { op: "recover"; ch: number }
  | { op: "qos"; ch: number; count: number }
  | { op: "reopen"; ch: number };

/** Queue declarations to choose from; `$e0` and the like are replaced with the run's own names. */
export const QUEUE_VARIANTS: {
  durable?: boolean;
  autoDelete?: boolean;
  arguments?: Record<string, unknown>;
}[] = [
  {},
  { durable: true },
  { durable: true, arguments: { "x-max-length": 2 } },
  { durable: true, arguments: { "x-max-length": 2, "x-dead-letter-exchange": "$e0" } },
  { durable: true, arguments: { "x-max-length": 1, "x-overflow": "reject-publish" } },
  { durable: true, arguments: { "x-max-priority": 3 } },
  { durable: true, arguments: { "x-dead-letter-exchange": "$e1" } },
  { durable: true, arguments: { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "$q2" } },
  { durable: true, arguments: { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "$q0" } },
  { durable: true, arguments: { "x-single-active-consumer": true } },
  { durable: true, arguments: { "x-message-ttl": 3_600_000 } },
  { durable: true, arguments: { "x-max-length-bytes": 12 } },
  { durable: true, autoDelete: true },
  { durable: true, arguments: { "x-max-length": -1 } },
  { durable: true, arguments: { "x-dead-letter-routing-key": "alone" } },
];

export const BINDING_HEADERS: Record<string, unknown>[] = [
  {},
  { "x-match": "all", h: 1 },
  { "x-match": "any", h: 1, g: "x" },
  { h: null },
];

/** Messages to choose from: body, properties. Zero expiration is the one TTL that needs no waiting. */
export const MESSAGES: { body: string; properties: Record<string, unknown> }[] = [
  { body: "plain", properties: {} },
  { body: "persistent", properties: { deliveryMode: 2, contentType: "text/plain" } },
  { body: "high", properties: { priority: 3, deliveryMode: 2 } },
  { body: "low", properties: { priority: 1 } },
  { body: "instant", properties: { expiration: "0" } },
  { body: "h1", properties: { headers: { h: 1, g: "y" } } },
  { body: "copied", properties: { headers: { CC: ["$q1", "a"], BCC: ["$q2"], h: 1 } } },
  { body: "", properties: { messageId: "empty" } },
  { body: "bad expiration", properties: { expiration: "soon" } },
];

const ch = fc.nat(CHANNELS - 1);
const queue = fc.constantFrom(...QUEUES);
const exchange = fc.constantFrom(...EXCHANGES);
const key = fc.constantFrom(...KEYS);
const pattern = fc.constantFrom(...PATTERNS);
const message = fc.nat(MESSAGES.length - 1);
const how = fc.constantFrom("ack" as const, "nack" as const, "reject" as const);
const flag = fc.boolean();
const seldom = fc.nat(5).map((n) => n === 0);
const some = <T extends Record<string, fc.Arbitrary<unknown>>>(shape: T) =>
  fc.record(shape) as fc.Arbitrary<unknown>;
const is = (name: string) => fc.constant(name);

const operation = fc.oneof(
  {
    weight: 6,
    arbitrary: some({ op: is("declareQueue"), ch, queue, variant: fc.nat(QUEUE_VARIANTS.length - 1) }),
  },
  { weight: 1, arbitrary: some({ op: is("deleteQueue"), ch, queue, ifUnused: seldom, ifEmpty: seldom }) },
  { weight: 1, arbitrary: some({ op: is("purge"), ch, queue }) },
  {
    weight: 3,
    arbitrary: some({
      op: is("declareExchange"),
      ch,
      exchange,
      type: fc.constantFrom("direct", "fanout", "topic", "headers"),
      durable: flag,
      passive: seldom,
    }),
  },
  { weight: 1, arbitrary: some({ op: is("deleteExchange"), ch, exchange, ifUnused: flag }) },
  {
    weight: 5,
    arbitrary: some({
      op: is("bind"),
      ch,
      queue,
      exchange,
      key: pattern,
      headers: fc.nat(BINDING_HEADERS.length - 1),
    }),
  },
  {
    weight: 1,
    arbitrary: some({ op: is("unbind"), ch, queue, exchange, key: pattern, headers: is("0").map(Number) }),
  },
  {
    weight: 1,
    arbitrary: some({ op: is("bindExchange"), ch, source: exchange, destination: exchange, key: pattern }),
  },
  {
    weight: 1,
    arbitrary: some({ op: is("unbindExchange"), ch, source: exchange, destination: exchange, key: pattern }),
  },
  {
    weight: 6,
    arbitrary: some({
      op: is("publish"),
      ch,
      exchange: fc.constantFrom(...EXCHANGES, "amq.direct", "missing"),
      key,
      mandatory: flag,
      message,
    }),
  },
  { weight: 12, arbitrary: some({ op: is("send"), ch, queue, message }) },
  { weight: 6, arbitrary: some({ op: is("get"), ch, queue, noAck: seldom }) },
  {
    weight: 4,
    arbitrary: some({
      op: is("consume"),
      ch,
      queue,
      noAck: seldom,
      exclusive: seldom,
      priority: fc.integer({ min: -1, max: 1 }),
    }),
  },
  { weight: 1, arbitrary: some({ op: is("cancel"), ch, consumer: fc.nat(3) }) },
  {
    weight: 10,
    arbitrary: some({ op: is("settle"), ch, how, pick: fc.nat(9), multiple: seldom, requeue: flag }),
  },
  { weight: 1, arbitrary: some({ op: is("settleUnknown"), ch, how }) },
  { weight: 1, arbitrary: some({ op: is("recover"), ch }) },
  { weight: 2, arbitrary: some({ op: is("qos"), ch, count: fc.nat(3) }) },
  { weight: 1, arbitrary: some({ op: is("reopen"), ch }) },
) as fc.Arbitrary<Operation>;

/** Starts with a usable set-up, as a conversation of nothing but 404s teaches little. */
const opening = fc
  .tuple(
    ...QUEUES.map(() => fc.nat(QUEUE_VARIANTS.length - 3)),
    fc.constantFrom("direct", "fanout", "topic", "headers"),
  )
  .map((choices): Operation[] => {
    const variants = choices.slice(0, QUEUES.length) as number[];
    const type = choices.at(-1) as string;
    return [
      ...EXCHANGES.map((name, i): Operation => {
        return {
          op: "declareExchange",
          ch: 0,
          exchange: name,
          type: i ? "fanout" : type,
          durable: true,
          passive: false,
        };
      }),
      ...QUEUES.map(
        (name, i): Operation => ({ op: "declareQueue", ch: 0, queue: name, variant: variants[i]! }),
      ),
      { op: "bind", ch: 0, queue: "q1", exchange: "e1", key: "", headers: 0 },
    ];
  });

export const script: fc.Arbitrary<Operation[]> = fc
  .tuple(opening, fc.array(operation, { minLength: 5, maxLength: 40 }))
  .map(([first, rest]) => [...first, ...rest]);
