import { afterEach, describe, expect, it } from "vitest";
import type { ManualClock } from "../../base/clock.ts";
import type { Engine } from "../../engine/engine.ts";
import { openFileEngine } from "../../engine/file/file-engine.ts";
import { SimDisk } from "../../engine/file/sim-disk.ts";
import { openMemoryEngine } from "../../engine/memory/memory-engine.ts";
import { append, batchOf, committed, createStream, openWorld, readAll, valuesOf } from "./testing.ts";
import { StreamSlice } from "./types.ts";

const disposals: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const dispose of disposals.splice(0).reverse()) await dispose();
});

interface Place {
  readonly survives: boolean;
  open(): Promise<Engine>;
}

function simPlace(): Place {
  const disk = new SimDisk();
  return { survives: true, open: () => openFileEngine({ directory: "/data", disk }) };
}

const PLACES: readonly [string, () => Place][] = [
  ["file", simPlace],
  ["memory", () => ({ survives: false, open: () => openMemoryEngine() })],
];

async function world(place: Place, options = {}) {
  const opened = await openWorld(await place.open(), options);
  const close = async (): Promise<void> => {
    await opened.streams.close();
    await opened.engine.close();
  };
  disposals.push(close);
  const closeNow = async (): Promise<void> => {
    disposals.splice(disposals.indexOf(close), 1);
    await close();
  };
  return { ...opened, close: closeNow };
}

