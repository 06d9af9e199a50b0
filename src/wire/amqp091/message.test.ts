import { describe, expect, it } from "vitest";
import type { Annotations } from "../../message/record.ts";
import type { Table, TypedValue } from "../../message/values.ts";
import { HEADERS, PropertyMap } from "./codec/properties.ts";
import { Reader } from "./codec/reader.ts";
import { readTable, writeTable } from "./codec/table.ts";
import { Writer } from "./codec/writer.ts";
import { FakeBroker } from "./testing/broker.ts";
import { FakePeer, publishFrames } from "./testing/peer.ts";

const string = (value: string): TypedValue => ({ type: "string", value });
const strings = (...values: string[]): TypedValue => ({ type: "array", value: values.map(string) });
const noTable: Table = new Map();

function properties(flags: number, ...parts: Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.of(flags >> 8, flags & 0xff), ...parts]);
}

function tableBytes(table: Table): Buffer {
  const writer = new Writer();
  writeTable(writer, table);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

function shortstr(value: string): Buffer {
  return Buffer.concat([Buffer.of(value.length), Buffer.from(value)]);
}

/** Headers and flags of a content header that the broker sent. */
function headersOf(payload: Buffer): { flags: number; headers: Table; map: PropertyMap } {
  const map = new PropertyMap();
  map.locate(payload, 12, payload.length);
  const headers = map.has(HEADERS)
    ? readTable(new Reader(payload, map.start(HEADERS), map.end(HEADERS)))
    : noTable;
  return { flags: map.flags, headers, map };
}

async function consuming(noAck = true): Promise<FakePeer> {
  const peer = await new FakePeer(new FakeBroker()).open();
  const flags = { passive: false, durable: true, exclusive: false, autoDelete: false, noWait: true };
  peer.send(1, "queue.declare", { reserved1: 0, queue: "q", ...flags, arguments: noTable });
  subscribe(peer, "q", "c", noAck);
  return peer;
}

function subscribe(peer: FakePeer, queue: string, consumerTag: string, noAck: boolean): void {
  const flags = { noLocal: false, noAck, exclusive: false, noWait: true };
  peer.send(1, "basic.consume", { reserved1: 0, queue, consumerTag, ...flags, arguments: noTable });
}

function publish(peer: FakePeer, props: Buffer, body = "x"): void {
  peer.write(Buffer.concat(publishFrames(1, "q", Buffer.from(body), { properties: props })));
}

describe("carbon copies", () => {
  it("are handed over, and the blind ones taken out of the message", async () => {
    const peer = await consuming();
    const headers: Table = new Map([
      ["before", string("1")],
      ["CC", strings("a", "b")],
      ["BCC", strings("c")],
      ["after", string("2")],
    ]);
    publish(peer, properties(0x2000, tableBytes(headers)), "body");
    expect(peer.session().seen).toEqual([{ copies: ["a", "b"], blindCopies: ["c"] }]);
    const [, header, body] = peer.frames();
    expect([...headersOf(header?.payload as Buffer).headers.keys()]).toEqual(["before", "CC", "after"]);
    expect(body?.payload.toString()).toBe("body");
  });

  it("have to be arrays", async () => {
    const peer = await consuming();
    publish(peer, properties(0x2000, tableBytes(new Map([["CC", string("a")]]))));
    expect(peer.frames()[0]?.args).toMatchObject({
      replyCode: 406,
      replyText: 'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}',
    });
  });
});

describe("direct reply-to", () => {
  it("spells out the reply queue of the channel", async () => {
    const peer = await consuming();
    subscribe(peer, "amq.rabbitmq.reply-to", "r", true);
    publish(peer, properties(0x0300, shortstr("amq.rabbitmq.reply-to"), shortstr("123")));
    const [, header] = peer.frames();
    const payload = header?.payload as Buffer;
    const { map } = headersOf(payload);
    expect(payload.toString("utf8", map.start(6) + 1, map.end(6))).toBe("amq.rabbitmq.reply-to.1");
    expect(payload.toString("utf8", map.start(7) + 1, map.end(7))).toBe("123");
    const reply = Buffer.from("answer");
    peer.write(Buffer.concat(publishFrames(1, "amq.rabbitmq.reply-to.1", reply)));
    expect(peer.frames()[0]?.args).toMatchObject({ consumerTag: "r" });
  });

  it.each([
    [
      "no consumer",
      (peer: FakePeer) => publish(peer, properties(0x0200, shortstr("amq.rabbitmq.reply-to"))),
      "fast reply consumer does not exist",
    ],
    [
      "acknowledging",
      (peer: FakePeer) => subscribe(peer, "amq.rabbitmq.reply-to", "r", false),
      "reply consumer cannot acknowledge",
    ],
    [
      "two",
      (peer: FakePeer) =>
        ["r", "s"].forEach((tag) => void subscribe(peer, "amq.rabbitmq.reply-to", tag, true)),
      "reply consumer already set",
    ],
  ])("refuses misuse: %s", async (_what, act, text) => {
    const peer = await consuming();
    act(peer);
    expect(peer.frames().at(-1)?.args).toMatchObject({
      replyCode: 406,
      replyText: `PRECONDITION_FAILED - ${text}`,
    });
  });
});

describe("annotations", () => {
  function annotate(peer: FakePeer, annotations: Annotations): void {
    const messages = peer.session().queues.get("q")?.messages as Uint8Array[];
    const plain = Buffer.from(messages[0] as Uint8Array);
    const json = Buffer.from(JSON.stringify(annotations));
    plain.writeUInt32BE(json.length, 8);
    messages[0] = new Uint8Array(Buffer.concat([plain.subarray(0, 16), json, plain.subarray(16)]));
  }

  it("become headers, without losing those of the publisher", async () => {
    const peer = await new FakePeer(new FakeBroker()).open();
    const flags = { passive: false, durable: true, exclusive: false, autoDelete: false, noWait: true };
    peer.send(1, "queue.declare", { reserved1: 0, queue: "q", ...flags, arguments: noTable });
    const sent: Table = new Map<string, TypedValue>([
      ["mine", { type: "uint16", value: 7 }],
      ["x-death", string("forged")],
      ["CC", strings("other")],
    ]);
    publish(peer, properties(0x2100, tableBytes(sent), shortstr("60000")), "body");
    annotate(peer, {
      deaths: [
        {
          queue: "work",
          reason: "expired",
          count: 2,
          firstTime: 1700000000,
          exchange: "ex",
          routingKeys: ["k"],
          originalExpiration: "60000",
        },
      ],
      firstDeath: { queue: "work", reason: "expired", exchange: "ex" },
      expirationRemoved: true,
      copiesRemoved: true,
      delayServedMs: 1500,
    });
    subscribe(peer, "q", "c", true);
    const [, header, body] = peer.frames();
    const { headers, flags: left } = headersOf(header?.payload as Buffer);
    expect(left).toBe(0x2000);
    expect(headers.get("mine")).toEqual({ type: "uint16", value: 7 });
    expect(headers.has("CC")).toBe(false);
    expect(headers.get("x-delay")).toEqual({ type: "int32", value: -1500 });
    expect(headers.get("x-first-death-queue")).toEqual(string("work"));
    const deaths = headers.get("x-death")?.value as TypedValue[];
    const death = deaths[0]?.value as Table;
    expect([...death]).toEqual([
      ["count", { type: "int64", value: 2 }],
      ["reason", string("expired")],
      ["queue", string("work")],
      ["time", { type: "timestamp", value: 1700000000 }],
      ["exchange", string("ex")],
      ["routing-keys", strings("k")],
      ["original-expiration", string("60000")],
    ]);
    expect(body?.payload.toString()).toBe("body");
  });

  it("count deliveries of quorum queues only", async () => {
    for (const type of ["quorum", "classic"]) {
      const peer = await new FakePeer(new FakeBroker()).open();
      const flags = { passive: false, durable: true, exclusive: false, autoDelete: false, noWait: true };
      const args: Table = new Map([["x-queue-type", string(type)]]);
      peer.send(1, "queue.declare", { reserved1: 0, queue: "q", ...flags, arguments: args });
      publish(peer, properties(0));
      const [ledger] = peer.session().ledgers;
      if (ledger !== undefined) ledger.deliveryCount = 3;
      subscribe(peer, "q", "c", true);
      const [, header] = peer.frames();
      const { headers } = headersOf(header?.payload as Buffer);
      expect(headers.get("x-delivery-count")?.value).toBe(type === "quorum" ? 3 : undefined);
    }
  });
});

describe("transactions", () => {
  it("keep publishes and settlements until the commit is durable", async () => {
    const peer = await consuming(false);
    publish(peer, properties(0));
    peer.frames();
    peer.send(1, "tx.select", {});
    publish(peer, properties(0x1000, Buffer.of(2)));
    peer.send(1, "basic.ack", { deliveryTag: 0, multiple: true });
    expect(peer.session().ledgers[0]?.log).toEqual([]);
    expect(peer.summary()).toEqual(["1 tx.select-ok"]);
    peer.send(1, "tx.commit", {});
    expect(peer.session().ledgers[0]?.log).toEqual(["accept 1+"]);
    expect(peer.summary()).toEqual(["1 basic.deliver", "1 header", "1 body"]);
    peer.session().commit();
    expect(peer.summary()).toEqual(["1 tx.commit-ok"]);
  });

  it("forget everything at a rollback; tags can be settled again", async () => {
    const peer = await consuming(false);
    publish(peer, properties(0));
    peer.send(1, "tx.select", {});
    publish(peer, properties(0));
    peer.send(1, "basic.ack", { deliveryTag: 1, multiple: false });
    peer.frames();
    peer.send(1, "basic.ack", { deliveryTag: 1, multiple: false });
    expect(peer.frames()[0]?.args).toMatchObject({
      replyText: "PRECONDITION_FAILED - unknown delivery tag 1",
    });
  });

  it("return what cannot be routed before commit-ok, and redo a tag after rollback", async () => {
    const peer = await consuming(false);
    publish(peer, properties(0));
    peer.send(1, "tx.select", {});
    peer.send(1, "basic.ack", { deliveryTag: 1, multiple: false });
    peer.send(1, "tx.rollback", {});
    peer.send(1, "basic.ack", { deliveryTag: 1, multiple: false });
    peer.send(1, "tx.rollback", {});
    peer.frames();
    peer.write(Buffer.concat(publishFrames(1, "none", Buffer.from("b"), { mandatory: true })));
    expect(peer.summary()).toEqual([]);
    peer.send(1, "tx.commit", {});
    expect(peer.summary()).toEqual(["1 basic.return", "1 header", "1 body", "1 tx.commit-ok"]);
  });
});
