/** Every way to end that we could think of, and what must be there afterwards. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bodyOf, engineConformance, recoverAll, TestSource, testBatch } from "../conformance.ts";
import type { Batch, Durability, Engine } from "../engine.ts";
import { openFileEngine } from "./file-engine.ts";
import { SimDisk, seededRandom } from "./sim-disk.ts";

const DIRECTORY = "/data";
const SEGMENT_BYTES = 2_048;

function openOn(disk: SimDisk, durability: Durability = "fsync"): Promise<Engine> {
  return openFileEngine({ directory: DIRECTORY, disk, durability, segmentBytes: SEGMENT_BYTES });
}

for (const durableWrites of [true, false]) {
  engineConformance(
    `file on a simulated disk ${durableWrites ? "with" : "without"} durable writes`,
    async () => {
      const disk = new SimDisk(seededRandom(1), durableWrites);
      return {
        survives: true,
        open: () => openFileEngine({ directory: DIRECTORY, disk, segmentBytes: 64 * 1024 }),
        dispose: async () => {
          expect(disk.openHandles).toBe(0);
        },
      };
    },
  );
}

/** What the outside world was told by one scripted life of an engine. */
interface Story {
  readonly batches: { readonly batch: Batch; readonly position: number }[];
  committed: number;
  /** Committed batches that asked for fsync, up to the last such one. */
  synced: number;
  trimmed: number;
  metaFlushed: number;
}

const BATCH_COUNT = 36;

/** Writes with a change of metadata before each batch, trims on the way, ends in order if it may. */
async function live(disk: SimDisk, story: Story, durability: Durability): Promise<void> {
  const engine = await openOn(disk, durability);
  const log = await engine.openLog("story");
  await log.recover(() => {});
  const source = new TestSource(log);
  const take = source.take.bind(source);
  source.take = () => {
    const position = log.nextPosition;
    const batch = take();
    if (batch !== null) story.batches.push({ batch, position });
    return batch;
  };
  source.onCommitted = () => {
    story.committed++;
    if (story.batches[story.committed - 1].batch.durability === "fsync") story.synced = story.committed;
  };
  log.start(source);
  for (let index = 0; index < BATCH_COUNT; index++) {
    engine.meta.put("first", Buffer.from([index]));
    source.offer(testBatch(index, [index * 7, 30, (index % 5) * 90]));
    engine.meta.put("second", Buffer.from([index]));
    if (index % 4 !== 3) continue;
    await source.untilCommitted(index + 1);
    await new Promise<void>((resolve) => engine.meta.flush(resolve));
    story.metaFlushed = index;
    if (index === 19 || index === 27) {
      story.trimmed = story.batches[index - 6].position;
      log.trim(story.trimmed);
    }
  }
  await engine.close();
}

async function check(
  disk: SimDisk,
  story: Story,
  promised: number,
  durability: Durability,
  label: string,
): Promise<void> {
  const engine = await openOn(disk, durability);
  const log = await engine.openLog("story");
  const found = await recoverAll(log);
  const firstNeeded = story.batches.findIndex(({ position }) => position >= story.trimmed);
  const start = story.batches.findIndex(({ position }) => position === found[0]?.position);
  if (promised > firstNeeded && firstNeeded >= 0) {
    expect(start, `${label}: the oldest kept`).toBeGreaterThanOrEqual(0);
    expect(start, `${label}: the oldest kept`).toBeLessThanOrEqual(firstNeeded);
    expect(start + found.length, `${label}: the newest promised`).toBeGreaterThanOrEqual(promised);
  }
  for (const [index, { position, heads, bodyBytes }] of found.entries()) {
    const { batch, position: given } = story.batches[start + index];
    expect([position, bodyBytes, heads.equals(batch.heads)], label).toEqual([given, batch.bodyBytes, true]);
    const body = Buffer.alloc(bodyBytes);
    await log.read(position, body);
    expect(body.equals(bodyOf(batch)), `${label}: body`).toBe(true);
  }
  const [first, second] = ["first", "second"].map((key) => engine.meta.get(key)?.[0] ?? -1);
  expect(first, `${label}: metadata of one turn`).toBe(second);
  expect(first, `${label}: flushed metadata`).toBeGreaterThanOrEqual(
    durability === "fsync" ? story.metaFlushed : -1,
  );
  if (durability === "fsync" && found.length > 0) {
    expect(first, `${label}: metadata is durable before batches`).toBeGreaterThanOrEqual(
      start + found.length - 1,
    );
  }
  const source = new TestSource(log);
  log.start(source);
  source.offer(testBatch(1_000, [333]));
  await source.untilCommitted(1);
  expect(source.positions[0], `${label}: position`).toBeGreaterThan(found.at(-1)?.position ?? -1);
  await engine.close();
  const again = await openOn(disk, durability);
  const after = await recoverAll(await again.openLog("story"));
  expect(after.slice(-1)[0].heads.equals(source.taken[0].heads), label).toBe(true);
  expect(after.length, label).toBeGreaterThan(0);
  await again.close();
  expect(disk.openHandles, `${label}: handles`).toBe(0);
}

function newStory(): Story {
  return { batches: [], committed: 0, synced: 0, trimmed: 0, metaFlushed: -1 };
}

async function operationsOf(durability: Durability): Promise<number> {
  const disk = new SimDisk();
  await live(disk, newStory(), durability);
  return disk.operations;
}

async function dieAt(
  operation: number,
  seed: number,
  durability: Durability,
): Promise<{ disk: SimDisk; story: Story }> {
  const disk = new SimDisk(seededRandom(seed));
  const story = newStory();
  disk.killAt = operation;
  const life = live(disk, story, durability);
  await Promise.race([life, disk.killed]);
  return { disk, story };
}

describe("a crash between any two disk operations", () => {
  for (const durability of ["fsync", "os"] satisfies Durability[]) {
    it(`loses nothing that was committed when the process is killed (${durability})`, async () => {
      const operations = await operationsOf(durability);
      expect(operations).toBeGreaterThan(40);
      for (let operation = 1; operation <= operations; operation++) {
        const { disk, story } = await dieAt(operation, operation, durability);
        await check(disk.afterKill(), story, story.committed, durability, `killed in operation ${operation}`);
      }
    });
  }

  it("loses nothing that was synced when the power fails", async () => {
    const operations = await operationsOf("fsync");
    for (let operation = 1; operation <= operations; operation++) {
      for (let seed = 0; seed < 3; seed++) {
        const { disk, story } = await dieAt(operation, seed, "fsync");
        const label = `power lost in operation ${operation}, seed ${seed}`;
        await check(
          disk.afterPowerLoss(seededRandom(seed * 1_000 + operation)),
          story,
          story.synced,
          "fsync",
          label,
        );
      }
    }
  });

  it("comes back from a power failure with a whole prefix when nothing is ever synced", async () => {
    const operations = await operationsOf("os");
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: operations }), fc.nat(), async (operation, seed) => {
        const { disk, story } = await dieAt(operation, seed, "os");
        await check(
          disk.afterPowerLoss(seededRandom(seed)),
          story,
          0,
          "os",
          `power lost in ${operation}, seed ${seed}`,
        );
      }),
      { numRuns: 150 },
    );
  });
});
