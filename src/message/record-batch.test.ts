import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, it } from "vitest";
import {
  ATTRIBUTES_AT,
  BATCH_LEAD_BYTES,
  BATCH_OVERHEAD_BYTES,
  batchBytes,
  batchIntact,
  LENGTH_AT,
  nextOffsetOf,
  readI64,
  sealBatch,
  writeI16,
  writeI32,
  writeI64,
} from "./record-batch.ts";
import { RecordCursor, type RecordHeader } from "./record-cursor.ts";
import { RecordWriter, writeMarker } from "./record-writer.ts";

const cursor = new RecordCursor();
const bytes = fc.uint8Array({ maxLength: 200 });
const record = fc.record({
  timestampMs: fc.integer({ min: 0, max: 4e12 }),
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.array(fc.record({ name: fc.string(), value: fc.option(bytes) }), { maxLength: 4 }),
  gap: fc.integer({ min: 0, max: 300 }),
});

function readAll(batch: Uint8Array, start: number, end: number) {
  const found: unknown[] = [];
  cursor.open(batch, start, end);
  while (cursor.next()) {
    found.push({
      timestampMs: cursor.timestampMs,
      offset: cursor.offset,
      key: plain(cursor.key()),
      value: plain(cursor.value()),
      headers: cursor.headers().map(({ name, value }) => ({ name, value: plain(value) })),
    });
  }
  return found;
}

function plain(value: Uint8Array | null): string | null {
  return value === null ? null : Buffer.from(value).toString("hex");
}

it("reads back what it wrote, at any place, also compressed", () => {
  const writer = new RecordWriter();
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), fc.nat(2 ** 40), (records, base) => {
      writer.begin(base);
      let offset = base - 1;
      const expected = records.map(({ timestampMs, key, value, headers, gap }) => {
        offset += 1 + gap;
        writer.add(timestampMs, key, value, headers as RecordHeader[], offset);
        const shown = headers.map((header) => ({ name: header.name, value: plain(header.value) }));
        return { timestampMs, offset, key: plain(key), value: plain(value), headers: shown };
      });
      const end = writer.finish();
      const shifted = Buffer.concat([Buffer.alloc(7), writer.bytes.subarray(0, end), Buffer.alloc(3)]);
      expect(batchBytes(shifted, 7)).toBe(end);
      expect(nextOffsetOf(shifted, 7)).toBe(offset + 1);
      expect(batchIntact(shifted, 7, 7 + end)).toBe(true);
      expect(readAll(shifted, 7, 7 + end)).toEqual(expected);
      const packed = Buffer.concat([
        writer.bytes.subarray(0, BATCH_OVERHEAD_BYTES),
        gzipSync(writer.bytes.subarray(BATCH_OVERHEAD_BYTES, end)),
      ]);
      writeI16(packed, ATTRIBUTES_AT, 1);
      writeI32(packed, LENGTH_AT, packed.length - BATCH_LEAD_BYTES);
      sealBatch(packed, 0, packed.length);
      expect(readAll(packed, 0, packed.length)).toEqual(expected);
    }),
  );
});

it("keeps 64-bit numbers exact up to 2^53, on either side of zero", () => {
  const target = new Uint8Array(8);
  for (const value of [0, 1, -1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, -(2 ** 32), 2 ** 53 - 1, -(2 ** 53 - 1)]) {
    writeI64(target, 0, value);
    expect(Buffer.from(target).readBigInt64BE()).toBe(BigInt(value));
    expect(readI64(target, 0)).toBe(value);
  }
});

it("never reads beyond a batch that is damaged", () => {
  const writer = new RecordWriter();
  writer.begin();
  writer.add(5, Buffer.from("key"), Buffer.from("value"), [{ name: "h", value: Buffer.from("x") }]);
  writer.add(6, null, null);
  const batch = Buffer.from(writer.bytes.subarray(0, writer.finish()));
  for (let at = BATCH_OVERHEAD_BYTES; at < batch.length; at++) {
    for (let value = 0; value < 256; value++) {
      const damaged = Buffer.from(batch);
      damaged[at] = value;
      try {
        readAll(damaged, 0, damaged.length);
      } catch (error) {
        expect((error as Error).name).toBe("MalformedRecords");
      }
    }
  }
});

it("writes the marker that ends a transaction as other brokers do", () => {
  const writer = new RecordWriter();
  const end = writeMarker(writer, 1_000, 77, 3, true, 9);
  expect(end).toBe(78);
  const marker = Buffer.from(writer.bytes.subarray(0, end));
  // attributes, producer and record as KIP-98 draws them
  expect(marker.subarray(21, 23).toString("hex")).toBe("0030");
  expect(readAll(marker, 0, end)).toEqual([
    { timestampMs: 1_000, offset: 0, key: "00000001", value: "000000000009", headers: [] },
  ]);
});
