import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Pivot } from "./pivot.ts";
import { type Annotations, ORIGIN_STOMP, RECORD_HEADER_BYTES, RecordView } from "./record.ts";
import {
  decodeRecord,
  messageOfRecord,
  NATIVE_HEADER,
  recordOfMessage,
  type StreamRecord,
  streamRecordReader,
} from "./stream-record.ts";

function view(bytes: Uint8Array): RecordView {
  const record = new RecordView();
  record.bytes = bytes;
  record.length = bytes.length;
  return record;
}

const bytes = fc.uint8Array({ maxLength: 40 });
const anyRecord = fc.record({
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.array(fc.tuple(fc.string({ unit: "grapheme", maxLength: 20 }), fc.option(bytes)), {
    maxLength: 5,
  }),
  timestampMs: fc.integer({ min: -1, max: 4e12 }),
}) as fc.Arbitrary<StreamRecord>;

const plain = (record: StreamRecord) => ({
  ...record,
  key: record.key && Buffer.from(record.key),
  value: record.value && Buffer.from(record.value),
  headers: record.headers.map(([name, value]) => [name, value && Buffer.from(value)]),
});

test("a record comes back from the message that it became, null and empty apart", () => {
  fc.assert(
    fc.property(anyRecord, (record) => {
      const message = view(messageOfRecord(record, "t"));
      expect(plain(decodeRecord(message))).toEqual(plain(record));
      expect(message.routingKey()).toBe("t");
      expect(message.bodyBytes).toBe(record.value?.length ?? 0);
    }),
  );
});

test("a message of another protocol comes back from a record byte by byte", () => {
  fc.assert(
    fc.property(bytes, bytes, bytes, fc.boolean(), (before, body, after, persistent) => {
      const routing = Buffer.from("\x01x\x03a.b");
      const head = Buffer.alloc(RECORD_HEADER_BYTES);
      head[4] = ORIGIN_STOMP;
      head[5] = persistent ? 1 : 0;
      head.writeUInt16BE(routing.length, 6);
      head.writeUInt32BE(body.length, 12);
      const stored = Buffer.concat([head, routing, before, body, after]);
      const record = view(stored);
      const bodyAt = RECORD_HEADER_BYTES + routing.length + before.length;
      const pivot: Pivot = {
        exchange: "x",
        routingKey: "a.b",
        body: stored.subarray(bodyAt, bodyAt + body.length),
        persistent,
        headers: [],
      };
      const streamed = recordOfMessage(record, pivot, 5);
      expect(streamed.headers.map(([name]) => name)).toEqual([NATIVE_HEADER]);
      expect(Buffer.from(messageOfRecord(streamed, "t")).equals(stored)).toBe(true);
    }),
  );
});

test("headers that are properties elsewhere become them; a name of a user stays a header", () => {
  const text = (value: string) => Buffer.from(value);
  const record: StreamRecord = {
    key: text("k"),
    value: null,
    headers: [
      ["content-type", text("text/plain")],
      ["correlation-id", Buffer.of(0xff)],
      ["reply-to", text("amq.reply-topic.a_2fb")],
      ["priority", text("7")],
      ["user-id", text("root")],
      ["x", Buffer.of(0xfe)],
      ["x", text("twice")],
    ],
    timestampMs: 1500,
  };
  expect(streamRecordReader.pivot(view(messageOfRecord(record, "t")))).toEqual({
    exchange: "",
    routingKey: "t",
    key: text("k"),
    body: null,
    persistent: true,
    contentType: "text/plain",
    correlationId: Buffer.of(0xff),
    replyTo: { kind: "topic", name: "a/b" },
    priority: 7,
    timestampMs: 1500,
    headers: [
      ["user-id", { type: "string", value: "root" }],
      ["x", { type: "binary", value: Buffer.of(0xfe) }],
      ["x", { type: "string", value: "twice" }],
    ],
  });
});

describe("what the broker has to say about a message", () => {
  /** A message of no body with these annotations, as a record. */
  function recordWith(annotations: object): StreamRecord {
    const json = Buffer.from(JSON.stringify(annotations));
    const head = Buffer.alloc(RECORD_HEADER_BYTES);
    head[4] = ORIGIN_STOMP;
    head.writeUInt16BE(2, 6);
    head.writeUInt32BE(json.length, 8);
    const record = view(Buffer.concat([head, json, Buffer.of(0, 0), Buffer.from("native")]));
    const forged = { type: "string", value: "what the sender says" } as const;
    const headers = [["x-last-death-queue", forged]] as const;
    return recordOfMessage(
      record,
      { exchange: "", routingKey: "", body: null, persistent: true, headers },
      5,
    );
  }
  const annotations: Annotations = {
    deaths: [
      { queue: "q", reason: "expired", count: 2, firstTime: 7, exchange: "x", routingKeys: ["k"] },
      {
        queue: "p",
        reason: "rejected",
        count: 1,
        firstTime: 6,
        exchange: "",
        routingKeys: [],
        originalExpiration: "5",
      },
    ],
    firstDeath: { queue: "p", reason: "rejected", exchange: "" },
    lastDeath: { queue: "q", reason: "expired", exchange: "x" },
    expirationRemoved: true,
    delayServedMs: 12,
    fed: ["s"],
  };

  test("goes along, and readers of records see deaths", () => {
    const record = recordWith({ ...annotations, copies: ["over"] });
    const headers = record.headers.map(([name, value]) => [name, `${value}`]).slice(0, -1);
    expect(headers).toEqual([
      ["x-first-death-exchange", ""],
      ["x-first-death-queue", "p"],
      ["x-first-death-reason", "rejected"],
      ["x-last-death-exchange", "x"],
      ["x-last-death-queue", "q"],
      ["x-last-death-reason", "expired"],
    ]);
    const message = view(messageOfRecord(record, "t"));
    expect(message.annotations()).toEqual(annotations);
    expect(Buffer.from(message.bytes.subarray(message.nativeOffset, message.end)).toString()).toBe("native");
  });

  test("is not believed where it has another form", () => {
    const json = JSON.stringify({
      deaths: [{ queue: "q" }],
      firstDeath: { queue: 1, exchange: "", reason: "expired" },
      lastDeath: { queue: "", exchange: "", reason: "boredom" },
      delayServedMs: "long",
      fed: [1],
      expirationRemoved: true,
    });
    const native = Buffer.concat([
      Buffer.of(2, ORIGIN_STOMP, 0, 0, 2, 0, 0, 0, 0, 0, json.length),
      Buffer.from(json),
      Buffer.alloc(4),
    ]);
    const record = { key: null, value: null, headers: [[NATIVE_HEADER, native]], timestampMs: 1 } as const;
    expect(view(messageOfRecord(record, "t")).annotations()).toEqual({ expirationRemoved: true });
  });

  test("damaged, it does not keep the message from being read", () => {
    const record = recordWith(annotations);
    const headers = record.headers.map(([name, value]) => {
      const bytes = Buffer.from(value as Uint8Array);
      if (name === NATIVE_HEADER) bytes[12] = 0;
      return [name, bytes] as const;
    });
    expect(view(messageOfRecord({ ...record, headers }, "t")).annotations()).toBe(null);
  });
});
