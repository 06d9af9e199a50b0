// Read, process, write: records go from one topic to another in transactions that move the group's offset
// along, while the broker is killed and the client cut off at random moments. In the end the source holds what was
// acknowledged, where it was said to be, and the target what the source holds: each record once, in its order. No
// offset of either is missing.
//   CRASH_ROUNDS, CRASH_SEED   how many kills of the broker, and which moments
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { addOffsetsToTxn } from "../../src/wire/kafka/schemas/add-offsets-to-txn.ts";
import { addPartitionsToTxn } from "../../src/wire/kafka/schemas/add-partitions-to-txn.ts";
import { endTxn } from "../../src/wire/kafka/schemas/end-txn.ts";
import { initProducerId } from "../../src/wire/kafka/schemas/init-producer-id.ts";
import { txnOffsetCommit } from "../../src/wire/kafka/schemas/txn-offset-commit.ts";
import { RawKafka } from "../support/kafka-raw.ts";
import { PolymqProcess } from "../support/polymq-process.ts";
import { randomFrom } from "../support/random.ts";
import {
  committedBy,
  type Found,
  kafkaOf,
  makeTopics,
  must,
  type Producer,
  pause,
  readFrom,
  write,
} from "./kafka-peer.ts";

const rounds = Number(process.env.CRASH_ROUNDS ?? 6);
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000_000);
const random = randomFrom(seed);

const [SOURCE, TARGET, GROUP] = ["source", "target", "movers"];
const PARTITIONS = 3;
/** Of the times that a mover takes a step, those at which it is cut off. */
const CUT_SHARE = 0.01;
const ABORTED_SHARE = 0.1;

interface Soak {
  readonly broker: PolymqProcess;
  /** No more is written to the source. */
  written: boolean;
  over: boolean;
  commits: number;
  aborts: number;
  cuts: number;
}

/** Movers of these partitions go on under a new epoch with each transaction (KIP-890); others keep theirs. */
const renews = (partition: number): boolean => partition % 2 === 1;

/** Moves records of one partition until it is cut off, or the broker goes down. */
async function move(soak: Soak, partition: number): Promise<void> {
  const peer = await RawKafka.open(kafkaOf(soak.broker));
  const step = <T>(answer: Promise<T>): Promise<T> => {
    if (random() >= CUT_SHARE) return answer;
    soak.cuts++;
    answer.catch(() => {});
    peer.close();
    throw new Error("cut off");
  };
  try {
    const name = `mover-${partition}`;
    const init = await step(
      peer.ask(initProducerId, 1, { transactionalId: name, transactionTimeoutMs: 60_000 }),
    );
    must("init", init.errorCode);
    const { producerId, producerEpoch } = init;
    let id = { transactionalId: name, producerId, producerEpoch };
    const renewing = renews(partition);
    let sequence = 0;
    let at = await step(committedBy(peer, GROUP, SOURCE, partition));
    while (!soak.over) {
      const found = await readFrom(peer, SOURCE, partition, at, {
        waitMs: 50,
        bytesMax: 200 + random() ** 2 * 60_000,
      });
      if (found.records.length === 0) {
        at = found.next;
        continue;
      }
      const values = found.records.map(({ value }) => value);
      if (!renewing) {
        const added = await step(
          peer.ask(addPartitionsToTxn, 1, {
            v3AndBelowTransactionalId: name,
            v3AndBelowProducerId: producerId,
            v3AndBelowProducerEpoch: producerEpoch,
            v3AndBelowTopics: [{ name: TARGET, partitions: [partition] }],
          }),
        );
        must("add", added.resultsByTopicV3AndBelow[0]?.resultsByPartition[0]?.partitionErrorCode);
      }
      const as = { name, producerId: id.producerId, producerEpoch: id.producerEpoch, sequence };
      await step(write(peer, TARGET, partition, values, as, renewing ? 12 : 7));
      sequence += values.length;
      if (!renewing)
        must("add offsets", (await step(peer.ask(addOffsetsToTxn, 1, { ...id, groupId: GROUP }))).errorCode);
      const offsets = [{ partitionIndex: partition, committedOffset: found.next }];
      const staged = await step(
        peer.ask(txnOffsetCommit, renewing ? 5 : 2, {
          ...id,
          groupId: GROUP,
          topics: [{ name: SOURCE, partitions: offsets }],
        }),
      );
      must("stage", staged.topics[0]?.partitions[0]?.errorCode);
      const committed = random() >= ABORTED_SHARE;
      const ended = await step(peer.ask(endTxn, renewing ? 5 : 1, { ...id, committed }));
      must("end", ended.errorCode);
      if (renewing) {
        id = { ...id, producerId: ended.producerId, producerEpoch: ended.producerEpoch };
        sequence = 0;
      }
      if (committed) {
        at = found.next;
        soak.commits++;
      } else soak.aborts++;
    }
  } finally {
    peer.close();
  }
}

