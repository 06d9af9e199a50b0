// MQTT without sockets: a whole broker, and connections that are plain calls. For a million of them, or on a disk that
// is made to fail.

import { Arena } from "../../src/base/arena.ts";
import { type Clock, SystemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { Turn } from "../../src/base/turn.ts";
import { openBroker, type RunningBroker } from "../../src/broker/open.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { openMemoryEngine } from "../../src/engine/memory/memory-engine.ts";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import { ORIGIN_MQTT } from "../../src/message/record.ts";
import type { Receipt } from "../../src/net/byte-stream.ts";
import { Outbox } from "../../src/net/outbox.ts";
import type { ConnectionAcceptor, ConnectionHandler, Transport } from "../../src/net/transport.ts";
import { mqtt } from "../../src/wire/mqtt/index.ts";

const SCRATCH_BYTES = 256 * 1024;
const READ_BYTES = 64 * 1024;
const HELD_MS_MAX = 10_000;

export interface DirectMqtt {
  readonly broker: RunningBroker;
  /** Faults of the broker's own that were logged. */
  readonly faults: unknown[];
  connect(received: (bytes: Buffer) => void): DirectConnection;
  close(): Promise<void>;
}

export interface DirectOptions {
  /** Durable at "fsync"; absent: one in memory. */
  readonly engine?: Engine;
  readonly clock?: Clock;
  readonly sessionExpirySecondsMax?: number;
  /** Who clients are that do not say; absent: guest. */
  readonly anonymousUser?: string;
}

export async function openDirectMqtt(wanted: DirectOptions = {}): Promise<DirectMqtt> {
  const clock = wanted.clock ?? new SystemClock();
  const arena = new Arena(DEFAULT_LIMITS.arenaBytes);
  const scratch = arena.reserve(SCRATCH_BYTES);
  const faults: unknown[] = [];
  const turn = new Turn((error) => faults.push(error));
  const logger = {
    ...silentLogger,
    error: (fields: object, text: string) => void faults.push([text, fields]),
  };
  const engine = wanted.engine ?? (await openMemoryEngine({ clock }));
  const readers = new Map([[ORIGIN_MQTT, mqtt.reader]]);
  const shared = { clock, turn, logger, limits: DEFAULT_LIMITS, readers };
  const options = {
    engine,
    arena,
    durability: wanted.engine === undefined ? ("memory" as const) : ("fsync" as const),
    consumerTimeoutMs: null,
    quorumDeliveryLimit: -1,
  };
  const broker = await openBroker({ ...shared, ...options });
  const settings = {
    anonymousUser: wanted.anonymousUser ?? "guest",
    receiveMax: 20,
    topicAliasMax: 10,
    keepAliveSecondsMax: null,
    sessionExpirySecondsMax: wanted.sessionExpirySecondsMax ?? 1,
    sysIntervalMs: null,
    sessionQueue: {},
  };
  const names = { product: "PolyMQ", version: "0", platform: "PolyMQ" };
  const acceptor = mqtt.acceptor({ ...shared, broker, settings, ...names });
  return {
    broker,
    faults,
    connect: (received) => new DirectConnection(acceptor, { arena, turn, scratch }, received),
    close: async () => {
      acceptor.close();
      await broker.close();
      await engine.close();
    },
  };
}

interface Memory {
  readonly arena: Arena;
  readonly turn: Turn;
  readonly scratch: number;
}

export class DirectConnection implements Transport {
  readonly outbox: Outbox;
  readonly name = "direct";
  readonly remoteAddress = "127.0.0.1";
  readonly remotePort = 1;
  readonly localAddress = "127.0.0.1";
  readonly localPort = 1883;
  readonly listener = { name: "mqtt", host: "127.0.0.1", port: 1883, secure: false, options: {} };
  readonly loopback = true;
  readonly tls = null;
  readonly lastReadMs = 0;
  readonly lastWriteMs = 0;
  paused = 0;
  /** The broker has ended it. */
  ended = false;
  private readonly memory: Memory;
  private readonly handler: ConnectionHandler;
  private remainder = Buffer.alloc(0);
  private gone = false;

  constructor(acceptor: ConnectionAcceptor, memory: Memory, received: (bytes: Buffer) => void) {
    this.memory = memory;
    const socket = {
      destroyed: false,
      write(parts: readonly Uint8Array[], receipt: Receipt) {
        received(Buffer.concat(parts));
        receipt.done();
      },
    };
    this.outbox = new Outbox(memory.arena, memory.turn, socket, 1024 * 1024, {
      drained: () => this.handler.drained(),
      wrote: () => {},
      exhausted: () => this.destroy(),
    });
    this.handler = acceptor.accept(this);
  }

  /** As the network does: in reads of some size, what was left unread in front, and nothing while reading is held. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += READ_BYTES) {
      const until = Date.now() + HELD_MS_MAX;
      while (this.paused > 0 && !this.ended) {
        if (Date.now() > until) throw new Error("reading is held for ever");
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      if (this.ended || this.gone) return;
      this.read(bytes.subarray(at, at + READ_BYTES));
    }
  }

  private read(bytes: Uint8Array): void {
    const { arena, scratch } = this.memory;
    const all = Buffer.concat([this.remainder, bytes]);
    arena.bytes.set(all, scratch);
    const consumed = this.handler.read(arena.bytes, scratch, scratch + all.length);
    this.remainder = Buffer.from(all.subarray(consumed - scratch));
  }

  pauseReading(): void {
    this.paused++;
  }

  resumeReading(): void {
    this.paused--;
  }

  end(): void {
    this.outbox.close();
    this.ended = true;
  }

  destroy(): void {
    this.ended = true;
  }

  /** The client has gone. */
  close(): void {
    if (this.gone) return;
    this.gone = true;
    this.handler.closed(null);
    this.outbox.close();
  }
}
