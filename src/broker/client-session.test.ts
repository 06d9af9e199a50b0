import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Arena } from "../base/arena.ts";
import { ManualClock } from "../base/clock.ts";
import { silentLogger } from "../base/logger.ts";
import { Turn } from "../base/turn.ts";
import type { Engine } from "../engine/engine.ts";
import { openMemoryEngine } from "../engine/memory/memory-engine.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { replyName } from "../message/pivot.ts";
import { encodeRouting, RecordView } from "../message/record.ts";
import type { Table } from "../message/values.ts";
import { openBroker, type RunningBroker } from "./open.ts";
import type { Session } from "./session.ts";
import {
  type ConsumerSink,
  type Delivery,
  type Incoming,
  PATTERN_GUARDED_ARGUMENT,
  PATTERN_ONE_ARGUMENT,
  PUBLISH_DONE,
  PUBLISH_PENDING,
  PUBLISH_REFUSED,
  PUBLISH_UNROUTED,
  type QueueOptions,
  type RetainedSink,
  type StoredMessage,
} from "./types.ts";

const TOPICS = "amq.topic";
const NONE: Table = new Map();
const PLUS: Table = new Map([
  [PATTERN_ONE_ARGUMENT, { type: "string", value: "+" }],
  [PATTERN_GUARDED_ARGUMENT, { type: "bool", value: true }],
]);

let clock: ManualClock;
let engine: Engine;
let broker: RunningBroker;
let session: Session;
const turns = async (count = 20): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

beforeEach(async () => {
  clock = new ManualClock();
  engine = await openMemoryEngine();
  broker = await openBroker({
    engine,
    clock,
    turn: new Turn(),
    arena: new Arena(16 * 1024 * 1024),
    limits: { ...DEFAULT_LIMITS, arenaBytes: 16 * 1024 * 1024 },
    logger: silentLogger,
    durability: "fsync",
    consumerTimeoutMs: null,
    quorumDeliveryLimit: -1,
    readers: new Map(),
  });
  session = broker.openSession(await broker.principalOf("guest"), "/", { connectionName: "test" });
});

afterEach(async () => {
  await broker.close();
  await engine.close();
});

interface Publish {
  persistent?: boolean;
  retain?: boolean;
  expirationMs?: number;
}

function incoming(exchange: string, key: string, body: string, options: Publish): Incoming {
  const routing = encodeRouting(exchange, key);
  const native = Buffer.from(body);
  return {
    origin: 0,
    bytes: Buffer.concat([routing, native]),
    routingStart: 0,
    routingEnd: routing.length,
    nativeStart: routing.length,
    nativeEnd: routing.length + native.length,
    bodyBytes: native.length,
    persistent: options.persistent ?? true,
    priority: 0,
    expirationMs: options.expirationMs ?? -1,
    delayMs: 0,
    retain: options.retain === true,
    copies: null,
    blindCopies: null,
    headers: () => null,
    property: () => null,
  };
}

function publish(key: string, body: string, options: Publish = {}, exchange = TOPICS): number {
  return session.publish(session.route(exchange, key), incoming(exchange, key, body, options));
}

function declare(name: string, options: QueueOptions = {}, durable = true): void {
  const flags = { durable, exclusive: false, autoDelete: false };
  session.queueDeclare({ name, ...flags, options, arguments: NONE });
}

const textOf = ({ record }: StoredMessage): string =>
  `${record.exchange()}|${record.routingKey()}|${Buffer.from(record.bytes).toString("utf8", record.nativeOffset, record.end)}`;

class Sink implements ConsumerSink, RetainedSink {
  writable = true;
  readonly got: string[] = [];
  readonly seen: Pick<Delivery, "id" | "retained" | "expiresAt" | "tag">[] = [];
  done = false;
  each: (message: StoredMessage) => void = () => {};

  deliver(delivery: Delivery): void {
    this.got.push(textOf(delivery));
    const { id, retained, expiresAt, tag } = delivery;
    this.seen.push({ id, retained, expiresAt, tag });
    this.each(delivery);
  }

  retained(message: StoredMessage): void {
    this.got.push(textOf(message));
    this.each(message);
  }

  finished(): void {
    this.done = true;
  }

  cancelled(): void {}
}

function consume(queue: string, sink: Sink, noAck = true) {
  const ledger = session.openLedger();
  const options = { tag: "t", noAck, exclusive: false, priority: 0, prefetch: 0, arguments: NONE };
  return { ledger, consumer: session.consume(queue, options, sink, ledger) };
}

async function kept(pattern: string, guarded = true): Promise<string[]> {
  const sink = new Sink();
  session.retained(TOPICS, { pattern, one: "+", guarded }, sink);
  await turns();
  expect(sink.done).toBe(true);
  return sink.got.map((text) => text.split("|").slice(1).join("=")).sort();
}

