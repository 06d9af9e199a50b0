// What a random conversation with a broker may consist of. A small universe on purpose: with three
// queues and two exchanges, operations keep meeting each other's effects.
import fc from "fast-check";

export const QUEUES = ["q0", "q1", "q2"];
export const EXCHANGES = ["e0", "e1"];
export const CHANNELS = 4;
/** The channel that is in a transaction; the others confirm. */
export const TX_CHANNEL = 3;
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
  | { op: "txSelect" | "txCommit" | "txRollback" | "confirmSelect"; ch: number }
  | { op: "intrude"; ch: number; queue: string; method: string }
  | { op: "recover"; ch: number }
  | { op: "qos"; ch: number; count: number }
  | { op: "reopen"; ch: number };

/** Queue declarations to choose from; `$e0` and the like are replaced with the run's own names. */
export const QUEUE_VARIANTS: {
  durable?: boolean;
  exclusive?: boolean;
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
  { exclusive: true },
  { durable: true, exclusive: true, arguments: { "x-dead-letter-exchange": "$e1" } },
  { durable: true, exclusive: true, autoDelete: true },
  { durable: true, arguments: { "x-queue-type": "quorum" } },
  { durable: true, arguments: { "x-queue-type": "quorum", "x-delivery-limit": 1 } },
  {
    durable: true,
    arguments: { "x-queue-type": "quorum", "x-delivery-limit": 1, "x-dead-letter-exchange": "$e1" },
  },
  { durable: true, arguments: { "x-queue-type": "quorum", "x-max-length": 2 } },
  { durable: true, arguments: { "x-queue-type": "quorum", "x-single-active-consumer": true } },
  { durable: true, exclusive: true, arguments: { "x-queue-type": "quorum" } },
  { arguments: { "x-queue-type": "quorum" } },
  { durable: true, arguments: { "x-queue-type": "quorum", "x-max-priority": 3 } },
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
/** Variants that can be declared at all. A quorum queue takes long to declare: it has scripts of its own. */
const isQuorum = (n: number) => QUEUE_VARIANTS[n]!.arguments?.["x-queue-type"] === "quorum";
const classic = QUEUE_VARIANTS.map((_, n) => n).filter((n) => !isQuorum(n));
const quorum = QUEUE_VARIANTS.map((_, n) => n).filter(isQuorum);

const how = fc.constantFrom("ack" as const, "nack" as const, "reject" as const);
const flag = fc.boolean();
const seldom = fc.nat(5).map((n) => n === 0);
const some = <T extends Record<string, fc.Arbitrary<unknown>>>(shape: T) =>
  fc.record(shape) as fc.Arbitrary<unknown>;
const is = (name: string) => fc.constant(name);

const declareQueue = (variants: number[]) =>
  some({ op: is("declareQueue"), ch, queue, variant: fc.constantFrom(...variants) });
const transaction = fc.constantFrom("txCommit", "txCommit", "txCommit", "txRollback", "txSelect");

const common = [
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
  { weight: 6, arbitrary: some({ op: transaction, ch: is(`${TX_CHANNEL}`).map(Number) }) },
  { weight: 1, arbitrary: some({ op: fc.oneof(transaction, is("confirmSelect")), ch }) },
  {
    weight: 1,
    arbitrary: some({
      op: is("intrude"),
      ch,
      queue,
      method: fc.constantFrom("queue.declare", "queue.purge", "queue.delete", "basic.get", "basic.consume"),
    }),
  },
];
const operation = fc.oneof(
  { weight: 6, arbitrary: declareQueue(classic) },
  ...common,
) as fc.Arbitrary<Operation>;
const quorumOperation = fc.oneof(
  { weight: 3, arbitrary: declareQueue(quorum) },
  { weight: 1, arbitrary: declareQueue(classic) },
  ...common,
) as fc.Arbitrary<Operation>;

/** Starts with a usable set-up, as a conversation of nothing but 404s teaches little. */
const opening = (...variants: number[][]) =>
  fc
    .tuple(
      ...QUEUES.map((_, i) => fc.constantFrom(...variants[i % variants.length]!)),
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

/**
 * RabbitMQ's priority queues let expired messages stay, count and be got: it looks for them only when
 * a queue's only message comes, and only on the highest level that holds something. PolyMQ lets
 * messages of every level expire in time.
 */
function sparePriorities(operations: Operation[]): Operation[] {
  const prioritised = (operation: Operation) =>
    operation.op === "declareQueue" &&
    "x-max-priority" in (QUEUE_VARIANTS[operation.variant]!.arguments ?? {});
  if (!operations.some(prioritised)) return operations;
  return nothingExpires(operations);
}

function nothingExpires(operations: Operation[]): Operation[] {
  const expiring = MESSAGES.findIndex(({ properties }) => properties.expiration === "0");
  return operations.map((operation) =>
    "message" in operation && operation.message === expiring ? { ...operation, message: 0 } : operation,
  );
}

/**
 * When a full queue refuses a part of a transaction, RabbitMQ closes the channel; whether a consumer on
 * it is given what the other queues took before that is a race there. And it hands a message to a waiting
 * consumer before the next one comes, while to PolyMQ all of a transaction is one: where there are consumers,
 * nothing is published in transactions.
 */
function spareRefusedTransactions(operations: Operation[]): Operation[] {
  const refusing = (operation: Operation) =>
    operation.op === "declareQueue" &&
    QUEUE_VARIANTS[operation.variant]!.arguments?.["x-overflow"] === "reject-publish";
  if (!operations.some(refusing) || !operations.some(({ op }) => op === "consume")) return operations;
  return operations.map((operation) =>
    operation.ch === TX_CHANNEL && ["consume", "send", "publish"].includes(operation.op)
      ? { ...operation, ch: 0 }
      : operation,
  );
}

const TOPOLOGY = /^(declare|delete|bind|unbind)/;

/**
 * RabbitMQ routes what is published in a transaction when it is published, PolyMQ when it is committed:
 * what is open is committed before bindings change.
 */
function commitBeforeChanges(operations: Operation[]): Operation[] {
  let open = false;
  return operations.flatMap((operation): Operation[] => {
    const commits = open && TOPOLOGY.test(operation.op);
    if (commits) open = false;
    if (operation.ch === TX_CHANNEL) open = operation.op === "publish" || operation.op === "send" || open;
    return commits ? [{ op: "txCommit", ch: TX_CHANNEL }, operation] : [operation];
  });
}

const spare = (operations: Operation[]) =>
  commitBeforeChanges(spareRefusedTransactions(sparePriorities(operations)));

export const script: fc.Arbitrary<Operation[]> = fc
  .tuple(opening(classic.slice(0, -2)), fc.array(operation, { minLength: 5, maxLength: 40 }))
  .map(([first, rest]) => spare([...first, ...rest]));

/**
 * The first queue is a quorum queue, and it is the one that most happens to. RabbitMQ's go on counting what
 * has expired until somebody asks for a message (which then is not it); PolyMQ's do not.
 */
export const quorumScript: fc.Arbitrary<Operation[]> = fc
  .tuple(
    opening(quorum.slice(0, 5), classic.slice(0, -2), classic.slice(0, -2)),
    fc.array(quorumOperation, { minLength: 5, maxLength: 30 }),
  )
  .map(([first, rest]) => nothingExpires(spare([...first, ...rest])));
