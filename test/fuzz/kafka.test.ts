// Whatever a Kafka client sends, nothing is a fault of ours: requests of every API and version with
// arbitrary values in them, and a conversation that has been tampered with.
//   FUZZ_COUNT, FUZZ_SEED   how many such conversations, and which

import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { Arena } from "../../src/base/arena.ts";
import { SystemClock } from "../../src/base/clock.ts";
import { Turn } from "../../src/base/turn.ts";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import type { Receipt } from "../../src/net/byte-stream.ts";
import { Outbox } from "../../src/net/outbox.ts";
import type { ConnectionHandler, Transport } from "../../src/net/transport.ts";
import { KafkaAcceptor } from "../../src/wire/kafka/acceptor.ts";
import { HANDLERS } from "../../src/wire/kafka/api/index.ts";
import { ApiTable } from "../../src/wire/kafka/api-table.ts";
import { sampleOf } from "../../src/wire/kafka/codec/testing/samples.ts";
import { apiVersions } from "../../src/wire/kafka/schemas/api-versions.ts";
import { fetch } from "../../src/wire/kafka/schemas/fetch.ts";
import { joinGroup } from "../../src/wire/kafka/schemas/join-group.ts";
import { metadata } from "../../src/wire/kafka/schemas/metadata.ts";
import { produce } from "../../src/wire/kafka/schemas/produce.ts";
import { startServer } from "../support/broker.ts";
import { batchOf } from "../support/kafka-batch.ts";
import { requestFrame } from "../support/kafka-raw.ts";

const count = Number(process.env.FUZZ_COUNT ?? 500);
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000_000);

const { broker, stop } = await startServer();
const faults: unknown[] = [];
const nothing = (): void => {};
const logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: (fields: object) => faults.push((fields as { err?: unknown }).err ?? fields),
};
const turn = new Turn((error) => faults.push(error));
const arena = new Arena(64 * 1024 * 1024);
const acceptor = new KafkaAcceptor({
  broker,
  clock: new SystemClock(),
  turn,
  logger,
  limits: DEFAULT_LIMITS,
  settings: {
    nodeId: 1,
    namespace: "/",
    autoCreateTopics: true,
    partitionsDefault: 1,
    replicationStrict: false,
    saslMechanisms: ["PLAIN"],
    logDir: "/",
    requestBytesMax: 1 << 20,
    idleMsMax: 60_000,
    anonymousUser: "guest",
  },
  readers: new Map(),
  product: "",
  version: "",
  platform: "",
});
afterAll(async () => {
  acceptor.close();
  await stop();
});

/** A connection without a socket. */
class Line implements Transport {
  readonly outbox: Outbox;
  readonly name = "client -> server";
  readonly remoteAddress = "127.0.0.1";
  readonly remotePort = 40_000;
  readonly localAddress = "127.0.0.1";
  readonly localPort = 9092;
  readonly listener = {
    name: "kafka",
    host: "127.0.0.1",
    port: 9092,
    secure: false,
    options: { advertised: null },
  };
  readonly loopback = true;
  readonly tls = null;
  lastReadMs = 0;
  lastWriteMs = 0;
  paused = 0;
  ended = false;
  private readonly handler: ConnectionHandler;
  private remainder = Buffer.alloc(0);
  private written: Buffer[] = [];

  constructor() {
    const socket = {
      destroyed: false,
      write: (parts: readonly Uint8Array[], receipt: Receipt) => {
        this.written.push(Buffer.concat(parts));
        receipt.done();
      },
    };
    this.outbox = new Outbox(arena, turn, socket, 1 << 20, {
      drained: () => this.handler.drained(),
      wrote: nothing,
      exhausted: () => faults.push(new Error("no memory for output")),
    });
    this.handler = acceptor.accept(this);
  }

  write(bytes: Uint8Array): void {
    if (this.ended) return;
    const all = Buffer.concat([this.remainder, bytes]);
    this.remainder = all.subarray(this.handler.read(all, 0, all.length));
    if (this.remainder.length > acceptor.remainderBytesMax) faults.push(new Error("too much is left over"));
  }