/** A new mover whenever the one before has gone. */
async function keepMoving(soak: Soak, partition: number): Promise<void> {
  while (!soak.over) {
    await move(soak, partition).catch(() => pause(5));
  }
}

/** Writers to these partitions number what they write: what they repeat is not stored again. */
const isIdempotent = (partition: number): boolean => partition % 2 === 0;

/** Writes numbers until told to stop, and tells where each is. */
async function fill(soak: Soak, partition: number): Promise<number[]> {
  const offsets: number[] = [];
  // Not answered: it may be stored, so it is written again until that is known.
  let open: string[] | null = null;
  let producer: Producer | undefined;
  while (!soak.written || open !== null) {
    try {
      const peer = await RawKafka.open(kafkaOf(soak.broker));
      if (isIdempotent(partition)) producer ??= await numbered(peer);
      while (!soak.written || open !== null) {
        const first = offsets.length;
        open ??= Array.from({ length: 1 + random() * 20 }, (_, index) => `${partition}:${first + index}`);
        const as = producer && { ...producer, sequence: first };
        const at = await write(peer, SOURCE, partition, open, as);
        for (let index = 0; index < open.length; index++) offsets.push(at + index);
        open = null;
        await pause(1);
      }
      peer.close();
    } catch {
      await pause(5);
    }
  }
  return offsets;
}

async function numbered(peer: RawKafka): Promise<Producer> {
  const told = await peer.ask(initProducerId, 1, { transactionalId: null, transactionTimeoutMs: 60_000 });
  must("init", told.errorCode);
  return { name: null, producerId: told.producerId, producerEpoch: told.producerEpoch, sequence: 0 };
}

/** What is decided of a partition; no offset of it is missing. */
async function everything(soak: Soak, topic: string, partition: number): Promise<Found["records"]> {
  const peer = await RawKafka.open(kafkaOf(soak.broker));
  const all: Found["records"][number][] = [];
  for (let at = 0; ; ) {
    const { records, next, missing } = await readFrom(peer, topic, partition, at, { stable: true });
    expect(missing).toBe(0);
    all.push(...records);
    if (next === at) break;
    at = next;
  }
  peer.close();
  return all;
}

const valuesOf = (records: Found["records"]): string[] => records.map(({ value }) => value);

/** What was acknowledged is where it was said to be, and nothing twice that was numbered. */
function checkSource(source: Found["records"], partition: number, offsets: readonly number[]): void {
  expect(source.map(({ offset }) => offset)).toEqual(source.map((_, index) => index));
  const kept = offsets.map((offset) => source[offset]?.value);
  expect(kept).toEqual(offsets.map((_, number) => `${partition}:${number}`));
  if (isIdempotent(partition)) expect(source.length).toBe(offsets.length);
}

test(
  `${rounds} rounds, seed ${seed}`,
  async () => {
    console.log(`exactly once: CRASH_SEED=${seed} CRASH_ROUNDS=${rounds}`);
    const dataDir = mkdtempSync(join(tmpdir(), "polymq-exactly-once-"));
    const broker = await PolymqProcess.start({ dataDir });
    onTestFinished(() => broker.kill9());
    const soak: Soak = { broker, written: false, over: false, commits: 0, aborts: 0, cuts: 0 };
    const setUp = await RawKafka.open(kafkaOf(broker));
    await makeTopics(setUp, PARTITIONS, SOURCE, TARGET);
    setUp.close();
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition);
    const filling = partitions.map((partition) => fill(soak, partition));
    const moving = partitions.map((partition) => keepMoving(soak, partition));
    for (let round = 0; round < rounds; round++) {
      await pause(200 + random() * 1500);
      await broker.kill9();
      await broker.start();
    }
    soak.written = true;
    const acknowledged = await Promise.all(filling);
    for (const [partition, offsets] of acknowledged.entries()) {
      const source = await everything(soak, SOURCE, partition);
      checkSource(source, partition, offsets);
      await expect
        .poll(async () => (await everything(soak, TARGET, partition)).length, {
          timeout: 60_000,
          interval: 100,
        })
        .toBeGreaterThanOrEqual(source.length);
      expect(valuesOf(await everything(soak, TARGET, partition))).toEqual(valuesOf(source));
      expect(source.length).toBeGreaterThan(rounds);
    }
    soak.over = true;
    await Promise.all(moving);
    const records = acknowledged.reduce((sum, { length }) => sum + length, 0);
    console.log(
      `exactly once: ${records} records, ${soak.commits} commits, ${soak.aborts} aborts, ${soak.cuts} cuts`,
    );
    expect(soak.cuts).toBeGreaterThan(0);
    expect(await broker.stop()).toBe(0);
    rmSync(dataDir, { recursive: true, force: true });
  },
  120_000 + rounds * 30_000,
);
