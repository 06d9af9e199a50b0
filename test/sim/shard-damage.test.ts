/** Stored bytes that change by themselves: what cannot be vouched for is not served, and the rest goes on. */
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../src/base/clock.ts";
import type { QueueOptions } from "../../src/broker/types.ts";
import { SimDisk, seededRandom } from "../../src/engine/file/sim-disk.ts";
import { message, numberOf, openWorld, takeAll, turns, type World } from "./world.ts";

const MARK = Buffer.from("the message that is going to be damaged");
const VICTIM = 20;
const COUNT = 60;

/** Numbers 1 to 60 in `targets`; the bytes of number 20 can be found on the disk. */
async function filled(
  queues: QueueOptions[],
  fill: (world: World, number: number) => void,
): Promise<SimDisk> {
  const disk = new SimDisk(seededRandom(1));
  const world = await openWorld({ disk, clock: new ManualClock(), random: seededRandom(2), queues });
  for (let n = 1; n <= COUNT; n++) {
    fill(world, n);
    await turns(2);
  }
  await world.close();
  return disk;
}

function source(n: number, marked: boolean, size = 1000, exchange = ""): ReturnType<typeof message> {
  const made = message(n, size, true, 0, exchange);
  if (n === VICTIM && marked)
    Buffer.from(made.bytes.buffer, made.bytes.byteOffset).set(MARK, made.nativeStart + 50);
  return made;
}

const publish =
  (targets: number[], marked = true, size?: number) =>
  (world: World, n: number): void => {
    world.shard.publisher.publish(
      targets.map((t) => world.queues[t] as World["queues"][0]),
      source(n, marked, size),
      null,
      -1,
    );
  };

function flip(disk: SimDisk, find: (bytes: Buffer) => number): void {
  for (const path of disk.paths()) {
    const bytes = Buffer.from(disk.bytesOf(path));
    const at = path.endsWith(".seg") && path.includes("shard-0") ? find(bytes) : -1;
    if (at < 0) continue;
    bytes[at] = (bytes[at] as number) ^ 0x40;
    disk.replace(path, bytes);
    return;
  }
  throw new Error("nothing to damage");
}

const damageVictim = (disk: SimDisk): void => flip(disk, (bytes) => bytes.indexOf(MARK));

interface Reopened {
  readonly world: World;
  readonly clock: ManualClock;
  readonly errors: string[];
}

async function reopened(disk: SimDisk, queues: QueueOptions[]): Promise<Reopened> {
  const errors: string[] = [];
  const clock = new ManualClock();
  const world = await openWorld({
    disk,
    clock,
    random: seededRandom(3),
    queues,
    onCorruption: (error) => errors.push(error.message),
  });
  return { world, clock, errors };
}

const ALL_BUT_VICTIM = Array.from({ length: COUNT }, (_, i) => i + 1).filter((n) => n !== VICTIM);

describe("a flipped byte in a body", () => {
  it("costs a single get that message and no other", async () => {
    const disk = await filled([{}], publish([0]));
    damageVictim(disk);
    const { world, errors } = await reopened(disk, [{}]);
    const ledger = world.shard.openLedger(() => {});
    expect(await takeAll(world.queues[0] as World["queues"][0], ledger)).toEqual(ALL_BUT_VICTIM);
    expect(errors).toEqual([expect.stringMatching(/^message 20 at log position \d+ .*checksum$/)]);
    expect(world.shard.counters.dropped.corrupt).toBe(1);
    ledger.accept(0, true);
    await world.close();
  });

  it("costs a consumer that message and no other, in every queue that held it", async () => {
    const disk = await filled([{}, { priorityMax: 3 }], publish([0, 1]));
    damageVictim(disk);
    const { world, errors } = await reopened(disk, [{}, { priorityMax: 3 }]);
    const seen: number[][] = [[], []];
    const ledger = world.shard.openLedger(() => {});
    for (const [i, queue] of world.queues.entries()) {
      const options = {
        tag: `c${i}`,
        noAck: true,
        exclusive: false,
        priority: 0,
        prefetch: 0,
        arguments: new Map(),
      };
      queue.addConsumer(
        options,
        { writable: true, deliver: (delivery) => seen[i]?.push(numberOf(delivery)), cancelled() {} },
        ledger,
      );
    }
    await turns(100);
    expect(seen).toEqual([ALL_BUT_VICTIM, ALL_BUT_VICTIM]);
    expect(errors.length).toBe(1);
    expect(world.shard.counters.dropped.corrupt).toBe(2);
    expect(world.shard.store.table.count).toBe(0);
    await world.close();
  });

  it("of a large message costs that message and no other", async () => {
    const disk = await filled([{}], publish([0], true, 70_000));
    damageVictim(disk);
    const { world, errors } = await reopened(disk, [{}]);
    const ledger = world.shard.openLedger(() => {});
    expect(await takeAll(world.queues[0] as World["queues"][0], ledger)).toEqual(ALL_BUT_VICTIM);
    expect(errors.length).toBe(1);
    await world.close();
  });

  it("does not hold up dead letters, which keep their order", async () => {
    const queues = [{ deadLetterExchange: "to:1", messageTtlMs: 1000 }, {}];
    const disk = await filled(queues, publish([0]));
    damageVictim(disk);
    const { world, clock, errors } = await reopened(disk, queues);
    clock.advance(2000);
    await turns(100);
    const ledger = world.shard.openLedger(() => {});
    expect(await takeAll(world.queues[1] as World["queues"][0], ledger)).toEqual(ALL_BUT_VICTIM);
    expect(errors.length).toBe(1);
    expect(world.queues[0]?.readyCount).toBe(0);
    await world.close();
  });

  it("does not hold up delayed messages", async () => {
    const disk = await filled([{}], (world, n) => {
      world.shard.delays.add("/", "to:0", source(n, true, 1000, "to:0"), null, -1, 5000);
    });
    damageVictim(disk);
    const { world, clock, errors } = await reopened(disk, [{}]);
    clock.advance(6000);
    await turns(100);
    const ledger = world.shard.openLedger(() => {});
    expect(await takeAll(world.queues[0] as World["queues"][0], ledger)).toEqual(ALL_BUT_VICTIM);
    expect(errors.length).toBe(1);
    await world.close();
  });

  it("does not keep the log from being cut, and is forgotten with its stretch", async () => {
    const disk = await filled([{}], publish([0]));
    damageVictim(disk);
    const { world } = await reopened(disk, [{}]);
    const before = world.shard.storedBytes;
    const ledger = world.shard.openLedger(() => {});
    await takeAll(world.queues[0] as World["queues"][0], ledger);
    ledger.accept(0, true);
    await turns(50);
    expect(world.shard.storedBytes).toBeLessThan(before / 2);
    await world.close();
    const again = await reopened(disk, [{}]);
    expect(again.world.queues[0]?.readyCount).toBe(0);
    await again.world.close();
  });
});