  /** Ids of the requests that were answered, in order. */
  answered(): number[] {
    this.outbox.run();
    const all = Buffer.concat(this.written);
    const ids: number[] = [];
    for (let at = 0; at < all.length; at += 4 + all.readInt32BE(at)) ids.push(all.readInt32BE(at + 4));
    return ids;
  }

  pauseReading(): void {
    this.paused++;
  }

  resumeReading(): void {
    this.paused--;
  }

  end(): void {
    this.ended = true;
  }

  destroy(): void {
    this.ended = true;
  }

  close(): void {
    this.handler.closed(null);
    this.outbox.close();
  }
}

/** Until what has been held is let go: a login, an answer that is promised. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

async function opened(): Promise<Line> {
  const line = new Line();
  while (line.paused > 0) await settled();
  return line;
}

describe("a request with arbitrary values", () => {
  const table = new ApiTable(HANDLERS);
  test.each(table.served.map((served) => ({ name: served.api.name, served })))(
    "of $name is answered, refused, or ends its connection",
    async ({ served: { api, first, last } }) => {
      faults.length = 0;
      for (let version = first; version <= last; version++) {
        for (let seed = 0; seed < 12; seed++) {
          const line = await opened();
          const request = sampleOf(api.requestShape, version, seed * 7919 + version);
          line.write(requestFrame(api, version, seed, request));
          await settled();
          line.close();
        }
      }
      expect(faults).toEqual([]);
    },
  );
});

describe("a conversation that has been tampered with", () => {
  const records = batchOf([{ value: "v" }]);
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }];
  const whole = Buffer.concat([
    requestFrame(apiVersions, 3, 0, { clientSoftwareName: "fuzz", clientSoftwareVersion: "1" }),
    requestFrame(metadata, 4, 1, { topics: [{ name: "fuzz" }], allowAutoTopicCreation: true }),
    requestFrame(produce, 9, 2, {
      acks: -1,
      topicData: [{ name: "fuzz", partitionData: [{ index: 0, records }] }],
    }),
    requestFrame(produce, 3, 3, {
      acks: 1,
      topicData: [{ name: "fuzz", partitionData: [{ index: 0, records }] }],
    }),
    requestFrame(fetch, 12, 4, { maxBytes: 1000, topics: [{ topic: "fuzz", partitions }] }),
    requestFrame(joinGroup, 5, 5, { groupId: "g", sessionTimeoutMs: 10_000, protocolType: "consumer" }),
    requestFrame(metadata, 9, 6, { topics: null }),
  ]);
  const mutation = fc.record({ at: fc.nat(whole.length - 1), octet: fc.nat(255), cut: fc.boolean() });

  test(
    `is answered in order as far as it is understood: ${count} of seed ${seed}`,
    async () => {
      faults.length = 0;
      let inputs = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(mutation, { maxLength: 3 }), fc.nat(500), async (mutations, piece) => {
          let bytes = Buffer.from(whole);
          for (const { at, octet, cut } of mutations) {
            const index = Math.min(at, bytes.length - 1);
            if (cut)
              bytes = Buffer.concat([bytes.subarray(0, index), bytes.subarray(index + 1 + (octet & 7))]);
            else bytes[index] = octet;
          }
          const line = await opened();
          for (let at = 0; at < bytes.length; at += piece + 1) line.write(bytes.subarray(at, at + piece + 1));
          await settled();
          await settled();
          const ids = line.answered();
          if (mutations.length === 0) expect(ids.slice(0, 4)).toEqual([0, 1, 2, 3]);
          line.close();
          expect(faults).toEqual([]);
          if (++inputs % 50_000 === 0) console.log(`fuzz: ${inputs} inputs`);
        }),
        { numRuns: count, seed },
      );
    },
    Math.max(120_000, count * 100),
  );
});