describe("patterns of a topic exchange", () => {
  const reached = async (pattern: string, keys: string[], args = PLUS): Promise<string[]> => {
    declare("q");
    session.queueBind("q", TOPICS, pattern, args);
    const sink = new Sink();
    consume("q", sink);
    for (const key of keys) publish(key, "");
    await turns();
    return sink.got.map((text) => text.split("|")[1] as string);
  };

  it("may have '+' for one word, and '*' is a word then", async () => {
    expect(await reached("a.+.*", ["a.b.*", "a.b.c", "a..*", "a.*"])).toEqual(["a.b.*", "a..*"]);
  });

  it("leave '+' a word where '*' is the wildcard", async () => {
    expect(await reached("a.*.+", ["a.b.+", "a.b.c"], NONE)).toEqual(["a.b.+"]);
  });

  it("may be guarded: a wildcard in front is not for keys with '$'", async () => {
    expect(await reached("#", ["$SYS.x", "a.$b", "$", ""])).toEqual(["a.$b", ""]);
  });

  it("reach guarded keys by name, and unguarded by wildcards", async () => {
    expect(await reached("$SYS.+", ["$SYS.x", "a.x"])).toEqual(["$SYS.x"]);
    session.queueBind("q", TOPICS, "#", NONE);
    publish("$SYS", "");
    await turns();
    expect(session.queueCheck("q").ready).toBe(0);
  });

  it("of other words are refused", () => {
    declare("q");
    const args: Table = new Map([[PATTERN_ONE_ARGUMENT, { type: "string", value: "%" }]]);
    expect(() => session.queueBind("q", TOPICS, "#", args)).toThrow(/neither '\*' nor '\+'/);
  });

  it("match keys of up to 65,535 bytes, which come out as they went in", async () => {
    const keys = [254, 255, 256, 65_524, 65_535].map((length) => `${"k".repeat(length - 2)}.x`);
    expect(await reached("+.x", keys)).toEqual(keys);
    for (const key of keys) publish(key, "v", { retain: true });
    await turns();
    expect(await kept("+.x")).toEqual(keys.map((key) => `${key}=v`).sort());
  });
});

