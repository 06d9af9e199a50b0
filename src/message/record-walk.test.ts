import fc from "fast-check";
import { expect, it, test } from "vitest";
import { BATCH_OVERHEAD_BYTES, COUNT_AT, writeI32 } from "./record-batch.ts";
import { MalformedRecords, RecordCursor, type RecordHeader } from "./record-cursor.ts";
import { recordsFit } from "./record-walk.ts";
import { RecordWriter } from "./record-writer.ts";

/** More of them in a longer run. */
const RUNS = Number(process.env.POLYMQ_FUZZ_RUNS ?? 2000);

const bytes = fc.option(fc.uint8Array({ maxLength: 200 }));
const record = fc.record({
  timestampMs: fc.integer({ min: 0, max: 4e12 }),
  key: bytes,
  value: bytes,
  headers: fc.array(fc.record({ name: fc.string(), value: bytes }), { maxLength: 3 }),
});
const records = fc.array(record, { minLength: 1, maxLength: 100 });

function batchOf(all: readonly (typeof record extends fc.Arbitrary<infer R> ? R : never)[]): Uint8Array {
  const writer = new RecordWriter();
  writer.begin();
  for (const { timestampMs, key, value, headers } of all) {
    writer.add(timestampMs, key, value, headers as RecordHeader[]);
  }
  return writer.bytes.slice(0, writer.finish());
}

it("finds that what was written fits, and not with a record, a byte or an end more or less", () => {
  fc.assert(
    fc.property(records, (all) => {
      const batch = batchOf(all);
      expect(recordsFit(batch, 0, batch.length)).toBe(true);
      expect(recordsFit(batch, 0, batch.length - 1)).toBe(false);
      expect(recordsFit(Buffer.concat([batch, Buffer.of(0)]), 0, batch.length + 1)).toBe(false);
      for (const count of [all.length - 1, all.length + 1, 2 ** 31 - 1, -1]) {
        const other = Uint8Array.from(batch);
        writeI32(other, COUNT_AT, count);
        expect(recordsFit(other, 0, batch.length)).toBe(false);
      }
    }),
  );
});

/** As readers do it: all that the record has must be there. */
function readable(batch: Uint8Array): boolean {
  const cursor = new RecordCursor();
  try {
    cursor.open(batch, 0, batch.length);
    let seen = 0;
    while (cursor.next()) {
      if (cursor.offset !== seen++) return false;
      cursor.headers();
    }
    return true;
  } catch (error) {
    if (error instanceof MalformedRecords) return false;
    throw error;
  }
}

it("takes nothing that cannot be read", () => {
  fc.assert(
    fc.property(records, fc.nat(), fc.nat(255), (all, where, byte) => {
      const batch = batchOf(all);
      const place = BATCH_OVERHEAD_BYTES + (where % (batch.length - BATCH_OVERHEAD_BYTES));
      batch[place] = byte;
      if (recordsFit(batch, 0, batch.length)) expect(readable(batch)).toBe(true);
    }),
    { numRuns: RUNS },
  );
});

test.each([
  ["no length", []],
  ["a negative length", [9, 1, 2, 3]],
  ["a length of 0", [0]],
  ["a length that never ends", [255, 255, 255, 255, 255, 255]],
  ["a key whose length never ends", [30, 0, 0, 0, 128, 128, 128, 128, 128, 1, 1, 0, 0, 0, 0, 0]],
  ["a time that never ends", [30, 0, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0, 1, 1, 0]],
  ["a key behind the end", [16, 0, 0, 0, 100, 1, 1, 0, 0]],
  ["many headers that are not there", [14, 0, 0, 0, 1, 1, 254, 255, 255, 255, 15]],
  ["a header without a name", [16, 0, 0, 0, 1, 1, 2, 1, 1]],
])("%s does not fit", (_, content) => {
  const batch = new Uint8Array(BATCH_OVERHEAD_BYTES + content.length);
  batch.set(content, BATCH_OVERHEAD_BYTES);
  writeI32(batch, COUNT_AT, 1);
  expect(recordsFit(batch, 0, batch.length)).toBe(false);
});
