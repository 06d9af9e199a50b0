// Whatever a STOMP client sends, nothing is a fault of ours: it is answered, or its connection ends with an
// ERROR, and what it held is let go. Conversations that have been tampered with, without sockets in between.
//   FUZZ_COUNT, FUZZ_SEED, FUZZ_FROM   how many inputs, which, and from which on

import { expect, test } from "vitest";
import { Arena } from "../../src/base/arena.ts";
import { SystemClock } from "../../src/base/clock.ts";
import { Turn } from "../../src/base/turn.ts";
import type { Broker } from "../../src/broker/index.ts";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import type { RecordReaders } from "../../src/message/reader.ts";
import { ORIGIN_STOMP } from "../../src/message/record.ts";
import type { Receipt } from "../../src/net/byte-stream.ts";
import { Outbox } from "../../src/net/outbox.ts";
import type { ConnectionHandler, Transport } from "../../src/net/transport.ts";
import { StompAcceptor } from "../../src/wire/stomp/acceptor.ts";
import { stompReader } from "../../src/wire/stomp/headers.ts";
import { startServer } from "../support/broker.ts";
import { type Random, randomFrom } from "../support/random.ts";

const count = Number(process.env.FUZZ_COUNT ?? 1500);
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000_000);
const from = Number(process.env.FUZZ_FROM ?? 0);
/** Spoilt destinations are new queues: after so many inputs they are thrown away. */
const PER_BROKER = 5000;

const nothing = (): void => {};
const faults: unknown[] = [];
const logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: (fields: object) => faults.push((fields as { err?: unknown }).err ?? fields),
};

// --- what is said --------------------------------------------------------------------------------

const frame = (command: string, headers: Record<string, string> = {}, body = ""): Buffer => {
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  return Buffer.from(`${command}\n${lines.join("")}\n${body}\0`);
};

const CONNECT = { "accept-version": "1.0,1.1,1.2", host: "/", login: "guest", passcode: "guest" };
const OPENINGS: readonly Buffer[] = [
  frame("CONNECT", CONNECT),
  frame("STOMP", { ...CONNECT, "accept-version": "1.1", "heart-beat": "1000,1000" }),
  frame("CONNECT", { login: "guest", passcode: "guest", "client-id": "c" }),
];

const STORIES: readonly (readonly Buffer[])[] = [
  [
    frame("SUBSCRIBE", { id: "0", destination: "/queue/fuzz", ack: "client", "prefetch-count": "5" }),
    frame("SEND", { destination: "/queue/fuzz", receipt: "1", persistent: "true", "x:y\\c": "\\n" }, "hello"),
    frame(
      "SEND",
      { destination: "/queue/fuzz", "content-length": "3", expiration: "1000", priority: "3" },
      "a\0b",
    ),
    frame("ACK", { id: "T_0@@session-1@@1", "message-id": "T_0@@session-1@@1", subscription: "0" }),
    frame("NACK", { id: "T_0@@session-1@@2", requeue: "false" }),
    frame("UNSUBSCRIBE", { id: "0", receipt: "2" }),
  ],
  [
    frame("BEGIN", { transaction: "t" }),
    frame("SEND", { destination: "/topic/fuzz.a", transaction: "t" }, "one"),
    frame("ACK", { id: "x", transaction: "t" }),
    frame("COMMIT", { transaction: "t", receipt: "3" }),
    frame("BEGIN", { transaction: "u" }),
    frame("ABORT", { transaction: "u" }),
  ],
  [
    frame("SUBSCRIBE", { id: "d", destination: "/topic/fuzz.#", durable: "true", "auto-delete": "false" }),
    frame("SEND", { destination: "/topic/fuzz.b", "reply-to": "/temp-queue/answers", "correlation-id": "c" }),
    frame("SEND", { destination: "/exchange/amq.topic/fuzz.c", "x-delay": "10" }, "x".repeat(3000)),
    frame("SUBSCRIBE", { id: "e", destination: "/exchange/amq.fanout", selector: "a > 1" }),
    frame("UNSUBSCRIBE", { id: "d", durable: "true" }),
    frame("DISCONNECT", { receipt: "bye" }),
  ],
  [
    frame("SUBSCRIBE", {
      id: "q",
      destination: "/queue/fuzz.args",
      "x-message-ttl": "10",
      "x-max-length": "3",
    }),
    frame("SUBSCRIBE", { id: "r", destination: "/reply-queue/amq.gen", ack: "client-individual" }),
    frame("SUBSCRIBE", { id: "s", destination: "/temp-topic/t" }),
    frame("SEND", {
      destination: "/queue/a,/topic/b.>,ActiveMQ.DLQ",
      expires: "1",
      AMQ_SCHEDULED_DELAY: "1",
    }),
    frame("SEND", { destination: "/amq/queue/fuzz", "user-id": "other" }, "x"),
    Buffer.from("\n\r\n\n"),
  ],
];