describe("a flipped byte in a committed head", () => {
  it("stops the start, loudly", async () => {
    const disk = await filled([{}], publish([0]));
    // The record of message 20 among the heads: its id as a double, before the queue's number.
    const head = Buffer.alloc(8);
    head.writeDoubleBE(VICTIM);
    flip(disk, (bytes) => {
      const at = bytes.indexOf(Buffer.concat([head, Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])]));
      return at < 0 ? -1 : at + 3;
    });
    await expect(reopened(disk, [{}])).rejects.toThrow(/shard-0.*(corrupt|damage|checksum|broken|lost)/is);
  });
});

describe("a torn tail", () => {
  it("takes with it only whole batches from the end, however much is torn off", async () => {
    const whole = await filled([{}], publish([0], false));
    const last = whole.paths().filter((path) => path.includes("shard-0") && path.endsWith(".seg"));
    const newest = last.sort().at(-1) as string;
    for (const torn of [1, 63, 64, 100, 777, 1100, 5000]) {
      // A crash, not an orderly end, whose seal would tell on the missing bytes: what is torn was not synced.
      const disk = new SimDisk(seededRandom(1));
      const world = await openWorld({
        disk,
        clock: new ManualClock(),
        random: seededRandom(2),
        queues: [{}],
        durability: "os",
      });
      for (let n = 1; n <= COUNT; n++) {
        publish([0], false)(world, n);
        await turns(2);
      }
      const after = disk.afterKill();
      const bytes = after.bytesOf(newest);
      let end = bytes.length;
      while (end > 0 && bytes[end - 1] === 0) end--;
      after.replace(newest, bytes.slice(0, Math.max(0, end - torn)));
      const { world: reborn } = await reopened(after, [{}]);
      const ledger = reborn.shard.openLedger(() => {});
      const numbers = await takeAll(reborn.queues[0] as World["queues"][0], ledger);
      expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => i + 1));
      expect(numbers.length).toBeLessThan(COUNT);
      expect(numbers.length).toBeGreaterThan(COUNT - 3 - torn / 1000);
      await reborn.close();
    }
  });
});

describe("a full disk", () => {
  it("holds what is published until there is room, and loses nothing; consumers go on", async () => {
    const disk = new SimDisk(seededRandom(1));
    const clock = new ManualClock();
    const world = await openWorld({ disk, clock, random: seededRandom(2), queues: [{}] });
    const pressures: (string | null)[] = [];
    world.engine.observe({ round() {}, pressure: (reason) => pressures.push(reason), failed() {} });
    const confirmed: number[] = [];
    const put = (n: number): void => {
      publish([0], false)(world, n);
      world.shard.store.journal.waitFor({ committed: () => confirmed.push(n) });
    };
    for (let n = 1; n <= 30; n++) put(n);
    await turns(20);
    expect(confirmed.length).toBe(30);
    disk.capacityBytes = 0;
    for (let n = 31; n <= COUNT; n++) put(n);
    await turns(50);
    expect(pressures[0]).toMatch(/disk|space|ENOSPC/i);
    expect(confirmed.length).toBe(30);
    const seen: number[] = [];
    const ledger = world.shard.openLedger(() => {});
    const options = {
      tag: "c",
      noAck: false,
      exclusive: false,
      priority: 0,
      prefetch: 0,
      arguments: new Map(),
    };
    world.queues[0]?.addConsumer(
      options,
      { writable: true, deliver: (delivery) => seen.push(numberOf(delivery)), cancelled() {} },
      ledger,
    );
    await turns(20);
    expect(seen).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    ledger.accept(0, true);
    disk.capacityBytes = 10_000_000;
    for (let i = 0; i < 20; i++) {
      clock.advance(1000);
      await turns(5);
    }
    await world.close();
    expect(pressures.at(-1)).toBe(null);
    expect(confirmed.length).toBe(COUNT);
    expect(new Set(seen).size).toBe(seen.length);
    const { world: reborn } = await reopened(disk, [{}]);
    const left = await takeAll(
      reborn.queues[0] as World["queues"][0],
      reborn.shard.openLedger(() => {}),
    );
    expect([...seen.slice(0, 30), ...left]).toEqual(Array.from({ length: COUNT }, (_, i) => i + 1));
    await reborn.close();
  });
});