for (const [name, make] of PLACES) {
  describe(`streams on ${name}`, () => {
    it("gives offsets at once and shows records when they are durable", async () => {
      const w = await world(make());
      const [partition] = createStream(w, "s").partitions;
      expect(append(partition, ["a", "b"])).toBe(0);
      expect(append(partition, ["c"])).toBe(2);
      expect([partition.endOffset, partition.committedOffset]).toEqual([3, 0]);
      const early = new StreamSlice();
      expect([partition.read(0, 1000, "committed", early), early.bytes]).toEqual([true, 0]);
      await committed(partition);
      expect(partition.committedOffset).toBe(3);
      expect(await valuesOf(partition)).toEqual(["a", "b", "c"]);
      expect(await valuesOf(partition, 2)).toEqual(["c"]);
      expect(await valuesOf(partition, 3)).toEqual([]);
      expect(() => partition.read(4, 1000, "committed", early)).toThrow("not 4");
    });

    it("tells who waits once, and who has given up never", async () => {
      const w = await world(make());
      const [partition] = createStream(w, "s").partitions;
      const told: string[] = [];
      const waiter = (label: string) => ({ reached: () => told.push(label) });
      const gone = waiter("gone");
      partition.wait(0, "committed", waiter("first"));
      partition.wait(0, "stable", waiter("stable"));
      partition.wait(5, "committed", waiter("sixth"));
      partition.wait(0, "committed", gone);
      partition.cancelWait(gone);
      append(partition, ["a"]);
      await committed(partition);
      expect(told).toEqual(["first", "stable"]);
      append(partition, ["b", "c", "d", "e", "f"]);
      await committed(partition);
      expect(told).toEqual(["first", "stable", "sixth"]);
      partition.wait(5, "committed", waiter("at once"));
      expect(told.at(-1)).toBe("at once");
    });

    it("serves what has left memory from the log", async () => {
      const w = await world(make(), { cacheBytes: 512 * 1024 });
      const [partition, other] = createStream(w, "s", 2).partitions;
      const values: string[] = [];
      for (let index = 0; index < 60; index++) {
        const value = `${index} ${"x".repeat(index % 7 === 0 ? 300_000 : 20_000)}`;
        values.push(value);
        append(partition, [value]);
        append(other, ["y".repeat(10_000)]);
        if (index % 4 === 0) await committed(partition);
      }
      await committed(partition);
      await committed(other);
      const slice = new StreamSlice();
      expect(partition.read(0, 1, "committed", slice)).toBe(false);
      expect(partition.read(59, 1, "committed", slice)).toBe(true);
      expect(await valuesOf(partition)).toEqual(values);
      for (const offset of [1, 7, 30, 55])
        expect(await valuesOf(partition, offset)).toEqual(values.slice(offset));
      const one = await partition.load(14, 1, "committed");
      expect([one.nextOffset, one.pieces.length]).toEqual([15, 1]);
      expect(w.cache.memoryBytes).toBeLessThan(1_000_000);
    });

    it("finds records by time", async () => {
      const w = await world(make());
      const [partition] = createStream(w, "s").partitions;
      expect(await partition.offsetAt(0)).toBe(null);
      for (let index = 0; index < 50; index++) {
        const at = 1_000 * index;
        append(partition, [
          { value: "x".repeat(9_000), timestampMs: at },
          { value: "y", timestampMs: at + 500 },
        ]);
        await committed(partition);
      }
      expect(await partition.offsetAt(0)).toEqual({ offset: 0, timestampMs: 0 });
      expect(await partition.offsetAt(20_001)).toEqual({ offset: 41, timestampMs: 20_500 });
      expect(await partition.offsetAt(20_501)).toEqual({ offset: 42, timestampMs: 21_000 });
      expect(await partition.offsetAt(49_500)).toEqual({ offset: 99, timestampMs: 49_500 });
      expect(await partition.offsetAt(49_501)).toBe(null);
      expect(partition.newestTimestamp).toEqual({ timestampMs: 49_500, offset: 99 });
    });

    it("refuses what is no good, and says why", async () => {
      const w = await world(make());
      const clock = w.clock as ManualClock;
      const [plain] = createStream(w, "s", 1, { batchBytesMax: 200, timestampAfterMaxMs: 1_000 }).partitions;
      const [keyed] = createStream(w, "k", 1, { cleanup: "compact" }).partitions;
      const verdict = (batch: Uint8Array, partition = plain) =>
        partition.append(batch, 0, batch.length).refusal;
      const good = batchOf(["a"]);
      const changed = (at: number, value: number) => Object.assign(Buffer.from(good), { [at]: value });
      expect(verdict(changed(67, 1))).toBe("corrupt");
      expect(verdict(good.subarray(0, 40))).toBe("corrupt");
      expect(verdict(Buffer.concat([good, good]))).toBe("corrupt");
      expect(verdict(changed(16, 1))).toBe("invalid-record");
      expect(verdict(batchOf(["x".repeat(200)]))).toBe("too-large");
      expect(verdict(batchOf(["a"], { attributes: 0x20 }))).toBe("invalid-record");
      expect(verdict(batchOf(["a"], { attributes: 6 }))).toBe("invalid-record");
      expect(verdict(batchOf(["a"], { attributes: 0x10 }))).toBe("invalid-record");
      expect(verdict(batchOf([{ value: "a", timestampMs: clock.now() + 2_000 }]))).toBe(
        "timestamp-out-of-range",
      );
      expect(verdict(batchOf(["a"]), keyed)).toBe("invalid-record");
      expect(verdict(batchOf([{ key: "", value: "a" }]), keyed)).toBe(null);
      expect(plain.endOffset).toBe(0);
      expect(verdict(good)).toBe(null);
    });

    it("stamps records with its own clock where the stream says so", async () => {
      const w = await world(make());
      const [partition] = createStream(w, "s", 1, { timestamps: "append" }).partitions;
      const batch = batchOf([{ value: "a", timestampMs: 5 }]);
      const { appendTimeMs } = partition.append(batch, 0, batch.length);
      expect(appendTimeMs).toBe(w.clock.now());
      await committed(partition);
      expect((await readAll(partition))[0]?.timestampMs).toBe(w.clock.now());
      expect((await partition.load(0, 1000, "committed")).bytes).toBe(batch.length);
    });

    it("takes each batch of an idempotent producer once", async () => {
      const w = await world(make());
      const [partition] = createStream(w, "s").partitions;
      const send = (baseSequence: number, count = 1, producerEpoch = 0) => {
        const batch = batchOf(Array(count).fill("x"), { producerId: 7, producerEpoch, baseSequence });
        const { refusal, baseOffset, duplicate } = partition.append(batch, 0, batch.length);
        return refusal ?? [baseOffset, duplicate];
      };
      expect(send(3, 2)).toEqual([0, false]);
      for (let sequence = 5; sequence < 9; sequence++) expect(send(sequence)).toEqual([sequence - 3, false]);
      expect(send(3, 2)).toEqual([0, true]);
      expect(send(8)).toEqual([5, true]);
      expect(send(10)).toBe("sequence-out-of-order");
      expect(send(9)).toEqual([6, false]);
      expect(send(3, 2)).toBe("sequence-out-of-order");
      expect(send(1, 1, 1)).toBe("sequence-out-of-order");
      expect(send(0, 1, 1)).toEqual([7, false]);
      expect(send(10)).toBe("producer-fenced");
    });

    it("shows a transaction's records when it is decided", async () => {
      const w = await world(make());
      const [partition] = createStream(w, "s").partitions;
      const fields = (producerId: number, baseSequence: number) =>
        ({ producerId, producerEpoch: 0, baseSequence, attributes: 0x10 }) as const;
      const early = batchOf(["early"], fields(1, 0));
      expect(partition.append(early, 0, early.length).refusal).toBe("transaction-state");
      partition.beginTransaction(1, 0);
      partition.beginTransaction(2, 0);
      append(partition, ["plain"]);
      append(partition, ["one"], fields(1, 0));
      append(partition, ["two"], fields(2, 0));
      const outside = batchOf(["x"], { producerId: 1, producerEpoch: 0, baseSequence: 1 });
      expect(partition.append(outside, 0, outside.length).refusal).toBe("transaction-state");
      await committed(partition);
      expect([partition.committedOffset, partition.stableOffset]).toEqual([3, 1]);
      expect(partition.endTransaction(1, 0, false, 0)).toBe(3);
      expect(partition.stableOffset).toBe(1);
      append(partition, ["after"]);
      await committed(partition);
      expect(partition.stableOffset).toBe(2);
      partition.endTransaction(2, 0, true, 0);
      await committed(partition);
      expect(partition.stableOffset).toBe(6);
      const slice = new StreamSlice();
      partition.read(0, 10_000, "stable", slice);
      expect(slice.aborted).toEqual([{ producerId: 1, firstOffset: 1 }]);
      partition.read(4, 10_000, "stable", slice);
      expect(slice.aborted).toEqual([]);
      partition.read(0, 10_000, "committed", slice);
      expect(slice.aborted).toEqual([]);
      expect(await valuesOf(partition)).toEqual(["plain", "one", "two", "(marker)", "after", "(marker)"]);
    });

    it("finds everything after a restart", async () => {
      const place = make();
      let w = await world(place);
      const stream = createStream(w, "s / ü", 3, { segmentBytes: 300 });
      stream.partitions[1].beginTransaction(9, 2);
      for (let index = 0; index < 20; index++) {
        append(stream.partitions[0], [`v${index}`], { producerId: 5, producerEpoch: 0, baseSequence: index });
      }
      append(stream.partitions[1], ["open"], {
        producerId: 9,
        producerEpoch: 2,
        baseSequence: 0,
        attributes: 0x10,
      });
      await committed(stream.partitions[0]);
      await w.close();
      w = await world(place);
      const again = w.streams.find("/", "s / ü");
      if (!place.survives) {
        expect(again).toBe(null);
        return;
      }
      if (again === null) throw new Error("the stream is gone");
      expect(again.id).toBe(stream.id);
      expect(w.streams.findById(stream.id)).toBe(again);
      const [first, second, third] = again.partitions;
      expect(await valuesOf(first)).toEqual(Array.from({ length: 20 }, (_, index) => `v${index}`));
      const duplicate = batchOf(["v17"], { producerId: 5, producerEpoch: 0, baseSequence: 17 });
      expect(first.append(duplicate, 0, duplicate.length)).toMatchObject({ duplicate: true, baseOffset: 17 });
      expect(append(first, ["v20"], { producerId: 5, producerEpoch: 0, baseSequence: 20 })).toBe(20);
      expect([second.committedOffset, second.stableOffset]).toEqual([1, 0]);
      second.endTransaction(9, 2, false, 0);
      await committed(second);
      const slice = await second.load(0, 1_000, "stable");
      expect([second.stableOffset, slice.aborted]).toEqual([2, [{ producerId: 9, firstOffset: 0 }]]);
      expect(third.endOffset).toBe(0);
      expect(append(third, ["new"])).toBe(0);
    });

    it("trims and keeps to it", async () => {
      const place = make();
      let w = await world(place);
      let [partition] = createStream(w, "s", 1, { segmentBytes: 10_000 }).partitions;
      for (let index = 0; index < 20; index++) {
        append(partition, ["x".repeat(4_000)], { producerId: 5, producerEpoch: 0, baseSequence: index });
        await committed(partition);
      }
      expect(() => partition.trim(21)).toThrow("not 21");
      partition.trim(15);
      expect(partition.startOffset).toBe(15);
      await expect.poll(() => partition.written?.log?.storedBytes).toBeLessThan(60_000);
      expect(() => partition.read(14, 1_000, "committed", new StreamSlice())).toThrow("offset");
      expect(await valuesOf(partition)).toHaveLength(5);
      partition.trim(20);
      await w.close();
      if (!place.survives) return;
      w = await world(place);
      [partition] = w.streams.find("/", "s")?.partitions ?? [];
      expect([partition.startOffset, partition.endOffset]).toEqual([20, 20]);
      expect(append(partition, ["next"], { producerId: 5, producerEpoch: 0, baseSequence: 20 })).toBe(20);
      await committed(partition);
      expect(await valuesOf(partition)).toEqual(["next"]);
    });

    it("deletes a stream with all its data, and tells who waits", async () => {
      const w = await world(make());
      const stream = createStream(w, "s", 2);
      const [partition, empty] = stream.partitions;
      append(partition, ["a"]);
      await committed(partition);
      let told = 0;
      for (const each of [partition, empty]) each.wait(10, "committed", { reached: () => told++ });
      w.streams.delete(stream);
      expect([stream.deleted, told, w.streams.find("/", "s")]).toEqual([true, 2, null]);
      const batch = batchOf(["late"]);
      expect(partition.append(batch, 0, batch.length).refusal).toBe("storage");
      await expect.poll(() => w.engine.logNames()).toEqual([]);
      const next = createStream(w, "s");
      expect(next.id).not.toBe(stream.id);
      expect(append(next.partitions[0], ["b"])).toBe(0);
    });
  });
}

it("removes at the next start what a deletion cut short left behind", async () => {
  const disk = new SimDisk();
  const first = await openWorld(await openFileEngine({ directory: "/data", disk }));
  const stream = createStream(first, "s", 2);
  for (const partition of stream.partitions) append(partition, ["a"]);
  for (const partition of stream.partitions) await committed(partition);
  disk.fault = ({ name }) => (name === "unlink" ? "EACCES" : null);
  first.streams.delete(stream);
  await new Promise<void>((resolve) => first.engine.meta.flush(resolve));
  const again = await openWorld(await openFileEngine({ directory: "/data", disk: disk.afterKill() }));
  expect(again.streams.find("/", "s")).toBe(null);
  expect(await again.engine.logNames()).toEqual([]);
});