// --- how it is spoilt ------------------------------------------------------------------------------

const below = (random: Random, limit: number): number => Math.floor(random() * limit);
const oneOf = <T>(random: Random, items: readonly T[]): T => items[below(random, items.length)] as T;
const NASTY = [0, 0x0a, 0x0d, 0x3a, 0x5c, 0x20, 0x2c, 0x2f, 0x2d, 0x39, 0x7f, 0xc3, 0xff];

type Mutation = (pieces: Buffer[], at: number, random: Random) => void;

const changed =
  (change: (bytes: Buffer, at: number, random: Random) => void): Mutation =>
  (pieces, at, random) => {
    const bytes = Buffer.from(pieces[at] as Buffer);
    if (bytes.length > 0) change(bytes, below(random, bytes.length), random);
    pieces[at] = bytes;
  };

const MUTATIONS: readonly Mutation[] = [
  changed((bytes, at, random) => {
    bytes[at] = (bytes[at] as number) ^ (1 << below(random, 8));
  }),
  changed((bytes, at, random) => {
    bytes[at] = oneOf(random, NASTY);
  }),
  (pieces, at, random) => {
    const bytes = pieces[at] as Buffer;
    const cut = below(random, bytes.length + 1);
    pieces[at] = Buffer.concat([
      bytes.subarray(0, cut),
      Buffer.of(oneOf(random, NASTY)),
      bytes.subarray(cut),
    ]);
  },
  (pieces, at, random) => {
    const bytes = pieces[at] as Buffer;
    pieces[at] = bytes.subarray(0, below(random, bytes.length + 1));
  },
  (pieces, at) => void pieces.splice(at, 1),
  (pieces, at, random) => void pieces.splice(at, 0, ...Array(1 + below(random, 10)).fill(pieces[at])),
  (pieces, at, random) => {
    const other = below(random, pieces.length);
    [pieces[at], pieces[other]] = [pieces[other] as Buffer, pieces[at] as Buffer];
  },
  (pieces, at, random) => {
    pieces.splice(
      at,
      0,
      Buffer.from(Array.from({ length: 1 + below(random, 40) }, () => below(random, 256))),
    );
  },
  (pieces, at, random) => void pieces.splice(at, 0, oneOf(random, oneOf(random, [OPENINGS, ...STORIES]))),
  (pieces, at) => {
    const text = (pieces[at] as Buffer).toString("latin1");
    const lines = text.split("\n");
    // A value from one header in another.
    const values = lines
      .filter((line) => line.includes(":"))
      .map((line) => line.slice(line.indexOf(":") + 1));
    let next = values.length;
    const turned = lines.map((line) =>
      line.includes(":") ? `${line.slice(0, line.indexOf(":"))}:${values[--next]}` : line,
    );
    pieces[at] = Buffer.from(turned.join("\n"), "latin1");
  },
];

interface Input {
  readonly chunks: readonly Buffer[];
  readonly dialect: "rabbitmq" | "activemq";
}