describe("retained messages", () => {
  it("are the last of their key, until an empty one", async () => {
    expect(publish("a.b", "1", { retain: true })).toBe(PUBLISH_PENDING | PUBLISH_UNROUTED);
    publish("a.b", "2", { retain: true, persistent: false });
    publish("a.b", "not kept");
    publish("a.c", "3", { retain: true });
    publish("d", "4", { retain: true });
    expect(await kept("a.+")).toEqual(["a.b=2", "a.c=3"]);
    expect(session.retainedCount).toBe(3);
    expect(publish("a.b", "", { retain: true })).toBe(PUBLISH_PENDING | PUBLISH_UNROUTED);
    expect(publish("never.seen", "", { retain: true })).toBe(PUBLISH_DONE | PUBLISH_UNROUTED);
    expect(await kept("#")).toEqual(["a.c=3", "d=4"]);
    expect(session.retainedCount).toBe(2);
  });

  it("are found by every kind of pattern", async () => {
    for (const key of ["a", "a.b", "a.b.c", "a..c", ".", "$s", "$s.a", "*", "ä.b"]) {
      publish(key, "x", { retain: true });
    }
    await turns();
    const keys = async (pattern: string, guarded = true): Promise<string[]> =>
      (await kept(pattern, guarded)).map((text) => text.slice(0, -2)).sort();
    expect(await keys("#")).toEqual(["*", ".", "a", "a..c", "a.b", "a.b.c", "ä.b"]);
    expect(await keys("#", false)).toHaveLength(9);
    expect(await keys("a.#")).toEqual(["a", "a..c", "a.b", "a.b.c"]);
    expect(await keys("+.b")).toEqual(["a.b", "ä.b"]);
    expect(await keys("+")).toEqual(["*", "a"]);
    expect(await keys("+.+")).toEqual([".", "a.b", "ä.b"]);
    expect(await keys("a.+.c")).toEqual(["a..c", "a.b.c"]);
    expect(await keys("$s.#")).toEqual(["$s", "$s.a"]);
    expect(await keys("#.b.#")).toEqual(["a.b", "a.b.c", "ä.b"]);
    expect(await keys("#.c")).toEqual(["a..c", "a.b.c"]);
    expect(await keys("*")).toEqual(["*"]);
    expect(await keys("nothing.here")).toEqual([]);
  });

  it("expire, also when nobody looks", async () => {
    publish("a", "1", { retain: true, expirationMs: 1000 });
    publish("a", "2", { retain: true, expirationMs: 5000 });
    publish("b", "1", { retain: true, expirationMs: 1000 });
    await turns();
    clock.advance(1500);
    expect(session.retainedCount).toBe(1);
    expect(await kept("#")).toEqual(["a=2"]);
    clock.advance(5000);
    expect(session.retainedCount).toBe(0);
    expect(broker.stats().dropped.expired).toBe(2);
  });

  it("wait while the sink cannot take more, whatever comes and goes meanwhile", async () => {
    for (let i = 0; i < 300; i++) publish(`k.${i}`, `${i}`, { retain: true });
    await turns();
    const sink = new Sink();
    const walk = session.retained(TOPICS, { pattern: "k.+", one: "+", guarded: true }, sink);
    let room = 10;
    sink.each = () => {
      sink.writable = --room > 0;
    };
    await turns();
    expect(sink.got).toHaveLength(10);
    for (let i = 0; i < 300; i += 2) publish(`k.${i}`, "", { retain: true });
    for (let i = 300; i < 310; i++) publish(`k.${i}`, "", { retain: true });
    publish("k.299", "new", { retain: true });
    await turns();
    room = 1000;
    sink.writable = true;
    walk.resume();
    await turns();
    expect(sink.done).toBe(true);
    // 240 of the first 250 were in its hands when the others came: half of them are gone, and one is replaced.
    expect(sink.got).not.toContain(`${TOPICS}|k.299|299`);
    expect(new Set(sink.got).size).toBe(sink.got.length);
    expect(sink.got.filter((text) => Number(text.split("|")[2]) % 2 === 1).length).toBeGreaterThanOrEqual(
      149,
    );
  });

  it("stop coming when the walk is cancelled, also from within", async () => {
    for (let i = 0; i < 50; i++) publish(`k.${i}`, `${i}`, { retain: true });
    await turns();
    const sink = new Sink();
    const walk = session.retained(TOPICS, { pattern: "#", one: "+", guarded: true }, sink);
    sink.each = () => {
      if (sink.got.length === 7) walk.cancel();
    };
    await turns();
    expect([sink.got.length, sink.done]).toEqual([7, false]);
    for (let i = 0; i < 50; i++) publish(`k.${i}`, "", { retain: true });
    await turns();
    expect(session.retainedCount).toBe(0);
  });

  it("are forwarded to a queue with their mark, their bytes and the rest of their time", async () => {
    publish("a", "1", { retain: true, expirationMs: 10_000 });
    await turns();
    clock.advance(4000);
    declare("q");
    const walked = new Sink();
    walked.each = (message) => expect(session.forward("q", message, true)).toBe(PUBLISH_DONE);
    session.retained(TOPICS, { pattern: "#", one: "+", guarded: true }, walked);
    await turns();
    const sink = new Sink();
    consume("q", sink);
    await turns();
    expect(sink.got).toEqual([`${TOPICS}|a|1`]);
    expect(sink.seen[0]).toMatchObject({ retained: true, expiresAt: clock.now() + 6000 });
  });

  it("need the right to read their topic", async () => {
    await broker.access.putUser("reader", "secret", []);
    broker.access.setPermissions("reader", "/", { configure: ".*", write: ".*", read: ".*" });
    broker.access.setTopicPermissions("reader", "/", TOPICS, { write: "^x", read: "^mine\\." });
    const reader = broker.openSession(await broker.principalOf("reader"), "/", { connectionName: "r" });
    const look = (pattern: string) => () =>
      reader.retained(TOPICS, { pattern, one: "+", guarded: true }, new Sink());
    expect(look("mine.#")).not.toThrow();
    expect(look("#")).toThrow(/refused/);
  });

  it("go with their namespace", async () => {
    publish("a", "1", { retain: true });
    await turns();
    publish("b", "1", { retain: true });
    session.notebook("book").set("k", "v");
    broker.topology.deleteNamespace("/");
    await turns();
    expect(broker.shard.retained.count).toBe(0);
    expect(broker.shard.notes.count).toBe(0);
    expect(broker.shard.store.table.count).toBe(0);
  });
});

describe("a volatile queue", () => {
  it("drops what comes while nobody is there or what is there does not keep up, and counts it", async () => {
    declare("v", { volatile: true, lengthMax: 3 });
    session.queueBind("v", TOPICS, "#", NONE);
    expect(publish("a", "nobody here")).toBe(PUBLISH_DONE);
    const sink = new Sink();
    const { consumer } = consume("v", sink);
    publish("a", "1");
    await turns();
    sink.writable = false;
    for (const body of ["2", "3", "4", "5", "6"]) publish("a", body);
    sink.writable = true;
    consumer.resume();
    await turns();
    expect(sink.got.map((text) => text.split("|")[2])).toEqual(["1", "2", "3", "4"]);
    sink.writable = false;
    publish("a", "7");
    consumer.cancel();
    const { dropped, messagesReady } = broker.stats();
    expect(dropped).toMatchObject({ offline: 2, slow: 2 });
    expect(messagesReady).toBe(0);
    expect(broker.shard.store.table.count).toBe(0);
  });
});

