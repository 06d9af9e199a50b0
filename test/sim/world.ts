// A shard on a simulated disk, and messages that are numbers.
import { Arena } from "../../src/base/arena.ts";
import type { ManualClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { Turn } from "../../src/base/turn.ts";
import type { Queue } from "../../src/broker/queue.ts";
import { Shard } from "../../src/broker/shard.ts";
import type { RecordSource } from "../../src/broker/store/message-store.ts";
import type { QueueOptions, StoredMessage } from "../../src/broker/types.ts";
import type { Durability, Engine } from "../../src/engine/engine.ts";
import { openFileEngine } from "../../src/engine/file/file-engine.ts";
import type { SimDisk } from "../../src/engine/file/sim-disk.ts";
import { encodeRouting } from "../../src/message/record.ts";

export interface WorldOptions {
  readonly disk: SimDisk;
  readonly clock: ManualClock;
  readonly random: () => number;
  readonly durability?: Durability;
  /** By queue number; null: there is no such queue. */
  readonly queues: readonly (QueueOptions | null)[];
  /** Queue number of the parking lot. */
  readonly parkingLot?: number;
  readonly blocksMax?: number;
  readonly segmentBytes?: number;
  readonly space?: { readonly regionBytes: number; readonly storedBytesMin: number };
  readonly onCorruption?: (error: Error) => void;
}

export interface World {
  readonly engine: Engine;
  readonly shard: Shard;
  readonly queues: readonly Queue[];
  close(): Promise<void>;
}

/** An exchange named `to:N` leads to queue N. */
export async function openWorld(options: WorldOptions): Promise<World> {
  const { disk, clock, random, durability = "fsync" } = options;
  const engine = await openFileEngine({
    directory: "/data",
    disk,
    clock,
    durability,
    segmentBytes: options.segmentBytes ?? 16 * 1024,
  });
  const queues: Queue[] = [];
  const shard: Shard = new Shard({
    log: await engine.openLog("shard-0"),
    arena: new Arena(32 * 1024 * 1024),
    turn: new Turn(),
    clock,
    logger: silentLogger,
    finder: {
      find: (_namespace, exchange) => [queues[Number(exchange.slice(3))] as Queue],
      parkingLot: () => queues[options.parkingLot ?? 0] as Queue,
    },
    readers: new Map(),
    durability,
    consumerTimeoutMs: null,
    quorumDeliveryLimit: -1,
    blocksMax: options.blocksMax ?? 2,
    random,
    onCorruption: (error) => {
      if (options.onCorruption === undefined) throw error;
      options.onCorruption(error);
    },
    ...(options.space === undefined ? {} : { space: options.space }),
  });
  for (const [i, queueOptions] of options.queues.entries()) {
    if (queueOptions === null) continue;
    const declaration = {
      name: `q${i}`,
      durable: true,
      exclusive: false,
      autoDelete: false,
      options: queueOptions,
      arguments: new Map(),
    };
    queues[i] = shard.createQueue(i + 1, "/", declaration, null, { unused() {} });
  }
  await shard.recover();
  const close = async (): Promise<void> => {
    await shard.close();
    await engine.close();
  };
  return { engine, shard, queues, close };
}

/** The message that is `number`, in `size` bytes and a few. */
export function message(
  number: number,
  size: number,
  persistent = true,
  priority = 0,
  exchange = "",
  key = "",
): RecordSource {
  const routing = encodeRouting(exchange, key);
  const native = Buffer.alloc(4 + size, number & 0xff);
  native.writeUInt32BE(number, 0);
  const bytes = Buffer.concat([routing, native]);
  return {
    origin: 0,
    bytes,
    routingStart: 0,
    routingEnd: routing.length,
    nativeStart: routing.length,
    nativeEnd: bytes.length,
    bodyBytes: native.length,
    persistent,
    priority,
  };
}

/** Its number; throws when its bytes are not what was published. */
export function numberOf({ record }: StoredMessage): number {
  const { bytes, nativeOffset, end } = record;
  const native = Buffer.from(bytes.buffer, bytes.byteOffset + nativeOffset, end - nativeOffset);
  const number = native.readUInt32BE(0);
  if (native.subarray(4).some((byte) => byte !== (number & 0xff)))
    throw new Error(`message ${number} is garbled`);
  return number;
}

/** Everything that is ready, in order; handed out to `ledger`, and settled by whoever called. */
export function takeAll(queue: Queue, ledger: ReturnType<Shard["openLedger"]>): Promise<number[]> {
  const numbers: number[] = [];
  return new Promise((resolve, reject) => {
    const step = (): void => {
      queue.get(false, ledger, (delivery) => {
        if (delivery === null) {
          resolve(numbers);
          return;
        }
        try {
          numbers.push(numberOf(delivery));
        } catch (error) {
          reject(error);
        }
        setImmediate(step);
      });
    };
    step();
  });
}

export const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};
