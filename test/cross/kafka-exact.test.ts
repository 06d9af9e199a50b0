// What a Kafka client produces is what a Kafka client fetches, byte by byte: what is empty stays empty, what is absent absent.
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import {
  ATTRIBUTES_AT,
  BATCH_OVERHEAD_BYTES,
  batchBytes,
  LENGTH_AT,
  sealBatch,
  writeI16,
  writeI32,
} from "../../src/message/record-batch.ts";
import { RecordCursor, type RecordHeader } from "../../src/message/record-cursor.ts";
import { RecordWriter } from "../../src/message/record-writer.ts";
import { createTopics } from "../../src/wire/kafka/schemas/create-topics.ts";
import { fetch } from "../../src/wire/kafka/schemas/fetch.ts";
import { produce } from "../../src/wire/kafka/schemas/produce.ts";
import { startServer } from "../support/broker.ts";
import { RECENT_MS } from "../support/kafka-batch.ts";
import { RawKafka } from "../support/kafka-raw.ts";
import { randomFrom } from "../support/random.ts";

const seed = Number(process.env.KAFKA_SEED ?? Date.now() % 1_000_000);
const random = randomFrom(seed);
const pick = (n: number): number => Math.floor(random() * n);

const broker = await startServer({ kafkaPort: "0" });
const client = await RawKafka.open({ host: "127.0.0.1", port: broker.port("kafka") as number });
afterAll(async () => {
  client.close();
  await broker.stop();
});

interface Plain {
  readonly timestampMs: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [name: string, value: string | null])[];
}

const EMPTY = "";
/** As hexadecimal digits, in which nothing is lost. */
const FIELDS = [null, EMPTY, "00", "ff", "c328", "e697a5", "0a0d", "ab".repeat(300)];

const field = (): string | null => FIELDS[pick(FIELDS.length)] as string | null;
const bytesOf = (digits: string | null): Uint8Array | null =>
  digits === null ? null : Buffer.from(digits, "hex");
const digitsOf = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : Buffer.from(bytes).toString("hex");

/** Every key with every value, and then whatever comes up, with headers of one name in an order of their own. */
const RECORDS: readonly Plain[] = [
  ...FIELDS.flatMap((key) =>
    FIELDS.map((value) => ({ key, value, headers: [] as const, timestampMs: RECENT_MS })),
  ),
  ...Array.from({ length: 150 }, () => ({
    key: field(),
    value: field(),
    // Timestamps may go back.
    timestampMs: RECENT_MS + pick(1000) - 500,
    headers: Array.from(
      { length: pick(6) },
      () => [["", "a", "A", "a", "日本"][pick(5)] as string, field()] as const,
    ),
  })),
];

function batch(records: readonly Plain[]): Buffer {
  const writer = new RecordWriter();
  writer.begin();
  for (const { timestampMs, key, value, headers } of records) {
    const written: RecordHeader[] = headers.map(([name, digits]) => ({ name, value: bytesOf(digits) }));
    writer.add(timestampMs, bytesOf(key), bytesOf(value), written);
  }
  return Buffer.from(writer.bytes.subarray(0, writer.finish()));
}

/** The same, with its records packed. */
function gzipped(plain: Buffer): Buffer {
  const packed = Buffer.concat([
    plain.subarray(0, BATCH_OVERHEAD_BYTES),
    gzipSync(plain.subarray(BATCH_OVERHEAD_BYTES)),
  ]);
  writeI16(packed, ATTRIBUTES_AT, 1);
  writeI32(packed, LENGTH_AT, packed.length - 12);
  sealBatch(packed, 0, packed.length);
  return packed;
}

let topics = 0;
async function topic(configs: Record<string, string> = {}): Promise<string> {
  const name = `exact-${topics++}`;
  const wanted = {
    name,
    numPartitions: 1,
    replicationFactor: 1,
    assignments: [],
    configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
  };
  const { topics: made } = await client.ask(createTopics, 5, { topics: [wanted], timeoutMs: 5000 });
  expect(made[0]?.errorCode).toBe(0);
  return name;
}

async function send(name: string, bytes: Buffer): Promise<void> {
  const partitionData = [{ index: 0, records: { bytes, start: 0, end: bytes.length } }];
  const topicData = [{ name, partitionData }];
  const { responses } = await client.ask(produce, 9, { acks: -1, timeoutMs: 1000, topicData });
  expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0);
}

async function fetched(name: string): Promise<Buffer> {
  const partition = { partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 24 };
  const { responses } = await client.ask(fetch, 12, {
    maxWaitMs: 100,
    minBytes: 1,
    maxBytes: 1 << 24,
    topics: [{ topic: name, partitions: [partition] }],
  });
  const { bytes, start, end } = responses[0]!.partitions[0]!.records!;
  return Buffer.from(bytes.subarray(start, end));
}

function read(bytes: Buffer): Plain[] {
  const records: Plain[] = [];
  const cursor = new RecordCursor();
  for (let at = 0; at < bytes.length; at += batchBytes(bytes, at)) {
    cursor.open(bytes, at, at + batchBytes(bytes, at));
    while (cursor.next()) {
      expect(cursor.offset).toBe(records.length);
      records.push({
        timestampMs: cursor.timestampMs,
        key: digitsOf(cursor.key()),
        value: digitsOf(cursor.value()),
        headers: cursor.headers().map(({ name, value }) => [name, digitsOf(value)] as const),
      });
    }
  }
  return records;
}

/** Base offset and leader epoch are the broker's to write; they stand outside the checksum. */
const asSent = (bytes: Buffer): string => bytes.toString("hex", 16);

describe(`seed ${seed}`, () => {
  test.each([
    ["plain", (plain: Buffer) => plain],
    ["gzip", gzipped],
  ])("a batch, %s, comes back byte by byte", async (_, pack) => {
    const name = await topic();
    const sent = pack(batch(RECORDS));
    await send(name, sent);
    const came = await fetched(name);
    expect(asSent(came)).toBe(asSent(sent));
    expect(read(came)).toEqual(RECORDS);
  });

  test("one batch for each record: order, offsets and all else", async () => {
    const name = await topic();
    for (const record of RECORDS) await send(name, batch([record]));
    expect(read(await fetched(name))).toEqual(RECORDS);
  });

  test("LogAppendTime: the broker's time, and nothing else is touched", async () => {
    const name = await topic({ "message.timestamp.type": "LogAppendTime" });
    const before = Date.now();
    await send(name, batch(RECORDS));
    const records = read(await fetched(name));
    expect(records.map(({ timestampMs: _, ...rest }) => rest)).toEqual(
      RECORDS.map(({ timestampMs: _, ...rest }) => rest),
    );
    const times = new Set(records.map(({ timestampMs }) => timestampMs));
    expect(times.size).toBe(1);
    expect([...times][0]).toBeGreaterThanOrEqual(before);
    expect([...times][0]).toBeLessThanOrEqual(Date.now());
  });
});