describe("an answer to a topic", () => {
  it("published to the default exchange comes to the topic's subscribers under its own name", async () => {
    declare("q");
    session.queueBind("q", TOPICS, "reply.+.a/b", PLUS);
    const sink = new Sink();
    consume("q", sink);
    const key = replyName({ kind: "topic", name: "reply.ü.a/b" });
    expect(publish(key, "yes", { persistent: false }, "")).toBe(PUBLISH_DONE);
    expect(publish("amq.reply-topic.no_such_escape", "no", {}, "")).toBe(PUBLISH_DONE | PUBLISH_UNROUTED);
    await turns();
    expect(sink.got).toEqual([`${TOPICS}|reply.ü.a/b|yes`]);
  });

  it("needs the right to write that topic", async () => {
    await broker.access.putUser("service", "secret", []);
    broker.access.setPermissions("service", "/", { configure: "", write: ".*", read: "" });
    broker.access.setTopicPermissions("service", "/", TOPICS, { write: "^reply\\.", read: "" });
    const service = broker.openSession(await broker.principalOf("service"), "/", { connectionName: "s" });
    const to = (name: string) => () => service.route("", replyName({ kind: "topic", name }));
    expect(to("reply.x")).not.toThrow();
    expect(to("other.x")).toThrow(/refused/);
  });
});

describe("what moves from one queue to another", () => {
  it("is settled there and stored here in one batch, and refused when this one is full", async () => {
    declare("shared");
    declare("mine", { lengthMax: 1, overflow: "reject-publish" });
    publish("shared", "1", {}, "");
    publish("shared", "2", {}, "");
    await turns();
    const sink = new Sink();
    const results: number[] = [];
    const { ledger } = consume("shared", sink, false);
    sink.each = (delivery) => {
      session.atomically(() => {
        const result = session.forward("mine", delivery, false);
        results.push(result);
        if ((result & PUBLISH_REFUSED) === 0) ledger.accept((delivery as Delivery).tag, false);
      });
    };
    await turns();
    expect(results).toEqual([PUBLISH_DONE, PUBLISH_REFUSED]);
    expect(ledger.unsettled).toBe(1);
    const mine = new Sink();
    consume("mine", mine);
    await turns();
    expect(mine.got).toEqual(["|shared|1"]);
    expect(mine.seen[0]?.retained).toBe(false);
    expect(mine.seen[0]?.id).toBeGreaterThan(sink.seen[0]?.id as number);
  });
});

describe("notes", () => {
  it("are there for everybody in the namespace until they are deleted, and their book with them", () => {
    const [a, b] = [session.notebook("s/1"), session.notebook("s/1")];
    a.set("k", "1");
    a.set("l", "2");
    a.set("k", "3");
    expect([...b.entries()]).toEqual([
      ["k", "3"],
      ["l", "2"],
    ]);
    session.notebook("s/2").set("x", "y");
    expect([...session.notebooks("s/")]).toEqual(["s/1", "s/2"]);
    b.delete("k");
    expect([a.get("k"), a.has("l"), a.size]).toEqual([undefined, true, 1]);
    a.clear();
    expect([b.size, ...session.notebooks("s/")]).toEqual([0, "s/2"]);
    a.set("again", "v");
    expect(b.get("again")).toBe("v");
  });

  it("too long for the log are refused before anything is written", () => {
    const book = session.notebook("book");
    const heads = broker.shard.store.journal.heads.used;
    expect(() => book.set("k".repeat(65_536), "v")).toThrow(RangeError);
    expect(() => session.notebook("ü".repeat(33_000))).toThrow(RangeError);
    expect(broker.shard.store.journal.heads.used).toBe(heads);
    expect(book.size).toBe(0);
  });
});

it("reads the routing key of a record to the end of its routing", () => {
  const view = new RecordView();
  const routing = encodeRouting("x", "k".repeat(300));
  view.bytes = new Uint8Array(16 + routing.length);
  view.bytes.set(routing, 16);
  view.bytes[6] = routing.length >>> 8;
  view.bytes[7] = routing.length;
  view.length = view.bytes.length;
  expect([view.exchange(), view.routingKey().length]).toEqual(["x", 300]);
});
