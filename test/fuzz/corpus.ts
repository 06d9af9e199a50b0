// Valid conversations, frame by frame, for the fuzzer to spoil: every method a client may send.
import { PROTOCOL_HEADER } from "../support/raw-connection.ts";
import { type Args, encodeHeader, encodeMethod, frame } from "../support/wire.ts";

export interface Piece {
  bytes: Buffer;
  /**
   * Bytes from the start that value mutations leave alone. A spoilt name or flag would still be a
   * valid declaration, and a million of those would fill the broker with queues quite legally.
   */
  fixed: number;
}

const piece = (bytes: Buffer, fixed = 0): Piece => ({ bytes, fixed });
const method = (name: string, channel: number, args: Args = {}) => piece(encodeMethod(name, channel, args));
/** Only its frame may be spoilt (type, channel, length, end), not what it says. */
const sealed = (name: string, channel: number, args: Args = {}): Piece => {
  const bytes = encodeMethod(name, channel, args);
  return piece(bytes, bytes.length);
};

const TABLE = {
  text: "value",
  number: 7,
  big: 1n << 60n,
  yes: true,
  none: null,
  list: [1, "two", [3]],
  nested: { deeper: { still: Buffer.from("bytes") } },
  when: new Date(0),
};

const CREDENTIALS = { mechanism: "PLAIN", response: "\0guest\0guest", locale: "en_US" };

export const HANDSHAKE: Piece[] = [
  piece(PROTOCOL_HEADER),
  method("connection.start-ok", 0, {
    clientProperties: { product: "fuzz", capabilities: TABLE },
    ...CREDENTIALS,
  }),
  method("connection.tune-ok", 0, { channelMax: 2047, frameMax: 131_072, heartbeat: 0 }),
  method("connection.open", 0, { virtualHost: "/" }),
  method("channel.open", 1),
];

const QUEUE = "fuzz.queue";
const EXCHANGE = "fuzz.exchange";
/** Class, method, ticket, a name of that length and one octet of flags, behind the frame's head. */
const declared = (name: string) => 7 + 4 + 2 + 1 + name.length;

function declare(): Piece[] {
  const queue = encodeMethod("queue.declare", 1, { queue: QUEUE, exclusive: true, arguments: TABLE });
  return [
    piece(queue, declared(QUEUE) + 1),
    sealed("exchange.declare", 1, { exchange: EXCHANGE, type: "topic" }),
  ];
}

function content(channel: number, size: number, properties: Args): Piece[] {
  const body = Buffer.alloc(size, "x");
  return [
    method("basic.publish", channel, { routingKey: QUEUE, mandatory: true }),
    piece(encodeHeader(channel, size, properties)),
    ...(size > 0 ? [piece(frame(3, channel, body))] : []),
  ];
}

const PROPERTIES = {
  contentType: "text/plain",
  headers: TABLE,
  deliveryMode: 1,
  priority: 3,
  correlationId: "c",
  replyTo: "r",
  expiration: "1000",
  messageId: "m",
  timestamp: 1,
  type: "t",
  appId: "a",
};

/** What may follow the handshake; each is a whole little story. */
export const STORIES: Piece[][] = [
  [
    ...declare(),
    ...content(1, 10, PROPERTIES),
    ...content(1, 0, {}),
    method("basic.get", 1, { queue: QUEUE }),
  ],
  [
    ...declare(),
    method("confirm.select", 1),
    ...content(1, 5000, { headers: { CC: [QUEUE], BCC: ["other"] } }),
    method("basic.qos", 1, { prefetchCount: 10 }),
    method("basic.consume", 1, { queue: QUEUE, consumerTag: "tag", arguments: TABLE }),
    method("basic.ack", 1, { deliveryTag: 1 }),
    method("basic.cancel", 1, { consumerTag: "tag" }),
  ],
  [
    ...declare(),
    sealed("queue.bind", 1, { queue: QUEUE, exchange: EXCHANGE, routingKey: "a.#" }),
    method("queue.unbind", 1, { queue: QUEUE, exchange: EXCHANGE, routingKey: "a.#", arguments: TABLE }),
    method("queue.purge", 1, { queue: QUEUE }),
    method("queue.delete", 1, { queue: QUEUE, ifEmpty: true }),
    method("exchange.unbind", 1, {
      source: EXCHANGE,
      destination: EXCHANGE,
      routingKey: "k",
      arguments: TABLE,
    }),
    method("exchange.delete", 1, { exchange: EXCHANGE }),
  ],
  [
    ...declare(),
    method("tx.select", 1),
    ...content(1, 100, PROPERTIES),
    method("tx.commit", 1),
    method("tx.rollback", 1),
    method("basic.recover", 1, { requeue: true }),
    method("basic.recover-async", 1, { requeue: true }),
  ],
  [
    method("channel.open", 2),
    method("channel.flow", 2, { active: true }),
    method("access.request", 2, { realm: "/data", active: true }),
    method("basic.nack", 2, { deliveryTag: 0, multiple: true, requeue: true }),
    method("basic.reject", 1, { deliveryTag: 5 }),
    method("channel.close", 2, { replyCode: 200, replyText: "bye" }),
    method("channel.close-ok", 2),
    method("connection.update-secret", 0, { newSecret: "guest", reason: "fuzz" }),
    piece(frame(8, 0, Buffer.alloc(0))),
    method("connection.close", 0, { replyCode: 200, replyText: "bye" }),
  ],
];