function input(index: number): Input {
  const random = randomFrom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  const opening = oneOf(random, OPENINGS);
  const story = [...oneOf(random, STORIES), ...(random() < 0.3 ? oneOf(random, STORIES) : [])];
  const isLoginSpoilt = random() < 0.1;
  const pieces = isLoginSpoilt ? [opening, ...story] : story;
  for (let i = 1 + below(random, 3); i > 0; i--) {
    if (pieces.length > 0) oneOf(random, MUTATIONS)(pieces, below(random, pieces.length), random);
  }
  const bytes = Buffer.concat(pieces);
  const chunks: Buffer[] = isLoginSpoilt ? [] : [opening];
  for (let at = 0; at < bytes.length; ) {
    const size = random() < 0.7 ? bytes.length : 1 + below(random, 100);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return { chunks, dialect: random() < 0.7 ? "rabbitmq" : "activemq" };
}

// --- who it is said to -----------------------------------------------------------------------------

const turn = new Turn((error) => faults.push(error));
const arena = new Arena(64 * 1024 * 1024);

/** A connection without a socket. */
class Line implements Transport {
  readonly outbox: Outbox;
  readonly name = "client -> server";
  readonly remoteAddress = "127.0.0.1";
  readonly remotePort = 40_000;
  readonly localAddress = "127.0.0.1";
  readonly localPort = 61_613;
  readonly listener;
  readonly loopback = true;
  readonly tls = null;
  lastReadMs = 0;
  lastWriteMs = 0;
  paused = 0;
  ended = false;
  private readonly acceptor: StompAcceptor;
  private readonly handler: ConnectionHandler;
  private remainder = Buffer.alloc(0);

  constructor(acceptor: StompAcceptor, dialect: string) {
    this.listener = { name: "stomp", host: "127.0.0.1", port: 61_613, secure: false, options: { dialect } };
    const socket = {
      destroyed: false,
      write: (_: readonly Uint8Array[], receipt: Receipt) => receipt.done(),
    };
    this.outbox = new Outbox(arena, turn, socket, 1 << 20, {
      drained: () => this.handler.drained(),
      wrote: nothing,
      exhausted: () => faults.push(new Error("no memory for output")),
    });
    this.acceptor = acceptor;
    this.handler = acceptor.accept(this);
  }

  write(bytes: Uint8Array): void {
    if (this.ended) return;
    const all = Buffer.concat([this.remainder, bytes]);
    this.remainder = all.subarray(this.handler.read(all, 0, all.length));
    if (this.remainder.length > this.acceptor.remainderBytesMax)
      faults.push(new Error("too much is left over"));
  }

  pauseReading(): void {
    this.paused++;
  }

  resumeReading(): void {
    this.paused--;
    // What was held is looked at again, as the real one does.
    if (this.paused === 0) setImmediate(() => this.write(Buffer.alloc(0)));
  }

  end(): void {
    this.ended = true;
  }

  destroy(): void {
    this.ended = true;
  }

  close(): void {
    this.handler.closed(null);
    this.outbox.close();
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

async function offer(acceptor: StompAcceptor, { chunks, dialect }: Input): Promise<void> {
  const line = new Line(acceptor, dialect);
  for (const chunk of chunks) {
    line.write(chunk);
    while (line.paused > 0 && !line.ended) await settled();
  }
  await settled();
  line.close();
}

/** Passwords are slow to check on purpose: guest's is checked once. */
async function quickLogin(broker: Broker): Promise<void> {
  const authenticate = broker.authenticate.bind(broker);
  const guest = await authenticate({ user: "guest", password: "guest", loopback: true });
  broker.authenticate = (credentials) =>
    credentials.user === "guest" && credentials.password === "guest"
      ? Promise.resolve(guest)
      : authenticate(credentials);
}

async function round(first: number, last: number): Promise<void> {
  const { broker, stop } = await startServer();
  await quickLogin(broker);
  const readers: RecordReaders = new Map([[ORIGIN_STOMP, stompReader]]);
  const acceptor = new StompAcceptor({
    broker,
    clock: new SystemClock(),
    turn,
    logger,
    limits: DEFAULT_LIMITS,
    settings: undefined,
    readers,
    product: "",
    version: "",
    platform: "",
  });
  for (let index = first; index < last; index++) {
    await offer(acceptor, input(index)).catch((error) => faults.push(error));
    if (faults.length > 0) throw new Error(`input ${index} of seed ${seed}`, { cause: faults[0] });
  }
  expect(broker.stats().channels).toBe(0);
  acceptor.close();
  await stop();
}

test(
  `${count} inputs, seed ${seed}`,
  async () => {
    console.log(`fuzz: FUZZ_SEED=${seed} FUZZ_COUNT=${count}`);
    for (let at = from; at < from + count; at += PER_BROKER) {
      await round(at, Math.min(at + PER_BROKER, from + count));
      if ((at - from) % 50_000 === 0) console.log(`fuzz: ${at - from} inputs`);
    }
  },
  Math.max(180_000, count * 10),
);
